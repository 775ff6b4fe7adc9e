-- Redemptions less reversals by batch and hour of the clock (UTC), kept by triggers on the ledger copy, whoever writes it. How long
-- after its publication each code of a batch was redeemed is read from them: a thousandth of the ledger's rows.

CREATE TABLE batch_hours (
    campaign_id text COLLATE "C" NOT NULL,
    batch_id text COLLATE "C" NOT NULL,
    hour timestamptz NOT NULL,
    writer integer NOT NULL,
    redeemed integer NOT NULL,
    PRIMARY KEY (campaign_id, batch_id, hour, writer)
) WITH (fillfactor = 50);
COMMENT ON COLUMN batch_hours.hour IS 'the start of the hour of UTC in which the codes were redeemed';
COMMENT ON COLUMN batch_hours.writer IS 'the backend that wrote the row: two folds never wait for one another. Readers add writers up';

CREATE FUNCTION add_batch_hours() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    target text := CASE WHEN TG_TABLE_NAME LIKE 'rebuild_%' THEN 'rebuild_batch_hours' ELSE 'batch_hours' END;
BEGIN
    EXECUTE format('INSERT INTO %I AS b (campaign_id, batch_id, hour, writer, redeemed)
        SELECT campaign_id, batch_id, date_trunc(''hour'', %s, ''UTC''), pg_backend_pid(), %s count(*)
        FROM new_rows
        GROUP BY 1, 2, 3
        ON CONFLICT (campaign_id, batch_id, hour, writer) DO UPDATE SET redeemed = b.redeemed + excluded.redeemed',
        target, TG_ARGV[0], TG_ARGV[1]);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION add_batch_hours IS 'adds what was added to the ledger or to the reversals; arguments: the column with the time, the sign';

CREATE FUNCTION days_after(published_at timestamptz, at timestamptz) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT greatest(0, date_part('day', at - published_at))::integer
$$;
COMMENT ON FUNCTION days_after IS 'whole days (of 24 hours) from the publication of a batch to a moment';

CREATE FUNCTION ledger_begins() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT min(substring(pg_get_expr(c.relpartbound, c.oid) FROM 'FROM \(''([^'']+)''\)')::timestamptz)
    FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'ledger'::regclass
$$;
COMMENT ON FUNCTION ledger_begins IS 'the start of the oldest month that the ledger still holds; null when it holds none';

CREATE FUNCTION keep_batch_hours_of(prefix text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER hours_of_redemptions AFTER INSERT ON %I REFERENCING NEW TABLE AS new_rows
        FOR EACH STATEMENT EXECUTE FUNCTION add_batch_hours(''occurred_at'', ''+'')', prefix || 'ledger');
    EXECUTE format('CREATE TRIGGER hours_of_reversals AFTER INSERT ON %I REFERENCING NEW TABLE AS new_rows
        FOR EACH STATEMENT EXECUTE FUNCTION add_batch_hours(''redeemed_at'', ''-'')', prefix || 'reversals');
END $$;

LOCK TABLE ledger, reversals IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO batch_hours (campaign_id, batch_id, hour, writer, redeemed)
SELECT campaign_id, batch_id, date_trunc('hour', at, 'UTC'), 0, sum(codes)
FROM (
    SELECT campaign_id, batch_id, occurred_at AS at, 1 AS codes FROM ledger
    UNION ALL
    SELECT campaign_id, batch_id, redeemed_at, -1 FROM reversals
) AS changes
GROUP BY 1, 2, 3;
SELECT keep_batch_hours_of('');

CREATE OR REPLACE FUNCTION rebuilt_tables() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['ledger', 'rejections', 'reversals', 'hourly_facts', 'daily_facts', 'batch_hours', 'store_totals', 'store_players',
        'places']
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
END $$;
