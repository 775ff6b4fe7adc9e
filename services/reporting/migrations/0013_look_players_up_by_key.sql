-- A campaign whose players came after the last ANALYZE is taken for one of few rows, and a join then reads all of its players for
-- each note that is not merged yet. Each note's player is looked up by the whole key instead.
CREATE OR REPLACE FUNCTION players_of(campaign text) RETURNS bigint LANGUAGE sql STABLE AS $$
    WITH noted AS (
        SELECT platform, player_id, sum(change) AS change FROM player_changes WHERE campaign_id = campaign GROUP BY 1, 2
    ), told AS (
        SELECT n.change, coalesce((
            SELECT p.stores FROM campaign_players AS p
            WHERE p.campaign_id = campaign AND p.platform = n.platform AND p.player_id = n.player_id), 0) AS stores
        FROM noted AS n
    )
    SELECT coalesce((SELECT players FROM player_counts WHERE campaign_id = campaign), 0)
        + coalesce(sum((stores + change > 0)::integer - (stores > 0)::integer), 0)::bigint
    FROM told
$$;
