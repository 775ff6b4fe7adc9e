"""Who is calling: bearer tokens by their hash, as they come over the tokens topic (`protocol.md`, rule 24)."""

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

import structlog

from shared.contracts.codec import InvalidEvent, decoder
from shared.contracts.codegen import Token

STALE_SECONDS: Final = 30.0
"""When the topic was not read to its end for this long, what changes something is refused (503); reads go on."""

log = structlog.get_logger(__name__)
_decode = decoder(Token)


class TokenRecord(Protocol):
    """A record of `promo.tokens.v1`, as the topic's follower hands it on."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Principal:
    """The token behind a request: its id and what it may do."""

    token_id: str
    scopes: tuple[str, ...]

    def has(self, scope: str) -> bool:
        return scope in self.scopes

    def named(self, kind: str) -> frozenset[str]:
        """The names of all scopes of a kind: `store` gives s-1 and s-2 for the scopes `store:s-1` and `store:s-2`."""
        return frozenset(scope.removeprefix(f"{kind}:") for scope in self.scopes if scope.startswith(f"{kind}:"))

    def matches(self, wanted: Iterable[str]) -> bool:
        """Whether one of the wanted scopes is held; `platform:*` stands for any platform."""
        return any(bool(self.named(w[:-2])) if w.endswith(":*") else self.has(w) for w in wanted)


def hash_token(text: str) -> str:
    """The hexadecimal SHA-256 under which a token is known."""
    return hashlib.sha256(text.encode()).hexdigest()


class TokenDirectory:
    """All tokens in memory. `apply` takes the topic's records; `refresh` and `age_seconds` come from the topic's follower."""

    def __init__(self, *, refresh: Callable[[], Awaitable[None]], age_seconds: Callable[[], float]) -> None:
        self._refresh = refresh
        self._age_seconds = age_seconds
        self._by_id: dict[str, Token] = {}
        self._by_hash: dict[str, tuple[Token, Principal]] = {}

    def apply(self, _partition: int, records: Sequence[TokenRecord]) -> None:
        """Takes the next records of the topic; a lower revision than the one known is ignored."""
        for record in records:
            if record.value is None:
                continue
            try:
                token = _decode(record.value)
            except InvalidEvent as error:
                log.error("token record is not readable", reason=error.reason)
                continue
            known = self._by_id.get(token.id)
            if known is None or token.revision >= known.revision:
                if known is not None:
                    self._by_hash.pop(known.sha256, None)
                self._by_id[token.id] = token
                self._by_hash[token.sha256] = token, Principal(token.id, token.scopes)

    @property
    def stale(self) -> bool:
        return self._age_seconds() > STALE_SECONDS

    async def authenticate(self, text: str, *, now: datetime) -> Principal | None:
        """The principal of a token's text, None when it is unknown, expired or revoked.

        An unknown token makes the topic be read to its end once: it may have been made a moment ago.
        """
        if hash_token(text) not in self._by_hash:
            await self._refresh()
        return self.find(text, now=now)

    def find(self, text: str, *, now: datetime) -> Principal | None:
        """The principal of a token that is known already and has not ended."""
        known = self._by_hash.get(hash_token(text))
        return None if known is None or _has_ended(known[0], now) else known[1]

    def holds(self, principal: Principal, *, now: datetime) -> bool:
        """Whether a principal's token is still good; for streams, which may outlive it."""
        token = self._by_id.get(principal.token_id)
        return token is not None and not _has_ended(token, now)


def _has_ended(token: Token, now: datetime) -> bool:
    revoked_at, expires_at = token.revoked_at, token.expires_at
    return (revoked_at is not None and revoked_at <= now) or (expires_at is not None and expires_at <= now)
