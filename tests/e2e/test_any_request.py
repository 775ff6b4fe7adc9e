"""Requests that nobody thought of, made up from each service's own OpenAPI document: an answer of the document, never a 500."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from shared.environment import KafkaConnection
from tests.support.system import TestSystem, running_system

SERVICES: Final = ("codegen", "redemption", "ranking", "reporting")
CHECKS: Final = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]
EXAMPLES: Final = 6
REQUESTS_A_MINUTE: Final = "100000"
STREAMS: Final = ("/live", "/progress")
"""Answers that never end."""


@pytest.fixture
async def system(kafka: KafkaConnection, shared_database: dict[str, str], tmp_path: Path) -> AsyncIterator[TestSystem]:
    more = {"HTTP_REQUESTS_A_MINUTE": REQUESTS_A_MINUTE}
    async with running_system(kafka, shared_database, tmp_path, settings=more) as system:
        yield system


async def test_no_request_at_all_makes_a_service_fail(system: TestSystem) -> None:
    failures: list[str] = []
    kinds: set[int] = set()
    for service in SERVICES:
        document = await system.call("GET", service, "/openapi.json")
        token = system.environment["ADMIN_TOKEN"]
        for operation in _operations(document):
            try:
                await asyncio.to_thread(_try, operation, system.url(service), token, kinds)
            except Exception as failure:  # what schemathesis raises is told whole, of every operation
                failures.append(f"{service} {operation.label}: {failure}")
    assert {2, 4} <= kinds, "some were fine and some were not"
    assert not failures, "\n\n".join(failures)


def _operations(document: Any) -> Iterator[Any]:
    for result in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = result.ok()
        if not operation.path.endswith(STREAMS):
            yield operation


def _try(operation: Any, url: str, token: str, kinds: set[int]) -> None:
    @seed(20_261_125)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def send(case: Any) -> None:
        answer = case.call(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=20)
        kinds.add(answer.status_code // 100)
        case.validate_response(answer, checks=CHECKS)

    send()
