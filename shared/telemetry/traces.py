"""Traces, where the extra `tracing` is installed and OTEL_EXPORTER_OTLP_ENDPOINT says where to; else nothing, at no cost.

A request over HTTP is a span, and what it writes to Kafka carries `traceparent` (W3C). The batch in which a partition's loop
reads it is a span of its own that links to the requests in it; the traces of the first of them go on with a span as long as the
batch. Redemption's outcomes carry the `traceparent` of their requests, so that ranking and reporting go on with the same trace.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final, Protocol

HEADER: Final = "traceparent"
BYTES: Final = 55
ENDPOINT_VARIABLE: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_AT_MOST: Final = 32
"""A batch's own span, and the traces that go on beside it, are of so many requests; the others' end where they were sent."""


class Traced(Protocol):
    """A record that may carry the header."""

    @property
    def offset(self) -> int: ...
    @property
    def headers(self) -> Iterable[tuple[str, bytes]]: ...


class BatchSpan(Protocol):
    """The span of a batch of records: ended when the batch is done with."""

    def end(self) -> None: ...


_NOTHING: Final[Mapping[int, bytes]] = {}
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


def are_on() -> bool:
    """Whether requests are traced."""
    return _tracing is not None


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


def carried_headers(records: Iterable[Traced]) -> Mapping[int, bytes]:
    """The `traceparent` of each record that carries one, by its offset; nothing where nothing is traced.

    Records are other people's: what cannot be one by its length is left out.
    """
    if _tracing is None:
        return _NOTHING
    return {r.offset: value for r in records for name, value in r.headers if name == HEADER and len(value or b"") == BYTES}


def batch_span(operation: str, topic: str, carried: Iterable[bytes], *, records: int | None = None) -> BatchSpan | None:
    """Begins the spans of a batch: its own, and one in each of the first traces that its records carried."""
    return None if _tracing is None else _tracing.batch(f"{operation} {topic}", topic, carried, records)


class _Tracing:
    """The only place that knows the library. Imported when it is wanted: it takes longer than all the rest of a service."""

    def __init__(self, service: str) -> None:
        try:
            from opentelemetry import propagate, trace
            from opentelemetry.context import Context
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise ImportError(
                f"{ENDPOINT_VARIABLE} is set, but the extra is not installed: requirements/tracing.txt"
            ) from error
        self._trace, self._propagate, self._nobody = trace, propagate, Context()
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

    def batch(self, name: str, topic: str, carried: Iterable[bytes], records: int | None) -> BatchSpan:
        """The batch has a trace of its own, for it belongs to many requests; each request's goes on beside it."""
        told: dict[str, str | int] = {"messaging.system": "kafka", "messaging.destination.name": topic}
        if records is not None:
            told["messaging.batch.message_count"] = records
        first = islice(dict.fromkeys(carried), TRACES_AT_MOST)
        callers = [c for c in map(self._caller, first) if self._trace.get_current_span(c).get_span_context().is_valid]
        links = [self._trace.Link(self._trace.get_current_span(caller).get_span_context()) for caller in callers]
        batch = self._consumed(f"{name} (batch)", self._nobody, links, told)
        link = [self._trace.Link(batch.get_span_context())]
        return _Spans([batch, *(self._consumed(name, caller, link, told) for caller in callers)])

    def _consumed(self, name: str, context: Any, links: Sequence[Any], attributes: Mapping[str, str | int]) -> Any:
        kind = self._trace.SpanKind.CONSUMER
        return self._tracer.start_span(name, context=context, kind=kind, links=links, attributes=attributes)

    def _caller(self, traceparent: bytes) -> Any:
        return self._propagate.extract({HEADER: traceparent.decode(errors="replace")}, self._nobody)


class _Spans:
    """Spans that end together."""

    def __init__(self, spans: Sequence[BatchSpan]) -> None:
        self._spans = spans

    def end(self) -> None:
        for span in self._spans:
            span.end()
