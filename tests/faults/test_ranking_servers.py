"""Kafka and Postgres killed under ranking: boards are read from memory, say how old they are, and go on by themselves."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.ranking import jobs
from shared.contracts.redemption import Source
from shared.environment import KafkaConnection
from shared.kafka.publishing import Publisher
from tests.faults.servers import mortal_kafka, mortal_postgres
from tests.integration.ranking.processes import is_ready
from tests.integration.ranking.system import (
    CAMPAIGN,
    Database,
    Reader,
    Topics,
    ranking,
    redeemed,
    until_folded,
    until_scores,
)
from tests.support.databases import Databases
from tests.support.polling import poll_until
from tests.support.topics import own_topics

OFTEN = {"RANKING_FOLD_SECONDS": "0.05"}
CLOCK_SECONDS = 0.05
"""Between two readings of the wall clock and of the monotonic one."""


async def test_while_kafka_is_away_boards_stay_and_say_how_old_they_are(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LATE_SECONDS", 2.0)
    url, told = await database("ranking"), dict[int, Source]()
    with mortal_kafka(tmp_path) as server:
        async with own_topics(server.address) as kafka, ranking(kafka, url, **OFTEN) as reader:
            await _tell(kafka, told, "s-1", "s-2", "s-1")
            await until_folded(url, {"s-1": 2, "s-2": 1})
            await until_scores(reader, {"s-1": 2, "s-2": 1})
            server.kill()
            away_since = datetime.now(UTC)
            await _says_that_it_stands_still(reader, away_since)
            await asyncio.to_thread(server.start)
            await _tell(kafka, told, "s-2")
            await until_scores(reader, {"s-1": 2, "s-2": 2})
            await poll_until(lambda: is_ready(reader), what="readiness")
            assert _moment(await reader.leaderboard()) > away_since
            await until_folded(url, {"s-1": 2, "s-2": 2})


async def test_while_postgres_is_away_boards_are_read_and_go_on(tmp_path: Path, kafka: KafkaConnection) -> None:
    tmp_path.chmod(0o711)
    told = dict[int, Source]()
    with mortal_postgres(tmp_path) as server:
        url = await Databases(superuser_url=server.address).make("ranking")
        async with ranking(kafka, url, **OFTEN) as reader:
            await _tell(kafka, told, "s-1")
            await until_folded(url, {"s-1": 1})
            server.kill()
            away_since = datetime.now(UTC)
            await poll_until(lambda: _says(reader, "postgres", "Postgres does not answer"), what="a readiness that says so")
            await _tell(kafka, told, "s-1", "s-2")
            await until_scores(reader, {"s-1": 2, "s-2": 1})
            assert _moment(await reader.leaderboard()) > away_since
            assert (await reader.standing("s-2"))["rank"] == 2
            await asyncio.to_thread(server.start)
            await poll_until(lambda: is_ready(reader), what="readiness")
            await until_folded(url, {"s-1": 2, "s-2": 1})


async def _says_that_it_stands_still(reader: Reader, away_since: datetime) -> None:
    """Readiness tells why; the same rows are answered, as of before Kafka went away, and each answer says by how much."""
    await poll_until(lambda: _says(reader, "outcomes", "last read to the end"), what="a readiness that says so")
    await poll_until(lambda: _says(reader, "reference", "last read to the end"), what="a readiness that says so of tokens too")
    first = await reader.leaderboard()
    await asyncio.sleep(1)
    second, standing = await reader.leaderboard(), await reader.standing("s-1")
    assert [row["score"] for row in first["rows"]] == [2, 1]
    assert (second["rows"], second["version"]) == (first["rows"], first["version"])
    assert standing["rank"] == 1
    for answer in (first, second, standing):
        assert _moment(answer) < away_since
        assert abs((_moment(answer) - _moment(first)).total_seconds()) < CLOCK_SECONDS
    assert second["lag_seconds"] > first["lag_seconds"] + 0.9
    assert await _fresh_event(reader) >= second["lag_seconds"]


async def _fresh_event(reader: Reader) -> float:
    """The lag that the first news on the live stream tells; nothing else comes while nothing changes."""
    headers = {"Authorization": "Bearer t-reports", "Last-Event-ID": (await reader.leaderboard())["version"]}
    async with reader.session.get(f"{reader.url}/v1/campaigns/{CAMPAIGN}/leaderboard/live", headers=headers) as response:
        event = (await asyncio.wait_for(response.content.readuntil(b"\n\n"), 10)).decode()
    assert event.startswith("event: fresh\n")
    return float(event.partition('"lag_seconds":')[2].partition("}")[0])


async def _tell(kafka: KafkaConnection, told: dict[int, Source], *stores: str) -> None:
    """Publishes redemptions of these stores after what was `told` before; a server that was away has a new publisher."""
    async with Publisher(kafka) as publisher:
        topics = Topics(publisher, last=told)
        if not told:
            await topics.tokens()
            await topics.campaign()
            await topics.store("s-1")
            await topics.store("s-2")
        await topics.outcomes(0, [redeemed(store) for store in stores])


async def _says(reader: Reader, check: str, reason: str) -> bool:
    async with reader.session.get(f"{reader.url}/readyz") as response:
        problems: dict[str, str] = (await response.json())["problems"]
        return response.status == 503 and reason in problems.get(check, "")


def _moment(answer: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(answer["as_of"])
