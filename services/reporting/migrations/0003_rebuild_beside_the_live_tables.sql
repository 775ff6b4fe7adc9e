-- Counting everything again: into tables named rebuild_…, which then take the place of the live ones.

CREATE FUNCTION rebuilt_tables() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['ledger', 'rejections', 'reversals', 'hourly_facts', 'store_totals', 'store_players', 'places']
$$;

CREATE FUNCTION begin_rebuild() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY rebuilt_tables() LOOP
        EXECUTE format('DROP TABLE IF EXISTS %I CASCADE', 'rebuild_' || name);
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', 'rebuild_' || name, name)
            || CASE WHEN name IN ('ledger', 'rejections') THEN ' PARTITION BY RANGE (occurred_at)' ELSE '' END;
    END LOOP;
    CREATE TABLE rebuild_rejections_of_other_times PARTITION OF rebuild_rejections DEFAULT;
END $$;

CREATE FUNCTION finish_rebuild() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text;
    part text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('reporting.voids'));
    LOCK TABLE places IN ACCESS EXCLUSIVE MODE;
    DELETE FROM rebuild_places AS r WHERE EXISTS (SELECT FROM places AS p WHERE p.topic = r.topic AND p.topic <> 'promo.outcomes.v1');
    INSERT INTO rebuild_places SELECT * FROM places WHERE topic <> 'promo.outcomes.v1';
    UPDATE rebuild_store_totals SET redeemed_in_void = 0 WHERE redeemed_in_void <> 0;
    INSERT INTO rebuild_store_totals (campaign_id, store_id, batch_id, partition, accepted, reopened, reversed, rejected,
        redeemed_in_void, players)
    SELECT l.campaign_id, l.store_id, l.batch_id, -1, 0, 0, 0, 0, count(*) FILTER (WHERE r.reopens IS NOT TRUE), 0
    FROM void_ranges AS v
    JOIN rebuild_ledger AS l ON l.batch_id = v.batch_id AND l.serial BETWEEN v.first_serial AND v.last_serial
    LEFT JOIN rebuild_reversals AS r
        ON r.campaign_id = l.campaign_id AND r.redeemed_at = l.occurred_at AND r.redemption_id = l.redemption_id
    GROUP BY 1, 2, 3;
    FOREACH name IN ARRAY rebuilt_tables() LOOP
        EXECUTE format('DROP TABLE %I CASCADE', name);
        EXECUTE format('ALTER TABLE %I RENAME TO %I', 'rebuild_' || name, name);
        FOR part IN SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
            WHERE i.inhparent = to_regclass(name) LOOP
            EXECUTE format('ALTER TABLE %I RENAME TO %I', part, substr(part, length('rebuild_') + 1));
        END LOOP;
    END LOOP;
END $$;
