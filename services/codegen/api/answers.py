"""What the routes share: pages of lists, and refusals as problems."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final, TypeVar

from pydantic import Field

from services.codegen.domain.refusals import Conflict, Missing, NotYet, Refused, Wrong
from services.codegen.domain.stores import Unreadable
from shared.web.problems import FieldError, Problem, invalid, invalid_field, not_found, unreadable
from shared.web.routes import Call, Fields, Handler

ADMIN: Final = ("admin",)
Item = TypeVar("Item")


class PageQuery(Fields):
    """A page of a list."""

    limit: Annotated[int, Field(ge=1, le=1_000, description="Items a page")] = 50
    cursor: Annotated[str | None, Field(max_length=512, description="next_cursor of the page before")] = None


def page_of(found: Sequence[Item], limit: int, key: Callable[[Item], str]) -> tuple[Sequence[Item], str | None]:
    """The items of a page and its cursor, from a list that was asked for one more than `limit`."""
    items = found[:limit]
    return items, _cursor(key(items[-1])) if len(found) > limit else None


def after(query: PageQuery) -> str:
    """The key that the cursor stands for; empty for the first page. Raises Problem 422."""
    if not query.cursor:
        return ""
    try:
        padded = query.cursor + "=" * (-len(query.cursor) % 4)
        text = base64.b64decode(padded.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError, ValueError):
        raise invalid_field("cursor", "is not a cursor that a page gave") from None
    if "\x00" in text:
        raise invalid_field("cursor", "is not a cursor that a page gave")
    return text


def before_number(query: PageQuery) -> int:
    """The number that the cursor stands for; beyond all for the first page. Raises Problem 422."""
    text = after(query)
    if not text:
        return 2**31 - 1
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise invalid_field("cursor", "is not a cursor that a page gave")
    return min(int(text), 2**31 - 1)


def refusing(handler: Callable[[Call[Any, Any]], Awaitable[Any]]) -> Handler:
    """The handler, its refusals answered as problems."""

    async def answer(call: Call[Any, Any]) -> Any:
        try:
            return await handler(call)
        except Refused as refusal:
            raise problem_of(refusal) from None
        except Unreadable as error:
            raise unreadable(str(error)) from None

    return answer


def problem_of(refusal: Refused) -> Problem:
    """The answer to what is refused."""
    match refusal:
        case Wrong():
            return invalid(*(FieldError(fault.field, fault.message) for fault in refusal.faults))
        case Missing():
            return not_found(refusal.what)
        case Conflict():
            return Problem(HTTPStatus.CONFLICT, str(refusal))
        case NotYet():
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(refusal), headers={"Retry-After": "5"})
    message = f"no answer is known for {type(refusal).__name__}"
    raise AssertionError(message)


def _cursor(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")
