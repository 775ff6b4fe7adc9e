"""Playing the demo, step by step: stores, campaigns, a million codes, a hundred thousand events, the figures."""

import asyncio
import csv
import io
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from counterfoil.commands.batch import follow
from counterfoil.demo.chain import OutcomesWatch, OutcomeTally, until_agreed
from counterfoil.demo.stores import DemoStore, demo_stores
from counterfoil.demo.traffic import StoreCodes, TrafficEvent, play
from counterfoil.environment import CommandError
from counterfoil.http import Service
from shared.contracts.codec import format_time
from shared.contracts.topics import REQUESTS
from shared.environment import KafkaConnection
from shared.kafka.publishing import Publisher
from shared.kafka.records import NewRecord

HOURS_PLAYED: Final = 60
"""Within the 72 hours that an event may lie back."""

SEND_AT_ONCE: Final = 5_000
PAUSED_CODES: Final = 500
DECIDE_SECONDS: Final = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How large a demo is. The same seed on an empty system makes the same codes and the same events."""

    seed: int = 2009
    codes: int = 1_000_000
    events: int = 110_000


@dataclass(slots=True)
class Played:
    """What a demo leaves behind to be shown."""

    campaign_id: str
    tally: OutcomeTally
    board: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    sent: int = 0

    @contextmanager
    def timed(self, part: str) -> Any:
        started = time.perf_counter()
        yield
        self.seconds[part] = time.perf_counter() - started


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """The running system, as the demo reaches it."""

    codegen: Service
    ranking: Service
    reporting: Service
    kafka: KafkaConnection


async def play_demo(system: System, plan: Plan, folder: Path, console: Console) -> Played:
    """Plays a campaign that the system has not seen yet. Raises CommandError where a part does not do its work."""
    number = await _free_number(system.codegen)
    random = Random(plan.seed)  # noqa: S311 (the point is that it can be repeated)
    played = Played(f"demo-{number}", OutcomeTally(f"demo{number}-", f"demo-{number}"))
    stores = demo_stores(random)
    folder.mkdir(parents=True, exist_ok=True)
    with played.timed("stores and campaigns"):
        await _prepare(system.codegen, played.campaign_id, stores)
    console.print(
        f"{len(stores)} stores in {len({store.region for store in stores})} regions hold campaign {played.campaign_id}"
    )
    with played.timed("codes, request to published"):
        batch = await _make_codes(system.codegen, played.campaign_id, _allot(stores, plan.codes))
    paused = await _paused_codes(system.codegen, played.campaign_id, stores[0])
    with played.timed("codes exported as CSV"):
        codes = await _choose_codes(system.codegen, batch["id"], stores, plan.events, random)
    await _play_traffic(system, played, plan, _store_codes(stores, codes), paused, random)
    with played.timed("ranking and reporting agree"):
        played.board, played.summary = await until_agreed(system.ranking, system.reporting, played.tally)
    with played.timed("chart and CSV"):
        await _save(system.reporting, played.campaign_id, folder)
    return played


async def _free_number(codegen: Service) -> int:
    number = 1
    while await _exists(codegen, f"demo-{number}"):
        number += 1
    return number


async def _exists(codegen: Service, campaign_id: str) -> bool:
    try:
        await codegen.call("GET", f"/v1/campaigns/{campaign_id}")
    except CommandError as error:
        if "[404]" in str(error):
            return False
        raise
    return True


async def _prepare(codegen: Service, campaign_id: str, stores: Sequence[DemoStore]) -> None:
    await codegen.call("PUT", "/v1/stores", [store.as_request() for store in stores])
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for name in (campaign_id, f"{campaign_id}-paused"):
        await codegen.call(
            "POST",
            "/v1/campaigns",
            {
                "id": name,
                "name": f"Demo {name.removeprefix('demo-')}",
                "starts_at": format_time(today - timedelta(days=6)),
                "ends_at": format_time(today + timedelta(days=25)),
                "time_zone": "America/New_York",
                "limits": {"per_player": 3},
            },
        )


def _allot(stores: Sequence[DemoStore], codes: int) -> list[dict[str, Any]]:
    """Codes in proportion to how busy a store is; the first store takes what rounding leaves."""
    total = sum(store.weight for store in stores)
    counts = [max(1, int(codes * store.weight / total)) for store in stores]
    counts[0] += codes - sum(counts)
    return [{"store_id": store.id, "count": count} for store, count in zip(stores, counts, strict=True)]


async def _make_codes(codegen: Service, campaign_id: str, allotments: list[dict[str, Any]]) -> dict[str, Any]:
    request = {"campaign_id": campaign_id, "allotments": allotments, "publish": True}
    batch = await codegen.call("POST", "/v1/batches", request, headers={"Idempotency-Key": f"{campaign_id}-codes"})
    return await _published(codegen, batch["id"])


async def _published(codegen: Service, batch_id: str) -> dict[str, Any]:
    """Follows a batch until it is published (it is `ready` for an instant before)."""
    batch = await follow(codegen, batch_id)
    while batch["state"] == "ready":
        await asyncio.sleep(0.05)
        batch = await codegen.call("GET", f"/v1/batches/{batch_id}")
    return batch


async def _paused_codes(codegen: Service, campaign_id: str, store: DemoStore) -> list[str]:
    """Good codes of a campaign that is paused afterwards."""
    name = f"{campaign_id}-paused"
    request = {"campaign_id": name, "allotments": [{"store_id": store.id, "count": PAUSED_CODES}], "publish": True}
    batch = await codegen.call("POST", "/v1/batches", request, headers={"Idempotency-Key": f"{name}-codes"})
    await _published(codegen, batch["id"])
    await codegen.call("PATCH", f"/v1/campaigns/{name}", {"paused": True})
    return [code async for _, code in _codes(codegen, batch["id"])]


async def _codes(codegen: Service, batch_id: str) -> AsyncIterator[tuple[str, str]]:
    """Store and code (nine characters) of every row of `codes.csv`, read by blocks: a million rows are a second's work."""
    async with codegen.stream(f"/v1/batches/{batch_id}/codes.csv", query={"header": "plain"}) as body:
        rest, is_header = b"", True
        async for chunk in body.chunks():
            lines, newline, rest = (rest + chunk).rpartition(b"\r\n")
            for code, _, store_id in csv.reader(io.StringIO((lines + newline).decode(), newline="")):
                if not is_header:
                    yield store_id, code.replace("-", "")
                is_header = False


async def _choose_codes(
    codegen: Service, batch_id: str, stores: Sequence[DemoStore], events: int, random: Random
) -> dict[str, list[str]]:
    """For each store the codes that will be redeemed: more where it is busy, and by the store's luck."""
    wanted = {store.id: store.weight * random.lognormvariate(0, 0.25) for store in stores}
    scale = events / sum(wanted.values())
    counts = {store_id: round(weight * scale) for store_id, weight in wanted.items()}
    chosen: dict[str, list[str]] = {store.id: [] for store in stores}
    async for store_id, code in _codes(codegen, batch_id):
        if len(chosen[store_id]) < counts[store_id]:
            chosen[store_id].append(code)
    return chosen


def _store_codes(stores: Sequence[DemoStore], codes: dict[str, list[str]]) -> dict[str, StoreCodes]:
    return {store.id: StoreCodes(zone=store.zone, region=store.region, codes=codes[store.id]) for store in stores}


async def _play_traffic(
    system: System, played: Played, plan: Plan, stores: dict[str, StoreCodes], paused: Sequence[str], random: Random
) -> None:
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    start = end - timedelta(hours=HOURS_PLAYED)
    events = list(play(stores, paused, random=random, prefix=played.tally.prefix + "e", start=start, end=end))
    if len(events) < plan.events * 0.9:
        raise CommandError(f"only {len(events)} events came of {plan.events} codes")
    columns = (TextColumn("{task.description:<10}"), BarColumn(40), TaskProgressColumn(), TextColumn("{task.completed:,.0f}"))
    async with Publisher(system.kafka) as publisher, OutcomesWatch(system.kafka, played.tally) as watch:
        with Progress(*columns) as progress, played.timed("events, first sent to last decided"):
            sent, decided = (progress.add_task(name, total=len(events)) for name in ("sent", "decided"))
            sending = asyncio.create_task(_send(publisher, events, progress, sent))
            deadline = time.monotonic() + DECIDE_SECONDS
            while watch.tally.decided < len(events):
                progress.update(decided, completed=watch.tally.decided)
                if time.monotonic() > deadline:
                    raise CommandError(
                        f"{watch.tally.decided:,} of {len(events):,} events were decided in {DECIDE_SECONDS:.0f} s"
                    )
                await asyncio.sleep(0.05)
            await sending
            progress.update(decided, completed=watch.tally.decided)
    played.sent = len(events)


async def _send(publisher: Publisher, events: Sequence[TrafficEvent], progress: Progress, bar: Any) -> None:
    for first in range(0, len(events), SEND_AT_ONCE):
        part = events[first : first + SEND_AT_ONCE]
        await publisher.send_all(REQUESTS.name, [NewRecord(event.key, event.value()) for event in part])
        progress.update(bar, advance=len(part))


async def _save(reporting: Service, campaign_id: str, folder: Path) -> None:
    for path, name in (
        ("charts/top-stores.svg", "top-stores.svg"),
        ("charts/top-stores.png", "top-stores.png"),
        ("charts/daily.svg", "daily.svg"),
        ("performance.csv", "performance.csv"),
    ):
        async with reporting.stream(f"/v1/campaigns/{campaign_id}/{path}") as body:
            (folder / name).write_bytes(await body.read())
