"""A reporting service on real servers, fed by publishing a history on the topics as codegen, redemption and ranking would."""

import csv
import hashlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from services.reporting.app import running
from services.reporting.settings import ReportingSettings
from shared.contracts.codec import encode
from shared.contracts.codegen import Token
from shared.contracts.redemption import Outcome
from shared.contracts.topics import BATCHES, CAMPAIGNS, OUTCOMES, STORES, TOKENS, VOIDS
from shared.environment import KafkaConnection, read_settings
from shared.kafka.publishing import Publisher
from shared.kafka.records import NewRecord
from tests.support.polling import poll_until
from tests.unit.reporting.history import History

Database = Callable[[str], Awaitable[str]]
SCOPES = {"t-reports": "reports", "t-store": "store:s-0000", "t-chain": "chain:playtime", "t-platform": "platform:zork"}


@dataclass(frozen=True, slots=True)
class Reporting:
    """A running service and a client of it."""

    url: str
    client: aiohttp.ClientSession

    async def get(self, path: str, token: str = "t-reports", **headers: str) -> aiohttp.ClientResponse:
        return await self.client.get(self.url + path, headers={"Authorization": f"Bearer {token}", **headers})

    async def json(self, path: str, token: str = "t-reports") -> Any:
        async with await self.get(path, token) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def text(self, path: str, token: str = "t-reports") -> str:
        async with await self.get(path, token) as response:
            assert response.status == 200, await response.text()
            return await response.text()

    async def rows(self, path: str, token: str = "t-reports") -> list[dict[str, str]]:
        separator = "&" if "?" in path else "?"
        return list(csv.DictReader(io.StringIO(await self.text(f"{path}{separator}header=plain", token), newline="")))

    async def wait_for(self, accepted: int, campaign_id: str = "spring") -> Any:
        """The summary, once it counts that many accepted redemptions."""

        async def counted() -> Any:
            async with await self.get(f"/v1/campaigns/{campaign_id}/summary") as response:
                answer = await response.json()
            return answer if response.status == 200 and answer["accepted"] >= accepted else None

        return await poll_until(counted, what=f"{accepted} accepted redemptions")


def settings_of(kafka: KafkaConnection, url: str, **more: str) -> ReportingSettings:
    return read_settings(
        ReportingSettings,
        {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
            "REPORTING_DATABASE_URL": url,
            **more,
        },
    )


@asynccontextmanager
async def reporting_service(kafka: KafkaConnection, database_url: str, **more: str) -> AsyncIterator[Reporting]:
    settings = settings_of(kafka, database_url, **more)
    async with running(settings) as service, aiohttp.ClientSession(auto_decompress=True) as client:
        await poll_until(lambda: not service.readiness.problems(), what="readiness")
        yield Reporting(service.url, client)


async def publish_reference(publisher: Publisher, history: History) -> None:
    """Tokens, campaign, stores, batches and voids."""
    for text, scope in SCOPES.items():
        token = Token(revision=1, id=text, sha256=hashlib.sha256(text.encode()).hexdigest(), scopes=(scope,))
        await publisher.send(TOKENS.name, text.encode(), encode(token))
    await publisher.send(CAMPAIGNS.name, history.campaign.id.encode(), encode(history.campaign))
    await publisher.send_all(STORES.name, [NewRecord(s.id.encode(), encode(s)) for s in history.stores])
    await publisher.send_all(BATCHES.name, [NewRecord(b.id.encode(), encode(b)) for b in history.batches])
    await publisher.send_all(VOIDS.name, [NewRecord(v.id.encode(), encode(v)) for v in history.voids])


async def publish_outcomes(publisher: Publisher, partition: int, outcomes: list[Outcome]) -> None:
    await publisher.publish_batch(OUTCOMES.name, partition, [NewRecord(b"code", encode(o)) for o in outcomes])
