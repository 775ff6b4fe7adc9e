"""Structured logs: a constant text and fields, one line an event, never a whole code and never a token."""

import logging
import sys
from typing import Any

import structlog

_threshold = logging.NOTSET


def are_told(level: int) -> bool:
    """Whether this process writes lines of the level; for what comes so often that even asking to write costs too much."""
    return level >= _threshold


def configure_logs(*, service: str, level: str, log_format: str) -> None:
    """Sends this process's logs to standard error, JSON lines or text for people; libraries' logs go the same way.

    Tracebacks come without the values of variables: these may hold codes and tokens.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    last: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if log_format == "json"
        else [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    )
    global _threshold
    threshold = _threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _name_library],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.WARNING), force=True)
    logging.getLogger("aiokafka.consumer.group_coordinator").setLevel(logging.ERROR)


def _name_library(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    record = event.get("_record")
    if record is not None:
        event["library"] = record.name
    return event
