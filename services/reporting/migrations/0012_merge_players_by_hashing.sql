-- Merging some thousand notes took seconds where the planner, which cannot know how many there are, compared each with each.

ALTER FUNCTION merge_players(integer) SET enable_nestloop = off;

-- As in 0010; the rows of one INSERT are different players of a store, and need not be added up.

CREATE OR REPLACE FUNCTION note_players() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    target text := CASE WHEN TG_TABLE_NAME LIKE 'rebuild_%' THEN 'rebuild_player_changes' ELSE 'player_changes' END;
    changed text := 'SELECT campaign_id, platform, player_id, 1 FROM new_players WHERE redemptions > 0';
BEGIN
    IF TG_OP = 'UPDATE' THEN
        changed := 'SELECT campaign_id, platform, player_id, sum(change) FROM (
            SELECT campaign_id, platform, player_id, (redemptions > 0)::integer AS change FROM new_players
            UNION ALL
            SELECT campaign_id, platform, player_id, -(redemptions > 0)::integer FROM old_players
        ) AS changed GROUP BY 1, 2, 3 HAVING sum(change) <> 0';
    END IF;
    EXECUTE format('INSERT INTO %I (campaign_id, platform, player_id, change) %s', target, changed);
    RETURN NULL;
END $$;
