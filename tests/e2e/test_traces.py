"""One trace from a caller's request over the outcome to ranking's tables and reporting's figures."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import aiohttp
import pytest

from services.redemption.app import RedemptionSettings, running
from shared.contracts.topics import OUTCOMES, REQUESTS
from shared.environment import KafkaConnection, read_settings
from shared.kafka.records import Record
from shared.telemetry import traces
from tests.integration.ranking.system import ranking, until_folded
from tests.integration.redemption.world import KEYS, TOKEN, code_of, new_world, redeem
from tests.integration.reporting.system import reporting_service
from tests.support.collector import Collector, tracing

Database = Callable[[str], Awaitable[str]]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with tracing(monkeypatch) as collector:
        yield collector


async def test_one_trace_from_the_request_to_the_tables_of_ranking_and_reporting(
    kafka: KafkaConnection, database: Database, monkeypatch: pytest.MonkeyPatch, collector: Collector
) -> None:
    monkeypatch.setenv("CODE_KEYS", KEYS.to_json())
    monkeypatch.delenv("CODE_KEYS_FILE", raising=False)
    scores_url = await database("ranking")
    async with (
        new_world(kafka, await database("redemption")) as world,
        ranking(kafka, scores_url),
        reporting_service(kafka, await database("reporting")) as reporting,
        running(read_settings(RedemptionSettings, world.environment)) as redemption,
        aiohttp.ClientSession(redemption.url, headers={"Authorization": f"Bearer {TOKEN}"}) as http,
    ):
        await world.publish_token("t-reports", ("reports",))
        body = {name: value for name, value in redeem("e-1", code_of(1)).items() if name != "type"}
        async with http.post("/v1/redemptions", json=body) as response:
            assert (await response.json())["outcome"] == "REDEEMED"
        await world.decide(redeem("e-2", code_of(2)))
        await until_folded(scores_url, {"s-0": 2})
        await reporting.wait_for(2)
        (carried,) = [dict(r.headers)[traces.HEADER] for p in (0, 1) for r in await world.outcome_records(p) if _is_traced(r)]
    await asyncio.to_thread(traces.end_traces)

    request = collector.named("POST /v1/redemptions")
    assert carried.decode().split("-")[1:3] == [request.trace_id.hex(), request.span_id.hex()]
    went_on = sorted(span.name for span in collector.spans if span.parent_span_id == request.span_id)
    assert went_on == [f"fold {OUTCOMES.name}", f"process {REQUESTS.name}", f"process {OUTCOMES.name}"]
    assert {span.trace_id for span in collector.spans if span.name in went_on} == {request.trace_id}


def _is_traced(record: Record) -> bool:
    return any(name == traces.HEADER for name, _ in record.headers)
