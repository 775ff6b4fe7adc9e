-- What a finished download was: its rows, bytes and SHA-256, for whoever wants to check what arrived.

CREATE TABLE downloads (
    id text PRIMARY KEY,
    token_id text NOT NULL,
    file text NOT NULL,
    rows bigint NOT NULL,
    bytes bigint NOT NULL,
    sha256 text NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX downloads_by_time ON downloads (finished_at);
