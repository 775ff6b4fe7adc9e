"""The demo's game events: what players and platforms really do with printed codes, repeatable by its seed.

Pure: moments come in as arguments and chance comes from the seed, so a run can be played again to the last event.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

from shared.codes.alphabet import ALPHABET, CODE_LENGTH
from shared.contracts.codec import encode
from shared.contracts.game_platforms import RedeemRequest, Request, ReversalReason, ReverseRequest

PLATFORMS: Final = ("zork", "myst", "lemmings")

HOURLY_TRAFFIC: Final = (2, 1, 1, 0.5, 0.5, 1, 2, 4, 5, 6, 8, 10, 12, 11, 10, 12, 16, 20, 24, 26, 22, 16, 9, 4)
"""How busy each hour of a store's local day is (any unit): players redeem in the evening, hardly ever at four."""

REPEATED: Final = 0.03
MISTYPED: Final = 0.015
ALREADY_USED: Final = 0.02
REVERSED: Final = 0.01
PAUSED: Final = 0.005
GUESSES_PER_THOUSAND: Final = 4
GUESSERS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCodes:
    """Codes of one store that players will redeem, and where the store's clock stands."""

    zone: ZoneInfo
    region: str
    codes: Sequence[str]


@dataclass(frozen=True, slots=True)
class TrafficEvent:
    """A request with the key under which a platform publishes it: the code, normalised."""

    key: bytes
    request: Request

    def value(self) -> bytes:
        return encode(self.request)


def play(
    stores: Mapping[str, StoreCodes],
    paused_codes: Sequence[str],
    *,
    random: Random,
    prefix: str,
    start: datetime,
    end: datetime,
) -> Iterator[TrafficEvent]:
    """All events in the order of their moments, which lie between start and end (what would come later is left out).

    A repeated send comes seconds after the first, a reversal minutes after its redemption; both carry the same key, so they
    stay behind it on the topic. `prefix` keeps event ids of different runs apart.
    """
    events = (e for e in _all_events(stores, paused_codes, random, prefix, start, end) if start <= e[0] <= end)
    for _, event in sorted(events, key=lambda moment_and_event: moment_and_event[0]):
        yield event


def _all_events(
    stores: Mapping[str, StoreCodes], paused_codes: Sequence[str], random: Random, prefix: str, start: datetime, end: datetime
) -> Iterator[tuple[datetime, TrafficEvent]]:
    number = 0
    for store in stores.values():
        moments = _moments(store.zone, len(store.codes), random, start, end)
        for code, moment in zip(store.codes, moments, strict=True):
            number += 1
            yield from _one_player(code, store.region, moment, random, f"{prefix}-{number:07d}")
    spread = (end - start).total_seconds()
    for index, code in enumerate(paused_codes):
        moment = start + timedelta(seconds=random.uniform(0, spread))
        yield moment, _redeem(f"{prefix}-paused-{index}", code, f"p-{random.randrange(10**9)}", "US-CA", moment, "zork")
    for index in range(number * GUESSES_PER_THOUSAND // 1000):
        moment = start + timedelta(seconds=random.uniform(0, spread))
        guess = "".join(random.choices(ALPHABET, k=CODE_LENGTH))
        yield moment, _redeem(f"{prefix}-guess-{index}", guess, f"guesser-{random.randrange(GUESSERS)}", None, moment, "zork")


def _one_player(
    code: str, region: str, moment: datetime, random: Random, event_id: str
) -> Iterator[tuple[datetime, TrafficEvent]]:
    """What happens around one printed code: a mistyped first try, the redemption, a repeated send, a friend, a reversal."""
    platform, player = random.choices(PLATFORMS, (6, 3, 1))[0], f"p-{random.randrange(10**9)}"
    if random.random() < MISTYPED:
        wrong = moment - timedelta(seconds=random.uniform(5, 40))
        yield wrong, _redeem(f"{event_id}-typo", _mistype(code, random), player, region, wrong, platform)
    redeemed = _redeem(event_id, code, player, region, moment, platform)
    yield moment, redeemed
    if random.random() < REPEATED:
        yield moment + timedelta(seconds=random.uniform(0.2, 9)), redeemed
    if random.random() < ALREADY_USED:
        later = moment + timedelta(seconds=random.uniform(60, 7200))
        yield later, _redeem(f"{event_id}-friend", code, f"p-{random.randrange(10**9)}", region, later, platform)
    if random.random() < REVERSED:
        later = moment + timedelta(seconds=random.uniform(30, 3600))
        reason = random.choice(list(ReversalReason))
        request = ReverseRequest(
            event_id=f"{event_id}-reverse", platform=platform, code=code, reverses=event_id, reason=reason, occurred_at=later
        )
        yield later, TrafficEvent(code.encode(), request)


def _redeem(event_id: str, code: str, player: str, region: str | None, moment: datetime, platform: str) -> TrafficEvent:
    request = RedeemRequest(
        event_id=event_id, platform=platform, code=code, player_id=player, occurred_at=moment, region=region
    )
    return TrafficEvent(code.encode(), request)


def _mistype(code: str, random: Random) -> str:
    """One sign wrong, or two signs in each other's place: what thumbs do."""
    place = random.randrange(CODE_LENGTH - 1)
    if random.random() < 0.5 and code[place] != code[place + 1]:
        return code[:place] + code[place + 1] + code[place] + code[place + 2 :]
    return code[:place] + random.choice([sign for sign in ALPHABET if sign != code[place]]) + code[place + 1 :]


def _moments(zone: ZoneInfo, count: int, random: Random, start: datetime, end: datetime) -> list[datetime]:
    """Moments spread over the hours between start and end as the store's local hours are busy."""
    hours = [start + timedelta(hours=index) for index in range(int((end - start).total_seconds() // 3600))]
    weights = [HOURLY_TRAFFIC[hour.astimezone(zone).hour] for hour in hours]
    chosen = random.choices(hours, weights, k=count)
    return [hour + timedelta(microseconds=random.randrange(3_600_000_000)) for hour in chosen]
