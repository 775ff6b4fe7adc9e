-- A certified window: the fold up to `source` of the outcomes topic, frozen. Once for each window; later changes of the scores
-- are adjustments and leave it as it is.
CREATE TABLE certificates (
    campaign_id  text COLLATE "C" NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('day', 'week', 'month', 'all')),
    first_day    date NOT NULL,
    last_day     date NOT NULL,
    time_zone    text NOT NULL,
    starts_at    timestamptz NOT NULL,
    ends_at      timestamptz NOT NULL,
    source       jsonb NOT NULL,
    hash         text NOT NULL,
    total        integer NOT NULL,
    certified_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (campaign_id, kind, first_day, last_day)
);

COMMENT ON COLUMN certificates.source IS 'outcomes partition to the offset before which everything is counted';
COMMENT ON COLUMN certificates.hash IS 'SHA-256 over window, source and ranked rows, see domain/certificates.py';

-- Every store of which something was counted in the window, as it was then; hidden ones too, which have no place.
CREATE TABLE certified_scores (
    campaign_id text COLLATE "C" NOT NULL,
    kind        text NOT NULL,
    first_day   date NOT NULL,
    last_day    date NOT NULL,
    store_id    text COLLATE "C" NOT NULL,
    store_name  text NOT NULL,
    chain       text,
    region      text,
    peer_group  text,
    shown       boolean NOT NULL,
    redemptions bigint NOT NULL,
    reversals   bigint NOT NULL,
    reached_at  timestamptz NOT NULL,
    issued      bigint NOT NULL,
    PRIMARY KEY (campaign_id, kind, first_day, last_day, store_id),
    FOREIGN KEY (campaign_id, kind, first_day, last_day) REFERENCES certificates
);

-- A rebuild from the outcomes topic: what the scores were, what they come to, and a row for each time they were swapped.
CREATE TABLE rebuilt_scores (LIKE scores INCLUDING ALL);
CREATE TABLE scores_before_rebuild (LIKE scores INCLUDING ALL);

CREATE TABLE rebuilds (
    number      integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    swapped_at  timestamptz NOT NULL DEFAULT now(),
    differences bigint NOT NULL
);
