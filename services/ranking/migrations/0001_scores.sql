-- Scores by campaign, store and day of the campaign's zone. Weeks, months and all-time are sums of days (and the latest of
-- reached_at): nothing else is stored of them. Updates touch no indexed column, so room in the pages keeps them cheap.
CREATE TABLE scores (
    campaign_id text COLLATE "C" NOT NULL,
    day         date NOT NULL,
    store_id    text COLLATE "C" NOT NULL,
    redemptions bigint NOT NULL CHECK (redemptions >= 0),
    reversals   bigint NOT NULL CHECK (reversals >= 0),
    reached_at  timestamptz NOT NULL,
    PRIMARY KEY (campaign_id, day, store_id)
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.1);

COMMENT ON COLUMN scores.reached_at IS 'the latest occurred_at of the redemptions and reversals counted here';

-- Place and mark in one row per outcomes partition, changed in the transaction that changes the scores.
CREATE TABLE outcome_places (
    partition   integer PRIMARY KEY,
    next_offset bigint,
    mark_epoch  bigint,
    mark_offset bigint,
    folded_at   timestamptz NOT NULL DEFAULT now(),
    CHECK ((mark_epoch IS NULL) = (mark_offset IS NULL))
);
