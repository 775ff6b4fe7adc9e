-- The ledger of redemptions, the place of every request partition, and what the limits count.

CREATE TABLE positions (
    partition integer PRIMARY KEY,
    epoch integer NOT NULL,
    position bigint NOT NULL,
    version bigint NOT NULL,
    outbox bytea,
    last_key_hash bigint,
    last_timestamp bigint,
    last_source jsonb,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
COMMENT ON TABLE positions IS 'One row a partition of game.redemptions.v1: the next offset to decide, and the outcomes of the last batch until they are acknowledged.';
COMMENT ON COLUMN positions.version IS 'Compared and raised in every transaction of the loop; who finds another number has lost the partition.';
-- Outboxes are compressed already, and are read far less often than written.
ALTER TABLE positions ALTER COLUMN outbox SET STORAGE EXTERNAL;

CREATE TABLE redemptions (
    serial bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    decided_at timestamptz NOT NULL,
    source_offset bigint NOT NULL,
    redemption_id uuid NOT NULL,
    generation integer NOT NULL,
    source_epoch integer NOT NULL,
    source_partition integer NOT NULL,
    platform text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    player_id text COLLATE "C" NOT NULL,
    campaign_id text COLLATE "C" NOT NULL,
    batch_id text COLLATE "C" NOT NULL,
    store_id text COLLATE "C" NOT NULL,
    store_region text COLLATE "C",
    CONSTRAINT one_redemption_a_generation PRIMARY KEY (serial, generation),
    CONSTRAINT one_redemption_an_event UNIQUE (platform, event_id)
);
COMMENT ON TABLE redemptions IS 'Accepted redemptions, for ever. A row is added, never changed.';
COMMENT ON COLUMN redemptions.generation IS 'How many reversals had made the code redeemable again before.';

CREATE TABLE reversals (
    serial bigint NOT NULL,
    generation integer NOT NULL,
    redemption_id uuid NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL CHECK (reason IN ('grant_failed', 'refund', 'fraud', 'mistake', 'test')),
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    decided_at timestamptz NOT NULL,
    source_epoch integer NOT NULL,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    CONSTRAINT one_reversal_a_redemption PRIMARY KEY (serial, generation),
    CONSTRAINT reversal_of_a_redemption FOREIGN KEY (serial, generation) REFERENCES redemptions
);
COMMENT ON TABLE reversals IS 'Redemptions that were taken back, each once. A row is added, never changed.';

CREATE TABLE player_counters (
    campaign_id text COLLATE "C" NOT NULL,
    platform text COLLATE "C" NOT NULL,
    player_id text COLLATE "C" NOT NULL,
    redeemed integer NOT NULL,
    PRIMARY KEY (campaign_id, platform, player_id)
);
COMMENT ON TABLE player_counters IS 'Redemptions that count against the limit per player, for campaigns that have or had one.';

CREATE TABLE campaign_counters (
    campaign_id text COLLATE "C" PRIMARY KEY,
    redeemed bigint NOT NULL DEFAULT 0,
    counts_players boolean NOT NULL DEFAULT false,
    counts_stores boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);
COMMENT ON TABLE campaign_counters IS 'Redemptions that count against a campaign''s total; the row''s lock is also the gate for starting to count players or stores.';

CREATE TABLE store_counters (
    campaign_id text COLLATE "C" NOT NULL,
    store_id text COLLATE "C" NOT NULL,
    redeemed bigint NOT NULL,
    PRIMARY KEY (campaign_id, store_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE store_counters IS 'Redemptions that count against the limit per store, for campaigns that have or had one.';

CREATE TABLE failed_attempts (
    platform text COLLATE "C" NOT NULL,
    player_id text COLLATE "C" NOT NULL,
    times bigint[] NOT NULL,
    last_at bigint NOT NULL,
    PRIMARY KEY (platform, player_id)
);
COMMENT ON TABLE failed_attempts IS 'Append times (milliseconds) of each player''s last failed attempts.';

CREATE TABLE platform_tallies (
    platform text COLLATE "C" NOT NULL,
    starts_at bigint NOT NULL,
    partition integer NOT NULL,
    requests integer NOT NULL,
    unknown integer NOT NULL,
    PRIMARY KEY (starts_at, platform, partition)
);
COMMENT ON TABLE platform_tallies IS 'Requests of each platform in steps of five seconds of append time, and how many held unknown codes; a row a partition, so that loops do not wait for each other. Partition -1: XML-RPC checks.';

CREATE TABLE skipped_ranges (
    partition integer NOT NULL,
    epoch integer NOT NULL,
    first_offset bigint NOT NULL,
    end_offset bigint NOT NULL,
    skipped_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (partition, epoch, first_offset)
);
COMMENT ON TABLE skipped_ranges IS 'Offsets that were never decided because the log no longer held them; end_offset is the first after them.';
