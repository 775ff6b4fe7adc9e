-- What a batch writes, as functions: one call is one round trip, and while no counter has to be locked first it is the whole
-- transaction. Lists come as text: array literals of numbers, or strings joined by U+001F; `columns` holds one list a column.
-- A later version adds functions under other names, or replaces one by one that does the same for the same arguments.
-- Room for player_counters' rows to be changed where they are, without another entry in the index.
ALTER TABLE player_counters SET (fillfactor = 70);

CREATE FUNCTION refuse(reason text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING MESSAGE = reason, ERRCODE = 'serialization_failure';
END $$;
COMMENT ON FUNCTION refuse IS 'What the batch was decided on has changed: nothing of it may be kept, and it has to be decided again.';

CREATE FUNCTION move_place(
    of_partition integer, at_version bigint, moved_to bigint, stored bytea, key_hash bigint, key_timestamp bigint, source jsonb
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE positions
    SET position = moved_to, version = version + 1, outbox = stored, last_key_hash = key_hash, last_timestamp = key_timestamp,
        last_source = source, updated_at = now()
    WHERE partition = of_partition AND version = at_version;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION move_place IS 'The compare-and-set of rule 3: true if nobody else has moved the place since it was read.';

CREATE FUNCTION record_redemptions(columns text[], moment timestamptz, epoch integer, of_partition integer)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO redemptions (serial, generation, redemption_id, platform, event_id, player_id, campaign_id, batch_id, store_id,
        store_region, occurred_at, received_at, decided_at, source_epoch, source_partition, source_offset)
    SELECT n.serial, n.generation, n.redemption_id, n.platform, n.event_id, n.player_id, n.campaign_id, n.batch_id, n.store_id,
        nullif(n.store_region, ''), 'epoch'::timestamptz + n.occurred_at * interval '1 microsecond',
        'epoch'::timestamptz + n.received_at * interval '1 microsecond', moment, epoch, of_partition, n.source_offset
    FROM unnest(columns[1]::bigint[], columns[2]::integer[], columns[3]::uuid[], string_to_array(columns[4], E'\x1f'),
        string_to_array(columns[5], E'\x1f'), string_to_array(columns[6], E'\x1f'), string_to_array(columns[7], E'\x1f'),
        string_to_array(columns[8], E'\x1f'), string_to_array(columns[9], E'\x1f'), string_to_array(columns[10], E'\x1f'),
        columns[11]::bigint[], columns[12]::bigint[], columns[13]::bigint[]
    ) AS n (serial, generation, redemption_id, platform, event_id, player_id, campaign_id, batch_id, store_id, store_region,
        occurred_at, received_at, source_offset);
END $$;
COMMENT ON FUNCTION record_redemptions IS 'Adds accepted redemptions, given in order of their serials; times in microseconds since 1970. A code or an event that another transaction has taken meanwhile breaks a constraint: decide again. (ON CONFLICT would look into both indexes first, a third of the cost, for what was looked up a moment ago.)';

CREATE FUNCTION record_reversals(entries json) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO reversals (serial, generation, redemption_id, event_id, reason, occurred_at, received_at, decided_at, source_epoch,
        source_partition, source_offset)
    SELECT * FROM json_to_recordset(entries) AS n (serial bigint, generation integer, redemption_id uuid, event_id text,
        reason text, occurred_at timestamptz, received_at timestamptz, decided_at timestamptz, source_epoch integer,
        source_partition integer, source_offset bigint);
END $$;
COMMENT ON FUNCTION record_reversals IS 'Adds reversals. A redemption that another transaction has taken back meanwhile breaks a constraint: decide again.';

CREATE FUNCTION add_attempts(columns text[], kept integer, of_partition integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO failed_attempts AS f (platform, player_id, partition, times, last_at)
    SELECT n.platform, n.player_id, of_partition, array_agg(n.at ORDER BY n.at), max(n.at)
    FROM unnest(string_to_array(columns[1], E'\x1f'), string_to_array(columns[2], E'\x1f'), columns[3]::bigint[])
        AS n (platform, player_id, at)
    GROUP BY 1, 2
    ORDER BY 1, 2
    ON CONFLICT (platform, player_id, partition) DO UPDATE
    SET last_at = greatest(f.last_at, excluded.last_at),
        times = (SELECT array_agg(at ORDER BY at) FROM (
            SELECT at FROM unnest(f.times || excluded.times) AS every (at) ORDER BY at DESC LIMIT kept) AS last);
END $$;
COMMENT ON FUNCTION add_attempts IS 'Adds failed attempts (milliseconds, one row each) to what is remembered of their players on a partition, and keeps the last of each; each loop has rows of its own, so none waits for another.';

CREATE FUNCTION add_tallies(columns text[], of_partition integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO platform_tallies AS t (platform, starts_at, partition, requests, unknown)
    SELECT n.platform, n.starts_at, of_partition, n.requests, n.unknown
    FROM unnest(string_to_array(columns[1], E'\x1f'), columns[2]::bigint[], columns[3]::integer[], columns[4]::integer[])
        AS n (platform, starts_at, requests, unknown)
    ON CONFLICT (starts_at, platform, partition) DO UPDATE
    SET requests = t.requests + excluded.requests, unknown = t.unknown + excluded.unknown;
END $$;
COMMENT ON FUNCTION add_tallies IS 'Adds to a partition''s own tallies; each loop has rows of its own, so none waits for another.';

CREATE FUNCTION begin_player_counters(columns text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO player_counters (campaign_id, platform, player_id, redeemed)
    SELECT n.campaign_id, n.platform, n.player_id, n.redeemed
    FROM unnest(string_to_array(columns[1], E'\x1f'), string_to_array(columns[2], E'\x1f'), string_to_array(columns[3], E'\x1f'),
        columns[4]::integer[]) AS n (campaign_id, platform, player_id, redeemed)
    ORDER BY 1, 2, 3;
END $$;
COMMENT ON FUNCTION begin_player_counters IS 'Begins the counters, in key order, of players who had none. One that another transaction has begun meanwhile breaks the primary key: decide again.';

CREATE FUNCTION change_player_counters(columns text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    changed integer;
BEGIN
    UPDATE player_counters AS c SET redeemed = n.after
    FROM (
        SELECT * FROM unnest(string_to_array(columns[1], E'\x1f'), string_to_array(columns[2], E'\x1f'),
            string_to_array(columns[3], E'\x1f'), columns[4]::integer[], columns[5]::integer[])
            AS s (campaign_id, platform, player_id, before, after)
        ORDER BY 1, 2, 3 OFFSET 0
    ) AS n
    WHERE c.campaign_id = n.campaign_id AND c.platform = n.platform AND c.player_id = n.player_id AND c.redeemed = n.before;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed <> cardinality(columns[4]::integer[]) THEN
        PERFORM refuse('a player''s count was changed by another transaction');
    END IF;
END $$;
COMMENT ON FUNCTION change_player_counters IS 'Sets counters, in key order, that still are what they were when they were read.';

CREATE FUNCTION hold_campaign_counters(columns text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    held integer;
BEGIN
    PERFORM c.campaign_id
    FROM unnest(string_to_array(columns[1], E'\x1f'), columns[2]::boolean[]) AS n (campaign_id, counts_players)
    JOIN campaign_counters c USING (campaign_id)
    WHERE NOT c.counts_total AND NOT c.counts_stores AND c.counts_players = n.counts_players
    ORDER BY c.campaign_id
    FOR SHARE OF c;
    GET DIAGNOSTICS held = ROW_COUNT;
    IF held <> cardinality(columns[2]::boolean[]) THEN
        PERFORM refuse('what a campaign counts has changed');
    END IF;
END $$;
COMMENT ON FUNCTION hold_campaign_counters IS 'Of campaigns whose totals are not counted: keeps what is counted for them as it is until the transaction ends, together with other loops.';

CREATE FUNCTION change_campaign_counters(columns text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    changed integer;
BEGIN
    WITH wanted AS (
        SELECT c.campaign_id, n.net
        FROM unnest(string_to_array(columns[1], E'\x1f'), columns[2]::bigint[], columns[3]::bigint[], columns[4]::bigint[],
            columns[5]::boolean[], columns[6]::boolean[]) AS n (campaign_id, net, peak, most, counts_players, counts_stores)
        JOIN campaign_counters c USING (campaign_id)
        WHERE (n.most IS NULL OR n.peak = 0 OR c.redeemed + n.peak <= n.most)
          AND c.counts_total AND c.counts_players = n.counts_players AND c.counts_stores = n.counts_stores
        ORDER BY c.campaign_id
        FOR UPDATE OF c
    )
    UPDATE campaign_counters AS c SET redeemed = c.redeemed + wanted.net
    FROM wanted WHERE c.campaign_id = wanted.campaign_id;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed <> cardinality(columns[2]::bigint[]) THEN
        PERFORM refuse('a campaign''s limit is near, or what it counts has changed');
    END IF;
END $$;
COMMENT ON FUNCTION change_campaign_counters IS 'Changes campaigns'' counts where the most that the batch adds still fits under the limit, and where all is counted that has to be. Rows are locked in key order.';

CREATE FUNCTION change_store_counters(columns text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    changed integer;
BEGIN
    INSERT INTO store_counters AS c (campaign_id, store_id, redeemed)
    SELECT fitting.campaign_id, fitting.store_id, fitting.net
    FROM (
        SELECT n.*, coalesce(k.redeemed, 0) AS before
        FROM unnest(string_to_array(columns[1], E'\x1f'), string_to_array(columns[2], E'\x1f'), columns[3]::bigint[],
            columns[4]::bigint[], columns[5]::bigint[]) AS n (campaign_id, store_id, net, peak, most)
        LEFT JOIN store_counters k USING (campaign_id, store_id)
    ) AS fitting
    WHERE most IS NULL OR peak = 0 OR before + peak <= most
    ON CONFLICT (campaign_id, store_id) DO UPDATE SET redeemed = c.redeemed + excluded.redeemed;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed <> cardinality(columns[3]::bigint[]) THEN
        PERFORM refuse('a store''s limit is near');
    END IF;
END $$;
COMMENT ON FUNCTION change_store_counters IS 'Changes stores'' counts where the most that the batch adds still fits under the limit. The campaigns'' counters are locked by now, so nobody else changes these.';

CREATE FUNCTION write_batch(
    of_partition integer, at_version bigint, moved_to bigint, stored bytea, key_hash bigint, key_timestamp bigint, source jsonb,
    moment timestamptz, epoch integer, redeemed text[], reversed json, failed text[], failed_kept integer, tallied text[],
    begun text[], changed text[], held text[], counted text[], of_stores text[]
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF NOT move_place(of_partition, at_version, moved_to, stored, key_hash, key_timestamp, source) THEN RETURN false; END IF;
    IF redeemed IS NOT NULL THEN PERFORM record_redemptions(redeemed, moment, epoch, of_partition); END IF;
    IF reversed IS NOT NULL THEN PERFORM record_reversals(reversed); END IF;
    IF failed IS NOT NULL THEN PERFORM add_attempts(failed, failed_kept, of_partition); END IF;
    IF tallied IS NOT NULL THEN PERFORM add_tallies(tallied, of_partition); END IF;
    IF begun IS NOT NULL THEN PERFORM begin_player_counters(begun); END IF;
    IF changed IS NOT NULL THEN PERFORM change_player_counters(changed); END IF;
    IF held IS NOT NULL THEN PERFORM hold_campaign_counters(held); END IF;
    IF counted IS NOT NULL THEN PERFORM change_campaign_counters(counted); END IF;
    IF of_stores IS NOT NULL THEN PERFORM change_store_counters(of_stores); END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION write_batch IS 'Moves the place and writes what was decided, all or nothing; false, with nothing written, when somebody else has moved the place. NULL: nothing of this kind. The rows that other loops wait for come last.';
