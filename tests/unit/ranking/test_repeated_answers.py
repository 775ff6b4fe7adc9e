"""How long an answer may be given again: until the boards are made anew, or a day ends in the campaign's zone."""

from datetime import UTC, datetime, timedelta

from services.ranking.domain.campaign_windows import CampaignFacts
from services.ranking.domain.campaigns import CampaignBoards
from services.ranking.domain.roster import StoreFacts
from services.ranking.domain.scores import DayScore, totals_of
from services.ranking.handlers.answers import Answers, Wanted
from services.ranking.handlers.boards import Boards

NOON = datetime(2026, 11, 22, 17, tzinfo=UTC)
MIDNIGHT_IN_NEW_YORK = datetime(2026, 11, 23, 5, tzinfo=UTC)


def boards_of_one_store() -> Boards:
    boards = Boards()
    boards.seconds_since_end = lambda: 0.25
    boards.roster.put(StoreFacts(id="s-1", name="Main Street"))
    facts = CampaignFacts(
        id="spring",
        name="Spring",
        time_zone="America/New_York",
        starts_at=NOON - timedelta(days=5),
        ends_at=NOON + timedelta(days=5),
        created_at=NOON - timedelta(days=5),
    )
    campaign = boards.campaigns["spring"] = CampaignBoards(facts, boards.roster)
    score = DayScore(redemptions=3, reversals=0, reached_at=NOON)
    campaign.add_day(NOON.date(), totals_of([(boards.roster.index.number("s-1"), score)]))
    boards.refresh(NOON)
    return boards


def test_an_answer_is_given_again_with_its_own_time_until_the_boards_are_made_anew() -> None:
    boards = boards_of_one_store()
    answers = Answers(boards)
    rendered = answers.leaderboard(Wanted(campaign_id="spring"), offset=0, limit=10, now=NOON)
    again = answers.again("spring", rendered, made_at=NOON)
    later = NOON + timedelta(seconds=7)
    assert b"".join(again(NOON) or ()) == rendered.at(NOON - timedelta(seconds=0.25), NOON)
    assert b'"as_of":"2026-11-22T17:00:06.750000Z","lag_seconds":0.250' in b"".join(again(later) or ())
    boards.refresh(later)
    assert again(later) is None


def test_an_answer_is_not_given_again_once_its_day_is_over() -> None:
    boards = boards_of_one_store()
    answers = Answers(boards)
    rendered = answers.leaderboard(Wanted(campaign_id="spring"), offset=0, limit=10, now=NOON)
    again = answers.again("spring", rendered, made_at=NOON)
    assert again(MIDNIGHT_IN_NEW_YORK - timedelta(microseconds=1)) is not None
    assert again(MIDNIGHT_IN_NEW_YORK) is None
