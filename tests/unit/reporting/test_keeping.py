"""Kept answers: made once for all who ask at once, anew when their time is over, and not kept when making them failed."""

import asyncio

import pytest

from services.reporting.handlers.keeping import Kept


class Maker:
    """Makes numbered answers, on a clock that goes on while it makes."""

    def __init__(self) -> None:
        self.now = 100.0
        self.made = 0
        self.fails = False

    def clock(self) -> float:
        return self.now

    async def make(self) -> bytes:
        await asyncio.sleep(0)
        self.now += 3
        if self.fails:
            raise TimeoutError
        self.made += 1
        return b"%d" % self.made


@pytest.fixture
def maker() -> Maker:
    return Maker()


async def test_all_who_ask_at_once_get_one_answer(maker: Maker) -> None:
    kept = Kept[bytes](len, clock=maker.clock)
    assert await asyncio.gather(*[kept.get("a", maker.make) for _ in range(5)]) == [b"1"] * 5
    assert await kept.get("b", maker.make) == b"2"


async def test_an_answer_is_kept_for_its_seconds_and_at_least_as_long_as_it_took(maker: Maker) -> None:
    for seconds, lasts in ((5, 5), (0, 3)):
        kept = Kept[bytes](len, seconds=seconds, clock=maker.clock)
        first = await kept.get("a", maker.make)
        maker.now += lasts - 0.1
        assert await kept.get("a", maker.make) == first
        maker.now += 0.2
        assert await kept.get("a", maker.make) != first


async def test_one_who_stops_waiting_does_not_stop_the_others(maker: Maker) -> None:
    kept = Kept[bytes](len, clock=maker.clock)
    leaving, staying = [asyncio.create_task(kept.get("a", maker.make)) for _ in range(2)]
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == b"1"


async def test_a_failure_is_not_kept(maker: Maker) -> None:
    kept, maker.fails = Kept[bytes](len, clock=maker.clock), True
    with pytest.raises(TimeoutError):
        await kept.get("a", maker.make)
    maker.fails = False
    assert await kept.get("a", maker.make) == b"1"


async def test_the_oldest_goes_when_there_is_too_much(maker: Maker) -> None:
    kept = Kept[bytes](len, most=2, seconds=1000, clock=maker.clock)
    for key in "abc":
        await kept.get(key, maker.make)
    assert await kept.get("c", maker.make) == b"3"
    assert await kept.get("a", maker.make) == b"4", "it was dropped"
