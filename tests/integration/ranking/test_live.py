"""The live board as server-sent events."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from services.ranking.handlers import live
from shared.environment import KafkaConnection
from tests.integration.ranking.system import CAMPAIGN, Database, Reader, Topics, ranking, redeemed, until_scores
from tests.support.polling import poll_until

LIVE = f"/v1/campaigns/{CAMPAIGN}/leaderboard/live"


class EndOfStream(Exception):  # noqa: N818 (an everyday ending)
    """The service ended the stream."""


class Events:
    """Reads events of one stream: (name, id, data)."""

    def __init__(self, lines: Any) -> None:
        self._lines = lines

    async def next(self, name: str, seconds: float = 8) -> tuple[str, Any]:
        """The next event of this name, others skipped."""
        async with asyncio.timeout(seconds):
            while True:
                fields: dict[str, str] = {}
                while line := (await self._line()).rstrip("\n"):
                    key, _, value = line.partition(": ")
                    fields[key] = value
                if fields.get("event") == name:
                    return fields.get("id", ""), json.loads(fields["data"])

    async def _line(self) -> str:
        line = (await self._lines.readline()).decode()
        if not line:
            raise EndOfStream
        return str(line)


@asynccontextmanager
async def listening(reader: Reader, last_version: str = "", **parameters: str) -> AsyncIterator[Events]:
    headers = {"Authorization": "Bearer t-reports", **({"Last-Event-ID": last_version} if last_version else {})}
    async with reader.session.get(reader.url + LIVE, headers=headers, params=parameters) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        yield Events(response.content)


async def test_a_listener_gets_the_board_at_once_and_again_when_it_changes(
    kafka: KafkaConnection, database: Database, topics: Topics
) -> None:
    async with ranking(kafka, await database("ranking")) as reader, listening(reader) as events:
        version, first = await events.next("leaderboard")
        assert (first["rows"], first["version"]) == ([], version)
        await topics.outcomes(0, [redeemed("s-1")])
        published = time.monotonic()
        changed, second = await events.next("leaderboard")
        assert time.monotonic() - published < 1.5
        assert ([row["store_id"] for row in second["rows"]], changed != version) == (["s-1"], True)


async def test_changes_are_told_at_most_once_a_second(kafka: KafkaConnection, database: Database, topics: Topics) -> None:
    async with ranking(kafka, await database("ranking")) as reader, listening(reader) as events:
        await events.next("leaderboard")
        moments = []
        for wanted in range(1, 16):
            await topics.outcomes(0, [redeemed("s-1")])
            await asyncio.sleep(0.1)
            if wanted % 5 == 0:
                _, board = await events.next("leaderboard")
                moments.append(datetime.fromisoformat(board["as_of"]).timestamp() + board["lag_seconds"])
        assert all(later - earlier >= 0.98 for earlier, later in pairwise(moments)), "as the server's own clock says"


async def test_who_has_the_version_already_hears_only_that_it_is_fresh(
    kafka: KafkaConnection, database: Database, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "FRESH_SECONDS", 0.5)
    await topics.outcomes(0, [redeemed("s-1")])
    async with ranking(kafka, await database("ranking")) as reader:
        await until_scores(reader, {"s-1": 1})
        version = (await reader.leaderboard())["version"]
        async with listening(reader, last_version=version) as events:
            _, fresh = await events.next("fresh")
            assert set(fresh) == {"as_of", "lag_seconds"}
            await topics.outcomes(0, [redeemed("s-2")])
            changed, _ = await events.next("leaderboard")
            assert changed != version


async def test_who_joins_others_is_told_how_fresh_an_old_board_is_now(
    kafka: KafkaConnection, database: Database, topics: Topics
) -> None:
    async with ranking(kafka, await database("ranking")) as reader, listening(reader) as events:
        version, first = await events.next("leaderboard")
        await asyncio.sleep(3)
        async with listening(reader) as others:
            same, second = await others.next("leaderboard")
        assert (same, second["rows"]) == (version, first["rows"])
        assert datetime.fromisoformat(second["as_of"]) - datetime.fromisoformat(first["as_of"]) > timedelta(seconds=1)


async def test_the_stream_of_a_token_that_is_revoked_ends(kafka: KafkaConnection, database: Database, topics: Topics) -> None:
    async with ranking(kafka, await database("ranking")) as reader, listening(reader) as events:
        await events.next("leaderboard")
        await topics.revoke("reports")
        await poll_until(lambda: is_refused(reader), what="the end of the token")
        await topics.outcomes(0, [redeemed("s-1")])
        with pytest.raises(EndOfStream):
            await events.next("leaderboard")


async def is_refused(reader: Reader) -> bool:
    status, _ = await reader.get("/v1/campaigns")
    return status == 401


async def test_a_service_that_ends_ends_its_streams(kafka: KafkaConnection, database: Database, topics: Topics) -> None:
    async with aiohttp.ClientSession() as session:
        async with ranking(kafka, await database("ranking")) as reader:
            headers = {"Authorization": "Bearer t-reports"}
            response = await session.get(reader.url + LIVE, headers=headers)
            await Events(response.content).next("leaderboard")
            ending = time.monotonic()
        assert time.monotonic() - ending < 6
        assert b"event: leaderboard" not in await response.content.read()
