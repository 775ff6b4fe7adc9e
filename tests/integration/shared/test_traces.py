"""A trace goes through Kafka: the request's span, the header on the record, the batch's span that links to it."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest

from shared.contracts.topics import REQUESTS
from shared.environment import KafkaConnection
from shared.kafka.groups import PartitionGroup
from shared.kafka.publishing import Publisher
from shared.kafka.reading import PartitionReader, PartitionRevoked
from shared.telemetry import traces
from tests.support.collector import Collector, tracing

CALLER: Final = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@dataclass(frozen=True)
class Sent:
    offset: int
    headers: Any


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with tracing(monkeypatch) as collector:
        yield collector


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
                reader.commit(records[-1].offset + 1)
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

    request, batch = collector.named("POST /v1/redemptions"), collector.named(f"process {REQUESTS.name} (batch)")
    went_on = collector.named(f"process {REQUESTS.name}")
    assert [(link.trace_id, link.span_id) for link in batch.links] == [(request.trace_id, request.span_id)]
    assert (went_on.trace_id, went_on.parent_span_id) == (request.trace_id, request.span_id)
    assert [link.span_id for link in went_on.links] == [batch.span_id]
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
    record = Sent(0, ((traces.HEADER, CALLER),))
    assert not traces.carried_headers([record])
    assert traces.batch_span("process", "topic", [CALLER]) is None


def test_what_cannot_be_a_trace_is_not_carried_on(collector: Collector) -> None:
    headers = {0: CALLER, 1: b"", 2: None, 3: b"x" * 900}
    records = [Sent(offset, (("other", b"o"), (traces.HEADER, value))) for offset, value in headers.items()]
    assert traces.carried_headers([*records, Sent(4, ())]) == {0: CALLER}
    span = traces.batch_span("process", "topic", [CALLER, b"no trace at all"])
    assert span is not None
    span.end()
