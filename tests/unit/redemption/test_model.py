"""The rules against a simple model, over random histories: cut into batches anyhow, the outcomes are the model's.

The model keeps plain dictionaries and decides one request at a time, from the sentences of the design alone. `make faults`
plays thousands of histories (`RULE_HISTORIES`).
"""

import os
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shared.contracts.codegen import CampaignLimits
from shared.contracts.redemption import Outcome
from tests.unit.redemption.situation import Situation, campaign, catalogue

HISTORIES = int(os.environ.get("RULE_HISTORIES", "120"))
REOPENS = ("grant_failed", "mistake", "test")
PER_PLAYER, PER_STORE, TOTAL = 2, 4, 9

Request = tuple[str, str, Any, str]
"""(kind, event, serial or event reversed, player or reason)"""


class Model:
    """One sequential rule book for one campaign."""

    def __init__(self) -> None:
        self.redemptions: dict[str, dict[str, Any]] = {}
        self.failures: Counter[str] = Counter()

    def decide(self, request: Request) -> tuple[str, bool]:
        kind, event, what, who = request
        return self._redeem(event, what, who) if kind == "redeem" else self._reverse(what, who)

    def _redeem(self, event: str, serial: int | str | None, player: str) -> tuple[str, bool]:
        first = self.redemptions.get(event)
        if first is not None:
            if (first["serial"], first["player"]) != (serial, player):
                return "EVENT_ID_REUSED", False
            return ("REDEMPTION_REVERSED" if first["reason"] else "REDEEMED"), True
        if isinstance(serial, str):
            self.failures[player] += 1
            return "MALFORMED_CODE", False
        if self.failures[player] >= 10:
            return "RATE_LIMITED", False
        if serial is None:
            self.failures[player] += 1
            return "UNKNOWN_CODE", False
        standing = [r for r in self.redemptions.values() if r["reason"] not in REOPENS]
        if any(r["serial"] == serial for r in standing):
            return "ALREADY_REDEEMED", False
        if sum(r["player"] == player and r["reason"] in ("", "fraud") for r in self.redemptions.values()) >= PER_PLAYER:
            return "PLAYER_LIMIT_REACHED", False
        if sum((r["serial"] - 1) // 10 == (serial - 1) // 10 for r in standing) >= PER_STORE:
            return "STORE_LIMIT_REACHED", False
        if len(standing) >= TOTAL:
            return "CAMPAIGN_LIMIT_REACHED", False
        self.redemptions[event] = {"serial": serial, "player": player, "reason": ""}
        return "REDEEMED", False

    def _reverse(self, event: str, reason: str) -> tuple[str, bool]:
        redemption = self.redemptions.get(event)
        if redemption is None:
            return "NOTHING_TO_REVERSE", False
        if redemption["reason"]:
            return "REVERSED", True
        redemption["reason"] = reason
        return "REVERSED", False


EVENTS = st.sampled_from([f"e{n}" for n in range(12)])
REDEEM = st.tuples(
    st.just("redeem"),
    EVENTS,
    st.one_of(st.integers(1, 25), st.integers(1, 5), st.none(), st.just("bad")),
    st.sampled_from(["p1", "p2", "p3", "p4", "p5"]),
)
REVERSE = st.tuples(st.just("reverse"), st.just("r"), EVENTS, st.sampled_from([*REOPENS, "refund", "fraud"]))
REQUESTS = st.one_of(REDEEM, REDEEM, REVERSE)


def situation() -> Situation:
    return Situation(
        catalogue(campaign(revision=2, limits=CampaignLimits(per_player=PER_PLAYER, per_store=PER_STORE, total=TOTAL)))
    )


def ask(here: Situation, requests: list[Request]) -> list[Outcome]:
    return here.decide(
        *(
            here.redeem(event, what, player_id=who) if kind == "redeem" else here.reverse(event, what, reason=who)
            for kind, event, what, who in requests
        )
    )


@settings(max_examples=HISTORIES, deadline=None)
@given(st.lists(st.lists(REQUESTS, min_size=1, max_size=12), min_size=1, max_size=8))
def test_batches_are_decided_as_one_after_another(batches: list[list[Request]]) -> None:
    here, model = situation(), Model()
    for batch in batches:
        expected = [model.decide(request) for request in batch]
        assert [(o.outcome.value, o.duplicate) for o in ask(here, batch)] == expected


@settings(max_examples=HISTORIES, deadline=None)
@given(st.lists(REQUESTS, min_size=1, max_size=40), st.data())
def test_where_a_batch_is_cut_makes_no_difference(requests: list[Request], data: st.DataObject) -> None:
    whole, cut = situation(), situation()
    expected = ask(whole, requests)
    outcomes: list[Outcome] = []
    while len(outcomes) < len(requests):
        size = data.draw(st.integers(1, len(requests) - len(outcomes)))
        outcomes += ask(cut, requests[len(outcomes) : len(outcomes) + size])
    assert outcomes == expected


class Histories(RuleBasedStateMachine):
    """Long histories, one request or a batch at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.here, self.model = situation(), Model()
        self.waiting: list[Request] = []

    @rule(request=REQUESTS)
    def comes(self, request: Request) -> None:
        self.waiting.append(request)

    @precondition(lambda self: bool(self.waiting))
    @rule()
    def is_decided(self) -> None:
        batch, self.waiting = self.waiting, []
        expected = [self.model.decide(request) for request in batch]
        assert [(o.outcome.value, o.duplicate) for o in ask(self.here, batch)] == expected

    @invariant()
    def counters_are_what_the_ledger_says(self) -> None:
        standing = [e for e in self.here.facts.entries if not e.is_open]
        assert (self.here.facts.campaign_counts or {}).get("spring", 0) == len(standing) <= TOTAL
        assert len({entry.serial for entry in standing}) == len(standing)
        players = Counter(e.player_slot for e in self.here.facts.entries if e.reversal is None or e.reversal.reason == "fraud")
        assert {slot: n for slot, n in self.here.facts.player_counts.items() if n} == players


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=HISTORIES // 3, stateful_step_count=50, deadline=None)
