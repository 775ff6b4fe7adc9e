"""Requests on Kafka to outcomes on Kafka, on the real servers."""

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from shared.contracts.redemption import Outcome, OutcomeName
from shared.contracts.topics import REQUESTS
from shared.kafka import clients
from shared.lifecycle import RunningService
from tests.integration.redemption.world import World, code_of, redeem, reverse

pytestmark = pytest.mark.usefixtures("service")


def names(outcomes: list[Outcome]) -> list[OutcomeName]:
    return [outcome.outcome for outcome in outcomes]


async def test_a_good_code_is_redeemed_and_found_in_the_ledger(world: World) -> None:
    (outcome,) = await world.decide(redeem("e-1", code_of(7), region="US-CA"))
    assert outcome.outcome is OutcomeName.REDEEMED
    assert (outcome.serial, outcome.store_id, outcome.batch_id, outcome.campaign_id) == (7, "s-0", "b-1", "spring")
    assert outcome.store_region == "US-CA"
    assert outcome.code_hint == code_of(7)[:3] + "••••••"
    (row,) = await world.query("SELECT * FROM redemptions")
    assert (row["serial"], str(row["redemption_id"]), row["event_id"]) == (7, outcome.redemption_id, "e-1")
    assert row["occurred_at"] == outcome.occurred_at
    assert row["received_at"] == outcome.received_at
    assert row["decided_at"] == outcome.decided_at


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_a_platform_may_compress_its_requests_as_it_likes(world: World, codec: str) -> None:
    async with clients.producer(world.kafka, compression_type=codec) as producer:
        await producer.send_and_wait(
            world.kafka.physical(REQUESTS.name), json.dumps(redeem("e-1", code_of(7))).encode(), partition=0
        )
    (outcome,) = await world.wait_for_outcomes(1)
    assert outcome.outcome is OutcomeName.REDEEMED


async def test_an_event_sent_again_gets_the_first_answer_again(world: World) -> None:
    request = redeem("e-1", code_of(7))
    first, second = await world.decide(request, request)
    third = (await world.decide(request))[0]
    for again in (second, third):
        assert again.duplicate
        assert (again.outcome, again.redemption_id, again.decided_at) == (
            OutcomeName.REDEEMED,
            first.redemption_id,
            first.decided_at,
        )
    assert second.prev == first.source
    other = await world.decide(redeem("e-1", code_of(8)), redeem("e-1", code_of(7), player_id="somebody else"))
    assert names(other) == [OutcomeName.EVENT_ID_REUSED] * 2


async def test_a_code_is_redeemed_once_whoever_comes(world: World) -> None:
    first = redeem("e-1", code_of(7), player_id="p-1")
    outcomes = await world.decide(first, redeem("e-2", code_of(7), player_id="p-2"), redeem("e-3", code_of(7), player_id="p-1"))
    assert names(outcomes) == [OutcomeName.REDEEMED, OutcomeName.ALREADY_REDEEMED, OutcomeName.ALREADY_REDEEMED]
    assert outcomes[1].same_player is False
    assert outcomes[1].redemption_id is None
    assert outcomes[2].same_player is True
    assert outcomes[2].redemption_id == outcomes[0].redemption_id
    elsewhere = await world.decide(redeem("e-4", code_of(7), player_id="p-2"), partition=1)
    assert names(elsewhere) == [OutcomeName.ALREADY_REDEEMED]


async def test_codes_that_lead_nowhere(world: World) -> None:
    outcomes = await world.decide(redeem("e-1", "short"), redeem("e-2", code_of(999_999)), redeem("e-3", "ıııııııı1"))
    assert names(outcomes) == [OutcomeName.MALFORMED_CODE, OutcomeName.UNKNOWN_CODE, OutcomeName.MALFORMED_CODE]
    assert outcomes[1].serial is None


async def test_what_cannot_be_read_becomes_a_dead_letter_with_its_origin(world: World) -> None:
    await world.send(None, b"{", b'{"type": "redeem"}', b"x" * 70_000, redeem("e-1", code_of(7)))
    (outcome,) = await world.wait_for_outcomes(1)
    assert outcome.source.offset == 4
    letters = await world.dead_letters()
    headers = [dict(letter.headers) for letter in letters]
    assert [h["reason"] for h in headers] == [b"EMPTY", b"NOT_JSON", b"INVALID_FIELDS", b"TOO_LARGE"]
    assert [h["origin_offset"] for h in headers] == [b"0", b"1", b"2", b"3"]
    assert headers[3]["truncated"] == b"true"
    assert len(letters[3].value or b"") == 64 * 1024
    assert letters[1].value == b"{"


async def test_the_campaign_decides_when_where_and_for_whom(world: World) -> None:
    now = datetime.now(UTC)
    await world.publish_campaign("paused", paused=True)
    await world.publish_campaign("later", starts_at=now + timedelta(hours=1))
    await world.publish_campaign("over", ends_at=now - timedelta(hours=1))
    await world.publish_campaign("elsewhere", games=("other",))
    await world.publish_campaign("regional", regions=("US-CA",))
    for place, campaign in enumerate(("paused", "later", "over", "elsewhere", "regional")):
        await world.publish_batch(f"b-{campaign}", campaign_id=campaign, first=20_001 + place * 1_000, codes=100)
    codes = [code_of(20_001 + place * 1_000) for place in range(5)]
    outcomes = await world.decide(
        *(redeem(f"e-{place}", code) for place, code in enumerate(codes)),
        redeem("e-in-region", codes[4], region="US-CA"),
        redeem("e-old", code_of(1), occurred_at=(now - timedelta(hours=73)).isoformat()),
    )
    assert names(outcomes) == [
        OutcomeName.CAMPAIGN_PAUSED,
        OutcomeName.NOT_YET_ACTIVE,
        OutcomeName.EXPIRED,
        OutcomeName.WRONG_GAME,
        OutcomeName.REGION_NOT_ALLOWED,
        OutcomeName.REDEEMED,
        OutcomeName.EVENT_TIME_OUT_OF_RANGE,
    ]
    assert 3_500 < (outcomes[1].retry_after or 0) <= 3_600


async def test_limits_hold_across_partitions_and_reversals_free_them(world: World) -> None:
    await world.publish_campaign("limited", limits={"per_player": 1, "per_store": 2, "total": 3})
    await world.publish_batch("b-2", campaign_id="limited", first=20_001, codes=100)
    first_store, second_store = [code_of(20_001 + n) for n in range(5)], [code_of(20_011 + n) for n in range(5)]
    outcomes = await world.decide(
        redeem("e-1", first_store[0], player_id="p-1"),
        redeem("e-2", first_store[1], player_id="p-1"),
        redeem("e-3", first_store[1], player_id="p-2"),
        redeem("e-4", first_store[2], player_id="p-3"),
        redeem("e-5", second_store[0], player_id="p-3"),
        redeem("e-6", second_store[1], player_id="p-4"),
    )
    assert names(outcomes) == [
        OutcomeName.REDEEMED,
        OutcomeName.PLAYER_LIMIT_REACHED,
        OutcomeName.REDEEMED,
        OutcomeName.STORE_LIMIT_REACHED,
        OutcomeName.REDEEMED,
        OutcomeName.CAMPAIGN_LIMIT_REACHED,
    ]
    outcomes = await world.decide(
        redeem("e-7", first_store[3], player_id="p-1"),
        reverse("r-1", "e-1", reason="refund"),
        redeem("e-8", first_store[3], player_id="p-1"),
        reverse("r-2", "e-3", code=first_store[1]),
        redeem("e-9", first_store[3], player_id="p-1"),
        redeem("e-3", first_store[1], player_id="p-2"),
        partition=1,
    )
    assert names(outcomes) == [
        OutcomeName.PLAYER_LIMIT_REACHED,
        OutcomeName.REVERSED,
        OutcomeName.STORE_LIMIT_REACHED,
        OutcomeName.REVERSED,
        OutcomeName.REDEEMED,
        OutcomeName.REDEMPTION_REVERSED,
    ]
    assert outcomes[5].reversed is True
    (counter,) = await world.query("SELECT * FROM campaign_counters WHERE campaign_id = 'limited'")
    assert (counter["redeemed"], counter["counts_players"], counter["counts_stores"]) == (3, True, True)


@pytest.mark.parametrize("limit", ["per_store", "total"])
async def test_a_place_that_is_freed_above_a_lowered_limit_is_not_taken_again(world: World, limit: str) -> None:
    await world.publish_campaign("limited", limits={"per_player": None, limit: 3})
    await world.publish_batch("b-2", campaign_id="limited", first=20_001, codes=100)
    await world.decide(*(redeem(f"e-{n}", code_of(20_000 + n)) for n in (1, 2, 3)))
    await world.publish_campaign("limited", limits={"per_player": None, limit: 2})
    outcomes = await world.decide(
        reverse("r-1", "e-1"), redeem("e-4", code_of(20_004)), reverse("r-2", "e-2"), redeem("e-5", code_of(20_005))
    )
    refused = OutcomeName.STORE_LIMIT_REACHED if limit == "per_store" else OutcomeName.CAMPAIGN_LIMIT_REACHED
    assert names(outcomes) == [OutcomeName.REVERSED, refused, OutcomeName.REVERSED, OutcomeName.REDEEMED]


async def test_a_limit_that_comes_later_counts_what_was_before(world: World) -> None:
    await world.decide(redeem("e-1", code_of(1), player_id="p-1"), redeem("e-2", code_of(1_001), player_id="p-2"))
    await world.publish_campaign(limits={"per_player": 1, "per_store": 1})
    outcomes = await world.decide(
        redeem("e-3", code_of(2_001), player_id="p-1"),
        redeem("e-4", code_of(1_002), player_id="p-3"),
        redeem("e-5", code_of(2_001), player_id="p-3"),
        partition=1,
    )
    assert names(outcomes) == [OutcomeName.PLAYER_LIMIT_REACHED, OutcomeName.STORE_LIMIT_REACHED, OutcomeName.REDEEMED]


async def test_a_reversal_is_answered_once_for_all(world: World) -> None:
    code = code_of(5)
    outcomes = await world.decide(
        reverse("r-0", "e-1"),
        redeem("e-1", code),
        reverse("r-1", "e-1", code=code_of(6)),
        reverse("r-2", "e-1", reason="fraud"),
        reverse("r-3", "e-1", reason="test"),
        redeem("e-2", code),
    )
    assert names(outcomes) == [
        OutcomeName.NOTHING_TO_REVERSE,
        OutcomeName.REDEEMED,
        OutcomeName.NOTHING_TO_REVERSE,
        OutcomeName.REVERSED,
        OutcomeName.REVERSED,
        OutcomeName.ALREADY_REDEEMED,
    ]
    assert outcomes[0].retryable
    assert not outcomes[3].duplicate
    assert outcomes[4].duplicate
    assert (outcomes[4].reason, outcomes[4].redemption_id) == ("fraud", outcomes[1].redemption_id)
    assert outcomes[3].redeemed_occurred_at == outcomes[1].occurred_at


async def test_voided_codes_are_void_but_for_those_redeemed_before(world: World) -> None:
    await world.decide(redeem("e-1", code_of(50)))
    await world.publish_void(40, 60)
    outcomes = await world.decide(redeem("e-2", code_of(50)), redeem("e-3", code_of(51)), redeem("e-4", code_of(61)))
    assert names(outcomes) == [OutcomeName.ALREADY_REDEEMED, OutcomeName.CODE_VOID, OutcomeName.REDEEMED]


async def test_guessing_spends_the_players_budget(world: World) -> None:
    guesses = [redeem(f"e-{n}", code_of(500_000 + n), player_id="guesser") for n in range(11)]
    outcomes = await world.decide(*guesses)
    assert names(outcomes) == [OutcomeName.UNKNOWN_CODE] * 10 + [OutcomeName.RATE_LIMITED]
    good, other = await world.decide(
        redeem("g-1", code_of(1), player_id="guesser"), redeem("g-2", code_of(1), player_id="honest"), partition=1
    )
    assert good.outcome is OutcomeName.RATE_LIMITED
    assert 1 <= (good.retry_after or 0) <= 60
    assert other.outcome is OutcomeName.REDEEMED


@pytest.mark.partitions(6)
async def test_guesses_on_all_partitions_at_once_spend_one_budget(world: World) -> None:
    """A code is its record's key by advice, so a guesser's records are on all partitions."""
    for player in ("guesser", "another"):
        guesses = [redeem(f"{player}-{n}", code_of(500_000 + n), player_id=player) for n in range(30)]
        outcomes = await asyncio.gather(*(world.decide(*guesses[n::6], partition=n) for n in range(6)))
        counts = Counter(outcome.outcome for of_partition in outcomes for outcome in of_partition)
        assert counts == {OutcomeName.UNKNOWN_CODE: 10, OutcomeName.RATE_LIMITED: 20}


async def test_the_breaker_masks_unknown_codes_and_lets_good_ones_pass(world: World) -> None:
    guesses = [redeem(f"e-{n}", code_of(500_000 + n)) for n in range(201)]
    outcomes = await world.decide(*guesses)
    assert names(outcomes) == [OutcomeName.UNKNOWN_CODE] * 200 + [OutcomeName.RATE_LIMITED]
    masked, good = await world.decide(redeem("g-1", code_of(600_000)), redeem("g-2", code_of(1)), partition=1)
    assert names([masked, good]) == [OutcomeName.RATE_LIMITED, OutcomeName.REDEEMED]


async def test_a_code_published_a_moment_ago_is_good(world: World) -> None:
    for place in range(5):
        await world.publish_batch(f"b-new-{place}", first=30_001 + place * 100, codes=100)
        (outcome,) = await world.decide(redeem(f"e-{place}", code_of(30_001 + place * 100)))
        assert outcome.outcome is OutcomeName.REDEEMED


async def test_outcomes_carry_cloudevents_headers_and_their_requests_keys(world: World) -> None:
    await world.decide(redeem("e-1", code_of(1)))
    (record,) = await world.outcome_records(0)
    headers = dict(record.headers)
    assert record.key == code_of(1).encode()
    assert headers["ce_type"] == b"redemption.accepted"
    assert headers["ce_id"] == b"1-0-0"


async def test_the_service_is_ready(service: RunningService) -> None:
    assert service.readiness.problems() == {}
