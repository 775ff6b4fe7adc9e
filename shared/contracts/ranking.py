"""What ranking publishes: a store's place on a board, when it changes."""

import msgspec

from shared.contracts.game_platforms import Moment


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A store's rank on a board. `board` is `<window>/<scope>/<by>`, `period` the window's first day; rank null: unranked."""

    revision: int
    campaign_id: str
    board: str
    period: str
    store_id: str
    rank: int | None
    position: int | None
    score: int
    as_of: Moment
