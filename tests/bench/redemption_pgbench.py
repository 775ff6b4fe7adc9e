"""What Postgres can take at most: pgbench with the insert, counter and position statements of a batch, and nothing else."""

import asyncio
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from deploy.local.postgres_programs import find_binaries
from tests.integration.redemption.world import World

BATCH = 2_000
SECONDS = 10
CONNECTIONS = 2

SETUP = """
CREATE SEQUENCE bench_batches;
CREATE TABLE bench_outbox AS SELECT decode(string_agg(md5(n::text), ''), 'hex') AS outbox FROM generate_series(1, 6500) AS n;
INSERT INTO campaign_counters (campaign_id) VALUES ('spring') ON CONFLICT DO NOTHING;
INSERT INTO positions (partition, epoch, position, version) SELECT n, 1, 0, 0 FROM generate_series(0, 5) AS n
"""
"""An outbox of 2,000 outcomes is about 100 KB when it is compressed."""

TRANSACTION = f"""
SELECT nextval('bench_batches') * {BATCH} AS base \\gset
BEGIN;
INSERT INTO redemptions (serial, generation, redemption_id, platform, event_id, player_id, campaign_id, batch_id, store_id,
    store_region, occurred_at, received_at, decided_at, source_epoch, source_partition, source_offset)
SELECT :base + n, 0, md5((:base + n)::text)::uuid, 'zork', 'zork-1-' || (:base + n), 'player-' || ((:base + n) / 2), 'spring',
    'b-1', 's-' || n % 10, 'US-CA', now(), now(), now(), 1, :client_id, :base + n
FROM generate_series(1, {BATCH}) AS n;
INSERT INTO player_counters (campaign_id, platform, player_id, redeemed)
SELECT 'spring', 'zork', 'player-' || (:base / 2 + n), 2 FROM generate_series(1, {BATCH // 2}) AS n;
UPDATE campaign_counters SET redeemed = redeemed + {BATCH} WHERE campaign_id = 'spring';
UPDATE positions SET position = position + {BATCH}, version = version + 1, outbox = b.outbox, last_key_hash = 1,
    last_timestamp = 1, updated_at = now() FROM bench_outbox AS b WHERE partition = :client_id;
COMMIT;
"""


async def events_a_second(world: World) -> float:
    """By pgbench over two connections."""
    for statement in SETUP.split(";"):
        await world.query(statement)
    at = urlsplit(world.database_url)
    binary = find_binaries() / "pgbench"
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "batch.sql"
        script.write_text(TRANSACTION)
        process = await asyncio.create_subprocess_exec(
            str(binary),
            *("--no-vacuum", "--client", str(CONNECTIONS), "--jobs", str(CONNECTIONS), "--time", str(SECONDS)),
            *("--protocol", "prepared", "--file", str(script)),
            env={
                "PGHOST": at.hostname or "",
                "PGPORT": str(at.port),
                "PGUSER": at.username or "",
                "PGPASSWORD": at.password or "",
                "PGDATABASE": at.path.removeprefix("/"),
                "PGOPTIONS": "-c search_path=redemption",
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    tps = next(line for line in out.decode().splitlines() if line.startswith("tps = "))
    return float(tps.split()[2]) * BATCH
