"""The demo's traffic: repeatable, ordered, and as varied as real traffic."""

from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from counterfoil.demo.stores import demo_stores
from counterfoil.demo.traffic import StoreCodes, TrafficEvent, play
from shared.codes.alphabet import normalise
from shared.contracts.game_platforms import RedeemRequest, ReverseRequest, parse_request

END = datetime(2026, 11, 22, 12, tzinfo=UTC)
START = END - timedelta(hours=48)
STORES = {
    "s-1": StoreCodes(zone=ZoneInfo("Asia/Tokyo"), region="JP-13", codes=[f"A{number:08d}" for number in range(2_000)]),
    "s-2": StoreCodes(zone=ZoneInfo("America/New_York"), region="US-NY", codes=[f"B{number:08d}" for number in range(1_000)]),
}


def events(seed: int = 1) -> list[TrafficEvent]:
    paused = [f"C{number:08d}" for number in range(20)]
    return list(play(STORES, paused, random=Random(seed), prefix="e", start=START, end=END))


def test_the_same_seed_plays_the_same_events() -> None:
    assert events(1) == events(1)
    assert events(1) != events(2)


def test_events_come_in_the_order_of_their_moments_within_the_window() -> None:
    moments = [event.request.occurred_at for event in events()]
    assert moments[0] >= START
    assert moments[-1] <= END


def test_every_event_is_a_request_that_the_contract_allows() -> None:
    for event in events():
        assert parse_request(event.value()) == event.request


def test_what_belongs_together_has_one_key_and_comes_in_order() -> None:
    redeemed: dict[str, bytes] = {}
    for event in events():
        match event.request:
            case RedeemRequest(event_id=event_id):
                assert redeemed.setdefault(event_id, event.key) == event.key
            case ReverseRequest(reverses=reverses):
                assert redeemed[reverses] == event.key


def test_traffic_holds_repeats_typos_guesses_paused_codes_and_reversals() -> None:
    played = events()
    requests = [event.request for event in played]
    assert len(requests) > len({request.event_id for request in requests})
    ids = [request.event_id for request in requests]
    for part in ("typo", "guess", "paused", "friend", "reverse"):
        assert any(part in event_id for event_id in ids), part
    assert all(normalise(request.code or "") for request in requests)


def test_players_sleep_by_their_own_stores_clock() -> None:
    local = [
        event.request.occurred_at.astimezone(STORES["s-1"].zone).hour
        for event in events()
        if isinstance(event.request, RedeemRequest) and event.request.region == "JP-13"
    ]
    assert sum(hour == 19 for hour in local) > 10 * sum(hour == 3 for hour in local)


def test_the_stores_are_the_same_for_the_same_seed_and_named_in_many_scripts() -> None:
    stores = demo_stores(Random(1))
    assert stores == demo_stores(Random(1))
    assert 300 <= len(stores) <= 400
    assert len({store.id for store in stores}) == len(stores)
    assert any("東京" in store.name for store in stores)
