"""`counterfoil code`: what became of one code."""

import asyncio
from typing import Annotated, Any

import typer

from counterfoil.environment import CommandError
from counterfoil.http import in_path, service
from counterfoil.printing import AsJson, print_json


def code(
    text: Annotated[str | None, typer.Argument(help="The code, as people write it")] = None,
    serial: Annotated[int | None, typer.Option(help="Its serial number instead")] = None,
    json: AsJson = False,
) -> None:
    """Tells the whole story of a code: batch, store, campaign, state, redemptions, void."""
    if (text is None) == (serial is None):
        raise CommandError("name the code, or its --serial")
    story = asyncio.run(_find(text, serial))
    if json:
        print_json(story)
        return
    for line in _lines(story):
        typer.echo(line)


async def _find(text: str | None, serial: int | None) -> Any:
    async with service("codegen") as codegen:
        if text is None:
            return await codegen.call("GET", "/v1/codes", query={"serial": str(serial)})
        return await codegen.call("GET", f"/v1/codes/{in_path(text)}")


def _lines(story: dict[str, Any]) -> list[str]:
    paused = ", paused" if story["paused"] else ""
    return [
        f"{story['code_hint']}, serial {story['serial']}: {story['state']}{paused}, as of {story['as_of']}",
        f"campaign {story['campaign_id']} ({story['campaign_state']}), batch {story['batch_id']} ({story['batch_state']})",
        f"store {story['store_id']}, {story['store_name']}",
        *(_redemption(entry) for entry in story["history"]),
        *([f"void {story['void']['id']} at {story['void']['voided_at']}: {story['void']['reason']}"] if story["void"] else []),
    ]


def _redemption(entry: dict[str, Any]) -> str:
    redeemed = f"redeemed at {entry['redeemed_at']} on {entry['platform']} by {entry['player_id']} ({entry['event_id']})"
    if not entry["reversed_at"]:
        return redeemed
    return f"{redeemed}, reversed at {entry['reversed_at']}: {entry['reversal_reason']}"
