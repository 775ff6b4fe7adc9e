-- The audit log sealed in blocks: each holds the hash of its entries and of the block before, so that a change to any sealed
-- entry, made by whoever owns the database, shows. Blocks too are only ever added.

CREATE TABLE audit_blocks (
    number bigint PRIMARY KEY,
    first_id bigint NOT NULL,
    last_id bigint NOT NULL,
    entries bigint NOT NULL CHECK (entries > 0),
    previous_hash text NOT NULL,
    hash text NOT NULL,
    sealed_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER audit_blocks_only_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_blocks EXECUTE FUNCTION refuse_change();
REVOKE UPDATE, DELETE, TRUNCATE ON audit_blocks FROM CURRENT_USER;
