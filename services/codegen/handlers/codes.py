"""The story of a single code, by its text or its serial."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Final

import numpy as np

from services.codegen.domain.campaigns import state_of
from services.codegen.domain.codes import CodeView, code_state
from services.codegen.domain.refusals import Fault, Missing, Wrong
from services.codegen.store.database import Database, Session
from services.codegen.store.register import FoundCode
from shared.codes import alphabet
from shared.codes.decoding import Decoder
from shared.codes.ff1 import Ff1
from shared.codes.key_ring import KeyRing
from shared.contracts.codegen import BatchState

NO_CODE: Final = "is not a code: nine of 0-9 and A-Z without I, L, O, U"


class CodeHandlers:
    def __init__(self, database: Database, ring: KeyRing, *, marks_as_of: Callable[[], Awaitable[datetime]]) -> None:
        self._database = database
        self._ring = ring
        self._marks_as_of = marks_as_of

    async def by_text(self, text: str, *, now: datetime) -> CodeView:
        """Raises Wrong for what is no code, Missing for one that was never issued."""
        (serial,) = await self.serials_of({"code": text})
        if serial == 0:
            raise Missing("code")
        return await self.by_serial(serial, now=now)

    async def by_serial(self, serial: int, *, now: datetime) -> CodeView:
        """Raises Missing for a serial that was never issued."""
        as_of = await self._marks_as_of()
        async with self._database.snapshot() as session:
            found = await session.register.find_code(serial)
            if found is None or BatchState(found.batch_state) in (BatchState.CANCELLED, BatchState.FAILED):
                raise Missing("code")
            return await self._view(session, found, as_of=as_of, now=now)

    async def serials_of(self, texts: Mapping[str, str]) -> list[int]:
        """The serials of texts, 0 where one leads nowhere. Raises Wrong, naming the field of every text that is no code."""
        codes = {field: alphabet.normalise(text) for field, text in texts.items()}
        faults = [Fault(field, NO_CODE) for field, code in codes.items() if code is None]
        if faults:
            raise Wrong(*faults)
        values = np.array([alphabet.to_value(code) for code in codes.values() if code is not None], dtype=np.int64)
        async with self._database.reading() as session:
            ranges = await session.batches.reserved_ranges()
        decoded = Decoder(self._ring).decode(ranges, values)
        return [0 if skipped else int(serial) for serial, skipped in zip(decoded.serials, decoded.skipped, strict=True)]

    async def _view(self, session: Session, found: FoundCode, *, as_of: datetime, now: datetime) -> CodeView:
        history = tuple(await session.register.redemptions_of_serial(found.serial))
        void = await session.register.void_of_serial(found.serial)
        standing = next((redemption for redemption in history if redemption.stands), None)
        campaign_state = state_of(
            starts_at=found.starts_at,
            ends_at=found.ends_at,
            paused=found.campaign_paused,
            archived=found.archived,
            now=now,
        )
        return CodeView(
            code_hint=self._hint(found),
            serial=found.serial,
            batch_id=found.batch_id,
            batch_state=BatchState(found.batch_state),
            campaign_id=found.campaign_id,
            campaign_state=campaign_state,
            store_id=found.store_id,
            store_name=found.store_name,
            paused=found.campaign_paused or found.batch_paused or found.store_paused,
            state=code_state(redeemed=standing is not None, void=void is not None, campaign=campaign_state),
            redemption=standing,
            void=void,
            history=history,
            published_at=found.published_at,
            as_of=as_of,
        )

    def _hint(self, found: FoundCode) -> str:
        key = self._ring.by_id(found.key_id)
        if key is None:
            return alphabet.hint("•" * alphabet.CODE_LENGTH)
        value = Ff1(key.key).encrypt(np.array([found.serial], dtype=np.int64))
        return alphabet.hint(alphabet.to_text(int(value[0])))
