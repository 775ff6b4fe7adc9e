-- Everything that reporting asks of Postgres. Parameters named `rows` are JSON arrays of objects, as text.

-- name: keep_campaigns
-- Takes campaigns; a revision that is not above the one kept changes nothing.
INSERT INTO campaigns AS c (id, revision, name, starts_at, ends_at, time_zone, paused, archived)
SELECT id, revision, name, starts_at, ends_at, time_zone, paused, archived
FROM json_to_recordset($1::text::json) AS r (id text, revision bigint, name text, starts_at timestamptz, ends_at timestamptz,
    time_zone text, paused boolean, archived boolean)
ORDER BY id
ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, name = excluded.name, starts_at = excluded.starts_at,
    ends_at = excluded.ends_at, time_zone = excluded.time_zone, paused = excluded.paused, archived = excluded.archived
WHERE c.revision < excluded.revision

-- name: keep_stores
-- Takes stores; a revision that is not above the one kept changes nothing.
INSERT INTO stores AS s (id, revision, name, chain, region, country, peer_group, hidden, test)
SELECT id, revision, name, chain, region, country, peer_group, hidden, test
FROM json_to_recordset($1::text::json) AS r (id text, revision bigint, name text, chain text, region text, country text,
    peer_group text, hidden boolean, test boolean)
ORDER BY id
ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, name = excluded.name, chain = excluded.chain,
    region = excluded.region, country = excluded.country, peer_group = excluded.peer_group, hidden = excluded.hidden,
    test = excluded.test
WHERE s.revision < excluded.revision

-- name: keep_batches
-- Takes batches and returns the ids of those that were new or newer: their allotments are to be replaced.
INSERT INTO batches AS b (id, revision, campaign_id, state, codes, published_at)
SELECT id, revision, campaign_id, state, codes, published_at
FROM json_to_recordset($1::text::json) AS r (id text, revision bigint, campaign_id text, state text, codes bigint,
    published_at timestamptz)
ORDER BY id
ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, campaign_id = excluded.campaign_id, state = excluded.state,
    codes = excluded.codes, published_at = excluded.published_at
WHERE b.revision < excluded.revision
RETURNING id

-- name: forget_allotments
-- Removes the allotments of some batches, in the transaction that takes their new ones.
DELETE FROM allotments WHERE batch_id = ANY ($1::text[])

-- name: keep_allotments
-- Takes the allotments of batches whose old ones were removed.
INSERT INTO allotments (batch_id, store_id, first_serial, codes)
SELECT batch_id, store_id, first_serial, codes
FROM json_to_recordset($1::text::json) AS r (batch_id text, store_id text, first_serial bigint, codes bigint)

-- name: lock_voids
-- Keeps folds out while voids change: what is redeemed within a void is counted from the ledger, which must stand still.
SELECT pg_advisory_xact_lock(hashtext('reporting.voids'))

-- name: share_voids
-- Keeps voids as they are during a fold. What is there is asked by a later statement: this one sees what was there before it waited.
SELECT pg_advisory_xact_lock_shared(hashtext('reporting.voids'))

-- name: any_voids
-- Whether there are any voids.
SELECT EXISTS (SELECT FROM void_ranges)

-- name: keep_void_ranges
-- Takes ranges of voids and returns those that were new. Ranges of different voids never overlap.
INSERT INTO void_ranges (first_serial, last_serial, void_id, voided_at, batch_id, store_id, codes)
SELECT first_serial, last_serial, void_id, voided_at, batch_id, store_id, codes
FROM json_to_recordset($1::text::json) AS r (first_serial bigint, last_serial bigint, void_id text, voided_at timestamptz,
    batch_id text, store_id text, codes bigint)
ORDER BY first_serial
ON CONFLICT (first_serial) DO NOTHING
RETURNING first_serial

-- name: count_redeemed_in_new_voids
-- Adds the codes that are redeemed within new ranges to the stores' totals (as partition -1), counted from the ledger copy.
WITH new_ranges AS (
    SELECT * FROM void_ranges WHERE first_serial = ANY ($1::bigint[])
), held AS (
    SELECT l.campaign_id, l.store_id, l.batch_id, count(*) AS codes
    FROM new_ranges AS v JOIN ledger AS l ON l.batch_id = v.batch_id AND l.serial BETWEEN v.first_serial AND v.last_serial
    GROUP BY 1, 2, 3
), released AS (
    SELECT r.campaign_id, r.store_id, r.batch_id, count(*) AS codes
    FROM new_ranges AS v JOIN reversals AS r ON r.batch_id = v.batch_id AND r.serial BETWEEN v.first_serial AND v.last_serial
    WHERE r.reopens GROUP BY 1, 2, 3
)
INSERT INTO store_totals AS t (campaign_id, store_id, batch_id, partition, accepted, reopened, reversed, rejected,
    redeemed_in_void, players)
SELECT campaign_id, store_id, batch_id, -1, 0, 0, 0, 0, coalesce(held.codes, 0) - coalesce(released.codes, 0), 0
FROM held FULL JOIN released USING (campaign_id, store_id, batch_id)
ON CONFLICT (campaign_id, store_id, batch_id, partition)
DO UPDATE SET redeemed_in_void = t.redeemed_in_void + excluded.redeemed_in_void

-- name: place
-- Where a partition is read from next, and its mark.
SELECT next_offset, mark_epoch, mark_partition, mark_offset FROM places WHERE topic = $1 AND partition = $2

-- name: places
-- The place of every partition of a topic.
SELECT partition, next_offset, last_decided_at FROM places WHERE topic = $1

-- name: make_place
-- Makes the row of a partition that was never read.
INSERT INTO places (topic, partition) VALUES ($1, $2) ON CONFLICT DO NOTHING

-- name: lock_place
-- The same as `place`, held until the fold's transaction ends. Whoever folds for this partition waits here.
SELECT next_offset, mark_epoch, mark_partition, mark_offset FROM places WHERE topic = $1 AND partition = $2 FOR UPDATE

-- name: move_place
-- Moves place and mark, in the transaction that folds.
UPDATE places SET next_offset = $3, mark_epoch = $4, mark_partition = $5, mark_offset = $6,
    last_decided_at = coalesce($7, last_decided_at)
WHERE topic = $1 AND partition = $2

-- name: ensure_month
-- Makes the partitions of a month, once.
SELECT ensure_month($1::date, $2)

-- name: add_reversals
-- Takes reversals. One that is there already would be a second reversal of a redemption, which redemption never makes.
INSERT INTO reversals (campaign_id, redeemed_at, redemption_id, reversed_at, decided_at, reason, reopens, serial, batch_id,
    store_id)
SELECT campaign_id, redeemed_at, redemption_id, reversed_at, decided_at, reason, reopens, serial, batch_id, store_id
FROM json_to_recordset($1::text::json) AS r (campaign_id text, redeemed_at timestamptz, redemption_id text,
    reversed_at timestamptz, decided_at timestamptz, reason text, reopens boolean, serial bigint, batch_id text, store_id text)

-- name: add_hours
-- Adds to the hourly facts. Rows of other partitions are not touched, so that folds do not wait for one another.
INSERT INTO hourly_facts AS f (campaign_id, store_id, hour, partition, utc_offset, accepted, reopened, reversed, rejected)
SELECT c, s, h, $2::smallint, o, a, p, v, j
FROM json_to_recordset($1::text::json) AS r (c text, s text, h timestamptz, o integer, a integer, p integer, v integer, j integer)
ON CONFLICT (campaign_id, hour, store_id, partition) DO UPDATE SET accepted = f.accepted + excluded.accepted,
    reopened = f.reopened + excluded.reopened, reversed = f.reversed + excluded.reversed, rejected = f.rejected + excluded.rejected

-- name: add_players
-- Adds to the players' redemptions at a store and returns how the number of players who hold one changed, by batch.
WITH given AS MATERIALIZED (
    SELECT c, s, f, p, d, b FROM json_to_recordset($1::text::json) AS r (c text, s text, f text, p text, d integer, b text)
), changed AS (
    INSERT INTO store_players AS p (campaign_id, store_id, platform, player_id, redemptions)
    SELECT c, s, f, p, d FROM given
    ORDER BY c, s, f, p
    ON CONFLICT (campaign_id, store_id, platform, player_id) DO UPDATE SET redemptions = p.redemptions + excluded.redemptions
    RETURNING campaign_id, store_id, platform, player_id, redemptions
)
SELECT r.c AS campaign_id, r.s AS store_id, r.b AS batch_id,
    sum((changed.redemptions > 0)::integer - (changed.redemptions - r.d > 0)::integer) AS change
FROM given AS r
JOIN changed ON changed.campaign_id = r.c AND changed.store_id = r.s AND changed.platform = r.f AND changed.player_id = r.p
GROUP BY r.c, r.s, r.b

-- name: redeemed_in_voids
-- How the number of redeemed codes within voids changes by some serials, by batch.
SELECT r.c AS campaign_id, r.s AS store_id, r.b AS batch_id, sum(r.d) AS change
FROM json_to_recordset($1::text::json) AS r (n bigint, c text, s text, b text, d integer)
CROSS JOIN LATERAL (
    SELECT last_serial FROM void_ranges WHERE first_serial <= r.n ORDER BY first_serial DESC LIMIT 1
) AS v
WHERE v.last_serial >= r.n
GROUP BY 1, 2, 3

-- name: add_totals
-- Adds to the stores' totals of a batch, as the fold's own partition.
INSERT INTO store_totals AS t (campaign_id, store_id, batch_id, partition, accepted, reopened, reversed, rejected,
    redeemed_in_void, players, first_at, last_at, reached_at)
SELECT c, s, b, $2::smallint, a, p, v, j, i, u, f, l, r
FROM json_to_recordset($1::text::json) AS x (c text, s text, b text, a bigint, p bigint, v bigint, j bigint, i bigint, u bigint,
    f timestamptz, l timestamptz, r timestamptz)
ON CONFLICT (campaign_id, store_id, batch_id, partition) DO UPDATE SET accepted = t.accepted + excluded.accepted,
    reopened = t.reopened + excluded.reopened, reversed = t.reversed + excluded.reversed, rejected = t.rejected + excluded.rejected,
    redeemed_in_void = t.redeemed_in_void + excluded.redeemed_in_void, players = t.players + excluded.players,
    first_at = least(t.first_at, excluded.first_at), last_at = greatest(t.last_at, excluded.last_at),
    reached_at = greatest(t.reached_at, excluded.reached_at)

-- name: merge_players
-- Merges at most $1 notes of folds on players, gives how many; none while another process is at it. Changes no figure.
SELECT merge_players($1)

-- name: keep_standings
-- Takes standings; a revision that is not above the one kept for that day changes nothing.
INSERT INTO standings AS s (campaign_id, board, period, day, store_id, revision, rank, "position", score, as_of)
SELECT campaign_id, board, period, day, store_id, revision, rank, "position", score, as_of
FROM json_to_recordset($1::text::json) AS r (campaign_id text, board text, period text, day date, store_id text, revision bigint,
    rank integer, "position" integer, score bigint, as_of timestamptz)
ORDER BY campaign_id, board, day, store_id
ON CONFLICT (campaign_id, board, day, store_id) DO UPDATE SET revision = excluded.revision, period = excluded.period,
    rank = excluded.rank, "position" = excluded."position", score = excluded.score, as_of = excluded.as_of
WHERE s.revision < excluded.revision

-- name: campaign
-- One campaign, no row when it is not known.
SELECT id, name, starts_at, ends_at, time_zone, paused, archived FROM campaigns WHERE id = $1

-- name: campaigns
-- All campaigns, the one that ends last first.
SELECT id, name, starts_at, ends_at, time_zone, paused, archived FROM campaigns ORDER BY ends_at DESC, id

-- name: regions_and_chains
-- All regions and chains that stores have, in order.
SELECT array_agg(DISTINCT region ORDER BY region) FILTER (WHERE region IS NOT NULL) AS regions,
    array_agg(DISTINCT chain ORDER BY chain) FILTER (WHERE chain IS NOT NULL) AS chains
FROM stores

-- name: matching_stores
-- The ids of the stores that all given filters let through; a null filter lets all through.
SELECT id FROM stores
WHERE ($1::text[] IS NULL OR id = ANY ($1)) AND ($2::text[] IS NULL OR region = ANY ($2))
    AND ($3::text[] IS NULL OR chain = ANY ($3))

-- name: known_stores
-- Those of some ids that are known as stores, or were allotted codes.
SELECT id FROM stores WHERE id = ANY ($1::text[])
UNION
SELECT store_id FROM allotments WHERE store_id = ANY ($1::text[])

-- name: performance_csv
-- The rows of performance.csv (semantics.md), by store. $1 campaign, $2 and $3 the period or null, $4 now, $5 when today began,
-- $6 the stores to show or null for all; shares are of the whole campaign.
WITH whole AS (
    SELECT *, sum(redeemed) OVER () AS all_redeemed FROM performance($1, $2, $3, $4, $5)
)
SELECT harmless(store_id), harmless(store_name), harmless(chain), harmless(region), harmless(country), issued, accepted, redeemed,
    reversed, void, expired, outstanding, percentage(redeemed, issued), percentage(redeemed, all_redeemed), unique_players, rank,
    previous_rank, iso(first_at), iso(last_at), rejected
FROM whole
WHERE $6::text[] IS NULL OR store_id = ANY ($6)
ORDER BY store_id COLLATE "C"

-- name: performance_values_csv
-- The same rows as bare values, for a workbook: shares as fractions, texts as they are.
WITH whole AS (
    SELECT *, sum(redeemed) OVER () AS all_redeemed FROM performance($1, $2, $3, $4, $5)
)
SELECT store_id, store_name, chain, region, country, issued, accepted, redeemed, reversed, void, expired, outstanding,
    redeemed::float8 / nullif(issued, 0), redeemed::float8 / nullif(all_redeemed, 0)::float8, unique_players, rank, previous_rank,
    iso(first_at), iso(last_at), rejected
FROM whole
WHERE $6::text[] IS NULL OR store_id = ANY ($6)
ORDER BY store_id COLLATE "C"

-- name: performance
-- The same figures as values; all_redeemed is of the whole campaign, whichever stores are shown.
WITH whole AS (
    SELECT *, sum(redeemed) OVER ()::bigint AS all_redeemed FROM performance($1, $2, $3, $4, $5)
)
SELECT store_id, store_name, chain, region, country, issued, accepted, redeemed, reversed, void, expired, outstanding,
    unique_players, score, rank, previous_rank, first_at, last_at, reached_at, rejected, unlisted, all_redeemed
FROM whole
WHERE $6::text[] IS NULL OR store_id = ANY ($6)
ORDER BY store_id COLLATE "C"

-- name: summary
-- The sums of the same figures.
SELECT count(*) AS stores, sum(issued)::bigint AS issued, sum(accepted)::bigint AS accepted, sum(redeemed)::bigint AS redeemed,
    sum(reversed)::bigint AS reversed, sum(void)::bigint AS void, sum(expired)::bigint AS expired,
    sum(outstanding)::bigint AS outstanding, min(first_at) AS first_at, max(last_at) AS last_at, sum(score)::bigint AS score
FROM performance($1, $2, $3, $4, $5)
WHERE $6::text[] IS NULL OR store_id = ANY ($6)

-- name: count_rejections
-- Rejected requests of a campaign, of all stores and of none, or of some stores only.
SELECT coalesce(sum(rejected), 0)::bigint FROM store_totals
WHERE campaign_id = $1 AND ($2::text[] IS NULL OR store_id = ANY ($2))

-- name: count_rejections_between
-- The same of a period, exact to the instant.
SELECT count(*) FROM rejections
WHERE campaign_id = $1 AND occurred_at >= $2 AND occurred_at < $3 AND ($4::text[] IS NULL OR store_id = ANY ($4))

-- name: count_players
-- Players of a campaign who hold a redemption, each once however many stores they went to.
SELECT players_of($1)

-- name: count_players_at
-- The same of some stores.
SELECT count(*) FROM (
    SELECT FROM store_players
    WHERE campaign_id = $1 AND redemptions > 0 AND store_id = ANY ($2)
    GROUP BY platform, player_id
) AS players

-- name: count_players_between
-- The same of a period.
SELECT count(DISTINCT (l.platform, l.player_id)) FROM ledger AS l
WHERE l.campaign_id = $1 AND l.occurred_at >= $2 AND l.occurred_at < $3 AND ($4::text[] IS NULL OR l.store_id = ANY ($4))
    AND NOT EXISTS (SELECT FROM reversals AS r
        WHERE r.campaign_id = $1 AND r.redeemed_at = l.occurred_at AND r.redemption_id = l.redemption_id)

-- name: ledger_csv
-- Every redemption of a campaign in the order of its time, by the primary key: rows already sent can be skipped ($6).
-- Player ids are hashed where $5 is true.
SELECT harmless(l.redemption_id), harmless(l.event_id), harmless(l.platform), iso(l.occurred_at), iso(l.decided_at), l.serial,
    harmless(l.batch_id), harmless(l.store_id), harmless(l.store_region),
    CASE WHEN $5::boolean THEN
        left(encode(sha256(convert_to((SELECT value FROM salts WHERE name = 'player_id') || l.platform || '/' || l.player_id,
            'UTF8')), 'hex'), 24)
    ELSE harmless(l.player_id) END,
    CASE WHEN r.redemption_id IS NULL THEN 'REDEEMED' ELSE 'REVERSED' END, iso(r.reversed_at), r.reason
FROM ledger AS l
LEFT JOIN reversals AS r ON r.campaign_id = $1 AND r.redeemed_at = l.occurred_at AND r.redemption_id = l.redemption_id
WHERE l.campaign_id = $1 AND ($2::timestamptz IS NULL OR (l.occurred_at >= $2 AND l.occurred_at < $3))
    AND ($4::text[] IS NULL OR l.store_id = ANY ($4))
ORDER BY l.occurred_at, l.redemption_id
OFFSET $6::bigint

-- name: rejections_csv
-- Rejected requests by the campaign's day, platform and outcome, with the number of different players.
SELECT day, harmless(platform), outcome, count(*), count(DISTINCT player_id)
FROM rejections
WHERE campaign_id = $1 AND ($2::timestamptz IS NULL OR (occurred_at >= $2 AND occurred_at < $3))
    AND ($4::text[] IS NULL OR store_id = ANY ($4))
GROUP BY day, platform, outcome
ORDER BY day, platform, outcome

-- name: timeseries_by_hour_csv
-- Hours of the campaign's zone in which anything happened, as wall clock with offset.
SELECT to_char((hour + utc_offset * interval '1 second') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS')
    || CASE WHEN utc_offset < 0 THEN '-' ELSE '+' END || to_char(abs(utc_offset) * interval '1 second', 'HH24:MI'),
    sum(accepted), sum(rejected), sum(reversed)
FROM hourly_facts
WHERE campaign_id = $1 AND ($2::timestamptz IS NULL OR (hour >= $2 AND hour < $3)) AND ($4::text[] IS NULL OR store_id = ANY ($4))
GROUP BY hour, utc_offset
ORDER BY hour

-- name: timeseries_by_day_csv
-- Days of the campaign's zone on which anything happened.
SELECT ((hour + utc_offset * interval '1 second') AT TIME ZONE 'UTC')::date AS day, sum(accepted), sum(rejected), sum(reversed)
FROM hourly_facts
WHERE campaign_id = $1 AND ($2::timestamptz IS NULL OR (hour >= $2 AND hour < $3)) AND ($4::text[] IS NULL OR store_id = ANY ($4))
GROUP BY 1
ORDER BY 1

-- name: standings_csv
-- The last standing of each store on each board and day, with the movement against the window before (all-time: against the last
-- standing before). Who had none in the window before has no movement.
WITH kept AS (
    SELECT board, period, day, store_id, rank, "position", score, lag(rank) OVER earlier AS earlier_rank,
        CASE split_part(board, '/', 1) WHEN 'day' THEN day - 1 WHEN 'week' THEN day - 7
            WHEN 'month' THEN (day - interval '1 month')::date ELSE lag(day) OVER earlier END = lag(day) OVER earlier AS next_to_it
    FROM standings WHERE campaign_id = $1
    WINDOW earlier AS (PARTITION BY board, store_id ORDER BY day)
)
SELECT harmless(board), day, "position", rank, harmless(store_id), score, CASE WHEN next_to_it THEN earlier_rank - rank END
FROM kept
WHERE ($2::date IS NULL OR day >= $2) AND ($3::date IS NULL OR day < $3) AND ($4::text[] IS NULL OR store_id = ANY ($4))
ORDER BY board, day, "position" NULLS LAST, store_id

-- name: days
-- The days of the campaign's zone on which anything was redeemed, with their sums.
SELECT day, sum(accepted)::bigint AS accepted, sum(reversed)::bigint AS reversed, sum(reopened)::bigint AS reopened
FROM daily_facts
WHERE campaign_id = $1 AND ($2::text[] IS NULL OR store_id = ANY ($2))
GROUP BY day
ORDER BY day

-- name: days_between
-- The same of a period, by the hour. Hours are added up before they are made days of.
WITH hours AS (
    SELECT hour, utc_offset, sum(accepted) AS accepted, sum(reversed) AS reversed, sum(reopened) AS reopened
    FROM hourly_facts
    WHERE campaign_id = $1 AND hour >= $2 AND hour < $3 AND ($4::text[] IS NULL OR store_id = ANY ($4))
    GROUP BY hour, utc_offset
)
SELECT day_of_hour(hour, utc_offset) AS day, sum(accepted)::bigint AS accepted, sum(reversed)::bigint AS reversed,
    sum(reopened)::bigint AS reopened
FROM hours
GROUP BY 1
ORDER BY 1

-- name: weekday_hours
-- Redemptions by weekday (1 is Monday) and hour of the campaign's zone.
WITH hours AS (
    SELECT (hour + utc_offset * interval '1 second') AT TIME ZONE 'UTC' AS at, sum(accepted - reversed) AS redeemed
    FROM hourly_facts
    WHERE campaign_id = $1 AND ($2::timestamptz IS NULL OR (hour >= $2 AND hour < $3))
        AND ($4::text[] IS NULL OR store_id = ANY ($4))
    GROUP BY hour, utc_offset
)
SELECT extract(isodow FROM at)::integer AS weekday, extract(hour FROM at)::integer AS hour, sum(redeemed)::bigint AS redeemed
FROM hours
GROUP BY 1, 2
HAVING sum(redeemed) <> 0

-- name: rejections_by_day
-- Rejected requests by day and outcome.
SELECT day, outcome, count(*) AS rejected
FROM rejections
WHERE campaign_id = $1 AND ($2::timestamptz IS NULL OR (occurred_at >= $2 AND occurred_at < $3))
    AND ($4::text[] IS NULL OR store_id = ANY ($4))
GROUP BY day, outcome
ORDER BY day, outcome

-- name: store_days
-- What stores did on each day of the campaign's zone, and the score that they made.
SELECT store_id, day, sum(accepted)::bigint AS accepted, sum(reversed)::bigint AS reversed, sum(reopened)::bigint AS reopened,
    sum(accepted - reversed)::bigint AS score
FROM daily_facts
WHERE campaign_id = $1 AND ($2::text[] IS NULL OR store_id = ANY ($2)) AND store_id <> ''
GROUP BY store_id, day

-- name: store_days_between
-- The same of a period, by the hour.
SELECT store_id, day_of_hour(hour, utc_offset) AS day, sum(accepted)::bigint AS accepted, sum(reversed)::bigint AS reversed,
    sum(reopened)::bigint AS reopened, sum(accepted - reversed)::bigint AS score
FROM hourly_facts
WHERE campaign_id = $1 AND hour >= $2 AND hour < $3 AND ($4::text[] IS NULL OR store_id = ANY ($4)) AND store_id <> ''
GROUP BY 1, 2
HAVING sum(accepted + reversed) <> 0

-- name: days_to_redeem
-- How many days after its batch was published each code was redeemed: redemptions (less reversals) by whole days. From the hours
-- of batches; the ledger is read only for the hours in which a batch's next day begins, and for those that the period cuts.
WITH hours AS (
    SELECT h.batch_id, h.hour, b.published_at, sum(h.redeemed) AS codes, days_after(b.published_at, h.hour) AS days,
        days_after(b.published_at, h.hour) = days_after(b.published_at, h.hour + interval '1 hour' - interval '1 microsecond')
            AND ($2::timestamptz IS NULL OR (h.hour >= $2 AND h.hour + interval '1 hour' <= $3)) AS whole
    FROM batch_hours AS h JOIN batches AS b ON b.id = h.batch_id
    WHERE h.campaign_id = $1 AND b.published_at IS NOT NULL AND h.hour >= (SELECT ledger_begins())
        AND ($2::timestamptz IS NULL OR (h.hour > $2 - interval '1 hour' AND h.hour < $3))
    GROUP BY h.batch_id, h.hour, b.published_at
), split AS (
    SELECT DISTINCT hour FROM hours WHERE NOT whole
), exact AS (
    SELECT split.hour, l.batch_id, l.occurred_at AS at, 1 AS codes
    FROM split JOIN ledger AS l ON l.campaign_id = $1 AND l.occurred_at >= split.hour AND l.occurred_at < split.hour + interval '1 hour'
    UNION ALL
    SELECT split.hour, r.batch_id, r.redeemed_at, -1
    FROM split JOIN reversals AS r ON r.campaign_id = $1 AND r.redeemed_at >= split.hour
        AND r.redeemed_at < split.hour + interval '1 hour'
)
SELECT days, sum(codes)::bigint AS redeemed
FROM (
    SELECT days, codes FROM hours WHERE whole
    UNION ALL
    SELECT days_after(h.published_at, e.at), e.codes
    FROM exact AS e JOIN hours AS h ON h.batch_id = e.batch_id AND h.hour = e.hour AND NOT h.whole
    WHERE $2::timestamptz IS NULL OR (e.at >= $2 AND e.at < $3)
) AS changes
GROUP BY days
HAVING sum(codes) > 0
ORDER BY days

-- name: days_to_redeem_at
-- The same at some stores, from the whole ledger.
SELECT days_after(b.published_at, c.at) AS days, sum(c.codes)::bigint AS redeemed
FROM (
    SELECT l.batch_id, l.occurred_at AS at, 1 AS codes FROM ledger AS l
    WHERE l.campaign_id = $1 AND ($2::timestamptz IS NULL OR (l.occurred_at >= $2 AND l.occurred_at < $3)) AND l.store_id = ANY ($4)
    UNION ALL
    SELECT r.batch_id, r.redeemed_at, -1 FROM reversals AS r
    WHERE r.campaign_id = $1 AND ($2::timestamptz IS NULL OR (r.redeemed_at >= $2 AND r.redeemed_at < $3))
        AND r.store_id = ANY ($4)
) AS c JOIN batches AS b ON b.id = c.batch_id
WHERE b.published_at IS NOT NULL
GROUP BY 1
HAVING sum(c.codes) > 0
ORDER BY 1

-- name: supply_changes
-- When codes came (a batch was published, +) and went (a void, less what was redeemed within it, −), by moment.
SELECT b.published_at AS at, sum(a.codes)::bigint AS codes
FROM batches AS b JOIN allotments AS a ON a.batch_id = b.id
WHERE b.campaign_id = $1 AND b.state = 'published' AND b.published_at IS NOT NULL AND ($2::text[] IS NULL OR a.store_id = ANY ($2))
GROUP BY b.published_at
UNION ALL
SELECT v.voided_at, -sum(v.codes)::bigint
FROM void_ranges AS v JOIN batches AS b ON b.id = v.batch_id
WHERE b.campaign_id = $1 AND b.state = 'published' AND ($2::text[] IS NULL OR v.store_id = ANY ($2))
GROUP BY v.voided_at
UNION ALL
SELECT max(v.voided_at), coalesce(sum(t.redeemed_in_void), 0)::bigint
FROM store_totals AS t CROSS JOIN (SELECT max(voided_at) AS voided_at FROM void_ranges) AS v
WHERE t.campaign_id = $1 AND ($2::text[] IS NULL OR t.store_id = ANY ($2))
HAVING sum(t.redeemed_in_void) <> 0

-- name: claim_run
-- Claims a due run: gives its id and the number of the attempt to exactly one caller. A run whose worker fell silent, and a failed
-- one after a while that doubles, can be claimed again.
INSERT INTO job_runs AS r (job, due_at, by_hand, host) VALUES ($1, $2, false, $3)
ON CONFLICT (job, due_at) WHERE NOT by_hand DO UPDATE SET attempts = r.attempts + 1, started_at = now(), heartbeat_at = now(),
    finished_at = NULL, state = 'running', message = '', host = excluded.host
WHERE can_be_claimed(r)
RETURNING id, attempts AS attempt

-- name: unfinished_runs
-- When the runs were due, from $2 on, that were begun and can be claimed again, oldest first.
SELECT due_at FROM job_runs AS r WHERE job = $1 AND NOT by_hand AND due_at >= $2 AND can_be_claimed(r) ORDER BY due_at

-- name: begin_run
-- Notes a run that was asked for by hand.
INSERT INTO job_runs (job, due_at, by_hand, host) VALUES ($1, $2, true, $3) RETURNING id, attempts AS attempt

-- name: run_of
-- The run of a job that was due at a moment, if there is one.
SELECT id, job, due_at, by_hand, attempts, started_at, finished_at, state, message FROM job_runs
WHERE job = $1 AND due_at = $2 AND NOT by_hand

-- name: beat
-- Says that an attempt goes on.
UPDATE job_runs SET heartbeat_at = now() WHERE id = $1 AND attempts = $2

-- name: end_run
-- Notes how an attempt ended, unless another one took over meanwhile.
UPDATE job_runs SET finished_at = now(), state = $3, message = $4 WHERE id = $1 AND attempts = $2

-- name: last_due
-- When the latest timed run of a job was due, those that were run ahead of their time left out.
SELECT max(due_at) FROM job_runs WHERE job = $1 AND due_at <= $2 AND NOT by_hand

-- name: runs
-- The latest runs, newest first.
SELECT id, job, due_at, by_hand, attempts, started_at, finished_at, state, message FROM job_runs
WHERE ($1::text IS NULL OR job = $1) AND ($2::bigint IS NULL OR id < $2)
ORDER BY id DESC LIMIT $3

-- name: retained_from
-- The start of the oldest month that the ledger still holds; null when it holds none.
SELECT ledger_begins()

-- name: identity_of_totals
-- Where the totals of a store and batch differ from the ledger copy: accepted, reversed, reopened and what is redeemed in voids.
-- Campaigns with redemptions from before $1, whose months are not in the ledger any more, are left out.
WITH counted AS (
    SELECT l.campaign_id, l.store_id, l.batch_id, count(*) AS accepted, count(r.redemption_id) AS reversed,
        count(r.redemption_id) FILTER (WHERE r.reopens) AS reopened,
        count(*) FILTER (WHERE v.first_serial IS NOT NULL AND r.reopens IS NOT TRUE) AS in_void
    FROM ledger AS l
    LEFT JOIN reversals AS r ON r.campaign_id = l.campaign_id AND r.redeemed_at = l.occurred_at AND r.redemption_id = l.redemption_id
    LEFT JOIN void_ranges AS v ON v.batch_id = l.batch_id AND l.serial BETWEEN v.first_serial AND v.last_serial
    GROUP BY 1, 2, 3
), summed AS (
    SELECT campaign_id, store_id, batch_id, sum(accepted) AS accepted, sum(reversed) AS reversed, sum(reopened) AS reopened,
        sum(redeemed_in_void) AS in_void, min(first_at) AS first_at
    FROM store_totals GROUP BY 1, 2, 3
)
SELECT campaign_id, store_id, batch_id, pair.what, pair.ledger, pair.totals
FROM counted FULL JOIN summed USING (campaign_id, store_id, batch_id)
CROSS JOIN LATERAL (VALUES
    ('accepted', coalesce(counted.accepted, 0), coalesce(summed.accepted, 0)),
    ('reversed', coalesce(counted.reversed, 0), coalesce(summed.reversed, 0)),
    ('reopened', coalesce(counted.reopened, 0), coalesce(summed.reopened, 0)),
    ('redeemed in void', coalesce(counted.in_void, 0), coalesce(summed.in_void, 0))
) AS pair (what, ledger, totals)
WHERE pair.ledger <> pair.totals
    AND campaign_id NOT IN (SELECT t.campaign_id FROM store_totals AS t WHERE t.first_at < $1)

-- name: identity_of_facts
-- Where the hourly facts of a store differ from its totals.
WITH hours AS (
    SELECT campaign_id, store_id, sum(accepted) AS accepted, sum(reversed) AS reversed, sum(rejected) AS rejected
    FROM hourly_facts GROUP BY 1, 2
), summed AS (
    SELECT campaign_id, store_id, sum(accepted) AS accepted, sum(reversed) AS reversed, sum(rejected) AS rejected
    FROM store_totals GROUP BY 1, 2
)
SELECT campaign_id, store_id, NULL AS batch_id, pair.what, pair.facts AS ledger, pair.totals
FROM hours FULL JOIN summed USING (campaign_id, store_id)
CROSS JOIN LATERAL (VALUES
    ('accepted by hour', coalesce(hours.accepted, 0), coalesce(summed.accepted, 0)),
    ('reversed by hour', coalesce(hours.reversed, 0), coalesce(summed.reversed, 0)),
    ('rejected by hour', coalesce(hours.rejected, 0), coalesce(summed.rejected, 0))
) AS pair (what, facts, totals)
WHERE pair.facts <> pair.totals

-- name: identity_of_days
-- Where the daily facts of a store differ from its hourly ones.
WITH hours AS (
    SELECT campaign_id, store_id, sum(accepted) AS accepted, sum(reversed) AS reversed, sum(reopened) AS reopened
    FROM hourly_facts GROUP BY 1, 2
), days AS (
    SELECT campaign_id, store_id, sum(accepted) AS accepted, sum(reversed) AS reversed, sum(reopened) AS reopened
    FROM daily_facts GROUP BY 1, 2
)
SELECT campaign_id, store_id, NULL AS batch_id, pair.what, pair.hours AS ledger, pair.days AS totals
FROM hours FULL JOIN days USING (campaign_id, store_id)
CROSS JOIN LATERAL (VALUES
    ('accepted by day', coalesce(hours.accepted, 0), coalesce(days.accepted, 0)),
    ('reversed by day', coalesce(hours.reversed, 0), coalesce(days.reversed, 0)),
    ('reopened by day', coalesce(hours.reopened, 0), coalesce(days.reopened, 0))
) AS pair (what, hours, days)
WHERE pair.hours <> pair.days

-- name: identity_of_batch_hours
-- Where the hours of a batch differ from its totals. Campaigns with redemptions from before $1 are left out: their first hours may
-- have been in months that the ledger did not hold when hours were first counted.
WITH hours AS (
    SELECT campaign_id, batch_id, sum(redeemed) AS redeemed FROM batch_hours GROUP BY 1, 2
), summed AS (
    SELECT campaign_id, batch_id, sum(accepted - reversed) AS redeemed FROM store_totals WHERE batch_id <> '' GROUP BY 1, 2
)
SELECT campaign_id, '' AS store_id, batch_id, 'redeemed by hour of the batch' AS what, coalesce(hours.redeemed, 0) AS ledger,
    coalesce(summed.redeemed, 0) AS totals
FROM hours FULL JOIN summed USING (campaign_id, batch_id)
WHERE coalesce(hours.redeemed, 0) <> coalesce(summed.redeemed, 0)
    AND campaign_id NOT IN (SELECT t.campaign_id FROM store_totals AS t WHERE t.first_at < $1)

-- name: identity_of_players
-- Where the number of a campaign's players is not that of the players of its stores, each counted once.
WITH held AS (
    SELECT campaign_id, count(*) AS players
    FROM (SELECT campaign_id FROM store_players WHERE redemptions > 0 GROUP BY campaign_id, platform, player_id) AS each_once
    GROUP BY campaign_id
)
SELECT c.id AS campaign_id, '' AS store_id, NULL AS batch_id, 'players' AS what, coalesce(held.players, 0) AS ledger,
    players_of(c.id) AS totals
FROM campaigns AS c LEFT JOIN held ON held.campaign_id = c.id
WHERE coalesce(held.players, 0) <> players_of(c.id)

-- name: identity_of_codes
-- Where issued = outstanding + redeemed + void + expired cannot hold: more codes of a store and batch are redeemed or void than
-- were issued, or a code is held twice.
WITH held AS (
    SELECT l.campaign_id, l.store_id, l.batch_id, count(*) AS redemptions, count(DISTINCT l.serial) AS serials
    FROM ledger AS l
    WHERE NOT EXISTS (SELECT FROM reversals AS r WHERE r.campaign_id = l.campaign_id AND r.redeemed_at = l.occurred_at
        AND r.redemption_id = l.redemption_id AND r.reopens)
    GROUP BY 1, 2, 3
), given AS (
    SELECT a.store_id, a.batch_id, b.campaign_id, sum(a.codes) AS codes
    FROM allotments AS a JOIN batches AS b ON b.id = a.batch_id WHERE b.state = 'published' GROUP BY 1, 2, 3
), voided AS (
    SELECT store_id, batch_id, sum(codes) AS codes FROM void_ranges GROUP BY 1, 2
), summed AS (
    SELECT campaign_id, store_id, batch_id, sum(accepted - reopened) AS redeemed, sum(redeemed_in_void) AS in_void
    FROM store_totals WHERE store_id <> '' AND batch_id <> '' GROUP BY 1, 2, 3
)
SELECT s.campaign_id, s.store_id, s.batch_id, pair.what, pair.ledger, pair.totals
FROM summed AS s LEFT JOIN held USING (campaign_id, store_id, batch_id) LEFT JOIN given USING (campaign_id, store_id, batch_id)
LEFT JOIN voided AS v ON v.store_id = s.store_id AND v.batch_id = s.batch_id
CROSS JOIN LATERAL (VALUES
    ('codes held twice', coalesce(held.redemptions, 0) - coalesce(held.serials, 0), 0),
    ('redeemed and void beyond issued',
        greatest(0, s.redeemed + coalesce(v.codes, 0) - s.in_void - coalesce(given.codes, 0)), 0)
) AS pair (what, ledger, totals)
WHERE pair.ledger <> pair.totals

-- name: identity_of_ranking
-- Where the last all-time standing that ranking published for a store is not the score of the facts. Stores of which ranking
-- said nothing yet are left out. Ranking tells scores now and then: what was decided in the last five minutes may be missing.
WITH last AS (
    SELECT DISTINCT ON (campaign_id, store_id) campaign_id, store_id, score
    FROM standings WHERE board = 'all/all/count' ORDER BY campaign_id, store_id, day DESC
), summed AS (
    SELECT campaign_id, store_id, sum(accepted - reversed) AS score FROM store_totals WHERE store_id <> '' GROUP BY 1, 2
), apart AS (
    SELECT campaign_id, store_id, last.score AS told, coalesce(summed.score, 0) AS score
    FROM last LEFT JOIN summed USING (campaign_id, store_id)
    WHERE last.score <> coalesce(summed.score, 0)
)
SELECT campaign_id, store_id, NULL AS batch_id, 'score of ranking' AS what, told AS ledger, score AS totals
FROM apart AS a
WHERE abs(told - score) > (
    SELECT count(*) FROM ledger AS l
    WHERE l.campaign_id = a.campaign_id AND l.store_id = a.store_id AND l.occurred_at >= now() - interval '4 days'
        AND l.decided_at >= now() - interval '5 minutes'
) + (
    SELECT count(*) FROM reversals AS r
    WHERE r.campaign_id = a.campaign_id AND r.store_id = a.store_id AND r.decided_at >= now() - interval '5 minutes'
)

-- name: note_comparison
-- Keeps how many figures differed at the last comparison.
INSERT INTO comparisons (compared_at, differences) VALUES (now(), $1)
ON CONFLICT (only_one) DO UPDATE SET compared_at = excluded.compared_at, differences = excluded.differences

-- name: last_comparison
-- When the figures were compared last, and how many differed; no row when they never were.
SELECT compared_at, differences FROM comparisons

-- name: forget_players
-- Removes players who hold no redemption (all of theirs were reversed).
WITH of_campaigns AS (
    DELETE FROM campaign_players WHERE stores = 0
)
DELETE FROM store_players WHERE redemptions = 0

-- name: analyze
-- Refreshes what the planner knows.
ANALYZE ledger, reversals, rejections, hourly_facts, daily_facts, batch_hours, store_totals, store_players, campaign_players

-- name: old_months
-- The partitions of ledger and rejections that end at or before a moment, oldest first.
SELECT p.relname AS parent, c.relname AS partition
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid JOIN pg_class AS p ON p.oid = i.inhparent
WHERE i.inhparent IN ('ledger'::regclass, 'rejections'::regclass)
    AND substring(pg_get_expr(c.relpartbound, c.oid) FROM $$TO \('([^']+)'\)$$)::timestamptz <= $1
ORDER BY c.relname

-- name: detach_month
-- Takes a month out of its table; it stays as a table of its own, to be kept elsewhere or dropped.
SELECT detach_month($1, $2)

-- name: begin_rebuild
-- Makes empty tables beside the live ones, in place of those of a rebuild that was given up.
SELECT begin_rebuild()

-- name: finish_rebuild
-- Puts the rebuilt tables in the place of the live ones, in one transaction; folds go on from the rebuilt places.
SELECT finish_rebuild()

-- name: rebuild_lock
-- Held by the one rebuild that runs; false when there is one.
SELECT pg_try_advisory_lock(hashtext('reporting.rebuild'))

-- name: describe_download
-- Notes what a finished download was.
INSERT INTO downloads (id, token_id, file, rows, bytes, sha256) VALUES ($1, $2, $3, $4, $5, $6)

-- name: download
-- What a download was, for the token that made it.
SELECT id, file, rows, bytes, sha256, finished_at FROM downloads WHERE id = $1 AND token_id = $2

-- name: forget_downloads
-- Forgets downloads older than a month.
DELETE FROM downloads WHERE finished_at < now() - interval '30 days'
