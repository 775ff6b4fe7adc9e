"""Traces, where the extra `tracing` is installed and OTEL_EXPORTER_OTLP_ENDPOINT says where to; else nothing, at no cost.

A request over HTTP is a span, what it writes to Kafka carries `traceparent` (W3C), and the batch in which a partition's loop
reads it is a span that links to it: one span a batch, however many records it has.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Protocol

HEADER: Final = "traceparent"
ENDPOINT_VARIABLE: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
LINKS_AT_MOST: Final = 32


class Traced(Protocol):
    """A record that may carry the header."""

    @property
    def headers(self) -> Iterable[tuple[str, bytes]]: ...


class BatchSpan(Protocol):
    """The span of a batch of records: ended when the batch is done with."""

    def end(self) -> None: ...


_tracing: "_Tracing | None" = None


def configure_traces(service: str, environment: Mapping[str, str] = os.environ) -> None:
    """Begins tracing if the environment asks for it. Raises ImportError with what to install where the extra is missing."""
    global _tracing
    if environment.get(ENDPOINT_VARIABLE):
        _tracing = _Tracing(service)


def end_traces() -> None:
    """Sends what is left, in a bounded time, and ends tracing."""
    global _tracing
    if _tracing is not None:
        _tracing.end()
        _tracing = None


@contextmanager
def request_span(method: str, traceparent: str | None) -> Iterator[dict[str, Any]]:
    """The span of a request. What is put into the dictionary becomes its attributes; `http.route` its name."""
    told: dict[str, Any] = {"http.request.method": method}
    if _tracing is None:
        yield told
        return
    with _tracing.serving(traceparent) as span:
        try:
            yield told
        finally:
            span.update_name(f"{method} {told.get('http.route', '')}".strip())
            span.set_attributes(told)


def current_headers() -> tuple[tuple[str, bytes], ...]:
    """What a record that is written now shall carry; nothing where nothing is traced."""
    return () if _tracing is None else _tracing.current_headers()


def batch_span(topic: str, partition: int, records: Iterable[Traced]) -> BatchSpan | None:
    """Begins the span of a batch that was read, linked to the traces that its first records carry."""
    return None if _tracing is None else _tracing.batch(topic, partition, records)


class _Tracing:
    """The only place that knows the library. Imported when it is wanted: it takes longer than all the rest of a service."""

    def __init__(self, service: str) -> None:
        try:
            from opentelemetry import propagate, trace
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise ImportError(
                f"{ENDPOINT_VARIABLE} is set, but the extra is not installed: requirements/tracing.txt"
            ) from error
        self._trace, self._propagate = trace, propagate
        self._provider = TracerProvider(resource=Resource.create({"service.name": f"counterfoil.{service}"}))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("counterfoil")

    def end(self) -> None:
        self._provider.shutdown()

    @contextmanager
    def serving(self, traceparent: str | None) -> Iterator[Any]:
        parent = self._propagate.extract({HEADER: traceparent}) if traceparent else None
        with self._tracer.start_as_current_span("request", context=parent, kind=self._trace.SpanKind.SERVER) as span:
            yield span

    def current_headers(self) -> tuple[tuple[str, bytes], ...]:
        carrier: dict[str, str] = {}
        self._propagate.inject(carrier)
        return tuple((name, value.encode()) for name, value in carrier.items())

    def batch(self, topic: str, partition: int, records: Iterable[Traced]) -> BatchSpan:
        found: dict[bytes, None] = {}
        count = 0
        for record in records:
            count += 1
            if len(found) < LINKS_AT_MOST:
                found.update((value, None) for name, value in record.headers if name == HEADER)
        links = [link for link in map(self._link, found) if link is not None]
        attributes = {"messaging.system": "kafka", "messaging.destination.name": topic, "messaging.batch.message_count": count}
        attributes["messaging.destination.partition.id"] = str(partition)
        span: BatchSpan = self._tracer.start_span(
            f"process {topic}", kind=self._trace.SpanKind.CONSUMER, links=links, attributes=attributes
        )
        return span

    def _link(self, traceparent: bytes) -> Any:
        context = self._trace.get_current_span(self._propagate.extract({HEADER: traceparent.decode(errors="replace")}))
        found = context.get_span_context()
        return self._trace.Link(found) if found.is_valid else None
