"""The route table: what comes in is checked, what goes wrong is a problem, who calls is known."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from openapi_spec_validator import validate
from pydantic import Field

from shared.contracts.codec import encode
from shared.contracts.codegen import Token
from shared.telemetry.readiness import Readiness
from shared.web.application import ServiceDescription, build_web_app, serving
from shared.web.pages import TOKEN_COOKIE, Pages, csrf_of
from shared.web.problems import not_found
from shared.web.routes import Answer, Call, Fields, Route
from shared.web.tokens import TokenDirectory, hash_token

DESCRIPTION = ServiceDescription(title="Things", description="A service of a test.", version="1")


class ThingQuery(Fields):
    limit: int = Field(default=50, ge=1, le=1000, description="How many")


class NewThing(Fields):
    name: str = Field(min_length=1, max_length=64)
    count: int = Field(ge=0)


@dataclass(frozen=True)
class TokenRecord:
    key: bytes
    value: bytes


class Away(Exception):  # noqa: N818
    pass


async def list_things(call: Call[ThingQuery, None]) -> Any:
    return {"items": [], "limit": call.query.limit, "who": call.caller.token_id}


async def make_thing(call: Call[Any, NewThing]) -> Any:
    return Answer(value=call.body, status=201, headers={"Location": f"/things/{call.body.name}"})


async def read_thing(call: Call[Any, None]) -> Any:
    match call.path["id"]:
        case "broken":
            message = "a secret 3VE3VGT2K"
            raise RuntimeError(message)
        case "away":
            raise Away
    raise not_found("thing")


ROUTES = (
    Route(method="GET", path="/things", handler=list_things, summary="List", scopes=("admin",), query=ThingQuery),
    Route(
        method="POST",
        path="/things",
        handler=make_thing,
        summary="Make",
        scopes=("admin", "platform:*"),
        body=NewThing,
        status=201,
    ),
    Route(method="GET", path="/things/{id}", handler=read_thing, summary="Read", scopes=("admin",)),
)


def token_of(name: str, *scopes: str, **fields: Any) -> TokenRecord:
    token = Token(revision=1, id=f"t-{name}", sha256=hash_token(name), scopes=scopes, **fields)
    return TokenRecord(token.id.encode(), encode(token))


@pytest.fixture
async def tokens() -> TokenDirectory:
    async def refresh() -> None:
        return None

    directory = TokenDirectory(refresh=refresh, age_seconds=lambda: 0.0)
    past = datetime.now(UTC) - timedelta(seconds=1)
    directory.apply(
        0,
        [
            token_of("root", "admin"),
            token_of("zork", "platform:zork"),
            token_of("reader", "reports"),
            token_of("expired", "admin", expires_at=past),
            token_of("revoked", "admin", revoked_at=past),
        ],
    )
    return directory


@pytest.fixture
async def client(tokens: TokenDirectory, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    app = build_web_app(
        DESCRIPTION,
        ROUTES,
        tokens=tokens,
        readiness=Readiness(),
        unavailable=lambda error: isinstance(error, Away),
        pages=Pages(tmp_path),
    )
    async with serving(app, host="127.0.0.1", port=0) as url, aiohttp.ClientSession(url) as session:
        yield session


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}"}


@pytest.mark.parametrize(
    ("method", "path", "token", "body", "status", "field"),
    [
        ("GET", "/things", "root", None, 200, None),
        ("GET", "/things?limit=0", "root", None, 422, "limit"),
        ("GET", "/things?limit=1&limit=2", "root", None, 422, "limit"),
        ("GET", "/things?lmit=1", "root", None, 422, "lmit"),
        ("GET", "/things", None, None, 401, None),
        ("GET", "/things", "nobody", None, 401, None),
        ("GET", "/things", "expired", None, 401, None),
        ("GET", "/things", "revoked", None, 401, None),
        ("GET", "/things", "reader", None, 404, None),
        ("POST", "/things", "reader", {"name": "a", "count": 1}, 403, None),
        ("POST", "/things", "zork", {"name": "a", "count": 1}, 201, None),
        ("POST", "/things", "root", {"name": "a", "count": -1}, 422, "count"),
        ("POST", "/things", "root", {"name": "a", "cuont": 1, "count": 1}, 422, "cuont"),
        ("POST", "/things", "root", {"name": "a\u0000", "count": 1}, 422, "(body)"),
        ("POST", "/things", "root", None, 400, None),
        ("POST", "/things", "root", "not json", 400, None),
        ("GET", "/things/7", "root", None, 404, None),
        ("GET", "/things/a%00b", "root", None, 404, None),
        ("GET", "/nothing", "root", None, 404, None),
        ("DELETE", "/things", "root", None, 405, None),
        ("GET", "/things/away", "root", None, 503, None),
    ],
)
async def test_every_request_is_answered_as_the_contract_says(
    client: aiohttp.ClientSession, method: str, path: str, token: str | None, body: Any, status: int, field: str | None
) -> None:
    data = body if body is None or isinstance(body, str) else orjson.dumps(body)
    async with client.request(method, path, data=data, headers=bearer(token) if token else {}) as response:
        answer = orjson.loads(await response.read())
        assert response.status == status
        if status >= 400:
            assert response.content_type == "application/problem+json"
            assert answer["status"] == status
            assert answer["detail"]
        if field is not None:
            assert [error["field"] for error in answer["errors"]] == [field]


async def test_a_failure_of_ours_tells_the_caller_nothing(client: aiohttp.ClientSession) -> None:
    async with client.get("/things/broken", headers=bearer("root")) as response:
        text = await response.text()
    assert response.status == 500
    assert "3VE3VGT2K" not in text
    assert "Traceback" not in text


async def test_a_cookie_reads_but_changes_nothing_without_the_pages_word(client: aiohttp.ClientSession) -> None:
    cookie = {"Cookie": f"{TOKEN_COOKIE}=root"}
    thing = orjson.dumps({"name": "a", "count": 1})
    async with client.get("/things", headers=cookie) as response:
        assert response.status == 200
    async with client.post("/things", data=thing, headers=cookie) as response:
        assert response.status == 403
    async with client.post("/things", data=thing, headers={**cookie, "X-Counterfoil-Csrf": csrf_of("root")}) as response:
        assert response.status == 201


async def test_tokens_that_cannot_be_checked_stop_changes_but_not_reads(tokens: TokenDirectory, tmp_path: Path) -> None:
    tokens._age_seconds = lambda: 31.0
    app = build_web_app(
        DESCRIPTION, ROUTES, tokens=tokens, readiness=Readiness(), unavailable=lambda _: False, pages=Pages(tmp_path)
    )
    async with serving(app, host="127.0.0.1", port=0) as url, aiohttp.ClientSession(url, headers=bearer("root")) as session:
        async with session.get("/things") as response:
            assert response.status == 200
        async with session.post("/things", json={"name": "a", "count": 1}) as response:
            assert response.status == 503


async def test_a_token_that_asks_too_often_is_told_to_wait_and_others_are_not(tokens: TokenDirectory, tmp_path: Path) -> None:
    app = build_web_app(
        DESCRIPTION,
        ROUTES,
        tokens=tokens,
        readiness=Readiness(),
        unavailable=lambda _: False,
        pages=Pages(tmp_path),
        requests_a_minute=2,
    )
    async with serving(app, host="127.0.0.1", port=0) as url, aiohttp.ClientSession(url) as session:
        statuses = []
        for _ in range(5):
            async with session.get("/things", headers=bearer("root")) as response:
                statuses.append(response.status)
                assert response.headers["RateLimit-Policy"] == '"caller";q=2;w=60'
                assert response.headers["RateLimit"].startswith('"caller";r=')
        assert statuses[-1] == 429
        assert response.content_type == "application/problem+json"
        assert int(response.headers["Retry-After"]) > 0
        async with session.get("/things", headers=bearer("reader")) as response:
            assert response.status != 429


async def test_an_unknown_token_makes_the_topic_be_read_once(tokens: TokenDirectory) -> None:
    asked = []

    async def refresh() -> None:
        asked.append(time.monotonic())
        tokens.apply(0, [token_of("late", "admin")])

    tokens._refresh = refresh
    assert await tokens.authenticate("late", now=datetime.now(UTC)) is not None
    assert await tokens.authenticate("late", now=datetime.now(UTC)) is not None
    assert len(asked) == 1


async def test_an_older_record_of_a_token_is_ignored(tokens: TokenDirectory) -> None:
    moment = datetime.now(UTC)
    tokens.apply(0, [token_of("zork", "platform:zork", revoked_at=moment)])
    assert await tokens.authenticate("zork", now=datetime.now(UTC)) is None
    old = Token(revision=0, id="t-zork", sha256=hash_token("zork"), scopes=("platform:zork",))
    tokens.apply(0, [TokenRecord(b"t-zork", encode(old))])
    assert await tokens.authenticate("zork", now=datetime.now(UTC)) is None


async def test_probes_need_no_token_and_documents_are_valid(client: aiohttp.ClientSession) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/docs"):
        async with client.get(path) as response:
            assert response.status == 200
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    async with client.get("/openapi.json") as response:
        document = orjson.loads(await response.read())
    validate(document)
    assert set(document["paths"]) == {"/things", "/things/{id}"}


async def test_metrics_and_logs_hold_the_routes_template_never_its_path(
    client: aiohttp.ClientSession, capsys: pytest.CaptureFixture[str]
) -> None:
    async with client.get("/things/3VE3VGT2K", headers=bearer("root")):
        pass
    async with client.get("/metrics") as response:
        metrics = await response.text()
    assert 'route="/things/{id}"' in metrics
    said = capsys.readouterr()
    assert "3VE3VGT2K" not in metrics + said.out + said.err
