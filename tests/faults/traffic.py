"""A seeded stream of requests: good codes, the same again, somebody else's, guesses, typing errors, reversals, nonsense."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from tests.integration.redemption.world import CODES, codes_of, redeem, reverse

Event = Mapping[str, Any] | bytes | None


def stream(seed: int, count: int, *, players: int = 400) -> list[tuple[int, Event]]:
    """`count` requests, each with a number that picks its partition: the same code may turn up anywhere (rule 10)."""
    choose = random.Random(seed)
    codes = codes_of(range(1, CODES + 1))
    sent: list[dict[str, Any]] = []
    return [(choose.randrange(1_000_000), _event(choose, number, codes, players, sent)) for number in range(count)]


def _event(choose: random.Random, number: int, codes: Sequence[str], players: int, sent: list[dict[str, Any]]) -> Event:
    kind = choose.random()
    player = f"p-{choose.randrange(players)}"
    if kind < 0.01:
        return choose.choice([None, b"{", b'{"type": "redeem"}', b"\xff\xfe"])
    if kind < 0.04:
        return redeem(f"e-{number}", choose.choice(["NOPE", "3VE3VGT2K", "ıııııııı1"]), player_id=f"{player}-{number % 7}")
    if sent and kind < 0.12:
        return choose.choice(sent)
    if sent and kind < 0.20:
        target = choose.choice(sent)
        reason = choose.choice(["grant_failed", "refund", "fraud", "mistake", "test"])
        return reverse(f"r-{number}", target["event_id"], reason=reason)
    if sent and kind < 0.30:
        return redeem(f"e-{number}", choose.choice(sent)["code"], player_id=player)
    request = redeem(f"e-{number}", choose.choice(codes), player_id=player)
    sent.append(request)
    return request
