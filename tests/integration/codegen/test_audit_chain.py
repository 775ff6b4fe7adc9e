"""The audit log: only added to, sealed in a chain that shows any change."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from services.codegen.handlers.audit import AuditHandlers
from services.codegen.store.database import open_database
from tests.integration.codegen.conftest import Codegen
from tests.support.polling import poll_until


async def test_no_entry_can_be_changed_or_removed_by_the_services_role(codegen: Codegen, tables: asyncpg.Connection) -> None:
    await codegen.make_campaign()
    for statement in ("UPDATE audit SET actor = 'x'", "DELETE FROM audit", "TRUNCATE audit", "DELETE FROM audit_blocks"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await tables.execute(statement)


async def test_a_change_to_a_sealed_entry_shows(codegen: Codegen, tables: asyncpg.Connection, postgres_server: str) -> None:
    await codegen.make_campaign()
    async with open_database(codegen.settings.database_url, connections=2) as database:
        audit = AuditHandlers(database)
        assert await audit.seal(now=datetime.now(UTC)) is None, "entries are sealed when they have waited"
        await poll_until(lambda: audit.seal(now=datetime.now(UTC) + timedelta(minutes=2)), what="a block being sealed")
        await codegen.make_stores(2)
        await poll_until(lambda: audit.seal(now=datetime.now(UTC), at_once=True), what="a second block being sealed")
    chain = (await codegen.call("GET", "/v1/audit/chain")).json
    assert (chain["intact"], chain["blocks"], chain["entries"]) == (True, 2, 3)
    name = await tables.fetchval("SELECT current_database()")
    owner = await asyncpg.connect(postgres_server.rsplit("/", 1)[0] + f"/{name}")
    try:
        await owner.execute("SET session_replication_role = replica; UPDATE codegen.audit SET actor = 'nobody' WHERE id = 2")
    finally:
        await owner.close()
    chain = (await codegen.call("GET", "/v1/audit/chain")).json
    assert (chain["intact"], chain["broken_block"]) == (False, 1)
