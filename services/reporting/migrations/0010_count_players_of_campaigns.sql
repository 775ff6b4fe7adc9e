-- The players of a campaign, each once however many stores they went to. Folds only note that a player now holds a redemption at a
-- store, or holds none there any more (by triggers on store_players, whoever writes them), and wait for nobody; one process at a time
-- merges the notes. A reader adds what is not merged yet: the number is exact at every instant, merged or not.

CREATE TABLE player_changes (
    campaign_id text COLLATE "C" NOT NULL,
    platform text COLLATE "C" NOT NULL,
    player_id text COLLATE "C" NOT NULL,
    change integer NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
COMMENT ON COLUMN player_changes.change IS 'change of the number of stores at which the player holds a redemption';

CREATE TABLE campaign_players (
    campaign_id text COLLATE "C" NOT NULL,
    platform text COLLATE "C" NOT NULL,
    player_id text COLLATE "C" NOT NULL,
    stores integer NOT NULL,
    PRIMARY KEY (campaign_id, platform, player_id)
) WITH (fillfactor = 90);
COMMENT ON COLUMN campaign_players.stores IS 'stores at which the player holds a redemption; below zero while half of the notes are merged';

CREATE TABLE player_counts (
    campaign_id text COLLATE "C" PRIMARY KEY,
    players bigint NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE player_counts IS 'how many rows of campaign_players have a store or more';

CREATE FUNCTION note_players() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    target text := CASE WHEN TG_TABLE_NAME LIKE 'rebuild_%' THEN 'rebuild_player_changes' ELSE 'player_changes' END;
    changed text := 'SELECT campaign_id, platform, player_id, (redemptions > 0)::integer AS change FROM new_players';
BEGIN
    IF TG_OP = 'UPDATE' THEN
        changed := changed || ' UNION ALL SELECT campaign_id, platform, player_id, -(redemptions > 0)::integer FROM old_players';
    END IF;
    EXECUTE format('INSERT INTO %I (campaign_id, platform, player_id, change)
        SELECT campaign_id, platform, player_id, sum(change) FROM (%s) AS changed GROUP BY 1, 2, 3 HAVING sum(change) <> 0',
        target, changed);
    RETURN NULL;
END $$;

CREATE FUNCTION note_players_of(players text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER new_players AFTER INSERT ON %I REFERENCING NEW TABLE AS new_players
        FOR EACH STATEMENT EXECUTE FUNCTION note_players()', players);
    EXECUTE format('CREATE TRIGGER changed_players AFTER UPDATE ON %I REFERENCING OLD TABLE AS old_players NEW TABLE AS new_players
        FOR EACH STATEMENT EXECUTE FUNCTION note_players()', players);
END $$;

CREATE FUNCTION merge_players(most integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    merged bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('reporting.players')) THEN
        RETURN 0;
    END IF;
    WITH taken AS (
        DELETE FROM player_changes WHERE ctid = ANY (ARRAY(SELECT ctid FROM player_changes LIMIT most)) RETURNING *
    ), changes AS (
        SELECT campaign_id, platform, player_id, sum(change)::integer AS change FROM taken GROUP BY 1, 2, 3
    ), kept AS (
        INSERT INTO campaign_players AS p (campaign_id, platform, player_id, stores)
        SELECT * FROM changes
        ON CONFLICT (campaign_id, platform, player_id) DO UPDATE SET stores = p.stores + excluded.stores
        RETURNING campaign_id, platform, player_id, stores
    ), counted AS (
        INSERT INTO player_counts AS c (campaign_id, players)
        SELECT campaign_id, sum((k.stores > 0)::integer - (k.stores - n.change > 0)::integer)
        FROM kept AS k JOIN changes AS n USING (campaign_id, platform, player_id) GROUP BY campaign_id
        ON CONFLICT (campaign_id) DO UPDATE SET players = c.players + excluded.players
    )
    SELECT count(*) INTO merged FROM taken;
    RETURN merged;
END $$;
COMMENT ON FUNCTION merge_players IS 'merges some notes, gives how many; none while another process is at it';

CREATE FUNCTION players_of(campaign text) RETURNS bigint LANGUAGE sql STABLE AS $$
    WITH noted AS (
        SELECT platform, player_id, sum(change) AS change FROM player_changes WHERE campaign_id = campaign GROUP BY 1, 2
    )
    SELECT coalesce((SELECT players FROM player_counts WHERE campaign_id = campaign), 0)
        + coalesce(sum((coalesce(p.stores, 0) + n.change > 0)::integer - (coalesce(p.stores, 0) > 0)::integer), 0)::bigint
    FROM noted AS n LEFT JOIN campaign_players AS p
        ON p.campaign_id = campaign AND p.platform = n.platform AND p.player_id = n.player_id
$$;
COMMENT ON FUNCTION players_of IS 'players who hold a redemption of the campaign';

LOCK TABLE store_players IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO campaign_players (campaign_id, platform, player_id, stores)
SELECT campaign_id, platform, player_id, count(*) FROM store_players WHERE redemptions > 0 GROUP BY 1, 2, 3;
INSERT INTO player_counts (campaign_id, players) SELECT campaign_id, count(*) FROM campaign_players GROUP BY 1;
SELECT note_players_of('store_players');

CREATE OR REPLACE FUNCTION rebuilt_tables() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['ledger', 'rejections', 'reversals', 'hourly_facts', 'daily_facts', 'batch_hours', 'store_totals', 'store_players',
        'player_changes', 'campaign_players', 'player_counts', 'places']
$$;

CREATE OR REPLACE FUNCTION begin_rebuild() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY rebuilt_tables() LOOP
        EXECUTE format('DROP TABLE IF EXISTS %I CASCADE', 'rebuild_' || name);
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', 'rebuild_' || name, name)
            || CASE WHEN name IN ('ledger', 'rejections') THEN ' PARTITION BY RANGE (occurred_at)' ELSE '' END;
    END LOOP;
    CREATE TABLE rebuild_rejections_of_other_times PARTITION OF rebuild_rejections DEFAULT;
    PERFORM keep_days_of('rebuild_hourly_facts');
    PERFORM keep_batch_hours_of('rebuild_');
    PERFORM note_players_of('rebuild_store_players');
END $$;
