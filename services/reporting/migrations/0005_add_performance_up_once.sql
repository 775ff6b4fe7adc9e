-- The same figures at a third of the time: every source is read once and added up by store in one pass; ranks are windows over
-- the result instead of joins with it, and cells of a CSV are formatted by the cheapest functions that say the same.

CREATE OR REPLACE FUNCTION harmless(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN ascii(value) IN (61, 43, 45, 64, 9, 13) THEN '''' || value ELSE nullif(value, '') END
$$;

CREATE OR REPLACE FUNCTION percentage(part numeric, whole numeric) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN whole > 0 THEN trim_scale(round(100 * part / whole, 4)) || '%' END
$$;

CREATE OR REPLACE FUNCTION performance(
    campaign text, since timestamptz, until timestamptz, as_of_now timestamptz, today timestamptz
) RETURNS TABLE (
    store_id text, store_name text, chain text, region text, country text, issued bigint, accepted bigint, redeemed bigint,
    reversed bigint, void bigint, expired bigint, outstanding bigint, unique_players bigint, score bigint, rank bigint,
    previous_rank bigint, first_at timestamptz, last_at timestamptz, reached_at timestamptz, rejected bigint, unlisted boolean
) LANGUAGE sql STABLE AS $$
    WITH parts AS (
        -- what is held now, and without a period also what was done
        SELECT t.store_id, 0 AS issued, 0 AS voided, t.accepted - t.reopened AS held, t.redeemed_in_void AS in_void,
            t.accepted, t.reopened, t.reversed, t.rejected, t.players, t.accepted - t.reversed AS earlier, t.first_at, t.last_at,
            t.reached_at
        FROM store_totals AS t WHERE t.campaign_id = campaign AND t.store_id <> '' AND since IS NULL
        UNION ALL
        SELECT t.store_id, 0, 0, t.accepted - t.reopened, t.redeemed_in_void, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL
        FROM store_totals AS t WHERE t.campaign_id = campaign AND t.store_id <> '' AND since IS NOT NULL
        UNION ALL
        SELECT b.store_id, 0, 0, 0, 0, b.accepted, b.reopened, b.reversed, b.rejected, b.players, b.earlier_score, b.first_at,
            b.last_at, b.reached_at
        FROM totals_between(campaign, since, until) AS b WHERE since IS NOT NULL
        UNION ALL
        SELECT f.store_id, 0, 0, 0, 0, 0, 0, 0, 0, 0, sum(f.reversed - f.accepted)::bigint, NULL, NULL, NULL
        FROM hourly_facts AS f WHERE f.campaign_id = campaign AND f.hour >= today AND f.store_id <> '' AND since IS NULL
        GROUP BY f.store_id
        UNION ALL
        SELECT a.store_id, a.codes, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL
        FROM allotments AS a JOIN batches AS b ON b.id = a.batch_id WHERE b.campaign_id = campaign AND b.state = 'published'
        UNION ALL
        SELECT v.store_id, 0, v.codes, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL
        FROM void_ranges AS v JOIN batches AS b ON b.id = v.batch_id WHERE b.campaign_id = campaign AND b.state = 'published'
    ), summed AS (
        SELECT p.store_id, sum(p.issued)::bigint AS issued, sum(p.voided - p.in_void)::bigint AS void,
            sum(p.issued - p.held - p.voided + p.in_void)::bigint AS open, sum(p.accepted)::bigint AS accepted,
            sum(p.accepted - p.reopened)::bigint AS redeemed, sum(p.reversed)::bigint AS reversed,
            sum(p.rejected)::bigint AS rejected, sum(p.players)::bigint AS players,
            sum(p.accepted - p.reversed)::bigint AS score, sum(p.earlier)::bigint AS earlier_score, min(p.first_at) AS first_at,
            max(p.last_at) AS last_at, max(p.reached_at) AS reached_at
        FROM parts AS p GROUP BY p.store_id
    ), named AS (
        SELECT p.*, s.name, s.chain, s.region, s.country, coalesce(s.hidden OR s.test, false) AS unlisted
        FROM summed AS p LEFT JOIN stores AS s ON s.id = p.store_id
    ), ending AS (
        SELECT coalesce(bool_or(c.archived OR c.ends_at <= as_of_now), false) AS yes FROM campaigns AS c WHERE c.id = campaign
    )
    SELECT n.store_id, n.name, n.chain, n.region, n.country, n.issued, n.accepted, n.redeemed, n.reversed, n.void,
        CASE WHEN ending.yes THEN n.open ELSE 0 END, CASE WHEN ending.yes THEN 0 ELSE n.open END, n.players, n.score,
        CASE WHEN n.score > 0 AND NOT n.unlisted THEN
            rank() OVER (PARTITION BY n.score > 0 AND NOT n.unlisted ORDER BY n.score DESC) END,
        CASE WHEN n.earlier_score > 0 AND NOT n.unlisted THEN
            rank() OVER (PARTITION BY n.earlier_score > 0 AND NOT n.unlisted ORDER BY n.earlier_score DESC) END,
        n.first_at, n.last_at, n.reached_at, n.rejected, n.unlisted
    FROM named AS n CROSS JOIN ending
$$;

DROP FUNCTION totals_ever(text, timestamptz);
