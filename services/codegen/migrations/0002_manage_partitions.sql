-- Partitions of the register. Their names are made of numbers alone; statements that name them live here and nowhere else.

-- A batch's own partition, not yet part of the register and without a key, so that it loads at the speed of a bare COPY.
-- The check lets ATTACH trust the range without reading the rows.
CREATE FUNCTION create_batch_partition(batch_number integer, first_serial bigint, last_serial bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'CREATE TABLE IF NOT EXISTS codes_batch_%s (serial bigint NOT NULL, batch_number integer NOT NULL,'
        ' store_number integer NOT NULL, CONSTRAINT codes_batch_%s_range CHECK (serial >= %s AND serial <= %s))'
        ' WITH (autovacuum_enabled = false)',
        batch_number, batch_number, first_serial, last_serial);
END $$;

-- The key of a loaded partition. Reading it goes on meanwhile. Doing it again changes nothing.
CREATE FUNCTION key_batch_partition(batch_number integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE UNIQUE INDEX IF NOT EXISTS codes_batch_%s_pkey ON codes_batch_%s (serial)', batch_number, batch_number);
END $$;

-- Makes a keyed partition part of the register. Doing it again changes nothing.
CREATE FUNCTION attach_batch_partition(batch_number integer, first_serial bigint, last_serial bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE partition_name text := format('codes_batch_%s', batch_number);
BEGIN
    IF EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass(partition_name)) THEN
        RETURN;
    END IF;
    EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I PRIMARY KEY USING INDEX %I', partition_name, partition_name || '_pkey',
                   partition_name || '_pkey');
    EXECUTE format('ALTER TABLE %I RESET (autovacuum_enabled)', partition_name);
    EXECUTE format('ALTER TABLE codes ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', partition_name, first_serial,
                   last_serial + 1);
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I', partition_name, partition_name || '_range');
END $$;

-- Removes a batch's partition with all its rows, whether it was attached or not.
CREATE FUNCTION drop_batch_partition(batch_number integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DROP TABLE IF EXISTS codes_batch_%s', batch_number);
END $$;

-- A partition for many small batches, with its key in place.
CREATE FUNCTION create_shared_partition(first_serial bigint, last_serial bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE codes_shared_%s (LIKE codes INCLUDING INDEXES)', first_serial);
    EXECUTE format('ALTER TABLE codes ATTACH PARTITION codes_shared_%s FOR VALUES FROM (%s) TO (%s)', first_serial,
                   first_serial, last_serial + 1);
END $$;

-- What a batch's own partition holds, a stretch of its pages at a time, so that progress can be told.
CREATE FUNCTION batch_partition_totals(batch_number integer, first_page bigint, pages bigint)
RETURNS TABLE (store_number integer, codes bigint, first_serial bigint, last_serial bigint)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT store_number, count(*), min(serial), max(serial) FROM codes_batch_%s'
        ' WHERE ctid >= ''(%s,0)''::tid AND ctid < ''(%s,0)''::tid AND batch_number = %s GROUP BY store_number',
        batch_number, first_page, first_page + pages, batch_number);
END $$;

CREATE FUNCTION batch_partition_pages(batch_number integer) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT pg_relation_size(to_regclass('codes_batch_' || batch_number)) / current_setting('block_size')::bigint
$$;
