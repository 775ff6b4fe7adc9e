"""A small campaign on a system of a test's own: stores, a published batch of codes, and requests that redeem them."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from shared.contracts.codec import decoder, format_time
from shared.contracts.codegen import Batch, BatchState
from shared.contracts.redemption import Effect, Outcome, effect_of
from shared.contracts.topics import BATCHES, OUTCOMES, REQUESTS
from shared.kafka.inspecting import LogInspector
from shared.kafka.publishing import Publisher
from shared.kafka.records import NewRecord
from tests.support.polling import poll_until
from tests.support.system import TestSystem


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallCampaign:
    """A running campaign and all its codes, each with its store."""

    id: str
    codes: tuple[tuple[str, str], ...]

    def requests(self, first: int, end: int) -> list[dict[str, Any]]:
        """One request for each of the codes from `first` to before `end`, each by another player."""
        now = format_time(datetime.now(UTC))
        return [
            {
                "type": "redeem",
                "event_id": f"{self.id}-{number}",
                "platform": "zork",
                "code": self.codes[number][0],
                "player_id": f"p-{number}",
                "occurred_at": now,
            }
            for number in range(first, end)
        ]


async def open_campaign(system: TestSystem, campaign_id: str = "small", *, stores: int = 3, each: int = 200) -> SmallCampaign:
    """Stores, a campaign that runs from yesterday until next month, and a published batch of `each` codes a store."""
    now = datetime.now(UTC)
    await system.call("PUT", "codegen", "/v1/stores", [{"id": f"s-{n}", "name": f"Store {n}"} for n in range(stores)])
    campaign = {
        "id": campaign_id,
        "name": f"Campaign {campaign_id}",
        "starts_at": format_time(now - timedelta(days=1)),
        "ends_at": format_time(now + timedelta(days=30)),
        "time_zone": "Europe/Berlin",
        "limits": {"per_player": None},
    }
    await system.call("POST", "codegen", "/v1/campaigns", campaign)
    body = {"campaign_id": campaign_id, "count_per_store": each, "stores": "all", "publish": True}
    key = {"Idempotency-Key": f"batch-{campaign_id}"}
    batch = await system.call("POST", "codegen", "/v1/batches", body, headers=key)

    async def published() -> bool:
        return bool((await system.call("GET", "codegen", f"/v1/batches/{batch['id']}"))["state"] == "published")

    await poll_until(published, 60, what="the batch being published")
    await poll_until(lambda: _is_announced(system, batch["id"]), 60, what="the published batch being on its topic")
    text = await system.call("GET", "codegen", f"/v1/batches/{batch['id']}/codes.csv?header=plain")
    rows = [line.split(",") for line in text.split("\r\n")[1:] if line]
    return SmallCampaign(id=campaign_id, codes=tuple((row[0], row[2]) for row in rows))


async def _is_announced(system: TestSystem, batch_id: str) -> bool:
    """A batch that publishes itself is published in the tables a moment before the others learn of it."""
    decode = decoder(Batch)
    async with LogInspector(system.kafka) as log:
        for partition in await log.ends(BATCHES.name):
            async for record in log.read(BATCHES.name, partition, 0):
                if record.key == batch_id.encode() and record.value and decode(record.value).state is BatchState.PUBLISHED:
                    return True
    return False


async def send(system: TestSystem, requests: Iterable[Mapping[str, Any]]) -> None:
    """Writes the requests to the topic, spread over its partitions."""
    records = [NewRecord(request["event_id"].encode(), msgspec.json.encode(request)) for request in requests]
    async with Publisher(system.kafka) as publisher:
        await publisher.send_all(REQUESTS.name, records)


async def outcomes(system: TestSystem, campaign_id: str | None = None) -> list[Outcome]:
    """Every outcome on the topic, or of a campaign, once."""
    decode = decoder(Outcome)
    found: dict[tuple[int, int, int], Outcome] = {}
    async with LogInspector(system.kafka) as log:
        for partition in await log.ends(OUTCOMES.name):
            async for record in log.read(OUTCOMES.name, partition, 0):
                outcome = decode(record.value or b"")
                source = outcome.source
                if campaign_id in (None, outcome.campaign_id):
                    found[source.epoch, source.partition, source.offset] = outcome
    return list(found.values())


async def wait_decided(system: TestSystem, count: int, campaign_id: str | None = None) -> list[Outcome]:
    """Returns when there are as many outcomes, of the campaign if one is named."""

    async def enough() -> list[Outcome]:
        found = await outcomes(system, campaign_id)
        return found if len(found) >= count else []

    return await poll_until(enough, 60, what=f"{count} outcomes")


def net_by_store(found: Iterable[Outcome]) -> dict[str, int]:
    """Redemptions less reversals of each store, by the topic alone."""
    net: Counter[str] = Counter()
    for outcome in found:
        effect = effect_of(outcome)
        if effect is not Effect.NONE:
            net[outcome.store_id or ""] += 1 if effect is Effect.REDEMPTION else -1
    return dict(+net)


async def wait_ends_equal(system: TestSystem, campaign_id: str, expected: Mapping[str, int]) -> None:
    """Returns when ranking's board and reporting's sheet both show exactly this."""
    await asyncio.gather(
        poll_until(lambda: _board_is(system, campaign_id, expected), 60, what="ranking showing the outcomes' sums"),
        poll_until(lambda: _sheet_is(system, campaign_id, expected), 60, what="reporting showing the outcomes' sums"),
    )


async def _board_is(system: TestSystem, campaign_id: str, expected: Mapping[str, int]) -> bool:
    path = f"/v1/campaigns/{campaign_id}/leaderboard?window=all&limit=1000"
    board = await system.call("GET", "ranking", path, token="REPORTS_TOKEN")
    return {row["store_id"]: row["score"] for row in board["rows"]} == dict(expected)


async def _sheet_is(system: TestSystem, campaign_id: str, expected: Mapping[str, int]) -> bool:
    path = f"/v1/campaigns/{campaign_id}/performance.csv?header=plain"
    text = await system.call("GET", "reporting", path, token="REPORTS_TOKEN")
    header, *rows = [line.split(",") for line in text.split("\r\n") if line]
    column = {name: header.index(name) for name in ("store_id", "accepted", "reversed")}
    net = {row[column["store_id"]]: int(row[column["accepted"]]) - int(row[column["reversed"]]) for row in rows}
    return {store: value for store, value in net.items() if value} == dict(expected)
