"""Errors as RFC 9457 problem details, field by field, never with a stack trace."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web
from pydantic import ValidationError


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field: its path, dots between the parts, and a sentence."""

    field: str
    message: str


class Problem(Exception):  # noqa: N818 (RFC 9457's word)
    """An answer that is an error. `detail` says what to do in one sentence; further members go into the body as they are."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Iterable[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.members = members

    def response(self) -> web.Response:
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            **self.members,
        }
        if self.errors:
            body["errors"] = [{"field": error.field, "message": error.message} for error in self.errors]
        return web.Response(
            status=self.status, body=orjson.dumps(body), content_type="application/problem+json", headers=self.headers
        )


def unreadable(detail: str) -> Problem:
    """400: the request cannot be read at all."""
    return Problem(HTTPStatus.BAD_REQUEST, detail)


def invalid(*errors: FieldError) -> Problem:
    """422: understood but wrong; `errors` names each field."""
    names = ", ".join(error.field for error in errors[:5]) + (", …" if len(errors) > 5 else "")
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"Some fields are not right: {names}", errors=errors)


def invalid_field(field: str, message: str) -> Problem:
    """422 for a single field."""
    return invalid(FieldError(field, message))


def not_found(what: str) -> Problem:
    """404, for what is not there and for what a token may not see, in the same words."""
    return Problem(HTTPStatus.NOT_FOUND, f"There is no such {what}")


def from_validation(error: ValidationError) -> Problem:
    """422 with every field that pydantic found wrong. What was sent is not repeated."""
    found = [
        FieldError(".".join(str(part) for part in problem["loc"]) or "(body)", _sentence(problem["msg"]))
        for problem in error.errors(include_input=False, include_url=False, include_context=False)
    ]
    return invalid(*found)


def _sentence(message: str) -> str:
    return "is not a known field" if message == "Extra inputs are not permitted" else message.removeprefix("Value error, ")
