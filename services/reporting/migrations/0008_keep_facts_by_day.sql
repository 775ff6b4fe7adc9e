-- Facts by day of the campaign's zone, kept by triggers on the hourly ones: a version of the service that knows nothing of them,
-- a rebuild and the fold all keep them right. A store's days are a tenth of its hours: ranks over time read every one of them.

CREATE TABLE daily_facts (
    campaign_id text COLLATE "C" NOT NULL,
    day date NOT NULL,
    store_id text COLLATE "C" NOT NULL,
    partition smallint NOT NULL,
    accepted integer NOT NULL,
    reopened integer NOT NULL,
    reversed integer NOT NULL,
    PRIMARY KEY (campaign_id, day, store_id, partition)
) WITH (fillfactor = 80);

CREATE FUNCTION day_of_hour(hour timestamptz, utc_offset integer) RETURNS date LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ((hour + utc_offset * interval '1 second') AT TIME ZONE 'UTC')::date
$$;
COMMENT ON FUNCTION day_of_hour IS 'the day on the wall clock of an hour''s zone';

CREATE FUNCTION add_days() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    target text := CASE TG_TABLE_NAME WHEN 'rebuild_hourly_facts' THEN 'rebuild_daily_facts' ELSE 'daily_facts' END;
    changed text := 'SELECT campaign_id, hour, utc_offset, store_id, partition, accepted, reopened, reversed FROM new_hours';
BEGIN
    IF TG_OP = 'UPDATE' THEN
        changed := changed || ' UNION ALL SELECT campaign_id, hour, utc_offset, store_id, partition, -accepted, -reopened, -reversed
            FROM old_hours';
    END IF;
    EXECUTE format('INSERT INTO %I AS d (campaign_id, day, store_id, partition, accepted, reopened, reversed)
        SELECT campaign_id, day_of_hour(hour, utc_offset), store_id, partition, sum(accepted), sum(reopened), sum(reversed)
        FROM (%s) AS changed
        GROUP BY 1, 2, 3, 4
        HAVING sum(accepted) <> 0 OR sum(reopened) <> 0 OR sum(reversed) <> 0
        ON CONFLICT (campaign_id, day, store_id, partition) DO UPDATE SET accepted = d.accepted + excluded.accepted,
            reopened = d.reopened + excluded.reopened, reversed = d.reversed + excluded.reversed', target, changed);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION add_days IS 'adds what was added to hourly facts to the daily ones, of a rebuild to those of the rebuild';

CREATE FUNCTION keep_days_of(hours text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER days_of_new_hours AFTER INSERT ON %I REFERENCING NEW TABLE AS new_hours
        FOR EACH STATEMENT EXECUTE FUNCTION add_days()', hours);
    EXECUTE format('CREATE TRIGGER days_of_changed_hours AFTER UPDATE ON %I REFERENCING OLD TABLE AS old_hours NEW TABLE AS new_hours
        FOR EACH STATEMENT EXECUTE FUNCTION add_days()', hours);
END $$;

LOCK TABLE hourly_facts IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO daily_facts (campaign_id, day, store_id, partition, accepted, reopened, reversed)
SELECT campaign_id, day_of_hour(hour, utc_offset), store_id, partition, sum(accepted), sum(reopened), sum(reversed)
FROM hourly_facts
GROUP BY 1, 2, 3, 4
HAVING sum(accepted) <> 0 OR sum(reopened) <> 0 OR sum(reversed) <> 0;
SELECT keep_days_of('hourly_facts');

CREATE OR REPLACE FUNCTION rebuilt_tables() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['ledger', 'rejections', 'reversals', 'hourly_facts', 'daily_facts', 'store_totals', 'store_players', 'places']
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
END $$;

-- As in 0005, with today's facts by day.

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
        SELECT d.store_id, 0, 0, 0, 0, 0, 0, 0, 0, 0, d.reversed - d.accepted, NULL, NULL, NULL
        FROM daily_facts AS d JOIN campaigns AS c ON c.id = d.campaign_id
        WHERE d.campaign_id = campaign AND d.day >= (today AT TIME ZONE c.time_zone)::date AND d.store_id <> '' AND since IS NULL
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
