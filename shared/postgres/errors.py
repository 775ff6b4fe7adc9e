"""Which of Postgres' errors mean: nothing was done, try again; and which: it will not have us, try something else."""

import asyncpg

_RETRYABLE = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InsufficientResourcesError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
    asyncpg.OperatorInterventionError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
    ConnectionError,
    TimeoutError,
    OSError,
)


def is_retryable(error: BaseException) -> bool:
    """Whether the same transaction may succeed later: Postgres is away, starting, full, or two transactions met.

    A server that ends a connection between two messages leaves the driver in the middle of "another operation"; the pool drops
    such a connection. A migration that widens a table makes plans invalid that a running transaction was about to
    use: it prepares them anew. After COMMIT was sent the answer may be lost though it was done; a caller has to look (rule 4).
    """
    if isinstance(error, asyncpg.InternalClientError):
        return "is in progress" in str(error)
    if isinstance(error, asyncpg.InterfaceError):
        text = str(error)
        return "closed" in text or "closing" in text or "released" in text
    return isinstance(error, _RETRYABLE)


def refusal(error: BaseException) -> str | None:
    """What a person can do about a Postgres that refuses them for good, None for all other errors."""
    match error:
        case asyncpg.ClientConfigurationError():
            return "the database's address is none: write it as postgresql://user:password@host:5432/database"
        case asyncpg.UndefinedTableError():
            return f"the database has not the tables that are needed ({error}): run `counterfoil migrate`"
        case (
            asyncpg.InvalidAuthorizationSpecificationError()
            | asyncpg.InvalidCatalogNameError()
            | asyncpg.InvalidSchemaNameError()
            | asyncpg.InsufficientPrivilegeError()
        ):
            return f"Postgres refuses: {error}"
    return None
