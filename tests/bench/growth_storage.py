"""Bytes that a code and a redemption take where they are kept, with indexes: the storage table of docs/scale.md."""

import os
from typing import Any, Final

import asyncpg

from tests.support.databases import Databases

CODES: Final = 1_000_000
REDEMPTIONS: Final = 300_000

FILL_CODES: Final = """
INSERT INTO codegen.filled SELECT number, 1, (number / 10000)::integer FROM generate_series(1, $1::bigint) number
"""
FILL_LEDGER: Final = """
INSERT INTO redemption.redemptions
SELECT number, now(), now(), now(), number, gen_random_uuid(), 0, 1, 3, 'zork', 'zork-' || md5(number::text),
    'p-' || number % 100000, 'spring-2026', gen_random_uuid()::text, 's-' || number % 5000, 'US-CA'
FROM generate_series(1, $1::bigint) number
"""
FILL_COPY: Final = """
INSERT INTO reporting.ledger
SELECT 'spring-2026', now() - number * interval '1 second', gen_random_uuid()::text, 'zork-' || md5(number::text), 'zork',
    now(), number, gen_random_uuid()::text, 's-' || number % 5000, 'US-CA', 'p-' || number % 100000
FROM generate_series(1, $1::bigint) number
"""
SIZES: Final = """
SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND (c.relname = $2 OR c.relname LIKE $2 || '\\_2%') AND c.relkind = 'r'
"""


async def run() -> dict[str, Any]:
    """Bytes with their indexes; a peer does not exist, these are the figures themselves."""
    databases = Databases(superuser_url=os.environ["COUNTERFOIL_TEST_POSTGRES"])
    urls = await databases.make_shared()
    try:
        return {
            "bytes a code in the register": await _codes(urls["codegen"]),
            "bytes a redemption in the ledger": await _filled(urls["redemption"], FILL_LEDGER, "redemption", "redemptions"),
            "bytes a redemption in reporting's copy": await _copy(urls["reporting"]),
        }
    finally:
        await databases.drop_all()


async def _codes(url: str) -> float:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TABLE codegen.filled (LIKE codegen.codes)")
        await connection.execute(FILL_CODES, CODES)
        await connection.execute("ALTER TABLE codegen.filled ADD PRIMARY KEY (serial)")
        size: int = await connection.fetchval(SIZES, "codegen", "filled")
        return round(size / CODES, 1)
    finally:
        await connection.close()


async def _copy(url: str) -> float:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TABLE reporting.ledger_2all PARTITION OF reporting.ledger DEFAULT")
    finally:
        await connection.close()
    return await _filled(url, FILL_COPY, "reporting", "ledger")


async def _filled(url: str, statement: str, schema: str, table: str) -> float:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement, REDEMPTIONS, timeout=300)
        size: int = await connection.fetchval(SIZES, schema, table)
        return round(size / REDEMPTIONS, 1)
    finally:
        await connection.close()
