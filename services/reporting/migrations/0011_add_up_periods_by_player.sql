-- The figures of a period, players told apart by adding rows up by player first instead of sorting each store's players; and by
-- several processes of Postgres at once, which a function allows only where it says so itself.

CREATE OR REPLACE FUNCTION totals_between(campaign text, since timestamptz, until timestamptz) RETURNS TABLE (
    store_id text, accepted bigint, reopened bigint, reversed bigint, rejected bigint, players bigint,
    first_at timestamptz, last_at timestamptz, reached_at timestamptz, earlier_score bigint
) LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH by_player AS (
        SELECT l.store_id, count(*) AS accepted, count(r.redemption_id) FILTER (WHERE r.reopens) AS reopened,
            count(r.redemption_id) AS reversed, min(l.occurred_at) AS first_at, max(l.occurred_at) AS last_at,
            greatest(max(l.occurred_at), max(r.reversed_at)) AS reached_at
        FROM ledger AS l
        LEFT JOIN reversals AS r ON r.campaign_id = campaign AND r.redeemed_at = l.occurred_at AND r.redemption_id = l.redemption_id
        WHERE l.campaign_id = campaign AND l.occurred_at >= since AND l.occurred_at < until
        GROUP BY l.store_id, l.platform, l.player_id
    ), redeemed AS (
        SELECT p.store_id, sum(p.accepted)::bigint AS accepted, sum(p.reopened)::bigint AS reopened,
            sum(p.reversed)::bigint AS reversed, count(*) FILTER (WHERE p.accepted > p.reversed) AS players,
            min(p.first_at) AS first_at, max(p.last_at) AS last_at, max(p.reached_at) AS reached_at
        FROM by_player AS p GROUP BY p.store_id
    ), refused AS (
        SELECT j.store_id, count(*) AS rejected FROM rejections AS j
        WHERE j.campaign_id = campaign AND j.occurred_at >= since AND j.occurred_at < until AND j.store_id <> ''
        GROUP BY j.store_id
    ), before AS (
        SELECT l.store_id, count(*) - count(r.redemption_id) AS score
        FROM ledger AS l
        LEFT JOIN reversals AS r ON r.campaign_id = campaign AND r.redeemed_at = l.occurred_at AND r.redemption_id = l.redemption_id
        WHERE l.campaign_id = campaign AND l.occurred_at >= since - (until - since) AND l.occurred_at < since
        GROUP BY l.store_id
    )
    SELECT store_id, coalesce(accepted, 0), coalesce(reopened, 0), coalesce(reversed, 0), coalesce(rejected, 0),
        coalesce(players, 0), first_at, last_at, reached_at, coalesce(before.score, 0)
    FROM redeemed FULL JOIN refused USING (store_id) FULL JOIN before USING (store_id)
$$;

ALTER FUNCTION performance(text, timestamptz, timestamptz, timestamptz, timestamptz) PARALLEL SAFE;
