"""What operators rely on: dead letters sent again, partitions added while it runs, a ledger that must not forget."""

import asyncio
import re
from typing import Any

import asyncpg
import pytest

from services.redemption.app import RedemptionSettings, dead_letters, running
from services.redemption.handlers.codes import UnreadableBatch
from services.redemption.store.errors import NotDurable
from shared.contracts.codegen import BatchState
from shared.contracts.redemption import OutcomeName
from shared.contracts.topics import DEAD_LETTERS, OUTCOMES, REQUESTS
from shared.environment import read_settings
from shared.kafka.records import NewRecord
from shared.kafka.topics import add_partitions
from shared.lifecycle import RunningService
from tests.integration.redemption.world import KEYS, World, code_of, redeem


async def test_a_dead_letter_sent_again_changes_nothing_twice(world: World, service: RunningService) -> None:
    await world.decide(redeem("e-1", code_of(1)))
    await world.send(b"{", None)
    await world.decide(redeem("e-2", code_of(2)))
    async with dead_letters(world.kafka) as commands:
        letters = [letter async for letter in commands.list()]
        assert [(letter.reason, letter.origin_offset) for letter in letters] == [("NOT_JSON", 1), ("EMPTY", 2)]
        shown = await commands.show(letters[0].number)
        assert shown == letters[0]
        assert await commands.show(99) is None
        assert await commands.replay(letters[:1]) == 1
        await world.decide(redeem("e-1", code_of(1)))
        again = [letter async for letter in commands.list()]
    assert len(again) == 3
    assert len(await world.query("SELECT FROM redemptions")) == 2


async def test_a_record_with_neither_key_nor_value_is_a_dead_letter_as_others(world: World, service: RunningService) -> None:
    await world.publisher.publish_batch(REQUESTS.name, 0, [NewRecord(None, None)])
    (outcome,) = await world.decide(redeem("e-1", code_of(1)))
    assert outcome.outcome is OutcomeName.REDEEMED
    async with dead_letters(world.kafka) as commands:
        (letter,) = [letter async for letter in commands.list()]
        assert (letter.key, letter.value, letter.reason) == (None, None, "EMPTY")
        assert await commands.replay([letter]) == 0


async def test_a_dead_letter_of_a_topic_made_anew_is_no_repetition_of_one_before(world: World) -> None:
    headers = [("reason", b"NOT_JSON"), ("origin_partition", b"0"), ("origin_offset", b"7")]
    letters = [NewRecord(b"k", value, tuple(headers)) for value in (b"{", b"{", b"[1")]
    await world.publisher.publish_batch(DEAD_LETTERS.name, 0, letters)
    async with dead_letters(world.kafka) as commands:
        assert [(letter.number, letter.value) async for letter in commands.list()] == [(0, b"{"), (2, b"[1")]


async def test_partitions_may_be_added_while_it_runs(world: World, service: RunningService) -> None:
    await world.decide(redeem("e-1", code_of(1)))
    await add_partitions(world.kafka, OUTCOMES.name, 3)
    await add_partitions(world.kafka, REQUESTS.name, 3)
    await world.send(redeem("e-2", code_of(1)), redeem("e-3", code_of(2)), partition=2)
    outcomes = await world.wait_for_outcomes(2, partition=2, deadline_seconds=45)
    assert [o.outcome for o in outcomes] == [OutcomeName.ALREADY_REDEEMED, OutcomeName.REDEEMED]
    (place,) = await world.query("SELECT * FROM positions WHERE partition = 2")
    assert (place["epoch"], place["position"]) == (1, 2)


async def test_a_ledger_that_may_forget_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODE_KEYS", KEYS.to_json())
    name, role = (await world.query("SELECT current_database() AS name, current_user AS role"))[0]
    connection = await asyncpg.connect(world.database_url)
    await connection.execute(f'ALTER ROLE "{role}" IN DATABASE "{name}" SET synchronous_commit = off')
    await connection.close()
    with pytest.raises(BaseExceptionGroup) as failure:
        async with running(read_settings(RedemptionSettings, world.environment)):
            pass
    assert failure.group_contains(NotDurable, match="synchronous_commit=off")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"key_id": "k9"}, "made with the key k9, which CODE_KEYS_FILE does not hold"),
        ({"key_check": "0000"}, "the key k1 in CODE_KEYS_FILE is not the one"),
        ({"words": "99"}, "skips the words of list '99', which is newer than this program"),
    ],
)
async def test_a_published_batch_that_cannot_be_read_ends_the_service_before_a_code_of_it_is_judged(
    world: World, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], sentence: str
) -> None:
    monkeypatch.setenv("CODE_KEYS", KEYS.to_json())
    with pytest.raises(BaseExceptionGroup) as failure:
        await run_while_publishing(world, changes)
    assert failure.group_contains(UnreadableBatch, match=re.escape(sentence))


async def run_while_publishing(world: World, changes: dict[str, Any]) -> None:
    """What is only reserved may be newer than this program; what is published must be readable."""
    reserved: dict[str, Any] = {"first": 20_001, "state": BatchState.READY, "words": "99"}
    async with running(read_settings(RedemptionSettings, world.environment)):
        await world.publish_batch("b-2", **reserved)
        (outcome,) = await world.decide(redeem("e-1", code_of(20_005)))
        assert outcome.outcome is OutcomeName.UNKNOWN_CODE
        await world.publish_batch("b-2", **{**reserved, "state": BatchState.PUBLISHED, "words": "none", **changes})
        await asyncio.sleep(20)
