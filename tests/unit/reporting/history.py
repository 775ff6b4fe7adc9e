"""Random histories of a campaign as redemption would publish them."""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from shared.contracts.codegen import Allotment, Batch, BatchState, Campaign, CampaignState, Store, Void, VoidRange
from shared.contracts.game_platforms import ReversalReason
from shared.contracts.redemption import Outcome, OutcomeName, Source, public_of, type_of

ZONE = ZoneInfo("America/New_York")
STARTS_AT = datetime(2026, 10, 20, 4, tzinfo=UTC)
ENDS_AT = datetime(2026, 12, 1, 5, tzinfo=UTC)
CODES_PER_STORE = 40
NAMES = [
    "Main Street",
    "=SUM(A1)",
    "Ελλάδα, Αθήνα",
    "متجر الرياض",
    "חנות",
    "東京 渋谷",
    'Bob\'s "Best"',
    "@home",
    "-5 °C",
    "Каштан",
]


@dataclass(kw_only=True)
class History:
    """What codegen and redemption published: reference values, and outcomes by partition in order."""

    campaign: Campaign
    stores: list[Store]
    batches: list[Batch]
    voids: list[Void] = field(default_factory=list)
    partitions: list[list[Outcome]] = field(default_factory=list)

    @property
    def outcomes(self) -> list[Outcome]:
        return [outcome for partition in self.partitions for outcome in partition]


def campaign(**changes: Any) -> Campaign:
    values: dict[str, Any] = {
        "revision": 1,
        "id": "spring",
        "name": "Spring 2026",
        "starts_at": STARTS_AT,
        "ends_at": ENDS_AT,
        "time_zone": ZONE.key,
        "state": CampaignState.ACTIVE,
        "created_at": STARTS_AT,
        "updated_at": STARTS_AT,
    }
    return Campaign(**{**values, **changes})


def make_history(seed: int, *, stores: int = 4, events: int = 120, partitions: int = 3, campaign_id: str = "spring") -> History:
    """Redemptions, repeats, rejections, reversals and a void, at random but always the same for a seed."""
    maker = _Maker(random.Random(seed), stores, partitions, campaign_id)
    for _ in range(events):
        maker.step()
    return maker.history


class _Maker:
    def __init__(self, chance: random.Random, stores: int, partitions: int, campaign_id: str) -> None:
        self.chance = chance
        self.holder: dict[int, Outcome | None] = {}
        self.reversed: set[str] = set()
        self.voided: set[int] = set()
        self.serial = 1000
        self.number = 0
        known = [_store(n, chance) for n in range(stores)]
        batches = [self._batch(f"b-{n}", known, campaign_id, BatchState.PUBLISHED) for n in range(2)]
        batches.append(self._batch("b-unpublished", known, campaign_id, BatchState.READY))
        self.history = History(campaign=campaign(id=campaign_id), stores=known, batches=batches)
        self.history.partitions = [[] for _ in range(partitions)]

    def step(self) -> None:
        kind = self.chance.choices(["redeem", "reverse", "reject", "lost", "repeat", "void"], [60, 15, 12, 4, 8, 1])[0]
        getattr(self, f"_{kind}")()

    def _batch(self, batch_id: str, stores: list[Store], campaign_id: str, state: BatchState) -> Batch:
        first, allotments = self.serial, []
        for store in stores:
            allotments.append(
                Allotment(
                    store_id=store.id,
                    count=CODES_PER_STORE,
                    first_serial=self.serial,
                    last_serial=self.serial + CODES_PER_STORE - 1,
                )
            )
            self.serial += CODES_PER_STORE
        return Batch(
            revision=2,
            id=batch_id,
            campaign_id=campaign_id,
            state=state,
            key_id="k1",
            key_check="x",
            words="1",
            count=CODES_PER_STORE * len(stores),
            first_serial=first,
            last_serial=self.serial + 10,
            allotments=tuple(allotments),
            published_at=STARTS_AT if state is BatchState.PUBLISHED else None,
        )

    def _pick(self) -> tuple[int, Batch, str]:
        batch = self.chance.choice(self.history.batches[:2])
        allotment = self.chance.choice(batch.allotments)
        return self.chance.randint(allotment.first_serial, allotment.last_serial), batch, allotment.store_id

    def _time(self) -> datetime:
        seconds = self.chance.randrange(int((ENDS_AT - STARTS_AT).total_seconds()))
        return STARTS_AT + timedelta(seconds=seconds, microseconds=self.chance.choice([0, 123456]))

    def _redeem(self) -> None:
        serial, batch, store_id = self._pick()
        if self.holder.get(serial) is not None:
            self._emit(OutcomeName.ALREADY_REDEEMED, serial=serial, batch=batch, store_id=store_id, same_player=False)
        elif serial in self.voided:
            self._emit(OutcomeName.CODE_VOID, serial=serial, batch=batch, store_id=store_id)
        else:
            self.holder[serial] = self._emit(OutcomeName.REDEEMED, serial=serial, batch=batch, store_id=store_id)

    def _reverse(self) -> None:
        accepted = [o for o in self.history.outcomes if o.outcome is OutcomeName.REDEEMED and not o.duplicate]
        if not accepted:
            return
        original = self.chance.choice(accepted)
        assert original.serial is not None
        assert original.redemption_id is not None
        reason = self.chance.choice(list(ReversalReason))
        batch = next(b for b in self.history.batches if b.id == original.batch_id)
        is_repeat = original.redemption_id in self.reversed
        self._emit(
            OutcomeName.REVERSED,
            serial=original.serial,
            batch=batch,
            store_id=str(original.store_id),
            duplicate=is_repeat,
            redemption_id=original.redemption_id,
            platform=original.platform,
            player_id=original.player_id,
            reverses=original.event_id,
            reason=reason.value,
            redeemed_occurred_at=original.occurred_at,
        )
        if not is_repeat:
            self.reversed.add(original.redemption_id)
            if reason.reopens_code:
                self.holder[original.serial] = None

    def _reject(self) -> None:
        serial, batch, store_id = self._pick()
        name = self.chance.choice([OutcomeName.EXPIRED, OutcomeName.NOT_YET_ACTIVE, OutcomeName.PLAYER_LIMIT_REACHED])
        self._emit(name, serial=serial, batch=batch, store_id=store_id)

    def _lost(self) -> None:
        name = self.chance.choice([OutcomeName.UNKNOWN_CODE, OutcomeName.MALFORMED_CODE])
        self._emit(name, serial=None, batch=None, store_id=None)

    def _repeat(self) -> None:
        accepted = [o for o in self.history.outcomes if o.outcome is OutcomeName.REDEEMED]
        if accepted:
            self._append(msgspec.structs.replace(self.chance.choice(accepted), duplicate=True))

    def _void(self) -> None:
        _, batch, store_id = self._pick()
        allotment = next(a for a in batch.allotments if a.store_id == store_id)
        first = self.chance.randint(allotment.first_serial, allotment.last_serial)
        last = self.chance.randint(first, allotment.last_serial)
        fresh = {s for s in range(first, last + 1) if s not in self.voided}
        if len(fresh) == last - first + 1:
            self.voided |= fresh
            self.history.voids.append(
                Void(
                    revision=1,
                    id=f"v-{len(self.history.voids)}",
                    ranges=(VoidRange(first=first, last=last, batch_id=batch.id, store_id=store_id, codes=len(fresh)),),
                    reason="lost",
                    voided_by="admin",
                    voided_at=STARTS_AT,
                )
            )

    def _emit(self, name: OutcomeName, *, serial: int | None, batch: Batch | None, store_id: str | None, **more: Any) -> Any:
        self.number += 1
        region = next((s.region for s in self.history.stores if s.id == store_id), None)
        at = self._time()
        values: dict[str, Any] = {
            "type": type_of(name),
            "event_id": f"e-{self.number}",
            "platform": self.chance.choice(["zork", "adventure"]),
            "outcome": name,
            "public": public_of(name),
            "retryable": False,
            "retry_after": None,
            "redemption_id": f"r-{self.number:06}" if name is OutcomeName.REDEEMED else None,
            "duplicate": False,
            "serial": serial,
            "code_hint": None,
            "campaign_id": batch.campaign_id if batch else None,
            "batch_id": batch.id if batch else None,
            "store_id": store_id,
            "store_region": region,
            "player_id": f"p-{self.chance.randrange(12)}",
            "occurred_at": at,
            "received_at": at,
            "decided_at": at,
            "source": Source(epoch=1, partition=0, offset=0),
            "prev": None,
        }
        return self._append(Outcome(**{**values, **more}))

    def _append(self, outcome: Outcome) -> Outcome:
        partition = self.chance.randrange(len(self.history.partitions))
        earlier = self.history.partitions[partition]
        prev = earlier[-1].source if earlier else None
        offset = (prev.offset if prev else 0) + self.chance.randint(1, 3)
        source = Source(epoch=1, partition=partition, offset=offset)
        earlier.append(msgspec.structs.replace(outcome, source=source, prev=prev))
        return earlier[-1]


def _store(number: int, chance: random.Random) -> Store:
    return Store(
        revision=1,
        id=f"s-{number:04}",
        name=NAMES[number % len(NAMES)],
        chain=chance.choice(["playtime", "toyland", None]),
        region=chance.choice(["US-CA", "US-NY"]),
        country="US",
        hidden=chance.random() < 0.15,
    )
