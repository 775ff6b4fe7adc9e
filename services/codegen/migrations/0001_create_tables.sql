-- What codegen owns: campaigns, stores, batches, the register of codes, voids, tokens, the audit log, and the outbox.
-- `revision` grows by one with every change that other services must learn of; the row is locked while it does.

CREATE TABLE campaigns (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    time_zone text NOT NULL,
    games text[] NOT NULL,
    regions text[] NOT NULL,
    per_player integer,
    per_store integer,
    total integer,
    paused boolean NOT NULL DEFAULT false,
    archived boolean NOT NULL DEFAULT false,
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT campaigns_window CHECK (starts_at < ends_at)
);

-- `number` stands for the store in the register: four bytes a code instead of a text.
CREATE TABLE stores (
    number integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    chain text,
    region text,
    country text,
    peer_group text,
    hidden boolean NOT NULL DEFAULT false,
    test boolean NOT NULL DEFAULT false,
    paused boolean NOT NULL DEFAULT false,
    revision bigint NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL
);

-- The serial that the next range starts at; one row, locked by whoever reserves.
CREATE TABLE serials (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    next_serial bigint NOT NULL DEFAULT 1
);
INSERT INTO serials DEFAULT VALUES;

-- Stretches of serials whose codes share one partition of the register, for batches too small for their own.
CREATE TABLE shared_partitions (
    first_serial bigint PRIMARY KEY,
    last_serial bigint NOT NULL,
    next_serial bigint NOT NULL
);

-- `first_serial` to `last_serial` is the range reserved; it is wider than `count`, for the serials that are skipped.
-- `worker` is one claim's random name: a worker whose claim was taken over changes no row any more.
CREATE TABLE batches (
    number integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    id text COLLATE "C" PRIMARY KEY,
    campaign_id text COLLATE "C" NOT NULL REFERENCES campaigns,
    state text NOT NULL CONSTRAINT batches_state CHECK
        (state IN ('queued', 'generating', 'verifying', 'ready', 'published', 'failed', 'cancelled')),
    count bigint NOT NULL CHECK (count > 0),
    stores integer NOT NULL,
    key_id text NOT NULL,
    key_check text NOT NULL,
    words text NOT NULL,
    first_serial bigint NOT NULL UNIQUE,
    last_serial bigint NOT NULL,
    own_partition boolean NOT NULL,
    publish_when_ready boolean NOT NULL DEFAULT false,
    paused boolean NOT NULL DEFAULT false,
    next_block integer NOT NULL DEFAULT 0,
    generated bigint NOT NULL DEFAULT 0,
    loaded bigint NOT NULL DEFAULT 0,
    verified bigint NOT NULL DEFAULT 0,
    rows_removed boolean NOT NULL DEFAULT false,
    worker text,
    heartbeat_at timestamptz,
    claimed_at timestamptz,
    loaded_at_claim bigint NOT NULL DEFAULT 0,
    progress_at timestamptz,
    error text,
    revision bigint NOT NULL DEFAULT 1,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    loaded_at timestamptz,
    ready_at timestamptz,
    published_at timestamptz,
    CONSTRAINT batches_range CHECK (last_serial - first_serial + 1 >= count)
);
CREATE INDEX batches_by_campaign ON batches (campaign_id, number);
CREATE INDEX batches_open ON batches (number) WHERE state IN ('queued', 'generating', 'verifying');
CREATE INDEX batches_to_sweep ON batches (number) WHERE state = 'cancelled' AND NOT rows_removed;

-- A store's codes within a batch, in the order of the request. Serials and hash are known once they are loaded.
CREATE TABLE allotments (
    batch_number integer NOT NULL REFERENCES batches (number),
    place integer NOT NULL,
    store_number integer NOT NULL REFERENCES stores (number),
    count bigint NOT NULL CHECK (count > 0),
    first_serial bigint,
    last_serial bigint,
    sha256 bytea,
    PRIMARY KEY (batch_number, place),
    CONSTRAINT allotments_store_once UNIQUE (batch_number, store_number)
);
CREATE INDEX allotments_by_store ON allotments (store_number);

-- The register: a row for every code, by serial. The text of a code is in no table.
CREATE TABLE codes (
    serial bigint NOT NULL,
    batch_number integer NOT NULL,
    store_number integer NOT NULL,
    PRIMARY KEY (serial)
) PARTITION BY RANGE (serial);

-- What the outcomes topic says of codes: one row for each accepted redemption, whichever of its events was read first.
CREATE TABLE redemptions (
    redemption_id text COLLATE "C" PRIMARY KEY,
    serial bigint NOT NULL,
    platform text NOT NULL,
    event_id text,
    player_id text,
    redeemed_at timestamptz,
    decided_at timestamptz,
    reversed_at timestamptz,
    reversal_reason text,
    released boolean NOT NULL DEFAULT false
);
CREATE INDEX redemptions_by_serial ON redemptions (serial);
CREATE INDEX redemptions_standing ON redemptions (serial) WHERE redeemed_at IS NOT NULL AND NOT released;

-- Place and mark of each partition of the outcomes topic, changed in the transaction that folds (rule 16).
CREATE TABLE outcome_places (
    partition integer PRIMARY KEY,
    position bigint NOT NULL DEFAULT 0,
    mark_epoch integer,
    mark_offset bigint,
    folded_at timestamptz
);

CREATE TABLE voids (
    id text COLLATE "C" PRIMARY KEY,
    reason text NOT NULL,
    target jsonb NOT NULL,
    outstanding bigint NOT NULL,
    voided_by text NOT NULL,
    voided_at timestamptz NOT NULL
);

-- Serials that a void covers; `part` is the record that carries the range, and its revision. Ranges never overlap.
CREATE TABLE void_ranges (
    first_serial bigint PRIMARY KEY,
    last_serial bigint NOT NULL,
    void_id text COLLATE "C" NOT NULL REFERENCES voids,
    part integer NOT NULL,
    batch_id text COLLATE "C" NOT NULL,
    store_id text COLLATE "C" NOT NULL,
    codes bigint NOT NULL CHECK (codes > 0)
);
CREATE INDEX void_ranges_by_void ON void_ranges (void_id, part);

-- Tokens by the SHA-256 of their text; the text itself is shown once and kept nowhere.
CREATE TABLE tokens (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL UNIQUE,
    scopes text[] NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    revision bigint NOT NULL DEFAULT 1,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL
);

-- Records to be sent, in id order, deleted once they are acknowledged (rule 21).
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    key text NOT NULL,
    event text NOT NULL,
    value bytea NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outbox_by_key ON outbox (topic, key);

-- Who sends the outbox now, and until when; a relay that was paused beyond that has lost it.
CREATE TABLE relay_lease (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    holder text NOT NULL DEFAULT '',
    until timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO relay_lease DEFAULT VALUES;

CREATE TABLE idempotency_keys (
    key text COLLATE "C" PRIMARY KEY,
    request_hash bytea NOT NULL,
    batch_id text COLLATE "C" NOT NULL,
    made_at timestamptz NOT NULL
);

-- Every change that an admin made. Rows are only ever added.
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    details jsonb NOT NULL
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is only ever added to', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit EXECUTE FUNCTION refuse_change();
REVOKE UPDATE, DELETE, TRUNCATE ON audit FROM CURRENT_USER;
