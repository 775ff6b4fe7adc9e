"""Whether the key ring is the one that the batches were made with (rules 25 and 26)."""

from services.codegen.store.database import Database
from shared.codes.key_ring import KeyRing
from shared.codes.words import UnknownWordList, share_skipped


class WrongKeys(Exception):  # noqa: N818
    """The service must not run with this key ring. The text says why, and what to do."""


async def check_keys(database: Database, ring: KeyRing) -> None:
    """Raises WrongKeys for a key that is missing, or that is another one under the same id, or a word list that is unknown."""
    async with database.reading() as session:
        in_use = await session.batches.keys_in_use()
        ranges = await session.batches.reserved_ranges()
    for key_id, checks in in_use.items():
        key = ring.by_id(key_id)
        if key is None:
            raise WrongKeys(
                f"batches were made with the key {key_id}, which the key ring does not have: put it back, oldest first"
            )
        if checks != {key.check_value}:
            raise WrongKeys(
                f"the key {key_id} of the key ring is not the one that batches were made with: put the right one back"
            )
    for words in {found.words for found in ranges.ranges}:
        try:
            share_skipped(words)
        except UnknownWordList as error:
            raise WrongKeys(str(error)) from None
