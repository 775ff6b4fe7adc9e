"""Which events travel on which topic: the one list behind the AsyncAPI document and the tests of the examples."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from shared.contracts import topics
from shared.contracts.codegen import Batch, Campaign, Store, Token, Void
from shared.contracts.game_platforms import RedeemRequest, ReverseRequest
from shared.contracts.ranking import Standing
from shared.contracts.redemption import Outcome

EXAMPLES: Final = Path(__file__).parent / "examples"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event: its name in documents and folders, the type of its value, and its topic."""

    name: str
    value: type[msgspec.Struct]
    topic: topics.Topic
    version: int = 1

    def example_files(self) -> list[Path]:
        return sorted((EXAMPLES / self.name / f"v{self.version}").glob("*.json"))


EVENTS: Final = (
    Event(name="campaign", value=Campaign, topic=topics.CAMPAIGNS),
    Event(name="store", value=Store, topic=topics.STORES),
    Event(name="batch", value=Batch, topic=topics.BATCHES),
    Event(name="void", value=Void, topic=topics.VOIDS),
    Event(name="token", value=Token, topic=topics.TOKENS),
    Event(name="redeem_request", value=RedeemRequest, topic=topics.REQUESTS),
    Event(name="reverse_request", value=ReverseRequest, topic=topics.REQUESTS),
    Event(name="outcome", value=Outcome, topic=topics.OUTCOMES),
    Event(name="standing", value=Standing, topic=topics.STANDINGS),
)
