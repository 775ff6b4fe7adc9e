"""XML-RPC at `/RPC2`, for games that speak what games spoke in 2009 (`contracts.md`).

Bodies are at most 64 KiB; documents with a DTD, entities or deep nesting are refused before anything is built from them.
"""

import base64
import binascii
import xmlrpc.client
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, ClassVar, Final
from xml.parsers.expat import ExpatError

import msgspec
from aiohttp import web
from defusedxml.common import DefusedXmlException
from defusedxml.xmlrpc import DefusedExpatParser

from services.redemption.handlers.asking import Asking
from services.redemption.handlers.synchronous import NoAnswer, Submitting
from shared.contracts.codec import InvalidEvent, encode
from shared.contracts.game_platforms import RedeemRequest, ReversalReason, ReverseRequest, parse_request
from shared.web.problems import Problem
from shared.web.routes import Call, NoFields, Route
from shared.web.tokens import Principal, TokenDirectory

BODY_BYTES_LIMIT: Final = 64 * 1024
DEPTH_LIMIT: Final = 24
CALLS_LIMIT: Final = 100
LARGEST_I4: Final = 2**31 - 1

FAULT_UNREADABLE: Final = 400
FAULT_UNAUTHORIZED: Final = 401
FAULT_FORBIDDEN: Final = 403
FAULT_NO_METHOD: Final = 404
FAULT_PARAMETERS: Final = 422
FAULT_UNAVAILABLE: Final = 503
FAULT_LATE: Final = 504


@dataclass(frozen=True, slots=True)
class Method:
    """One method: what it does, and its types as `system.methodSignature` tells them (the answer's first)."""

    call: Callable[[Principal, Sequence[Any]], Awaitable[Any]]
    signature: tuple[str, ...]
    help: str


class XmlRpc:
    """The route and its methods."""

    def __init__(
        self, submitting: Submitting, asking: Asking, tokens: TokenDirectory, *, unavailable: Callable[[BaseException], bool]
    ) -> None:
        self._submitting = submitting
        self._asking = asking
        self._tokens = tokens
        self._unavailable = unavailable
        self._methods: Mapping[str, Method] = {
            "redeem": Method(
                self._redeem,
                ("struct", "string", "string", "string", "string"),
                "redeem(platform, event_id, code, player_id): redeems a code now; the outcome as the JSON interface gives it.",
            ),
            "check": Method(
                self._check,
                ("struct", "string"),
                'check(code): {"state", "public"} without redeeming; unknown codes count against the platform.',
            ),
            "reverse": Method(
                self._reverse,
                ("struct", "string", "string", "string", "string"),
                "reverse(platform, event_id, reverses, reason): takes a redemption back; the outcome.",
            ),
            "system.listMethods": Method(self._list_methods, ("array",), "system.listMethods(): the names of all methods."),
            "system.methodHelp": Method(
                self._method_help, ("string", "string"), "system.methodHelp(name): what a method does."
            ),
            "system.methodSignature": Method(
                self._method_signature, ("array", "string"), "system.methodSignature(name): the types of answer and parameters."
            ),
            "system.multicall": Method(
                self._multicall,
                ("array", "array"),
                'system.multicall([{"methodName", "params"}]): each answer in a list of one, or a fault as a struct.',
            ),
        }

    def route(self) -> Route:
        return Route(
            method="POST",
            path="/RPC2",
            handler=self.answer,
            summary="XML-RPC: redeem, check, reverse, and the usual system methods",
            scopes=None,
            content_type="text/xml",
            accepts=("text/xml",),
            problems=(HTTPStatus.REQUEST_ENTITY_TOO_LARGE,),
        )

    async def answer(self, call: Call[NoFields, None]) -> web.Response:
        body = await _read_body(call.request)
        try:
            principal = await self._authenticate(call.request)
            name, parameters = _parse(body)
            result = await self._call(principal, name, parameters)
            text = _dump((result,))
        except xmlrpc.client.Fault as fault:
            text = _dump(fault)
        return web.Response(body=text, content_type="text/xml", charset="utf-8")

    async def _authenticate(self, request: web.Request) -> Principal:
        text = _token_text(request.headers.get("Authorization", ""))
        principal = await self._tokens.authenticate(text, now=datetime.now(UTC)) if text else None
        if principal is None:
            raise xmlrpc.client.Fault(FAULT_UNAUTHORIZED, "a token is needed, as Bearer or as the password of Basic")
        if self._tokens.stale:
            raise xmlrpc.client.Fault(FAULT_UNAVAILABLE, "tokens cannot be checked now; try again shortly")
        if not principal.named("platform"):
            raise xmlrpc.client.Fault(FAULT_FORBIDDEN, "this token is of no platform")
        return principal

    async def _call(self, principal: Principal, name: str, parameters: Sequence[Any]) -> Any:
        method = self._methods.get(name)
        if method is None:
            raise xmlrpc.client.Fault(FAULT_NO_METHOD, "there is no such method; system.listMethods names them")
        _check_parameters(method, parameters)
        try:
            return await method.call(principal, parameters)
        except NoAnswer as late:
            raise xmlrpc.client.Fault(FAULT_LATE, f"not decided yet; send {late} again with the same event_id") from None
        except xmlrpc.client.Fault:
            raise
        except Exception as error:
            if self._unavailable(error):
                raise xmlrpc.client.Fault(FAULT_UNAVAILABLE, "a part of the system is away; try again shortly") from error
            raise

    async def _redeem(self, principal: Principal, parameters: Sequence[Any]) -> Any:
        platform, event_id, code, player_id = parameters
        _require(principal, platform)
        now = datetime.now(UTC)
        return await self._submit(
            RedeemRequest(event_id=event_id, platform=platform, code=code, player_id=player_id, occurred_at=now)
        )

    async def _reverse(self, principal: Principal, parameters: Sequence[Any]) -> Any:
        platform, event_id, reverses, reason = parameters
        _require(principal, platform)
        if reason not in set(ReversalReason):
            raise xmlrpc.client.Fault(FAULT_PARAMETERS, f"reason must be one of {', '.join(ReversalReason)}")
        now = datetime.now(UTC)
        return await self._submit(
            ReverseRequest(
                event_id=event_id, platform=platform, reverses=reverses, reason=ReversalReason(reason), occurred_at=now
            )
        )

    async def _submit(self, request: RedeemRequest | ReverseRequest) -> Any:
        try:
            parse_request(encode(request))
        except InvalidEvent as error:
            raise xmlrpc.client.Fault(FAULT_PARAMETERS, error.detail) from None
        return _without_nulls(msgspec.json.decode(await self._submitting.submit(request)))

    async def _check(self, principal: Principal, parameters: Sequence[Any]) -> Any:
        (code,) = parameters
        platform = min(principal.named("platform"))
        checked = await self._asking.check(platform, code)
        return {"state": checked.state.value, "public": checked.public.value}

    async def _list_methods(self, _principal: Principal, _parameters: Sequence[Any]) -> Any:
        return sorted(self._methods)

    async def _method_help(self, _principal: Principal, parameters: Sequence[Any]) -> Any:
        return self._named(parameters).help

    async def _method_signature(self, _principal: Principal, parameters: Sequence[Any]) -> Any:
        return [list(self._named(parameters).signature)]

    async def _multicall(self, principal: Principal, parameters: Sequence[Any]) -> Any:
        (calls,) = parameters
        if len(calls) > CALLS_LIMIT:
            raise xmlrpc.client.Fault(FAULT_PARAMETERS, f"at most {CALLS_LIMIT} calls at once")
        return [await self._one_of_many(principal, call) for call in calls]

    async def _one_of_many(self, principal: Principal, call: Any) -> Any:
        try:
            if not isinstance(call, dict) or not isinstance(call.get("params", []), list):
                raise xmlrpc.client.Fault(FAULT_PARAMETERS, "each call is a struct of methodName and params")
            if call.get("methodName") == "system.multicall":
                raise xmlrpc.client.Fault(FAULT_PARAMETERS, "system.multicall cannot call itself")
            return [await self._call(principal, str(call.get("methodName")), call.get("params", []))]
        except xmlrpc.client.Fault as fault:
            return {"faultCode": fault.faultCode, "faultString": fault.faultString}

    def _named(self, parameters: Sequence[Any]) -> Method:
        method = self._methods.get(parameters[0])
        if method is None:
            raise xmlrpc.client.Fault(FAULT_NO_METHOD, "there is no such method")
        return method


class _ShallowParser(DefusedExpatParser):
    """Also refuses what is nested deeper than any call can be."""

    def __init__(self, target: Any) -> None:
        super().__init__(target, forbid_dtd=True, forbid_entities=True, forbid_external=True)
        self._depth = 0
        self._target = target
        parser: Any = vars(self)["_parser"]
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end

    def _start(self, tag: str, attributes: Any) -> None:
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise xmlrpc.client.Fault(FAULT_UNREADABLE, "the document is nested too deeply")
        self._target.start(tag, attributes)

    def _end(self, tag: str) -> None:
        self._depth -= 1
        self._target.end(tag)


async def _read_body(request: web.Request) -> bytes:
    """Raises Problem 413 before more than the limit is read."""
    too_large = Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A call has at most {BODY_BYTES_LIMIT} bytes")
    if (request.content_length or 0) > BODY_BYTES_LIMIT:
        raise too_large
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > BODY_BYTES_LIMIT:
            raise too_large
    return bytes(body)


def _parse(body: bytes) -> tuple[str, Sequence[Any]]:
    unmarshaller = xmlrpc.client.Unmarshaller(use_builtin_types=True)
    try:
        parser = _ShallowParser(unmarshaller)
        parser.feed(body)
        parser.close()
        parameters, name = unmarshaller.close(), unmarshaller.getmethodname()
    except (ExpatError, DefusedXmlException, xmlrpc.client.ResponseError, ValueError, LookupError, TypeError, AttributeError):
        raise xmlrpc.client.Fault(FAULT_UNREADABLE, "this is no XML-RPC call") from None
    if name is None:
        raise xmlrpc.client.Fault(FAULT_UNREADABLE, "the call names no method")
    return name, parameters


def _check_parameters(method: Method, parameters: Sequence[Any]) -> None:
    wanted = method.signature[1:]
    kinds = {"string": str, "array": list}
    fits = len(parameters) == len(wanted) and all(isinstance(p, kinds[w]) for p, w in zip(parameters, wanted, strict=True))
    if not fits:
        raise xmlrpc.client.Fault(FAULT_PARAMETERS, method.help)


def _require(principal: Principal, platform: str) -> None:
    if not principal.has(f"platform:{platform}"):
        raise xmlrpc.client.Fault(FAULT_FORBIDDEN, "this token belongs to another platform")


def _token_text(header: str) -> str | None:
    kind, _, text = header.partition(" ")
    if kind.lower() == "bearer":
        return text.strip() or None
    if kind.lower() != "basic":
        return None
    try:
        return base64.b64decode(text.strip(), validate=True).decode().partition(":")[2] or None
    except (binascii.Error, UnicodeDecodeError):
        return None


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(member) for name, member in value.items() if member is not None}
    return value


class _Marshaller(xmlrpc.client.Marshaller):
    """Numbers beyond 32 bits, which the standard does not know, as the i8 that its later clients read."""

    def dump_long(self, value: int, write: Callable[[str], Any]) -> None:
        tag = "int" if -LARGEST_I4 <= value <= LARGEST_I4 else "i8"
        write(f"<value><{tag}>{value}</{tag}></value>\n")

    dispatch: ClassVar[dict[Any, Any]] = {**xmlrpc.client.Marshaller.dispatch, int: dump_long}  # type: ignore[misc]  # the base class means it so too


def _dump(answer: tuple[Any] | xmlrpc.client.Fault) -> bytes:
    body = _Marshaller("utf-8").dumps(answer)
    return f"<?xml version='1.0' encoding='utf-8'?>\n<methodResponse>\n{body}</methodResponse>\n".encode()
