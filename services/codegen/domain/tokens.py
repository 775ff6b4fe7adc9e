"""Tokens: which scopes there are, and what is shown of one."""

from collections.abc import Sequence
from typing import Final

import msgspec

from services.codegen.domain.refusals import Fault, identifier_fault, name_fault
from shared.contracts.game_platforms import PLATFORM_LENGTH, Moment

PLAIN_SCOPES: Final = ("admin", "ops", "reports")
NAMED_SCOPES: Final = ("platform", "store", "chain")
SCOPES_LIMIT: Final = 100


class TokenView(msgspec.Struct, frozen=True, kw_only=True):
    """A token without its text, which is shown once, when it is made."""

    id: str
    name: str
    scopes: tuple[str, ...]
    expires_at: Moment | None
    revoked_at: Moment | None
    created_by: str
    created_at: Moment


class NewTokenView(TokenView, frozen=True, kw_only=True):
    """A token that was made a moment ago, with its text."""

    token: str


def scope_faults(scopes: Sequence[str]) -> list[Fault]:
    """What is wrong with a token's scopes; empty when nothing is."""
    if not 1 <= len(scopes) <= SCOPES_LIMIT:
        return [Fault("scopes", f"must have 1 to {SCOPES_LIMIT} scopes")]
    faults = []
    for index, scope in enumerate(scopes):
        message = _scope_fault(scope) or ("is given twice" if scope in scopes[:index] else None)
        if message:
            faults.append(Fault(f"scopes.{index}", message))
    return faults


def _scope_fault(scope: str) -> str | None:
    if scope in PLAIN_SCOPES:
        return None
    kind, _, name = scope.partition(":")
    if kind not in NAMED_SCOPES or not name:
        return "must be admin, ops, reports, platform:<name>, store:<id> or chain:<id>"
    if kind == "platform":
        return name_fault(name, length=PLATFORM_LENGTH)
    return identifier_fault(name) if kind == "store" else name_fault(name, length=64)
