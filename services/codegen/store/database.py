"""Transactions on codegen's schema, and what can be done within one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from services.codegen.store.adopting import Adopting
from services.codegen.store.audit import AuditLog
from services.codegen.store.batches import Batches
from services.codegen.store.campaigns import Campaigns
from services.codegen.store.fixtures import Fixtures
from services.codegen.store.loading import Loading
from services.codegen.store.marks import Marks
from services.codegen.store.outbox import Outbox
from services.codegen.store.register import Register
from services.codegen.store.rows import Connection
from services.codegen.store.stores import Stores
from services.codegen.store.tokens import Tokens
from services.codegen.store.voids import Voids
from shared.postgres.connections import hold, open_pool
from shared.postgres.halted import end_halted
from shared.postgres.queries import Queries

queries = Queries.beside(__file__)
SCHEMA = "codegen"


class Session:
    """One connection, as the tables that can be reached through it."""

    def __init__(self, connection: Connection) -> None:
        self.adopting = Adopting(connection)
        self.audit = AuditLog(connection)
        self.batches = Batches(connection)
        self.campaigns = Campaigns(connection)
        self.fixtures = Fixtures(connection)
        self.loading = Loading(connection)
        self.marks = Marks(connection)
        self.outbox = Outbox(connection)
        self.register = Register(connection)
        self.stores = Stores(connection)
        self.tokens = Tokens(connection)
        self.voids = Voids(connection)


class Database:
    """Codegen's schema. Nothing that is done in a transaction waits for Kafka (rule 5)."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def ping(self) -> None:
        """Returns when Postgres answers."""
        await self._pool.execute(queries.ping)

    @asynccontextmanager
    async def transaction(self, *, brief: bool = False) -> AsyncIterator[Session]:
        """All or nothing; what is read and locked stays so until the end. `brief`: for some seconds at most."""
        async with self._pool.acquire() as connection, connection.transaction():
            if brief:
                await connection.execute(hold())
            yield Session(connection)

    async def end_halted(self) -> None:
        """Ends what processes hold that were halted while they loaded a block: their batches are nobody's until then."""
        await end_halted(self._pool)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Session]:
        """Single statements, each by itself."""
        async with self._pool.acquire() as connection:
            yield Session(connection)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Session]:
        """Several reads that agree with each other."""
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield Session(connection)


@asynccontextmanager
async def open_database(url: str, *, connections: int, wait_seconds: float = 60.0) -> AsyncIterator[Database]:
    """Codegen's schema at a URL, waited for if it is away.

    Statements have no time limit of their own: a key over 100 million rows takes its time.
    """
    async with open_pool(url, schema=SCHEMA, max_size=connections, command_timeout=None, wait_seconds=wait_seconds) as pool:
        yield Database(pool)
