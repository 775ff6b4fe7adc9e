"""What Postgres can take at most: pgbench with the service's own call that writes a batch, and nothing else.

The arguments of each batch are made before; a transaction takes the next ones, so that they are read as the service sends them.
"""

import asyncio
import re
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from deploy.local.postgres_programs import find_binaries
from tests.integration.redemption.world import World

BATCH = 2_000
CONNECTIONS = 2
BATCHES = 400

SETUP = f"""
CREATE SEQUENCE bench_batches;
CREATE TABLE bench_outbox AS SELECT decode(string_agg(md5(n::text), ''), 'hex') AS outbox FROM generate_series(1, 6500) AS n;
INSERT INTO campaign_counters (campaign_id, counts_total, counts_players) VALUES ('spring', false, true) ON CONFLICT DO NOTHING;
INSERT INTO positions (partition, epoch, position, version) SELECT n, 1, 0, 0 FROM generate_series(0, 5) AS n;
CREATE TABLE bench_arguments AS
SELECT batch, '{{' || string_agg(serial::text, ',') || '}}' AS serials, '{{' || string_agg('0', ',') || '}}' AS zeros,
    '{{' || string_agg(md5(serial::text)::uuid::text, ',') || '}}' AS ids, string_agg('zork', E'\x1f') AS platforms,
    string_agg('zork-1-' || serial, E'\x1f') AS events, string_agg('player-zork-1-' || serial / 2, E'\x1f') AS players,
    string_agg('spring', E'\x1f') AS campaigns, string_agg('b-1', E'\x1f') AS batches,
    string_agg('s-' || serial % 10, E'\x1f') AS stores, string_agg('US-CA', E'\x1f') AS regions,
    '{{' || string_agg((extract(epoch FROM now()) * 1000000)::bigint::text, ',') || '}}' AS times,
    string_agg('zork', E'\x1f') FILTER (WHERE serial % 2 = 0) AS player_platforms,
    string_agg('spring', E'\x1f') FILTER (WHERE serial % 2 = 0) AS player_campaigns,
    string_agg('player-zork-1-' || serial / 2, E'\x1f') FILTER (WHERE serial % 2 = 0) AS each_player,
    '{{' || string_agg('2', ',') FILTER (WHERE serial % 2 = 0) || '}}' AS twos
FROM (SELECT b AS batch, b * {BATCH} + n AS serial
      FROM generate_series(1, {BATCHES}) AS b, generate_series(0, {BATCH - 1}) AS n) AS s
GROUP BY batch;
CREATE UNIQUE INDEX ON bench_arguments (batch)
"""
"""An outbox of 2,000 outcomes is about 100 KB when it is compressed. Two redemptions a player, as in the other benchmarks."""

TRANSACTION = f"""
SELECT nextval('bench_batches') AS batch \\gset
SELECT * FROM bench_arguments WHERE batch = :batch \\gset
SELECT write_batch(p.partition, p.version, p.position + {BATCH}, b.outbox, 1, 1, NULL, now(), 1,
    ARRAY[:serials, :zeros, :ids, :platforms, :events, :players, :campaigns, :batches, :stores, :regions,
        :times, :times, :serials],
    NULL, NULL, 100, NULL, ARRAY[:player_campaigns, :player_platforms, :each_player, :twos], NULL, ARRAY['spring', '{{true}}'],
    NULL, NULL)
FROM positions AS p, bench_outbox AS b WHERE p.partition = :client_id;
"""


async def events_a_second(world: World) -> float:
    """By pgbench over two connections, until its batches are used up."""
    for statement in SETUP.split(";"):
        await world.query(statement)
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "batch.sql"
        script.write_text(TRANSACTION)
        out = await _pgbench(world, script)
    return float(re.findall(r"^tps = ([\d.]+)", out, re.MULTILINE)[0]) * BATCH


async def _pgbench(world: World, script: Path) -> str:
    at = urlsplit(world.database_url)
    process = await asyncio.create_subprocess_exec(
        str(find_binaries() / "pgbench"),
        *("--no-vacuum", "--client", str(CONNECTIONS), "--jobs", str(CONNECTIONS)),
        *("--transactions", str(BATCHES // CONNECTIONS - 1), "--protocol", "prepared", "--file", str(script)),
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
    return out.decode()
