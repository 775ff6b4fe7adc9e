"""Each row of the table in the order of the table."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from services.redemption.domain.budgets import Budgets
from services.redemption.domain.decisions import InternalFailure, redemption_id
from shared.contracts.codegen import CampaignLimits
from shared.contracts.redemption import Outcome, OutcomeName, Public, Source
from tests.unit.redemption.situation import NOW, Situation, batch, campaign, catalogue, store, void


def names(outcomes: list[Outcome]) -> list[str]:
    return [outcome.outcome.value for outcome in outcomes]


def test_row_2_an_event_sent_again_gets_the_first_answer_whatever_came_between() -> None:
    here = Situation()
    (first,) = here.decide(here.redeem("e", 5))
    (again,) = here.decide(here.redeem("e", 5, player_id="p-e", at=NOW + timedelta(days=3)))
    assert again.duplicate
    same = {"source": first.source, "prev": None, "duplicate": False}
    assert msgspec.structs.replace(again, **same) == first


@pytest.mark.parametrize("other", [{"serial": 6}, {"serial": None}, {"serial": "malformed"}, {"serial": 5, "player_id": "p-2"}])
def test_row_2_an_event_id_used_for_something_else(other: dict[str, Any]) -> None:
    here = Situation()
    here.decide(here.redeem("e", 5))
    serial = other.pop("serial")
    (outcome,) = here.decide(here.redeem("e", serial, **other))
    assert outcome.outcome is OutcomeName.EVENT_ID_REUSED
    assert outcome.redemption_id is None


def test_row_2_a_redemption_that_was_reversed_is_not_answered_as_redeemed() -> None:
    here = Situation()
    first, _, again = here.decide(here.redeem("e", 5), here.reverse("r", "e", reason="refund"), here.redeem("e", 5))
    assert (again.outcome, again.duplicate, again.reversed) == (OutcomeName.REDEMPTION_REVERSED, True, True)
    assert again.redemption_id == first.redemption_id
    assert again.public is Public.NOT_VALID


def test_row_3_before_row_4_a_malformed_code_is_one_even_when_the_budget_is_spent() -> None:
    here = Situation()
    guesses = [here.redeem(f"g{n}", None, player_id="p") for n in range(10)]
    here.decide(*guesses)
    assert names(here.decide(here.redeem("x", "malformed", player_id="p"))) == ["MALFORMED_CODE"]


def test_row_4_ten_failed_attempts_a_minute() -> None:
    here = Situation()
    tries = [here.redeem(f"g{n}", None if n % 2 else "bad", player_id="p", at=NOW + timedelta(seconds=n)) for n in range(10)]
    assert set(names(here.decide(*tries))) == {"UNKNOWN_CODE", "MALFORMED_CODE"}
    late = NOW + timedelta(seconds=20)
    limited, other = here.decide(here.redeem("a", 5, player_id="p", at=late), here.redeem("b", 5, player_id="q", at=late))
    assert (limited.outcome, limited.retryable, limited.retry_after) == (OutcomeName.RATE_LIMITED, True, 40)
    assert other.outcome is OutcomeName.REDEEMED
    free = NOW + timedelta(seconds=60)
    assert names(here.decide(here.redeem("c", 6, player_id="p", at=free))) == ["REDEEMED"]


def test_row_4_a_hundred_failed_attempts_a_day() -> None:
    here = Situation()
    for n in range(100):
        here.decide(here.redeem(f"g{n}", None, player_id="p", at=NOW + timedelta(minutes=n)))
    (limited,) = here.decide(here.redeem("a", 5, player_id="p", at=NOW + timedelta(minutes=110)))
    assert limited.outcome is OutcomeName.RATE_LIMITED
    assert limited.retry_after == (24 * 60 - 110) * 60


def test_row_4_what_was_limited_spends_nothing() -> None:
    here = Situation()
    here.decide(*[here.redeem(f"g{n}", None, player_id="p") for n in range(30)])
    assert len(here.facts.attempts["zork", "p"]) == 10


def test_row_5_a_code_that_nobody_was_given() -> None:
    unpublished = batch("b-2", first_serial=201, last_serial=300, state="ready")
    here = Situation(catalogue(msgspec.convert(msgspec.to_builtins(unpublished), type(unpublished))))
    assert names(here.decide(here.redeem("a", None), here.redeem("b", 150), here.redeem("c", 201))) == ["UNKNOWN_CODE"] * 3


def test_row_5_the_breaker_masks_unknown_codes_alone() -> None:
    here = Situation(budgets=Budgets(breaker_requests=20))
    guesses = [here.redeem(f"g{n}", None) for n in range(21)]
    assert names(here.decide(*guesses))[-2:] == ["UNKNOWN_CODE", "RATE_LIMITED"]
    outcomes = here.decide(here.redeem("a", 5), here.redeem("b", None), here.redeem("c", None, platform="other"))
    assert names(outcomes) == ["REDEEMED", "RATE_LIMITED", "UNKNOWN_CODE"]
    later = NOW + timedelta(seconds=70)
    assert names(here.decide(here.redeem("d", None, at=later))) == ["UNKNOWN_CODE"]


def test_row_5_half_of_good_codes_keep_the_breaker_closed() -> None:
    here = Situation(budgets=Budgets(breaker_requests=20))
    mixed = [here.redeem(f"g{n}", None if n % 2 else n + 1) for n in range(40)]
    assert "RATE_LIMITED" not in names(here.decide(*mixed))


def test_row_5_a_global_breaker_over_all_platforms() -> None:
    here = Situation(budgets=Budgets(breaker_requests=1_000, global_breaker_requests=20))
    here.decide(*[here.redeem(f"g{n}", None, platform=f"game-{n % 5}") for n in range(20)])
    assert names(here.decide(here.redeem("a", None, platform="quiet"))) == ["RATE_LIMITED"]


def test_row_6_already_redeemed_tells_the_same_player_which_redemption_it_was() -> None:
    here = Situation(catalogue(void(1, 100)))
    here.catalogue = catalogue()
    first = here.decide(here.redeem("e", 5, player_id="p"))[0]
    same, other, elsewhere = here.decide(
        here.redeem("f", 5, player_id="p"),
        here.redeem("g", 5, player_id="q"),
        here.redeem("h", 5, player_id="p", platform="other"),
    )
    assert names([same, other, elsewhere]) == ["ALREADY_REDEEMED"] * 3
    assert (same.same_player, same.redemption_id, same.redeemed_at) == (True, first.redemption_id, NOW)
    assert (other.same_player, other.redemption_id, elsewhere.same_player) == (False, None, False)


def test_row_6_before_row_7_a_void_never_covers_what_is_redeemed() -> None:
    here = Situation()
    here.decide(here.redeem("e", 5))
    here.catalogue.put_void(void(1, 10))
    assert names(here.decide(here.redeem("f", 5), here.redeem("g", 6), here.redeem("h", 11))) == [
        "ALREADY_REDEEMED",
        "CODE_VOID",
        "REDEEMED",
    ]


@pytest.mark.parametrize(
    "paused", [campaign(revision=2, paused=True), batch(revision=2, paused=True), store("s-0", paused=True)]
)
def test_row_8_a_pause_of_campaign_batch_or_store(paused: Any) -> None:
    here = Situation(catalogue(paused))
    (outcome,) = here.decide(here.redeem("e", 5, at=NOW, occurred_at=NOW - timedelta(days=5)))
    assert (outcome.outcome, outcome.retryable, outcome.public) == (OutcomeName.CAMPAIGN_PAUSED, True, Public.TRY_LATER)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (timedelta(hours=72), "REDEEMED"),
        (timedelta(hours=72, microseconds=1), "EVENT_TIME_OUT_OF_RANGE"),
        (-timedelta(minutes=5), "REDEEMED"),
        (-timedelta(minutes=5, microseconds=1), "EVENT_TIME_OUT_OF_RANGE"),
    ],
)
def test_row_9_occurred_at_lies_within_72_hours_and_5_minutes_of_the_append(before: timedelta, expected: str) -> None:
    here = Situation()
    assert names(here.decide(here.redeem("e", 5, occurred_at=NOW - before))) == [expected]


def test_rows_10_and_11_the_window_is_half_open_and_judged_by_occurred_at() -> None:
    here = Situation(catalogue(campaign(revision=2, starts_at=NOW - timedelta(hours=2), ends_at=NOW - timedelta(hours=1))))
    starts, ends, step = NOW - timedelta(hours=2), NOW - timedelta(hours=1), timedelta(microseconds=1)
    outcomes = here.decide(
        here.redeem("a", 1, occurred_at=starts - step),
        here.redeem("b", 2, occurred_at=starts),
        here.redeem("c", 3, occurred_at=ends - step),
        here.redeem("d", 4, occurred_at=ends),
    )
    assert names(outcomes) == ["NOT_YET_ACTIVE", "REDEEMED", "REDEEMED", "EXPIRED"]
    assert outcomes[0].retryable
    assert outcomes[0].retry_after == 1


def test_row_10_says_how_long_until_the_campaign_starts() -> None:
    here = Situation(catalogue(campaign(revision=2, starts_at=NOW + timedelta(seconds=90.5))))
    assert here.decide(here.redeem("a", 1))[0].retry_after == 91


def test_row_11_an_archived_campaign_is_over() -> None:
    assert names(_decide_with(campaign(revision=2, archived=True))) == ["EXPIRED"]


def test_row_12_games_and_regions() -> None:
    assert names(_decide_with(campaign(revision=2, games=("other",)))) == ["WRONG_GAME"]
    assert names(_decide_with(campaign(revision=2, games=("zork",)))) == ["REDEEMED"]
    regional = campaign(revision=2, regions=("US-CA",))
    assert names(_decide_with(regional)) == ["REGION_NOT_ALLOWED"]
    assert names(_decide_with(regional, region="DE")) == ["REGION_NOT_ALLOWED"]
    assert names(_decide_with(regional, region="US-CA")) == ["REDEEMED"]


def test_rows_13_and_14_player_before_store_before_campaign() -> None:
    here = Situation(catalogue(campaign(revision=2, limits=CampaignLimits(per_player=1, per_store=2, total=3))))
    outcomes = here.decide(
        here.redeem("a", 1, player_id="p"),
        here.redeem("b", 2, player_id="p"),
        here.redeem("c", 2, player_id="q"),
        here.redeem("d", 3, player_id="p"),
        here.redeem("e", 3, player_id="r"),
        here.redeem("f", 11, player_id="r"),
        here.redeem("g", 12, player_id="s"),
        here.redeem("h", 3, player_id="s"),
    )
    assert names(outcomes) == [
        "REDEEMED",
        "PLAYER_LIMIT_REACHED",
        "REDEEMED",
        "PLAYER_LIMIT_REACHED",
        "STORE_LIMIT_REACHED",
        "REDEEMED",
        "CAMPAIGN_LIMIT_REACHED",
        "STORE_LIMIT_REACHED",
    ]


@pytest.mark.parametrize("reason", ["grant_failed", "mistake", "test", "refund", "fraud"])
def test_what_a_reversal_opens_and_frees(reason: str) -> None:
    here = Situation(catalogue(campaign(revision=2, limits=CampaignLimits(per_player=1, total=1))))
    here.decide(here.redeem("a", 1, player_id="p"), here.reverse("r", "a", reason=reason))
    reopens = reason in ("grant_failed", "mistake", "test")
    (same_code,) = here.decide(here.redeem("b", 1, player_id="p"))
    assert same_code.outcome is (OutcomeName.REDEEMED if reopens else OutcomeName.ALREADY_REDEEMED)
    if not reopens:
        expected = "PLAYER_LIMIT_REACHED" if reason == "fraud" else "CAMPAIGN_LIMIT_REACHED"
        assert names(here.decide(here.redeem("c", 2, player_id="p"))) == [expected]


def test_a_reversal_carries_what_it_takes_back() -> None:
    here = Situation()
    first, taken = here.decide(here.redeem("a", 1), here.reverse("r", "a", reason="refund", at=NOW + timedelta(hours=1)))
    assert (taken.outcome, taken.public, taken.redemption_id) == (OutcomeName.REVERSED, Public.NOT_VALID, first.redemption_id)
    assert (taken.reverses, taken.reason, taken.redeemed_occurred_at) == ("a", "refund", NOW)
    assert taken.occurred_at == NOW + timedelta(hours=1)
    assert (taken.serial, taken.store_id, taken.player_id) == (1, "s-0", "p-a")


def test_a_reversal_without_its_redemption_may_come_again() -> None:
    here = Situation()
    early, _, wrong_code, right = here.decide(
        here.reverse("r", "a"), here.redeem("a", 1), here.reverse("r", "a", serial=2), here.reverse("r", "a", serial=1)
    )
    assert (early.outcome, early.retryable) == (OutcomeName.NOTHING_TO_REVERSE, True)
    assert wrong_code.outcome is OutcomeName.NOTHING_TO_REVERSE
    assert wrong_code.redemption_id is None
    assert right.outcome is OutcomeName.REVERSED


def test_a_reversal_after_90_days_is_too_late() -> None:
    here = Situation()
    here.decide(here.redeem("a", 1), here.redeem("b", 2))
    on_time, late = NOW + timedelta(days=90), NOW + timedelta(days=90, seconds=1)
    backdated = NOW + timedelta(days=100)
    assert names(here.decide(here.reverse("r", "a", at=late))) == ["REVERSAL_TOO_LATE"]
    assert names(here.decide(here.reverse("r", "b", at=on_time))) == ["REVERSED"]
    assert names(here.decide(here.reverse("r", "a", at=backdated, occurred_at=NOW))) == ["REVERSAL_TOO_LATE"]
    assert names(here.decide(here.reverse("r", "a", at=late, occurred_at=on_time))) == ["REVERSED"]


def test_generations_follow_the_reversals_that_opened_the_code() -> None:
    here = Situation()
    for n in range(4):
        here.decide(here.redeem(f"a{n}", 1), here.reverse(f"r{n}", f"a{n}"))
    assert sorted(entry.generation for entry in here.facts.entries) == [0, 1, 2, 3]


def test_outcomes_are_chained_and_ids_come_from_the_source() -> None:
    here = Situation()
    outcomes = [*here.decide(here.redeem("a", 1), here.redeem("b", 2)), *here.decide(here.redeem("c", 3))]
    assert [o.prev for o in outcomes] == [None, outcomes[0].source, outcomes[1].source]
    assert outcomes[0].redemption_id == redemption_id(Source(epoch=1, partition=0, offset=1))
    assert (
        len({redemption_id(Source(epoch=e, partition=p, offset=o)) for e in range(3) for p in range(3) for o in range(9)}) == 81
    )


def test_a_fault_of_the_rules_names_the_record() -> None:
    here = Situation()
    broken = here.redeem("a", 1)
    here.catalogue._batches.clear()
    with pytest.raises(InternalFailure) as failure:
        here.decide(here.redeem("b", None), broken)
    assert failure.value.source == broken.source


def _decide_with(changed: Any, **request: Any) -> list[Outcome]:
    here = Situation(catalogue(changed))
    return here.decide(here.redeem("e", 5, **request))
