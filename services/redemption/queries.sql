-- Statements of the redemption service. Lists come as text: an array literal of numbers, or strings joined by U+001F
-- (which no request may hold), because asyncpg checks array arguments element by element in Python. What a batch writes is in
-- the functions of migrations/0004_write_a_batch_in_one_call.sql.

-- name: read_durability
-- Whether a commit that was answered is on disk (rule 11).
SELECT current_setting('synchronous_commit') AS synchronous_commit, current_setting('fsync') AS fsync

-- name: prefer_indexes
-- For a connection that looks up lists of keys: plans are made once, when tables may be small, and must stay right as they grow.
SELECT set_config('enable_hashjoin', 'off', false), set_config('enable_mergejoin', 'off', false),
       set_config('enable_seqscan', 'off', false), set_config('plan_cache_mode', 'force_generic_plan', false)

-- name: ping
-- Answers when Postgres does.
SELECT 1

-- name: read_place
-- A partition's place.
SELECT partition, epoch, position, version, outbox, last_key_hash, last_timestamp, last_source
FROM positions WHERE partition = $1

-- name: read_places
-- All places.
SELECT partition, epoch, position, version, outbox, last_key_hash, last_timestamp, last_source
FROM positions ORDER BY partition

-- name: create_place
-- A partition that was never read begins at its log's first offset, in the epoch of the others. Replaying changes nothing.
INSERT INTO positions (partition, epoch, position, version)
SELECT $1, coalesce(max(epoch), 1), $2, 0 FROM positions
ON CONFLICT (partition) DO NOTHING

-- name: begin_epoch
-- Starts a partition again at an offset of a topic that was made anew, if nobody has moved it since it was read.
UPDATE positions
SET epoch = $3, position = $4, version = version + 1, outbox = NULL, last_key_hash = NULL, last_timestamp = NULL,
    updated_at = now()
WHERE partition = $1 AND version = $2

-- name: skip_to
-- Moves a place over offsets that are gone, if nobody has moved it since it was read.
UPDATE positions
SET position = $3, version = version + 1, outbox = NULL, last_key_hash = NULL, last_timestamp = NULL, updated_at = now()
WHERE partition = $1 AND version = $2

-- name: record_skipped
-- Notes which offsets were never decided.
INSERT INTO skipped_ranges (partition, epoch, first_offset, end_offset) VALUES ($1, $2, $3, $4)

-- name: set_epoch
-- Puts a place into the epoch of the outcomes that were adopted.
UPDATE positions SET epoch = $2 WHERE partition = $1

-- name: count_campaign_anew
-- Sets a campaign's count to what the ledger says. Its counter must be locked.
UPDATE campaign_counters SET redeemed = (
    SELECT count(*) FROM redemptions r LEFT JOIN reversals v USING (serial, generation)
    WHERE r.campaign_id = $1 AND (v.reason IS NULL OR v.reason IN ('refund', 'fraud'))
) WHERE campaign_id = $1

-- name: clear_player_counters
-- Before counting a campaign's players anew.
UPDATE player_counters SET redeemed = 0 WHERE campaign_id = $1

-- name: clear_store_counters
-- Before counting a campaign's stores anew.
UPDATE store_counters SET redeemed = 0 WHERE campaign_id = $1

-- name: read_facts
-- All that deciding a batch needs, as of one moment: ledger entries by serial and by event, counts of the players of both,
-- failed attempts, tallies. OFFSET 0 keeps each lookup inside its list: a plan made while the tables are empty would otherwise
-- go on reading whole indexes when they have grown. Serials; events; player slots; players; tallies from and to (milliseconds).
WITH wanted AS (
    SELECT serial, generation FROM redemptions WHERE serial = ANY ($1::text::bigint[])
    UNION
    SELECT r.serial, r.generation
    FROM unnest(string_to_array($2, E'\x1f'), string_to_array($3, E'\x1f')) AS e (platform, event_id)
    CROSS JOIN LATERAL (
        SELECT serial, generation FROM redemptions WHERE platform = e.platform AND event_id = e.event_id OFFSET 0) AS r
),
entries AS (
    SELECT r.*, v.event_id AS v_event_id, v.reason AS v_reason, v.occurred_at AS v_occurred_at,
           v.received_at AS v_received_at, v.decided_at AS v_decided_at, v.source_epoch AS v_source_epoch,
           v.source_partition AS v_source_partition, v.source_offset AS v_source_offset
    FROM wanted AS w
    CROSS JOIN LATERAL (SELECT * FROM redemptions WHERE serial = w.serial AND generation = w.generation OFFSET 0) AS r
    LEFT JOIN LATERAL (SELECT * FROM reversals WHERE serial = w.serial AND generation = w.generation OFFSET 0) AS v ON true
),
slots AS (
    SELECT * FROM unnest(string_to_array($4, E'\x1f'), string_to_array($5, E'\x1f'), string_to_array($6, E'\x1f'))
        AS s (campaign_id, platform, player_id)
    UNION
    SELECT campaign_id, platform, player_id FROM entries
)
SELECT
    (SELECT json_agg(json_build_object(
        'serial', serial, 'generation', generation, 'redemption_id', redemption_id, 'platform', platform, 'event_id', event_id,
        'player_id', player_id, 'campaign_id', campaign_id, 'batch_id', batch_id, 'store_id', store_id,
        'store_region', store_region, 'occurred_at', occurred_at, 'received_at', received_at, 'decided_at', decided_at,
        'source', json_build_object('epoch', source_epoch, 'partition', source_partition, 'offset', source_offset),
        'reversal', CASE WHEN v_reason IS NOT NULL THEN json_build_object('event_id', v_event_id, 'reason', v_reason,
            'occurred_at', v_occurred_at, 'received_at', v_received_at, 'decided_at', v_decided_at,
            'source', json_build_object('epoch', v_source_epoch, 'partition', v_source_partition,
                'offset', v_source_offset)) END
    )) FROM entries) AS entries,
    (SELECT json_agg(json_build_array(c.campaign_id, c.platform, c.player_id, c.redeemed))
     FROM slots s CROSS JOIN LATERAL (
        SELECT * FROM player_counters
        WHERE campaign_id = s.campaign_id AND platform = s.platform AND player_id = s.player_id OFFSET 0) AS c) AS player_counts,
    (SELECT json_agg(json_build_array(platform, player_id, times))
     FROM (SELECT a.platform, a.player_id, array_agg(t.at) AS times
           FROM unnest(string_to_array($7, E'\x1f'), string_to_array($8, E'\x1f')) AS p (platform, player_id)
           CROSS JOIN LATERAL (
               SELECT * FROM failed_attempts WHERE platform = p.platform AND player_id = p.player_id OFFSET 0) AS a
           CROSS JOIN LATERAL unnest(a.times) AS t (at)
           GROUP BY a.platform, a.player_id) AS of_players) AS attempts,
    (SELECT json_agg(json_build_object('platform', t.platform, 'starts_at', t.starts_at, 'requests', t.requests,
        'unknown', t.unknown))
     FROM (SELECT platform, starts_at, sum(requests) AS requests, sum(unknown) AS unknown
           FROM platform_tallies WHERE starts_at BETWEEN $9 AND $10 GROUP BY platform, starts_at) AS t) AS tallies

-- name: lock_guessers
-- Holds, in key order, players whose failed attempts are to be judged and added to.
SELECT hold_guessers($1, $2)

-- name: lock_player_counters
-- Makes the rows that are missing and locks all, in key order, so that two loops cannot wait for each other.
INSERT INTO player_counters AS c (campaign_id, platform, player_id, redeemed)
SELECT s.campaign_id, s.platform, s.player_id, 0
FROM unnest(string_to_array($1, E'\x1f'), string_to_array($2, E'\x1f'), string_to_array($3, E'\x1f'))
    AS s (campaign_id, platform, player_id)
ORDER BY 1, 2, 3
ON CONFLICT (campaign_id, platform, player_id) DO UPDATE SET redeemed = c.redeemed

-- name: make_campaign_counters
-- Makes the rows that are missing.
INSERT INTO campaign_counters (campaign_id, counts_total)
SELECT campaign_id, false FROM unnest(string_to_array($1, E'\x1f')) AS c (campaign_id) ORDER BY 1
ON CONFLICT (campaign_id) DO NOTHING

-- name: lock_campaign_counters
-- Locks the counters of some campaigns, in key order, until the transaction ends.
SELECT campaign_id, redeemed, counts_total, counts_players, counts_stores
FROM campaign_counters WHERE campaign_id = ANY (string_to_array($1, E'\x1f')) ORDER BY campaign_id FOR UPDATE

-- name: read_store_counters
-- The counts of all stores of some campaigns; exact while the campaigns' counters are locked.
SELECT campaign_id, store_id, redeemed FROM store_counters WHERE campaign_id = ANY (string_to_array($1, E'\x1f'))

-- name: start_counting_players
-- Fills the counters of a campaign that had no limit per player until now. The campaign's counter must be locked.
INSERT INTO player_counters AS c (campaign_id, platform, player_id, redeemed)
SELECT r.campaign_id, r.platform, r.player_id, count(*)
FROM redemptions r LEFT JOIN reversals v USING (serial, generation)
WHERE r.campaign_id = $1 AND (v.reason IS NULL OR v.reason = 'fraud')
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
ON CONFLICT (campaign_id, platform, player_id) DO UPDATE SET redeemed = excluded.redeemed

-- name: start_counting_stores
-- Fills the counters of a campaign that had no limit per store until now. The campaign's counter must be locked.
INSERT INTO store_counters AS c (campaign_id, store_id, redeemed)
SELECT r.campaign_id, r.store_id, count(*)
FROM redemptions r LEFT JOIN reversals v USING (serial, generation)
WHERE r.campaign_id = $1 AND (v.reason IS NULL OR v.reason IN ('refund', 'fraud'))
GROUP BY 1, 2
ON CONFLICT (campaign_id, store_id) DO UPDATE SET redeemed = excluded.redeemed

-- name: note_counting
-- Remembers what is counted for a campaign from now on, for loops that do not know of its limit yet.
UPDATE campaign_counters
SET counts_total = counts_total OR $2, counts_players = counts_players OR $3, counts_stores = counts_stores OR $4
WHERE campaign_id = $1

-- name: write_batch
-- Moves the place and writes what was decided, all or nothing; false, with nothing written, when somebody else has moved the place.
SELECT write_batch($1, $2, $3, $4, $5, $6, $7::jsonb, $8, $9, $10::text[], $11::text::json, $12::text[], $13, $14::text[],
    $15::text[], $16::text[], $17::text[], $18::text[], $19::text[])

-- name: move_place
-- Moves a place that nobody else has moved since it was read; else false.
SELECT move_place($1, $2, $3, $4, $5, $6, $7::jsonb)

-- name: record_redemptions
-- Adds redemptions of one partition, epoch and moment, given in order of their serials.
SELECT record_redemptions($1::text[], $2, $3, $4)

-- name: record_reversals
-- Adds reversals.
SELECT record_reversals($1::text::json)

-- name: add_tallies
-- Adds to a partition's own tallies.
SELECT add_tallies($1::text[], $2)

-- name: forget_attempts
-- Deletes what is too old to matter to any request that the topic still holds (milliseconds).
DELETE FROM failed_attempts WHERE last_at < $1

-- name: forget_tallies
-- Deletes what is too old to matter to any request that the topic still holds (milliseconds).
DELETE FROM platform_tallies WHERE starts_at < $1

-- name: dump_redemptions
-- The ledger's redemptions in the order of their key; for COPY.
SELECT serial, generation, redemption_id, platform, event_id, player_id, campaign_id, batch_id, store_id, store_region, occurred_at,
    received_at, decided_at, source_epoch, source_partition, source_offset
FROM redemptions ORDER BY serial, generation

-- name: dump_reversals
-- The ledger's reversals in the order of their key; for COPY.
SELECT serial, generation, redemption_id, event_id, reason, occurred_at, received_at, decided_at, source_epoch, source_partition,
    source_offset
FROM reversals ORDER BY serial, generation

-- name: hold_ledger
-- Nobody decides or mends until the transaction ends.
LOCK TABLE redemptions, reversals, positions IN SHARE ROW EXCLUSIVE MODE

-- name: wait_for_outcomes_within_loading
-- Loading a ledger encodes its outcomes between statements: for a minute at a time the transaction may be idle.
SET LOCAL idle_in_transaction_session_timeout = '60s'

-- name: count_ledger
-- How many redemptions and reversals there are, and the highest epoch and partition that they came from.
SELECT (SELECT count(*) FROM redemptions) AS redemptions, (SELECT count(*) FROM reversals) AS reversals,
    (SELECT max(source_epoch) FROM (SELECT source_epoch FROM redemptions UNION ALL SELECT source_epoch FROM reversals) AS e) AS epoch,
    (SELECT max(source_partition) FROM (SELECT source_partition FROM redemptions UNION ALL
        SELECT source_partition FROM reversals) AS p) AS partition

-- name: ledger_of_partition
-- Every entry that was accepted or reversed by a request of one partition, with its reversal.
SELECT json_build_object(
    'serial', r.serial, 'generation', r.generation, 'redemption_id', r.redemption_id, 'platform', r.platform,
    'event_id', r.event_id, 'player_id', r.player_id, 'campaign_id', r.campaign_id, 'batch_id', r.batch_id,
    'store_id', r.store_id, 'store_region', r.store_region, 'occurred_at', r.occurred_at, 'received_at', r.received_at,
    'decided_at', r.decided_at,
    'source', json_build_object('epoch', r.source_epoch, 'partition', r.source_partition, 'offset', r.source_offset),
    'reversal', CASE WHEN v.serial IS NOT NULL THEN json_build_object(
        'event_id', v.event_id, 'reason', v.reason, 'occurred_at', v.occurred_at, 'received_at', v.received_at,
        'decided_at', v.decided_at,
        'source', json_build_object('epoch', v.source_epoch, 'partition', v.source_partition, 'offset', v.source_offset)) END
)::text AS entry
FROM redemptions r LEFT JOIN reversals v USING (serial, generation)
WHERE r.source_partition = $1 OR v.source_partition = $1

-- name: campaigns_of_ledger
-- The campaigns that anything was redeemed of.
SELECT DISTINCT campaign_id FROM redemptions ORDER BY 1
