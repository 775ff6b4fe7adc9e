"""A trace goes through Kafka: the request's span, the header on the record, the batch's span that links to it."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from shared.contracts.topics import REQUESTS
from shared.environment import KafkaConnection
from shared.kafka.groups import PartitionGroup
from shared.kafka.publishing import Publisher
from shared.kafka.reading import PartitionReader, PartitionRevoked
from shared.telemetry import traces


class Collector(ThreadingHTTPServer):
    """Takes spans as an OpenTelemetry collector does, and keeps them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Any] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def named(self, name: str) -> Any:
        (found,) = [span for span in self.spans if span.name == name]
        return found


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        told = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.spans += [s for r in told.resource_spans for scope in r.scope_spans for s in scope.spans]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with Collector() as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        traces.configure_traces("a-test")
        yield collector
        traces.end_traces()
        collector.shutdown()


@pytest.mark.partitions(1)
async def test_what_a_request_writes_is_linked_to_it_where_it_is_read(kafka: KafkaConnection, collector: Collector) -> None:
    read = asyncio.Event()

    async def run(reader: PartitionReader) -> None:
        reader.seek(0)
        while True:
            try:
                records = await reader.fetch(100, 1.0)
            except PartitionRevoked:
                return
            if records:
                await reader.commit(records[-1].offset + 1)
                read.set()

    async with Publisher(kafka) as publisher:
        with traces.request_span("POST", None) as told:
            await publisher.send(REQUESTS.name, b"k", b"first")
            told["http.route"] = "/v1/redemptions"
        await publisher.send(REQUESTS.name, b"k", b"of nobody")
    group = PartitionGroup(kafka, topic=REQUESTS.name, group="traced", run_partition=run)
    running = asyncio.create_task(group.run())
    await asyncio.wait_for(read.wait(), 30)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await asyncio.to_thread(traces.end_traces)

    request, batch = collector.named("POST /v1/redemptions"), collector.named(f"process {REQUESTS.name}")
    assert [(link.trace_id, link.span_id) for link in batch.links] == [(request.trace_id, request.span_id)]
    assert {a.key: a.value.int_value for a in batch.attributes}["messaging.batch.message_count"] == 2


async def test_a_caller_that_is_traced_itself_goes_on_in_the_same_trace(collector: Collector) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    with traces.request_span("GET", f"00-{trace_id}-00f067aa0ba902b7-01") as told:
        told["http.route"] = "/v1/stores"
    await asyncio.to_thread(traces.end_traces)
    assert collector.named("GET /v1/stores").trace_id.hex() == trace_id


def test_nothing_is_traced_and_nothing_loaded_where_nobody_asks() -> None:
    traces.configure_traces("a-test", {})
    with traces.request_span("GET", None):
        assert traces.current_headers() == ()
    assert traces.batch_span("topic", 0, []) is None
