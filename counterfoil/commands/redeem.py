"""`counterfoil redeem`: one redemption through the HTTP API, as a platform would."""

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Annotated

import orjson
import typer

from counterfoil.http import service
from shared.contracts.codec import format_time


def redeem(
    code: str,
    player: Annotated[str, typer.Option(help="The player's id at the platform")] = "p-1",
    platform: Annotated[str, typer.Option(help="The token's platform")] = "zork",
    event_id: Annotated[str | None, typer.Option(help="A repeated id gets the first answer again")] = None,
    region: Annotated[str | None, typer.Option(help="Where the player is")] = None,
) -> None:
    """Redeems a code and prints the outcome as JSON, whatever it is."""
    request = {
        "event_id": event_id or f"cli-{uuid.uuid4().hex[:12]}",
        "platform": platform,
        "code": code,
        "player_id": player,
        "occurred_at": format_time(datetime.now(UTC)),
        **({"region": region} if region else {}),
    }
    typer.echo(orjson.dumps(asyncio.run(_redeem(request)), option=orjson.OPT_INDENT_2).decode())


async def _redeem(request: dict[str, str]) -> object:
    async with service("redemption", token="PLATFORM_TOKEN") as redemption:  # noqa: S106 (a variable's name)
        return await redemption.call("POST", "/v1/redemptions", request)
