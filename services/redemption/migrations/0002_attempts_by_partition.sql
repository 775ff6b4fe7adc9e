-- Failed attempts of one player may come in on all partitions at once (a guesser's do): a row a partition, so that no loop holds
-- a row that another waits for while it decides. Readers take the partitions' rows together.
ALTER TABLE failed_attempts ADD COLUMN partition integer NOT NULL DEFAULT -1;
ALTER TABLE failed_attempts ALTER COLUMN partition DROP DEFAULT;
ALTER TABLE failed_attempts DROP CONSTRAINT failed_attempts_pkey;
ALTER TABLE failed_attempts ADD PRIMARY KEY (platform, player_id, partition);
COMMENT ON TABLE failed_attempts IS 'Append times (milliseconds) of each player''s last failed attempts, a row a partition that they came in on.';
