"""What stops a partition, what it says, and the command that mends it: each tried on the real servers."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.redemption.app import positions
from services.redemption.handlers.positions import NothingToMend, Positions
from shared.contracts.redemption import OutcomeName
from shared.contracts.topics import REQUESTS
from shared.kafka.topics import delete_topics, ensure_topics
from tests.faults.checker import check
from tests.faults.copies import Copies
from tests.faults.drive import check_world, send_all, wait_decided
from tests.faults.kafka_admin import delete_records_before
from tests.faults.traffic import stream
from tests.integration.redemption.world import World, code_of, redeem
from tests.support.polling import poll_until

TABLES = ("reversals", "redemptions", "player_counters", "store_counters", "campaign_counters", "positions")


@pytest.fixture
async def commands(world: World) -> AsyncIterator[Positions]:
    async with positions(world.kafka, world.database_url) as opened:
        yield opened


async def stopped_with(copies: Copies, words: str) -> None:
    await poll_until(lambda: words in copies.text(), 40, what=f"the log saying {words!r}")


@pytest.mark.partitions(2)
async def test_a_postgres_restored_to_a_moment_ago_takes_its_outcomes_back(
    world: World, copies: Copies, commands: Positions
) -> None:
    first = copies.start_ailing()
    await send_all(world, stream(1, 600))
    await wait_decided(world, copies)
    copies.kill(first)
    for table in TABLES:
        await world.query(f"CREATE TABLE saved_{table} AS SELECT * FROM {table}")
    second = copies.start_ailing()
    await send_all(world, stream(2, 900)[600:])
    await wait_decided(world, copies)
    copies.kill(second)
    for table in TABLES:
        await world.query(f"DELETE FROM {table}")
    for table in reversed(TABLES):
        await world.query(f"INSERT INTO {table} SELECT * FROM saved_{table}")
    copies.start_ailing()
    await stopped_with(copies, "positions recover")
    shown = await commands.show()
    assert [p.partition for p in shown if p.problem and "lost a commit" in p.problem] == [0, 1]
    assert {place.partition for place in await commands.recover()} == {0, 1}
    await send_all(world, stream(3, 1_000)[900:])
    await wait_decided(world, copies)
    assert (await check_world(world, copies)).requests == 1_000
    with pytest.raises(NothingToMend):
        await commands.recover()


@pytest.mark.partitions(1)
async def test_a_log_cut_off_behind_the_place_is_skipped_and_noted(world: World, copies: Copies, commands: Positions) -> None:
    first = copies.start_ailing()
    await world.send(redeem("e-1", code_of(1)))
    await wait_decided(world, copies)
    copies.kill(first)
    await world.send(*(redeem(f"lost-{n}", code_of(n)) for n in range(2, 6)), redeem("kept", code_of(7)))
    with pytest.raises(NothingToMend):
        await commands.skip(0)
    await delete_records_before(world.kafka, REQUESTS.name, 0, 5)
    copies.start_ailing()
    await stopped_with(copies, "positions skip --partition 0")
    assert await commands.skip(0) == (1, 5)
    outcomes = await world.wait_for_outcomes(2, deadline_seconds=40)
    assert [(o.event_id, o.outcome) for o in outcomes] == [("e-1", OutcomeName.REDEEMED), ("kept", OutcomeName.REDEEMED)]
    (row,) = await world.query("SELECT * FROM skipped_ranges")
    assert (row["partition"], row["first_offset"], row["end_offset"]) == (0, 1, 5)


@pytest.mark.partitions(2)
async def test_a_topic_made_anew_is_noticed_and_begins_a_new_epoch(world: World, copies: Copies, commands: Positions) -> None:
    first = copies.start_ailing()
    await world.send(*(redeem(f"e-{n}", code_of(n)) for n in range(1, 6)))
    await wait_decided(world, copies)
    copies.kill(first)
    with pytest.raises(NothingToMend):
        await commands.new_epoch()
    await delete_topics(world.kafka, [REQUESTS])
    await asyncio.sleep(1)
    await ensure_topics(world.kafka, [REQUESTS], partitions={REQUESTS.name: 2})
    await world.send(*(redeem(f"f-{n}", code_of(n)) for n in range(1, 9)))
    copies.start_ailing()
    await stopped_with(copies, "positions new-epoch")
    assert await commands.new_epoch() == 2
    outcomes = await world.wait_for_outcomes(13, deadline_seconds=40)
    assert [o.outcome for o in outcomes[5:]] == [OutcomeName.ALREADY_REDEEMED] * 5 + [OutcomeName.REDEEMED] * 3
    assert {o.source.epoch for o in outcomes[5:]} == {2}
    assert outcomes[5].prev == outcomes[4].source
    await check(world)
