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
