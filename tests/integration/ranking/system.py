"""A ranking service on real servers, fed by publishing on the topics what codegen and redemption would."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import asyncpg

from services.ranking.app import running
from services.ranking.settings import RankingSettings
from shared.contracts.codec import encode
from shared.contracts.codegen import Allotment, Batch, BatchState, Campaign, CampaignState, Store, Token
from shared.contracts.redemption import Outcome, OutcomeName, OutcomeType, Source, public_of
from shared.contracts.topics import BATCHES, CAMPAIGNS, OUTCOMES, STORES, TOKENS
from shared.environment import KafkaConnection, read_settings
from shared.kafka.publishing import Publisher
from shared.kafka.records import NewRecord
from tests.support.polling import poll_until
from tests.unit.ranking.plain import Counted

Database = Callable[[str], Awaitable[str]]

CAMPAIGN = "spring"
ZONE = "America/New_York"
TOKENS_BY_SCOPE = {"reports": "t-reports", "store:s-1": "t-store", "chain:playtime": "t-chain", "platform:zork": "t-platform"}


@dataclass
class Topics:
    """Publishes as the other services do: outcomes with ascending sources, each naming the one before it."""

    publisher: Publisher
    partitions: int = 2
    revision: int = 0
    published: list[list[NewRecord]] = field(default_factory=list)
    last: dict[int, Source] = field(default_factory=dict)

    async def tokens(self) -> None:
        for scope, text in TOKENS_BY_SCOPE.items():
            token = Token(revision=1, id=text, sha256=hashlib.sha256(text.encode()).hexdigest(), scopes=(scope,))
            await self.publisher.send(TOKENS.name, text.encode(), encode(token))

    async def revoke(self, scope: str) -> None:
        """Ends the token that has this scope."""
        text = TOKENS_BY_SCOPE[scope]
        hashed = hashlib.sha256(text.encode()).hexdigest()
        token = Token(revision=2, id=text, sha256=hashed, scopes=(scope,), revoked_at=datetime.now(UTC))
        await self.publisher.send(TOKENS.name, text.encode(), encode(token))

    async def campaign(self, **changes: Any) -> None:
        now = datetime.now(UTC)
        self.revision += 1
        values: dict[str, Any] = {
            "id": CAMPAIGN,
            "name": "Spring",
            "starts_at": now - timedelta(days=40),
            "ends_at": now + timedelta(days=20),
            "time_zone": ZONE,
            "state": CampaignState.ACTIVE,
            "created_at": now,
            "updated_at": now,
            **changes,
        }
        campaign = Campaign(revision=self.revision, **values)
        await self.publisher.send(CAMPAIGNS.name, campaign.id.encode(), encode(campaign))

    async def store(self, store_id: str, **fields: Any) -> None:
        self.revision += 1
        values = {"name": f"Store {store_id}", **fields}
        await self.publisher.send(STORES.name, store_id.encode(), encode(Store(revision=self.revision, id=store_id, **values)))

    async def batch(self, issued: dict[str, int], *, batch_id: str = "b-1", state: BatchState = BatchState.PUBLISHED) -> None:
        self.revision += 1
        allotments = tuple(
            Allotment(store_id=store, count=count, first_serial=1, last_serial=count) for store, count in issued.items()
        )
        batch = Batch(
            revision=self.revision,
            id=batch_id,
            campaign_id=CAMPAIGN,
            state=state,
            key_id="k1",
            key_check="",
            words="1",
            count=sum(issued.values()),
            first_serial=1,
            last_serial=10_000,
            allotments=allotments,
        )
        await self.publisher.send(BATCHES.name, batch_id.encode(), encode(batch))

    async def outcomes(self, partition: int, events: Sequence[Counted], *, campaign_id: str = CAMPAIGN) -> list[NewRecord]:
        """Publishes what was decided of these, and gives the records, for publishing them again."""
        records = [NewRecord(b"code", encode(self._outcome(partition, event, campaign_id))) for event in events]
        await self.publisher.publish_batch(OUTCOMES.name, partition, records)
        return records

    async def rejection(self, partition: int) -> None:
        outcome = self._outcome(partition, redeemed("s-1"), CAMPAIGN, name=OutcomeName.ALREADY_REDEEMED)
        await self.publisher.publish_batch(OUTCOMES.name, partition, [NewRecord(b"code", encode(outcome))])

    async def duplicate(self, partition: int) -> None:
        outcome = self._outcome(partition, redeemed("s-1"), CAMPAIGN, duplicate=True)
        await self.publisher.publish_batch(OUTCOMES.name, partition, [NewRecord(b"code", encode(outcome))])

    async def again(self, partition: int, records: Sequence[NewRecord]) -> None:
        await self.publisher.publish_batch(OUTCOMES.name, partition, records)

    def _outcome(
        self, partition: int, event: Counted, campaign_id: str, *, name: OutcomeName | None = None, duplicate: bool = False
    ) -> Outcome:
        previous = self.last.get(partition)
        offset = previous.offset + 1 + (previous.offset % 3) if previous else 0
        source = self.last[partition] = Source(epoch=1, partition=partition, offset=offset)
        outcome = name or (OutcomeName.REVERSED if event.is_reversal else OutcomeName.REDEEMED)
        kinds = {OutcomeName.REVERSED: OutcomeType.REVERSED, OutcomeName.REDEEMED: OutcomeType.ACCEPTED}
        reversal: dict[str, Any] = {"redeemed_occurred_at": event.counted_at} if event.is_reversal else {}
        return Outcome(
            type=kinds.get(outcome, OutcomeType.REJECTED),
            event_id=f"e-{partition}-{offset}",
            platform="zork",
            outcome=outcome,
            public=public_of(outcome),
            retryable=False,
            retry_after=None,
            redemption_id=f"r-{partition}-{offset}",
            duplicate=duplicate,
            serial=offset + 1,
            code_hint="3VE••••••",
            campaign_id=campaign_id,
            batch_id="b-1",
            store_id=event.store_id,
            store_region=None,
            player_id="p-1",
            occurred_at=event.occurred_at,
            received_at=event.occurred_at,
            decided_at=event.occurred_at,
            source=source,
            prev=previous,
            **reversal,
        )


@dataclass(frozen=True)
class Reader:
    """Asks a running service."""

    session: aiohttp.ClientSession
    url: str

    async def get(self, path: str, *, token: str = "t-reports", **parameters: Any) -> tuple[int, Any]:
        status, body, _ = await self.get_with_headers(path, token=token, **parameters)
        return status, body

    async def get_with_headers(
        self, path: str, *, token: str = "t-reports", headers: dict[str, str] | None = None, **parameters: Any
    ) -> tuple[int, Any, Any]:
        sent = {"Authorization": f"Bearer {token}", **(headers or {})}
        async with self.session.get(self.url + path, params=parameters, headers=sent) as response:
            body = await response.json(content_type=None) if response.status != 304 else None
            return response.status, body, response.headers

    async def leaderboard(self, campaign_id: str = CAMPAIGN, **parameters: Any) -> Any:
        status, body = await self.get(f"/v1/campaigns/{campaign_id}/leaderboard", **parameters)
        assert status == 200, body
        return body

    async def standing(self, store_id: str, **parameters: Any) -> Any:
        status, body = await self.get(f"/v1/campaigns/{CAMPAIGN}/stores/{store_id}/standing", **parameters)
        assert status == 200, body
        return body

    async def scores(self, **parameters: Any) -> dict[str, int]:
        return {row["store_id"]: row["score"] for row in (await self.leaderboard(**parameters))["rows"]}


def redeemed(store_id: str, occurred_at: datetime | None = None) -> Counted:
    moment = occurred_at or datetime.now(UTC)
    return Counted(store_id=store_id, occurred_at=moment, counted_at=moment)


def reversed_at(event: Counted, occurred_at: datetime | None = None) -> Counted:
    moment = occurred_at or datetime.now(UTC)
    return Counted(store_id=event.store_id, occurred_at=moment, counted_at=event.counted_at, is_reversal=True)


def ranking_settings(kafka: KafkaConnection, database_url: str, **environment: str) -> RankingSettings:
    """Settings of a service on these servers."""
    return read_settings(
        RankingSettings,
        {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
            "RANKING_DATABASE_URL": database_url,
            **environment,
        },
    )


@asynccontextmanager
async def ranking(kafka: KafkaConnection, database_url: str, **environment: str) -> AsyncIterator[Reader]:
    """One running copy."""
    settings = ranking_settings(kafka, database_url, **environment)
    async with running(settings) as service, aiohttp.ClientSession() as session:
        yield Reader(session, service.url)


async def until_total(reader: Reader, total: int, **parameters: str) -> None:
    async def reached() -> bool:
        return bool((await reader.leaderboard(**parameters))["total"] == total)

    await poll_until(reached, what=f"a board of {total}")


async def until_scores(reader: Reader, scores: dict[str, int], **parameters: str) -> None:
    async def reached() -> bool:
        return await reader.scores(**parameters) == scores

    await poll_until(reached, what=f"scores {scores}")


async def until_folded(url: str, scores: dict[str, int]) -> None:
    """Waits until the table's sums of all days and campaigns are these."""
    connection = await asyncpg.connect(url)
    try:

        async def folded() -> bool:
            rows = await connection.fetch("SELECT store_id, sum(redemptions - reversals)::int FROM scores GROUP BY 1")
            return dict(map(tuple, rows)) == scores

        await poll_until(folded, what=f"folded scores {scores}")
    finally:
        await connection.close()
