-- What ran by itself or by hand: one row a run. A due run is claimed by making its row, so that it happens once.

CREATE TABLE job_runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job text NOT NULL,
    due_at timestamptz NOT NULL,
    by_hand boolean NOT NULL,
    attempts integer NOT NULL DEFAULT 1,
    started_at timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'failed')),
    message text NOT NULL DEFAULT '',
    host text NOT NULL
);
CREATE UNIQUE INDEX job_runs_once ON job_runs (job, due_at) WHERE NOT by_hand;
CREATE INDEX job_runs_by_time ON job_runs (started_at DESC);

CREATE FUNCTION detach_month(parent text, part text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', parent, part);
    EXECUTE format('ALTER TABLE %I RENAME TO %I', part, 'detached_' || part);
END $$;
COMMENT ON FUNCTION detach_month IS 'takes a month out of ledger or rejections; the table is kept under the name detached_…';
