"""The JSON routes: redeem, reverse, look up."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from services.redemption.handlers.asking import Asking
from services.redemption.handlers.synchronous import NoAnswer, Submitting
from shared.contracts.codec import InvalidEvent, encode
from shared.contracts.game_platforms import (
    CODE_LENGTH_LIMIT,
    EVENT_ID_LENGTH,
    PLATFORM_LENGTH,
    PLAYER_ID_LENGTH,
    REGION_LENGTH,
    RedeemRequest,
    ReversalReason,
    ReverseRequest,
    parse_request,
)
from shared.contracts.redemption import Outcome
from shared.web.problems import Problem, invalid_field, not_found
from shared.web.routes import Answer, Call, Fields, MomentField, NoFields, Route
from shared.web.tokens import Principal

ANY_PLATFORM: Final = ("platform:*",)


def _no_control_characters(text: str) -> str:
    if any(ord(character) < 0x20 or 0x7F <= ord(character) <= 0x9F for character in text):
        message = "holds a control character"
        raise ValueError(message)
    return text


Plain = AfterValidator(_no_control_characters)
EventIdField = Annotated[str, Field(min_length=1, max_length=EVENT_ID_LENGTH), Plain]
PlatformField = Annotated[str, Field(min_length=1, max_length=PLATFORM_LENGTH), Plain]


class RedemptionBody(Fields):
    """A player redeems a code."""

    event_id: EventIdField
    platform: PlatformField
    code: Annotated[str, Field(max_length=CODE_LENGTH_LIMIT)]
    player_id: Annotated[str, Field(min_length=1, max_length=PLAYER_ID_LENGTH), Plain]
    occurred_at: MomentField
    region: Annotated[str, Field(max_length=REGION_LENGTH), Plain] | None = None


class ReversalBody(Fields):
    """A platform takes a redemption back."""

    event_id: EventIdField
    platform: PlatformField
    reverses: EventIdField
    reason: ReversalReason
    occurred_at: MomentField
    code: Annotated[str, Field(max_length=CODE_LENGTH_LIMIT)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The handlers of the routes."""

    submitting: Submitting
    asking: Asking

    def routes(self) -> Sequence[Route]:
        return (
            Route(
                method="POST",
                path="/v1/redemptions",
                handler=self.redeem,
                summary="Redeem a code, and wait for the outcome",
                scopes=ANY_PLATFORM,
                body=RedemptionBody,
                answer=Outcome,
                problems=(HTTPStatus.GATEWAY_TIMEOUT, HTTPStatus.SERVICE_UNAVAILABLE),
            ),
            Route(
                method="POST",
                path="/v1/reversals",
                handler=self.reverse,
                summary="Take a redemption back, and wait for the outcome",
                scopes=ANY_PLATFORM,
                body=ReversalBody,
                answer=Outcome,
                problems=(HTTPStatus.GATEWAY_TIMEOUT, HTTPStatus.SERVICE_UNAVAILABLE),
            ),
            Route(
                method="GET",
                path="/v1/redemptions/{platform}/{event_id}",
                handler=self.look_up,
                summary="The accepted redemption of an event; 404: none yet, and sending it again is safe",
                scopes=ANY_PLATFORM,
                answer=Outcome,
            ),
        )

    async def redeem(self, call: Call[NoFields, RedemptionBody]) -> Answer:
        body = call.body
        require_platform(call.caller, body.platform)
        return await self._submit(
            RedeemRequest(
                event_id=body.event_id,
                platform=body.platform,
                code=body.code,
                player_id=body.player_id,
                occurred_at=body.occurred_at,
                region=body.region,
            )
        )

    async def reverse(self, call: Call[NoFields, ReversalBody]) -> Answer:
        body = call.body
        require_platform(call.caller, body.platform)
        return await self._submit(
            ReverseRequest(
                event_id=body.event_id,
                platform=body.platform,
                reverses=body.reverses,
                reason=body.reason,
                occurred_at=body.occurred_at,
                code=body.code,
            )
        )

    async def look_up(self, call: Call[NoFields, None]) -> Outcome:
        platform, event_id = call.path["platform"], call.path["event_id"]
        require_platform(call.caller, platform)
        outcome = await self.asking.redemption(platform, event_id)
        if outcome is None:
            raise not_found("accepted redemption yet; sending the request again is safe")
        return outcome

    async def _submit(self, request: RedeemRequest | ReverseRequest) -> Answer:
        _refuse_dead_letter(request)
        try:
            return Answer(value=await self.submitting.submit(request))
        except NoAnswer:
            detail = "The request is recorded but not decided yet; look it up, or send it again with the same event_id"
            raise Problem(HTTPStatus.GATEWAY_TIMEOUT, detail, event_id=request.event_id) from None


def require_platform(caller: Principal, platform: str) -> None:
    """Raises Problem 403 where a token of one platform speaks for another."""
    if not caller.has(f"platform:{platform}"):
        raise Problem(HTTPStatus.FORBIDDEN, "This token belongs to another platform")


def _refuse_dead_letter(request: RedeemRequest | ReverseRequest) -> None:
    """What the loop could not read must not be written: its caller would wait in vain."""
    try:
        parse_request(encode(request))
    except InvalidEvent as error:
        raise invalid_field("(body)", f"is refused: {error.detail}") from None
