"""Reading the outcomes topic exactly once in effect (`protocol.md`, rules 15 and 16).

Outcomes may be repeated on a partition, always identically and always as a repeated earlier range. A reader keeps, for each
partition, the mark: the source of the last outcome that it folded. What is not above the mark is dropped; an outcome whose
predecessor is above the mark means that something is missing in between.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from shared.contracts.redemption import Source


class Sourced(Protocol):
    """An outcome, or as much of one as a reader decodes."""

    @property
    def source(self) -> Source: ...
    @property
    def prev(self) -> Source | None: ...


AnOutcome = TypeVar("AnOutcome", bound=Sourced)


class SourceGap(Exception):  # noqa: N818 (names what was found, not a mishap of ours)
    """An outcome's predecessor was never seen: folding on would lose it. The partition has to stop, loudly."""

    def __init__(self, mark: Source | None, outcome: Sourced) -> None:
        super().__init__(f"outcome {outcome.source} follows {outcome.prev}, but the last one folded is {mark}")
        self.mark = mark
        self.outcome = outcome


def after_mark(mark: Source | None, outcomes: Iterable[AnOutcome]) -> Iterator[AnOutcome]:
    """Those outcomes of one partition that are above the mark, each once, in order.

    Raises SourceGap when one is missing before the next; what was yielded before may be folded.
    """
    for outcome in outcomes:
        if mark is not None and outcome.source <= mark:
            continue
        if outcome.prev is not None and (mark is None or outcome.prev > mark):
            raise SourceGap(mark, outcome)
        yield outcome
        mark = outcome.source
