"""Reads that come again are answered without the route, and pass everything else that a request has to pass."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
from aiohttp import web

from shared.contracts.codec import encode
from shared.contracts.codegen import Token
from shared.kafka.records import NewRecord
from shared.telemetry import logs
from shared.telemetry.readiness import Readiness
from shared.web import noting, repeating
from shared.web.application import ServiceDescription, build_web_app, serving
from shared.web.pages import TOKEN_COOKIE, Pages
from shared.web.repeating import Repeatable
from shared.web.routes import Call, Fields, NoFields, Route
from shared.web.tokens import TokenDirectory, hash_token

OF_ITS_OWN = {"date", "x-request-id"}


class BoardQuery(Fields):
    limit: int = 50


@dataclass
class Board:
    """A handler whose answer holds until `version` changes; it counts how often it is asked."""

    version: int = 1
    asked: int = 0
    told: list[datetime] = field(default_factory=list)

    async def read(self, call: Call[BoardQuery, NoFields]) -> web.StreamResponse:
        self.asked += 1
        version, limit, who = self.version, call.query.limit, call.caller.token_id

        def again(now: datetime) -> tuple[bytes, ...] | None:
            self.told.append(now)
            return self._body(version, limit, who) if self.version == version else None

        headers = {"ETag": f'W/"{version}"', "Content-Type": "application/json"}
        if call.request.headers.get("If-None-Match") == headers["ETag"]:
            return Repeatable(again=lambda now: None if again(now) is None else (), status=304, headers=headers)
        return Repeatable(again=again, body=b"".join(self._body(version, limit, who)), headers=headers)

    def _body(self, version: int, limit: int, who: str) -> tuple[bytes, ...]:
        return b'{"version":', b"%d" % version, b',"limit":%d,"who":"%s"}' % (limit, who.encode())


def _token(name: str, *scopes: str, revision: int = 1, **fields: Any) -> NewRecord:
    token = Token(revision=revision, id=f"t-{name}", sha256=hash_token(name), scopes=scopes, **fields)
    return NewRecord(token.id.encode(), encode(token))


@pytest.fixture
def tokens() -> TokenDirectory:
    async def refresh() -> None:
        return None

    directory = TokenDirectory(refresh=refresh, age_seconds=lambda: 0.0)
    directory.apply(0, [_token("ann", "reports"), _token("bob", "reports")])
    return directory


@pytest.fixture
def board() -> Board:
    return Board()


@asynccontextmanager
async def _served(board: Board, tokens: TokenDirectory, folder: Path, **limits: int) -> AsyncIterator[str]:
    app = build_web_app(
        ServiceDescription(title="Boards", description="A service of a test.", version="1"),
        [Route(method="GET", path="/board", handler=board.read, summary="", scopes=("reports",), query=BoardQuery)],
        tokens=tokens,
        readiness=Readiness(),
        unavailable=lambda _: False,
        pages=Pages(folder),
        **limits,
    )
    async with serving(app, host="127.0.0.1", port=0) as url:
        yield url


@pytest.fixture
async def session(board: Board, tokens: TokenDirectory, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        _served(board, tokens, tmp_path) as url,
        aiohttp.ClientSession(url, headers={"Authorization": "Bearer ann"}, cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):
        yield session


async def _get(session: aiohttp.ClientSession, path: str = "/board", **headers: str) -> tuple[int, dict[str, str], bytes]:
    async with session.get(path, headers=headers) as response:
        return response.status, {name.lower(): value for name, value in response.headers.items()}, await response.read()


async def test_a_repeated_answer_is_the_same_without_asking_the_route(board: Board, session: aiohttp.ClientSession) -> None:
    first, second, third = [await _get(session) for _ in range(3)]
    assert board.asked == 1
    assert first[0] == second[0] == 200
    assert first[2] == second[2] == third[2] == b'{"version":1,"limit":50,"who":"t-ann"}'
    assert first[1].keys() == second[1].keys()
    for name in first[1].keys() - OF_ITS_OWN:
        assert first[1][name] == second[1][name]
    assert len({answer[1]["x-request-id"] for answer in (first, second, third)}) == 3


async def test_an_answer_that_holds_no_longer_is_asked_for_anew(board: Board, session: aiohttp.ClientSession) -> None:
    await _get(session)
    board.version = 2
    assert (await _get(session))[2] == b'{"version":2,"limit":50,"who":"t-ann"}'
    assert (await _get(session))[1]["etag"] == 'W/"2"'
    assert board.asked == 2


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/board?limit=7", {}),
        ("/board", {"Authorization": "Bearer bob"}),
        ("/board", {"Origin": "https://portal.example"}),
        ("/board", {"If-None-Match": 'W/"1"'}),
    ],
)
async def test_another_question_is_another_answer(
    board: Board, session: aiohttp.ClientSession, path: str, headers: dict[str, str]
) -> None:
    before = await _get(session)
    first = await _get(session, path, **headers)
    assert board.asked == 2
    assert (await _get(session, path, **headers))[2] == first[2]
    assert (await _get(session))[2] == before[2]
    assert board.asked == 2


async def test_what_may_depend_on_more_is_always_asked(board: Board, session: aiohttp.ClientSession) -> None:
    for _ in range(2):
        await _get(session, Cookie=f"{TOKEN_COOKIE}=bob")
        async with session.get("/board", data=b"a body") as response:
            assert response.status == 200
        async with session.get("/board", headers={"Connection": "close"}) as response:
            assert response.headers["Connection"] == "close"
    assert board.asked == 6


async def test_an_end_of_a_token_ends_its_repeats_at_once(
    board: Board, session: aiohttp.ClientSession, tokens: TokenDirectory
) -> None:
    assert [(await _get(session))[0] for _ in range(2)] == [200, 200]
    tokens.apply(0, [_token("ann", "platform:zork", revision=2)])
    assert (await _get(session))[0] == 404
    tokens.apply(0, [_token("ann", "reports", revision=3)])
    assert (await _get(session))[0] == 200
    ended = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    tokens.apply(0, [_token("ann", "reports", revision=4, revoked_at=ended)])
    assert (await _get(session))[0] == 401
    assert (await _get(session, Authorization="Basic ann"))[0] == 401


async def test_repeats_count_for_the_limit_and_tell_it(board: Board, tokens: TokenDirectory, tmp_path: Path) -> None:
    headers = {"Authorization": "Bearer ann"}
    async with (
        _served(board, tokens, tmp_path, requests_a_minute=3) as url,
        aiohttp.ClientSession(url, headers=headers) as session,
    ):
        answers = [await _get(session) for _ in range(8)]
    found = [status for status, _, _ in answers]
    assert found.count(200) in (3, 4, 5, 6)
    assert found[-1] == 429
    assert answers[-1][1]["retry-after"]
    assert [answer[1]["ratelimit"].partition(";t=")[0] for answer in answers[:2]] == ['"caller";r=2', '"caller";r=1']


async def test_a_repeat_is_counted_and_logged_like_any_request(
    board: Board, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = structlog.testing.CapturingLogger()
    monkeypatch.setattr(noting, "log", written)
    monkeypatch.setattr(logs, "_threshold", logging.INFO)
    _, _, before = await _get(session, "/metrics")
    for number in range(3):
        assert (await _get(session, **{"X-Request-Id": f"asked-{number}"}))[1]["x-request-id"] == f"asked-{number}"
    assert board.asked == 1
    _, _, after = await _get(session, "/metrics")
    name = 'counterfoil_http_requests_total{method="GET",route="/board",status="200"}'
    assert _sample(after, name) - _sample(before, name) == 3
    lines = [(call.method_name, call.kwargs["route"], call.kwargs["request_id"]) for call in written.calls]
    assert lines == [("info", "/board", f"asked-{number}") for number in range(3)]


async def test_requests_sent_at_once_are_answered_in_order_and_without_a_body_where_nothing_changed(
    board: Board, session: aiohttp.ClientSession, tokens: TokenDirectory, tmp_path: Path
) -> None:
    async with _served(board, tokens, tmp_path) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        head = b"GET /board HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ann\r\n"
        last = b"GET /board?limit=9 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ann\r\nConnection: close\r\n\r\n"
        known = head + b'If-None-Match: W/"1"\r\n\r\n'
        writer.write(head + b"\r\n" + known + head + b"\r\n" + known + last)
        said = await asyncio.wait_for(reader.read(), 10)
        writer.close()
    assert [line.split(b" ")[1] for line in said.splitlines() if b"HTTP/1.1 " in line] == [
        b"200",
        b"304",
        b"200",
        b"304",
        b"200",
    ]
    assert said.count(b'"limit":50') == 2
    assert said.count(b"Content-Length") == 3
    assert board.asked == 3


async def test_no_more_than_a_bounded_number_is_kept(
    board: Board, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeating, "MOST_KEPT", 2)
    for limit in (1, 2, 3):
        await _get(session, f"/board?limit={limit}")
    await _get(session, "/board?limit=3")
    assert board.asked == 3
    await _get(session, "/board?limit=1")
    assert board.asked == 4


def _sample(metrics: bytes, name: str) -> float:
    return next((float(line.rpartition(" ")[2]) for line in metrics.decode().splitlines() if line.startswith(name)), 0.0)
