"""Counting the outcomes topic once more from its beginning: to check a certificate, and to rebuild the scores."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Protocol

from services.ranking.domain.calendar import Window
from services.ranking.domain.certificates import Certificate, CertifiedScore, certificate_hash, ranked_rows
from services.ranking.domain.places import UNREAD, Place
from services.ranking.domain.roster import StoreFacts, StoreIndex
from services.ranking.domain.scores import DayScore, DayTotals
from services.ranking.handlers.counting import Chunk
from services.ranking.store.certificates import CertificateStore
from services.ranking.store.rebuilding import Difference, RebuildStore
from shared.contracts.topics import OUTCOMES
from shared.kafka.records import Record

CHUNK_RECORDS: Final = 5_000

Count = Callable[[Place, Sequence[Record]], Chunk]
"""Counts records of an outcomes partition from a place on; `handlers.boards.Boards.count`."""


class CannotRecount(Exception):  # noqa: N818 (told to an operator)
    """The topic does not hold what is needed. The text is a sentence."""


class Log(Protocol):
    """The outcomes topic as it is read here; `shared.kafka.inspecting.LogInspector`."""

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]: ...
    def read(self, topic: str, partition: int, start: int, end: int | None = None) -> AsyncIterator[Record]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a certificate says, and what the outcomes come to. `problems` are sentences; none when all agrees."""

    certificate: Certificate
    recomputed_hash: str
    outcomes_read: int
    problems: Sequence[str]

    @property
    def holds(self) -> bool:
        return not self.problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """How a rebuild ended: rows that were wrong, and what it was built from."""

    rows: int
    differences: int
    examples: Sequence[Difference]
    outcomes_read: int
    swapped: bool


async def verify_certificate(
    certificate: Certificate, frozen: Sequence[CertifiedScore], log: Log, count: Count
) -> Verification:
    """Counts the certificate's window anew from the outcomes that it names, and compares scores and hash.

    Raises CannotRecount where the topic no longer holds them.
    """
    counted, read = await _recount_window(certificate, log, count)
    known = {one.facts.id: one for one in frozen}
    problems = [*_differences(known, counted)]
    scores = [_with_facts(known.get(store_id), store_id, score) for store_id, score in counted.items()]
    recomputed = certificate_hash(
        certificate.campaign_id, certificate.period, certificate.time_zone, certificate.source, ranked_rows(scores)
    )
    if recomputed != certificate.hash:
        problems.append(f"the hash comes to {recomputed}, the certificate says {certificate.hash}")
    return Verification(certificate=certificate, recomputed_hash=recomputed, outcomes_read=read, problems=problems)


async def rebuild(store: RebuildStore, log: Log, count: Count) -> Rebuilt:
    """Counts all outcomes up to where the fold is now into shadow tables, compares, and swaps them in where they differ.

    Reading and folding go on meanwhile: after a swap the fold goes on from the places that the shadow tables stand for, and
    every copy loads its boards again. Raises CannotRecount, and when another rebuild is running.
    """
    async with store.rebuilding() as shadow:
        places = await shadow.begin()
        reached, read = dict(places), 0
        for partition, place in places.items():
            async for chunk in _recount(log, partition, place.next_offset or 0, count):
                if chunk.waiting:
                    raise CannotRecount(f"the campaign {chunk.waiting[0].campaign_id} of an outcome is not known")
                await shadow.add(chunk.changes)
                reached[partition] = chunk.end
                read += (chunk.end.next_offset or 0) - (chunk.start.next_offset or 0)
        differences = await shadow.compare()
        if differences.count:
            await shadow.swap(reached, differences.count)
        return Rebuilt(
            rows=differences.rows,
            differences=differences.count,
            examples=differences.examples,
            outcomes_read=read,
            swapped=bool(differences.count),
        )


async def find_certificate(
    store: CertificateStore, certificates: Sequence[Certificate], campaign_id: str, window: Window, day: date
) -> tuple[Certificate, list[CertifiedScore]]:
    """The certificate of the window that holds the day, with its scores. Raises CannotRecount when there is none."""
    for certificate in certificates:
        period = certificate.period
        holds_day = period.first_day <= day <= period.last_day
        if certificate.campaign_id == campaign_id and period.window is window and holds_day:
            return certificate, await store.read_certified_scores(campaign_id, period)
    raise CannotRecount(f"no {window} of {campaign_id} with {day} in it is certified")


async def _recount(log: Log, partition: int, until: int, count: Count) -> AsyncIterator[Chunk]:
    first, end = await log.bounds(OUTCOMES.name, partition)
    if until and (first > 0 or end < until):
        raise CannotRecount(f"{OUTCOMES.name} partition {partition} holds {first} to {end}, not 0 to {until}")
    place, records = UNREAD, list[Record]()
    async for record in log.read(OUTCOMES.name, partition, 0, until):
        records.append(record)
        if len(records) == CHUNK_RECORDS:
            chunk = count(place, records)
            place, records = chunk.end, []
            yield chunk
    if records:
        yield count(place, records)


async def _recount_window(certificate: Certificate, log: Log, count: Count) -> tuple[dict[str, DayScore], int]:
    period, read = certificate.period, 0
    total: dict[str, DayScore] = {}
    for partition, until in sorted(certificate.source.items()):
        async for chunk in _recount(log, partition, until, count):
            read += (chunk.end.next_offset or 0) - (chunk.start.next_offset or 0)
            for campaign_id, day, totals in chunk.changes.totals():
                within = period.window is Window.ALL or period.first_day <= day <= period.last_day
                if campaign_id == certificate.campaign_id and within:
                    _add(total, chunk.changes.index, totals)
    return total, read


def _add(total: dict[str, DayScore], index: StoreIndex, totals: DayTotals) -> None:
    for number, added in totals.scores():
        found = total.setdefault(index.ids[number], DayScore(0, 0, added.reached_at))
        found.redemptions += added.redemptions
        found.reversals += added.reversals
        found.reached_at = max(found.reached_at, added.reached_at)


def _differences(known: Mapping[str, CertifiedScore], counted: Mapping[str, DayScore]) -> list[str]:
    found = []
    for store_id in sorted({*known, *counted}):
        certified = known[store_id].score if store_id in known else None
        if certified != counted.get(store_id):
            found.append(f"{store_id}: certified {_words(certified)}, the outcomes come to {_words(counted.get(store_id))}")
    return found


def _words(score: DayScore | None) -> str:
    if score is None:
        return "nothing"
    return f"{score.redemptions} redeemed and {score.reversals} reversed, reached {score.reached_at.isoformat()}"


def _with_facts(known: CertifiedScore | None, store_id: str, score: DayScore) -> CertifiedScore:
    if known is None:
        return CertifiedScore(facts=StoreFacts(id=store_id, name=store_id, shown=False), score=score, issued=0)
    return CertifiedScore(facts=known.facts, score=score, issued=known.issued)
