"""What guessers have spent is known to every copy, and stays known when the copies are started anew."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.redemption import OutcomeName
from tests.faults.copies import Copies
from tests.integration.redemption.world import World, code_of, redeem, unique
from tests.support.polling import poll_until

NOBODYS = "ZZZZZZZZZ"
SETTINGS = {
    "LOG_LEVEL": "info",
    "LOG_FORMAT": "json",
    "REDEMPTION_ATTEMPTS_PER_DAY": "10",
    "REDEMPTION_ATTEMPTS_PER_MINUTE": "1000",
    "REDEMPTION_BREAKER_REQUESTS": "1000",
    "REDEMPTION_GLOBAL_BREAKER_REQUESTS": "40",
}


async def ask(world: World, code: str, partition: int, **changes: Any) -> OutcomeName:
    (outcome,) = await world.decide(redeem(unique(), code, **changes), partition=partition)
    return outcome.outcome


async def each_with_a_partition(copies: Copies) -> None:
    def shared() -> bool:
        return sorted(_assigned(log)[-1:] for log in copies.logs) == [[[0]], [[1]]]

    await poll_until(shared, 60, what="a partition for each copy")


@pytest.mark.partitions(2)
async def test_budgets_and_the_global_breaker_are_shared_and_survive(world: World, copies: Copies) -> None:
    both = [copies.start(**SETTINGS) for _ in range(2)]
    await each_with_a_partition(copies)

    tries = [await ask(world, NOBODYS, number % 2, player_id="guesser") for number in range(10)]
    assert tries == [OutcomeName.UNKNOWN_CODE] * 10
    for partition in (0, 1):
        assert await ask(world, code_of(1), partition, player_id="guesser") is OutcomeName.RATE_LIMITED
        assert await ask(world, code_of(2 + partition), partition, player_id="honest") is OutcomeName.REDEEMED

    for partition in (0, 1):
        guesses = [redeem(unique(), NOBODYS, platform=f"game-{n % 5}") for n in range(20)]
        await world.decide(*guesses, partition=partition)
    for partition in (0, 1):
        assert await ask(world, NOBODYS, partition, platform="quiet") is OutcomeName.RATE_LIMITED, "the breaker is not shared"

    for process in both:
        process.terminate()
    for process in both:
        process.wait(20)
    copies.start(**SETTINGS)
    assert await ask(world, NOBODYS, 1, platform="quiet") is OutcomeName.RATE_LIMITED, "the breaker was forgotten"
    assert await ask(world, code_of(10), 1, platform="quiet") is OutcomeName.REDEEMED
    assert await ask(world, code_of(1), 0, player_id="guesser") is OutcomeName.RATE_LIMITED, "the budget was forgotten"


def _assigned(log: Path) -> list[list[int]]:
    """The partitions that a copy was given, each time."""
    lines = [json.loads(line) for line in log.read_text(errors="replace").splitlines() if line.endswith("}")]
    return [line["partitions"] for line in lines if line.get("event") == "partitions assigned"]
