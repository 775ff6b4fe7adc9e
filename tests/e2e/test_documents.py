"""Each service's OpenAPI document: valid, fresh, and with every route of the contract; and the same holds for its answers."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from openapi_spec_validator import validate

from tests.support.databases import Databases
from tests.support.system import TestSystem, system_of_its_own

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).parents[2]

# Every route of contracts.md, as method and template.
CONTRACT = {
    "codegen": """
        POST /v1/campaigns | GET /v1/campaigns | GET /v1/campaigns/{} | PATCH /v1/campaigns/{} | PUT /v1/stores | GET /v1/stores
        POST /v1/batches/plan | POST /v1/batches | GET /v1/batches | GET /v1/batches/{} | GET /v1/batches/{}/progress
        POST /v1/batches/{}/publish | POST /v1/batches/{}/cancel | POST /v1/batches/{}/resume | PATCH /v1/batches/{}
        GET /v1/batches/{}/codes.csv | GET /v1/batches/{}/manifest.csv | POST /v1/voids/preview | POST /v1/voids
        GET /v1/codes/{} | GET /v1/codes | POST /v1/tokens | GET /v1/tokens | DELETE /v1/tokens/{}""",
    "redemption": """
        POST /v1/redemptions | POST /v1/reversals | GET /v1/redemptions/{}/{} | POST /RPC2""",
    "ranking": """
        GET /v1/campaigns/{}/leaderboard | GET /v1/campaigns/{}/stores/{}/standing | GET /v1/campaigns/{}/leaderboard/live
        POST /v1/campaigns/{}/standings""",
    "reporting": """
        GET /v1/campaigns/{}/performance.csv | GET /v1/campaigns/{}/ledger.csv | GET /v1/campaigns/{}/rejections.csv
        GET /v1/campaigns/{}/standings.csv | GET /v1/campaigns/{}/timeseries.csv | GET /v1/campaigns/{}/summary
        GET /v1/campaigns/{}/charts/{}""",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    kafka_server: str, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[TestSystem]:
    async with system_of_its_own(kafka_server, databases, tmp_path_factory.mktemp("system")) as system:
        yield system


async def test_every_document_is_valid_fresh_and_holds_the_contracts_routes(system: TestSystem) -> None:
    for service, routes in CONTRACT.items():
        document = await system.call("GET", service, "/openapi.json")
        validate(document)
        kept = json.loads((ROOT / "docs" / "openapi" / f"{service}.json").read_text(encoding="utf-8"))
        assert document == kept, f"docs/openapi/{service}.json is stale: run `make up` and `counterfoil documents`"
        offered = {f"{method.upper()} {_unnamed(path)}" for path, methods in document["paths"].items() for method in methods}
        wanted = {route.strip() for line in routes.splitlines() for route in line.split("|") if route.strip()}
        assert wanted <= offered, wanted - offered


async def test_nothing_but_probes_and_documents_answers_without_a_token(system: TestSystem) -> None:
    async with aiohttp.ClientSession() as session:
        for service in CONTRACT:
            document = await system.call("GET", service, "/openapi.json")
            for path, methods in document["paths"].items():
                for method, operation in methods.items():
                    if "security" in operation:
                        async with session.request(
                            method, system.url(service) + path.replace("{", "").replace("}", "")
                        ) as answer:
                            assert answer.status == 401, (service, method, path)
            for path in ("/livez", "/readyz", "/metrics", "/docs"):
                async with session.get(system.url(service) + path) as answer:
                    assert answer.status == 200, (service, path)


def _unnamed(path: str) -> str:
    parts = ["{}" if "{" in part else part for part in path.split("/")]
    return "/".join(parts)
