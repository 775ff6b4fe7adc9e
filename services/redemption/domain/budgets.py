"""Guessing: how many failed attempts a player has, and when a platform's breaker is open (`semantics.md`).

Everything is counted by the requests' append time, so that a backlog is judged as if it had been read at once.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from services.redemption.domain.ledger import PlayerKey

MINUTE_MILLISECONDS: Final = 60_000
DAY_MILLISECONDS: Final = 24 * 60 * MINUTE_MILLISECONDS
TALLY_MILLISECONDS: Final = 5_000
"""Requests of a platform are tallied in steps of this length."""

ALL_PLATFORMS: Final = ""
"""The tally of all platforms together, for the global breaker. No platform has an empty name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """The settings of `semantics.md`."""

    attempts_per_minute: int = 10
    attempts_per_day: int = 100
    breaker_requests: int = 200
    global_breaker_requests: int = 2_000

    @property
    def attempts_kept(self) -> int:
        """Failed attempts of a player that have to be remembered to judge the next."""
        return max(self.attempts_per_minute, self.attempts_per_day)


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of a platform in the step that begins at `starts_at` (milliseconds), and how many codes were unknown."""

    platform: str
    starts_at: int
    requests: int
    unknown: int


class Attempts:
    """A player's last failed attempts: append times in milliseconds, ascending."""

    __slots__ = ("_kept", "_times", "added")

    def __init__(self, times: Iterable[int], kept: int) -> None:
        self._times = sorted(times)
        self._kept = kept
        self.added: list[int] = []

    def add(self, at: int) -> None:
        insort(self._times, at)
        del self._times[: -self._kept]
        self.added.append(at)

    def free_again_at(self, now: int, budgets: Budgets) -> int | None:
        """When (milliseconds) the player may try again, None when the budget is not spent."""
        waits = [
            self._free_again_at(now, budgets.attempts_per_minute, MINUTE_MILLISECONDS),
            self._free_again_at(now, budgets.attempts_per_day, DAY_MILLISECONDS),
        ]
        return max((wait for wait in waits if wait is not None), default=None)

    def room_again_at(self, now: int, budgets: Budgets) -> int | None:
        """When (milliseconds) one more failed attempt of this time fits, None when it does.

        Partitions are decided beside each other, so later attempts may be known already: with them, too, no minute and no day
        may hold more than the budget.
        """
        waits = [
            self._room_again_at(now, budgets.attempts_per_minute, MINUTE_MILLISECONDS),
            self._room_again_at(now, budgets.attempts_per_day, DAY_MILLISECONDS),
        ]
        return max((wait for wait in waits if wait is not None), default=None)

    def _room_again_at(self, now: int, allowed: int, window: int) -> int | None:
        times, place = self._times, bisect_right(self._times, now)
        for first in range(min(place, len(times) - allowed), max(place - allowed, 0) - 1, -1):
            earliest, latest = times[first], times[first + allowed - 1]
            if now - earliest >= window:
                return None
            if max(latest, now) - min(earliest, now) < window:
                return earliest + window
        return None

    def _free_again_at(self, now: int, allowed: int, window: int) -> int | None:
        until_now = bisect_right(self._times, now)
        within = until_now - bisect_right(self._times, now - window)
        return self._times[until_now - allowed] + window if within >= allowed else None


class Breakers:
    """The last minutes' requests of each platform, and whether over half of them held codes that nobody was given."""

    def __init__(self, tallies: Iterable[Tally], budgets: Budgets) -> None:
        self._budgets = budgets
        self._counts: dict[str, dict[int, list[int]]] = {}
        self._together: dict[tuple[str, int], tuple[list[int], ...]] = {}
        self.added: dict[tuple[str, int], list[int]] = {}
        for tally in tallies:
            for platform in (tally.platform, ALL_PLATFORMS):
                count = self._count(platform, tally.starts_at)
                count[0] += tally.requests
                count[1] += tally.unknown

    def add(self, platform: str, at: int, *, unknown: bool) -> None:
        """Counts a request."""
        starts_at = at - at % TALLY_MILLISECONDS
        counts = self._together.get((platform, starts_at)) or self._begin(platform, starts_at)
        for count in counts:
            count[0] += 1
        if unknown:
            for count in counts:
                count[1] += 1

    def is_open(self, platform: str, at: int) -> bool:
        """Whether this platform's breaker or the global one is open for a request appended at this time."""
        return self._is_open(platform, at, self._budgets.breaker_requests) or self._is_open(
            ALL_PLATFORMS, at, self._budgets.global_breaker_requests
        )

    def _is_open(self, platform: str, at: int, least: int) -> bool:
        counts = self._counts.get(platform, {})
        oldest = at - MINUTE_MILLISECONDS
        first = oldest - oldest % TALLY_MILLISECONDS + TALLY_MILLISECONDS
        within = [counts[start] for start in range(first, at + 1, TALLY_MILLISECONDS) if start in counts]
        requests = sum(count[0] for count in within)
        unknown = sum(count[1] for count in within)
        return requests >= least and unknown * 2 > requests

    def _begin(self, platform: str, starts_at: int) -> tuple[list[int], ...]:
        """The counts that a request of this platform and step goes into."""
        added = self.added[platform, starts_at] = [0, 0]
        counts = added, self._count(platform, starts_at), self._count(ALL_PLATFORMS, starts_at)
        self._together[platform, starts_at] = counts
        return counts

    def _count(self, platform: str, starts_at: int) -> list[int]:
        return self._counts.setdefault(platform, {}).setdefault(starts_at, [0, 0])


class Guesses:
    """Attempts and breakers while a batch is decided: what was known before, and what the batch adds."""

    __slots__ = ("_attempts", "_breakers", "_budgets", "guessers")

    def __init__(self, attempts: Mapping[PlayerKey, Iterable[int]], tallies: Iterable[Tally], budgets: Budgets) -> None:
        self._budgets = budgets
        self._attempts = {player: Attempts(times, budgets.attempts_kept) for player, times in attempts.items()}
        self._breakers = Breakers(tallies, budgets)
        self.guessers: set[PlayerKey] = set()
        """Whose guesses were let through, because their budgets were not spent."""

    def free_again_at(self, player: PlayerKey, at: int) -> int | None:
        """When (milliseconds) a player whose budget is spent may try again."""
        attempts = self._attempts.get(player)
        return attempts.free_again_at(at, self._budgets) if attempts is not None else None

    def room_again_at(self, player: PlayerKey, at: int) -> int | None:
        """When (milliseconds) one more failed attempt fits into the player's budget; None when it does."""
        attempts = self._attempts.get(player)
        return attempts.room_again_at(at, self._budgets) if attempts is not None else None

    def is_open(self, platform: str, at: int) -> bool:
        return self._breakers.is_open(platform, at)

    def passed(self, platform: str, at: int) -> None:
        """Counts a good code."""
        self._breakers.add(platform, at, unknown=False)

    def failed(self, player: PlayerKey, at: int, *, unknown: bool) -> None:
        """Counts a failed attempt."""
        self._breakers.add(player[0], at, unknown=unknown)
        attempts = self._attempts.get(player)
        if attempts is None:
            attempts = self._attempts[player] = Attempts((), self._budgets.attempts_kept)
        attempts.add(at)
        if unknown:
            self.guessers.add(player)

    @property
    def new_attempts(self) -> dict[PlayerKey, Sequence[int]]:
        """The failed attempts of the batch."""
        return {player: attempts.added for player, attempts in self._attempts.items() if attempts.added}

    @property
    def new_tallies(self) -> list[Tally]:
        """The batch's own part of the tallies."""
        return [
            Tally(platform=platform, starts_at=starts_at, requests=requests, unknown=unknown)
            for (platform, starts_at), (requests, unknown) in self._breakers.added.items()
        ]
