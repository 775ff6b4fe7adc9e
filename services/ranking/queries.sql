-- name: add_places
-- Makes the rows of partitions that are seen for the first time; those that exist are left as they are.
INSERT INTO outcome_places (partition)
SELECT unnest($1::integer[])
ON CONFLICT (partition) DO NOTHING

-- name: lock_places
-- Locks the rows of these partitions, in order, until the transaction ends: two folds of one partition never overlap.
SELECT partition, next_offset, mark_epoch, mark_offset
FROM outcome_places
WHERE partition = ANY ($1::integer[])
ORDER BY partition
FOR UPDATE

-- name: read_place
-- The place of one partition.
SELECT partition, next_offset, mark_epoch, mark_offset
FROM outcome_places
WHERE partition = $1

-- name: read_places
-- The places of all partitions; with read_scores in one REPEATABLE READ transaction, both are of the same moment.
SELECT partition, next_offset, mark_epoch, mark_offset
FROM outcome_places
ORDER BY partition

-- name: set_places
-- Moves places and marks. Only inside a transaction that holds their rows.
UPDATE outcome_places AS p
SET next_offset = moved.next_offset, mark_epoch = moved.mark_epoch, mark_offset = moved.mark_offset, folded_at = now()
FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[]) AS moved (partition, next_offset, mark_epoch, mark_offset)
WHERE p.partition = moved.partition

-- name: fold_scores
-- Adds what was counted, one row for each campaign, day and store, in key order so that two folds cannot deadlock.
-- Texts are joined by U+001F, arrays of numbers and dates come as text: asyncpg would check each element in Python.
INSERT INTO scores AS s (campaign_id, day, store_id, redemptions, reversals, reached_at)
SELECT added.campaign_id, added.day, added.store_id, added.redemptions, added.reversals, added.reached_at
FROM unnest(
    string_to_array($1, E'\x1f'), $2::text::date[], string_to_array($3, E'\x1f'),
    $4::text::bigint[], $5::text::bigint[], $6::text::timestamptz[]
) AS added (campaign_id, day, store_id, redemptions, reversals, reached_at)
ORDER BY added.campaign_id COLLATE "C", added.day, added.store_id COLLATE "C"
ON CONFLICT (campaign_id, day, store_id) DO UPDATE
SET redemptions = s.redemptions + excluded.redemptions,
    reversals = s.reversals + excluded.reversals,
    reached_at = greatest(s.reached_at, excluded.reached_at)

-- name: read_scores
-- All scores, campaign by campaign and day by day.
SELECT campaign_id, day, store_id, redemptions, reversals, reached_at
FROM scores
ORDER BY campaign_id, day, store_id

-- name: ping
-- Answers when Postgres does.
SELECT 1

-- name: read_period_scores
-- What was counted of a campaign's stores on the days from the first to the last.
SELECT store_id, sum(redemptions)::bigint AS redemptions, sum(reversals)::bigint AS reversals, max(reached_at) AS reached_at
FROM scores
WHERE campaign_id = $1 AND day BETWEEN $2 AND $3
GROUP BY store_id
ORDER BY store_id

-- name: add_certificate
-- Certifies a window. Returns no row when it was certified before: a window is certified once.
INSERT INTO certificates
    (campaign_id, kind, first_day, last_day, time_zone, starts_at, ends_at, source, hash, total)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (campaign_id, kind, first_day, last_day) DO NOTHING
RETURNING campaign_id

-- name: add_certified_scores
-- The frozen scores of a certificate that was added in the same transaction. Rows are a JSON list.
INSERT INTO certified_scores
SELECT $1, $2, $3, $4, r.*
FROM jsonb_to_recordset($5) AS r (
    store_id text, store_name text, chain text, region text, peer_group text, shown boolean,
    redemptions bigint, reversals bigint, reached_at timestamptz, issued bigint
)

-- name: read_certificates
-- Certificates made since a moment, oldest first. A moment some time ago also finds those whose transactions ended late.
SELECT campaign_id, kind, first_day, last_day, time_zone, starts_at, ends_at, source, hash, total, certified_at
FROM certificates
WHERE certified_at >= $1
ORDER BY certified_at

-- name: read_certified_scores
-- The frozen scores of a window.
SELECT store_id, store_name, chain, region, peer_group, shown, redemptions, reversals, reached_at, issued
FROM certified_scores
WHERE campaign_id = $1 AND kind = $2 AND first_day = $3 AND last_day = $4
ORDER BY store_id

-- name: lock_rebuild
-- Whether this session now holds the lock of rebuilds; it is let go with the session or by unlock_rebuild.
SELECT pg_try_advisory_lock(hashtextextended('ranking rebuild', 0))

-- name: unlock_rebuild
-- Lets the lock of rebuilds go.
SELECT pg_advisory_unlock(hashtextextended('ranking rebuild', 0))

-- name: clear_rebuild
-- Empties the tables of the last rebuild.
TRUNCATE rebuilt_scores, scores_before_rebuild

-- name: copy_scores_before_rebuild
-- Keeps the scores of this moment for the comparison.
INSERT INTO scores_before_rebuild SELECT * FROM scores

-- name: fold_rebuilt_scores
-- As fold_scores, into the shadow table.
INSERT INTO rebuilt_scores AS s (campaign_id, day, store_id, redemptions, reversals, reached_at)
SELECT added.campaign_id, added.day, added.store_id, added.redemptions, added.reversals, added.reached_at
FROM unnest(
    string_to_array($1, E'\x1f'), $2::text::date[], string_to_array($3, E'\x1f'),
    $4::text::bigint[], $5::text::bigint[], $6::text::timestamptz[]
) AS added (campaign_id, day, store_id, redemptions, reversals, reached_at)
ON CONFLICT (campaign_id, day, store_id) DO UPDATE
SET redemptions = s.redemptions + excluded.redemptions,
    reversals = s.reversals + excluded.reversals,
    reached_at = greatest(s.reached_at, excluded.reached_at)

-- name: compare_rebuilt_scores
-- Rows that differ between what the scores were and what they come to: at most 20 of them, each with the number of all.
SELECT campaign_id, day, store_id, count(*) OVER () AS differences,
    b.redemptions AS redemptions_before, b.reversals AS reversals_before, b.reached_at AS reached_at_before,
    r.redemptions, r.reversals, r.reached_at
FROM scores_before_rebuild AS b
FULL JOIN rebuilt_scores AS r USING (campaign_id, day, store_id)
WHERE (b.redemptions, b.reversals, b.reached_at) IS DISTINCT FROM (r.redemptions, r.reversals, r.reached_at)
ORDER BY campaign_id, day, store_id
LIMIT 20

-- name: count_rebuilt_scores
-- How many rows the rebuild came to.
SELECT count(*) FROM rebuilt_scores

-- name: lock_all_places
-- Locks all places: no fold runs until the transaction ends.
SELECT partition FROM outcome_places ORDER BY partition FOR UPDATE

-- name: delete_scores
-- Empties the scores, inside the transaction that fills them again.
DELETE FROM scores

-- name: take_rebuilt_scores
-- Puts the rebuilt scores in place of those deleted.
INSERT INTO scores SELECT * FROM rebuilt_scores

-- name: note_rebuild
-- Tells every copy to load its boards again.
INSERT INTO rebuilds (differences) VALUES ($1)

-- name: read_rebuild_number
-- The number of the last swap, 0 before the first.
SELECT coalesce(max(number), 0) FROM rebuilds
