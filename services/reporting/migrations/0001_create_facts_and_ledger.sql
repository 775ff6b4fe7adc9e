-- Reference copies: what codegen publishes, as of the highest revision seen.

CREATE TABLE campaigns (
    id text COLLATE "C" PRIMARY KEY,
    revision bigint NOT NULL,
    name text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    time_zone text NOT NULL,
    paused boolean NOT NULL,
    archived boolean NOT NULL
);

CREATE TABLE stores (
    id text COLLATE "C" PRIMARY KEY,
    revision bigint NOT NULL,
    name text NOT NULL,
    chain text,
    region text,
    country text,
    peer_group text,
    hidden boolean NOT NULL,
    test boolean NOT NULL
);

CREATE TABLE batches (
    id text COLLATE "C" PRIMARY KEY,
    revision bigint NOT NULL,
    campaign_id text COLLATE "C" NOT NULL,
    state text NOT NULL,
    codes bigint NOT NULL,
    published_at timestamptz
);
CREATE INDEX batches_of_campaign ON batches (campaign_id);

CREATE TABLE allotments (
    batch_id text COLLATE "C" NOT NULL REFERENCES batches,
    store_id text COLLATE "C" NOT NULL,
    first_serial bigint NOT NULL,
    codes bigint NOT NULL,
    PRIMARY KEY (batch_id, store_id, first_serial)
);

CREATE TABLE void_ranges (
    first_serial bigint PRIMARY KEY,
    last_serial bigint NOT NULL,
    void_id text NOT NULL,
    voided_at timestamptz NOT NULL,
    batch_id text COLLATE "C" NOT NULL,
    store_id text COLLATE "C" NOT NULL,
    codes bigint NOT NULL
);
CREATE INDEX void_ranges_of_batch ON void_ranges (batch_id, store_id);

-- Place and mark of each partition that is folded (protocol.md, rule 16), in one row, changed with what was folded.

CREATE TABLE places (
    topic text NOT NULL,
    partition smallint NOT NULL,
    next_offset bigint NOT NULL DEFAULT 0,
    mark_epoch bigint,
    mark_partition integer,
    mark_offset bigint,
    last_decided_at timestamptz,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);

-- The ledger copy: one row a redemption, by month of its event's time. Reversals are rows of their own, because a reversal may
-- be read before its redemption (they may lie on different partitions).

CREATE TABLE ledger (
    campaign_id text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    redemption_id text COLLATE "C" NOT NULL,
    event_id text NOT NULL,
    platform text NOT NULL,
    decided_at timestamptz NOT NULL,
    serial bigint NOT NULL,
    batch_id text COLLATE "C" NOT NULL,
    store_id text COLLATE "C" NOT NULL,
    store_region text,
    player_id text NOT NULL,
    PRIMARY KEY (campaign_id, occurred_at, redemption_id)
) PARTITION BY RANGE (occurred_at);

CREATE TABLE reversals (
    campaign_id text COLLATE "C" NOT NULL,
    redeemed_at timestamptz NOT NULL,
    redemption_id text COLLATE "C" NOT NULL,
    reversed_at timestamptz NOT NULL,
    decided_at timestamptz NOT NULL,
    reason text NOT NULL,
    reopens boolean NOT NULL,
    serial bigint NOT NULL,
    batch_id text COLLATE "C" NOT NULL,
    store_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (campaign_id, redeemed_at, redemption_id)
);

-- Rejected requests; campaign '' is what led to no campaign. `day` is the campaign's own. Times may be wild (that is why some
-- were rejected), hence the default partition.

CREATE TABLE rejections (
    campaign_id text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    day date NOT NULL,
    platform text COLLATE "C" NOT NULL,
    outcome text COLLATE "C" NOT NULL,
    store_id text COLLATE "C" NOT NULL,
    player_id text
) PARTITION BY RANGE (occurred_at);
CREATE INDEX rejections_of_campaign ON rejections (campaign_id, occurred_at);
CREATE TABLE rejections_of_other_times PARTITION OF rejections DEFAULT;

-- Sums. `partition` is the outcome's: two folds never wait for one another's rows. Readers add the partitions up.

CREATE TABLE hourly_facts (
    campaign_id text COLLATE "C" NOT NULL,
    hour timestamptz NOT NULL,
    store_id text COLLATE "C" NOT NULL,
    partition smallint NOT NULL,
    utc_offset integer NOT NULL,
    accepted integer NOT NULL,
    reopened integer NOT NULL,
    reversed integer NOT NULL,
    rejected integer NOT NULL,
    PRIMARY KEY (campaign_id, hour, store_id, partition)
) WITH (fillfactor = 80);
COMMENT ON COLUMN hourly_facts.hour IS 'the instant at which an hour of the campaign''s zone starts';
COMMENT ON COLUMN hourly_facts.utc_offset IS 'seconds to add to the instant for the zone''s wall clock';

CREATE TABLE store_totals (
    campaign_id text COLLATE "C" NOT NULL,
    store_id text COLLATE "C" NOT NULL,
    batch_id text COLLATE "C" NOT NULL,
    partition smallint NOT NULL,
    accepted bigint NOT NULL,
    reopened bigint NOT NULL,
    reversed bigint NOT NULL,
    rejected bigint NOT NULL,
    redeemed_in_void bigint NOT NULL,
    players bigint NOT NULL,
    first_at timestamptz,
    last_at timestamptz,
    reached_at timestamptz,
    PRIMARY KEY (campaign_id, store_id, batch_id, partition)
) WITH (fillfactor = 50);
COMMENT ON COLUMN store_totals.redeemed_in_void IS 'redeemed codes within void ranges: they count as redeemed, not as void';
COMMENT ON COLUMN store_totals.players IS 'change of the store''s number of players; means something as a sum over a store only';

CREATE TABLE store_players (
    campaign_id text COLLATE "C" NOT NULL,
    store_id text COLLATE "C" NOT NULL,
    platform text COLLATE "C" NOT NULL,
    player_id text COLLATE "C" NOT NULL,
    redemptions integer NOT NULL,
    PRIMARY KEY (campaign_id, store_id, platform, player_id)
) WITH (fillfactor = 90);
COMMENT ON COLUMN store_players.redemptions IS 'redemptions less reversals; for an instant below zero when a reversal is read first';

-- Standings as ranking publishes them: the last one of each day for all-time boards, of each period for the others.

CREATE TABLE standings (
    campaign_id text COLLATE "C" NOT NULL,
    board text COLLATE "C" NOT NULL,
    period text COLLATE "C" NOT NULL,
    day date NOT NULL,
    store_id text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    rank integer,
    "position" integer,
    score bigint NOT NULL,
    as_of timestamptz NOT NULL,
    PRIMARY KEY (campaign_id, board, day, store_id)
);

CREATE TABLE salts (
    name text PRIMARY KEY,
    value text NOT NULL
);
INSERT INTO salts (name, value) VALUES ('player_id', gen_random_uuid()::text || gen_random_uuid()::text);
COMMENT ON TABLE salts IS 'what player ids are hashed with where a reader may not see them';

CREATE FUNCTION ensure_month(month date, prefix text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    first timestamptz := date_trunc('month', month)::timestamp AT TIME ZONE 'UTC';
    next timestamptz := (date_trunc('month', month) + interval '1 month')::timestamp AT TIME ZONE 'UTC';
    suffix text := to_char(month, 'YYYY_MM');
    parent text;
    part text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('reporting.ensure_month'));
    FOREACH parent IN ARRAY ARRAY[prefix || 'ledger', prefix || 'rejections'] LOOP
        part := parent || '_' || suffix;
        IF to_regclass(part) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS)', part, parent);
            IF parent = prefix || 'rejections' THEN
                EXECUTE format('LOCK TABLE %I IN SHARE ROW EXCLUSIVE MODE', parent);
                EXECUTE format('WITH moved AS (DELETE FROM %I WHERE occurred_at >= %L AND occurred_at < %L RETURNING *)
                    INSERT INTO %I SELECT * FROM moved', parent || '_of_other_times', first, next, part);
            END IF;
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, part, first, next);
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION ensure_month IS 'makes the partitions of a month (UTC), once; the prefix is that of a rebuild''s tables, or empty';

CREATE FUNCTION harmless(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN left(value, 1) IN ('=', '+', '-', '@', E'\t', E'\r') THEN '''' || value ELSE nullif(value, '') END
$$;
COMMENT ON FUNCTION harmless IS 'a text that no spreadsheet takes for a formula';

CREATE FUNCTION iso(moment timestamptz) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN date_trunc('second', moment) = moment
        THEN to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        ELSE to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') END
$$;
COMMENT ON FUNCTION iso IS 'a moment in RFC 3339, UTC';

CREATE FUNCTION percentage(part numeric, whole numeric) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN whole > 0 THEN
        rtrim(rtrim(to_char(round(100 * part / whole, 4), 'FM999999990.0000'), '0'), '.') || '%' END
$$;
COMMENT ON FUNCTION percentage IS 'a share as 12.5%, with up to four decimals; null of nothing';

-- What each store did in a campaign: from the totals when no period is asked for, else from the ledger copy, exact to the instant.

CREATE FUNCTION totals_ever(campaign text, today timestamptz) RETURNS TABLE (
    store_id text, accepted bigint, reopened bigint, reversed bigint, rejected bigint, players bigint,
    first_at timestamptz, last_at timestamptz, reached_at timestamptz, earlier_score bigint
) LANGUAGE sql STABLE AS $$
    WITH of_today AS (
        SELECT f.store_id, sum(f.accepted - f.reversed) AS score
        FROM hourly_facts AS f
        WHERE f.campaign_id = campaign AND f.hour >= today
        GROUP BY f.store_id
    )
    SELECT t.store_id, sum(t.accepted)::bigint, sum(t.reopened)::bigint, sum(t.reversed)::bigint, sum(t.rejected)::bigint,
        sum(t.players)::bigint, min(t.first_at), max(t.last_at), max(t.reached_at),
        (sum(t.accepted) - sum(t.reversed) - coalesce(min(o.score), 0))::bigint
    FROM store_totals AS t LEFT JOIN of_today AS o ON o.store_id = t.store_id
    WHERE t.campaign_id = campaign AND t.store_id <> ''
    GROUP BY t.store_id
$$;

CREATE FUNCTION totals_between(campaign text, since timestamptz, until timestamptz) RETURNS TABLE (
    store_id text, accepted bigint, reopened bigint, reversed bigint, rejected bigint, players bigint,
    first_at timestamptz, last_at timestamptz, reached_at timestamptz, earlier_score bigint
) LANGUAGE sql STABLE AS $$
    WITH redeemed AS (
        SELECT l.store_id, count(*) AS accepted, count(r.redemption_id) FILTER (WHERE r.reopens) AS reopened,
            count(r.redemption_id) AS reversed,
            count(DISTINCT (l.platform, l.player_id)) FILTER (WHERE r.redemption_id IS NULL) AS players,
            min(l.occurred_at) AS first_at, max(l.occurred_at) AS last_at,
            greatest(max(l.occurred_at), max(r.reversed_at)) AS reached_at
        FROM ledger AS l
        LEFT JOIN reversals AS r ON r.campaign_id = campaign AND r.redeemed_at = l.occurred_at AND r.redemption_id = l.redemption_id
        WHERE l.campaign_id = campaign AND l.occurred_at >= since AND l.occurred_at < until
        GROUP BY l.store_id
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

-- The performance of every store of a campaign: those that were allotted codes and those that anything happened at. `since`
-- null is ever. States (issued, void, expired, outstanding) are of `as_of_now` whatever the period.

CREATE FUNCTION performance(campaign text, since timestamptz, until timestamptz, as_of_now timestamptz, today timestamptz)
RETURNS TABLE (
    store_id text, store_name text, chain text, region text, country text, issued bigint, accepted bigint, redeemed bigint,
    reversed bigint, void bigint, expired bigint, outstanding bigint, unique_players bigint, score bigint, rank bigint,
    previous_rank bigint, first_at timestamptz, last_at timestamptz, reached_at timestamptz, rejected bigint, unlisted boolean
) LANGUAGE sql STABLE AS $$
    WITH did AS (
        SELECT * FROM totals_ever(campaign, today) WHERE since IS NULL
        UNION ALL
        SELECT * FROM totals_between(campaign, since, until) WHERE since IS NOT NULL
    ), allotted AS (
        SELECT a.store_id, sum(a.codes)::bigint AS codes FROM allotments AS a JOIN batches AS b ON b.id = a.batch_id
        WHERE b.campaign_id = campaign AND b.state = 'published' GROUP BY a.store_id
    ), voided AS (
        SELECT v.store_id, sum(v.codes)::bigint AS codes FROM void_ranges AS v JOIN batches AS b ON b.id = v.batch_id
        WHERE b.campaign_id = campaign AND b.state = 'published' GROUP BY v.store_id
    ), held AS (
        SELECT t.store_id, sum(t.accepted - t.reopened)::bigint AS redeemed, sum(t.redeemed_in_void)::bigint AS in_void
        FROM store_totals AS t WHERE t.campaign_id = campaign AND t.store_id <> '' GROUP BY t.store_id
    ), state AS (
        SELECT store_id, coalesce(allotted.codes, 0) AS issued,
            coalesce(voided.codes, 0) - coalesce(held.in_void, 0) AS void,
            coalesce(allotted.codes, 0) - coalesce(held.redeemed, 0) - coalesce(voided.codes, 0) + coalesce(held.in_void, 0) AS open
        FROM allotted FULL JOIN held USING (store_id) FULL JOIN voided USING (store_id)
    ), joined AS (
        SELECT store_id, s.name, s.chain, s.region, s.country, coalesce(state.issued, 0) AS issued,
            coalesce(state.void, 0) AS void, coalesce(state.open, 0) AS open,
            coalesce(did.accepted, 0) AS accepted, coalesce(did.accepted - did.reopened, 0) AS redeemed,
            coalesce(did.reversed, 0) AS reversed, coalesce(did.players, 0) AS players,
            coalesce(did.accepted - did.reversed, 0) AS score, coalesce(did.earlier_score, 0) AS earlier_score,
            did.first_at, did.last_at, did.reached_at, coalesce(did.rejected, 0) AS rejected,
            coalesce(s.hidden OR s.test, false) AS unlisted
        FROM state FULL JOIN did USING (store_id) LEFT JOIN stores AS s ON s.id = store_id
    ), ranked AS (
        SELECT store_id, rank() OVER (ORDER BY score DESC) AS rank FROM joined WHERE score > 0 AND NOT unlisted
    ), ranked_before AS (
        SELECT store_id, rank() OVER (ORDER BY earlier_score DESC) AS rank FROM joined WHERE earlier_score > 0 AND NOT unlisted
    ), ending AS (
        SELECT coalesce(bool_or(c.archived OR c.ends_at <= as_of_now), false) AS yes FROM campaigns AS c WHERE c.id = campaign
    )
    SELECT j.store_id, j.name, j.chain, j.region, j.country, j.issued, j.accepted, j.redeemed, j.reversed, j.void,
        CASE WHEN ending.yes THEN j.open ELSE 0 END, CASE WHEN ending.yes THEN 0 ELSE j.open END, j.players, j.score,
        ranked.rank, ranked_before.rank, j.first_at, j.last_at, j.reached_at, j.rejected, j.unlisted
    FROM joined AS j CROSS JOIN ending LEFT JOIN ranked USING (store_id) LEFT JOIN ranked_before USING (store_id)
$$;
