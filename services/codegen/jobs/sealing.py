"""Seals the audit log from time to time."""

import asyncio
from datetime import UTC, datetime
from typing import Final

import structlog

from services.codegen.handlers.audit import AuditHandlers
from shared.postgres.errors import is_retryable

LOOK_SECONDS: Final = 10.0

log = structlog.get_logger(__name__)


async def seal_audit_log(audit: AuditHandlers) -> None:
    """Seals what is due for as long as it runs; several copies take turns by the lock of the transaction."""
    while True:
        try:
            while await audit.seal(now=datetime.now(UTC)) is not None:
                pass
        except Exception as error:
            if not is_retryable(error):
                raise
            log.warning("sealing waits", error=f"{type(error).__name__}: {error}")
        await asyncio.sleep(LOOK_SECONDS)
