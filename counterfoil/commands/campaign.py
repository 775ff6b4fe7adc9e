"""`counterfoil campaign`: campaigns and their windows, limits and pauses."""

import asyncio
from typing import Annotated, Any

import typer

from counterfoil.environment import CommandError
from counterfoil.http import in_path, service
from counterfoil.printing import AsJson, print_json, print_table

app = typer.Typer(no_args_is_help=True)

CampaignId = Annotated[str, typer.Argument(metavar="ID", help="The campaign's id")]
When = "RFC 3339, or a date: that whole day in the campaign's zone"
UNLIMITED = "none"


@app.command("create")
def create(
    campaign_id: CampaignId,
    starts_at: Annotated[str, typer.Option("--starts", help=When)],
    ends_at: Annotated[str, typer.Option("--ends", help=When)],
    name: Annotated[str | None, typer.Option(help="The name; the id by default")] = None,
    time_zone: Annotated[str, typer.Option(help="Whose days, weeks and months count")] = "UTC",
    game: Annotated[
        list[str] | None, typer.Option(help="A platform whose players may redeem; repeatable, all by default")
    ] = None,
    region: Annotated[list[str] | None, typer.Option(help="A region of requests; repeatable, all by default")] = None,
    per_player: Annotated[str, typer.Option(help="Redemptions of a player, or none for no limit")] = "1",
    per_store: Annotated[str, typer.Option(help="Redemptions of a store, or none for no limit")] = UNLIMITED,
    total: Annotated[str, typer.Option(help="Redemptions in all, or none for no limit")] = UNLIMITED,
    json: AsJson = False,
) -> None:
    """Makes a campaign. Asking again for the same changes nothing."""
    limits = {"per_player": per_player, "per_store": per_store, "total": total}
    request = {
        "id": campaign_id,
        "name": name or campaign_id,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "time_zone": time_zone,
        "games": game or [],
        "regions": region or [],
        "limits": {field: _limit(field, text) for field, text in limits.items()},
    }
    _show(asyncio.run(_call("POST", "/v1/campaigns", request)), as_json=json)


@app.command("list")
def show_all(json: AsJson = False) -> None:
    """Lists all campaigns."""
    campaigns = asyncio.run(_list())
    if json:
        print_json(campaigns)
    else:
        print_table(("id", "state", "starts_at", "ends_at", "time_zone", "name"), campaigns)


@app.command("show")
def show(campaign_id: CampaignId, json: AsJson = False) -> None:
    """Shows one campaign."""
    _show(asyncio.run(_call("GET", f"/v1/campaigns/{in_path(campaign_id)}")), as_json=json)


@app.command("pause")
def pause(campaign_id: CampaignId, json: AsJson = False) -> None:
    """Refuses the campaign's codes, everywhere and at once, until `resume`."""
    _change(campaign_id, {"paused": True}, as_json=json)


@app.command("resume")
def resume(campaign_id: CampaignId, json: AsJson = False) -> None:
    """Goes on after a pause."""
    _change(campaign_id, {"paused": False}, as_json=json)


@app.command("extend")
def extend(campaign_id: CampaignId, ends_at: Annotated[str, typer.Option("--ends", help=When)], json: AsJson = False) -> None:
    """Moves the campaign's end."""
    _change(campaign_id, {"ends_at": ends_at}, as_json=json)


@app.command("archive")
def archive(campaign_id: CampaignId, json: AsJson = False) -> None:
    """Ends the campaign for good: its codes that were not redeemed are expired."""
    _change(campaign_id, {"archived": True}, as_json=json)


def _change(campaign_id: str, changes: dict[str, Any], *, as_json: bool) -> None:
    _show(asyncio.run(_call("PATCH", f"/v1/campaigns/{in_path(campaign_id)}", changes)), as_json=as_json)


def _show(campaign: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(campaign)
    else:
        typer.echo(f"{campaign['id']}: {campaign['state']}, {campaign['starts_at']} to {campaign['ends_at']}")


def _limit(field: str, text: str) -> int | None:
    if text == UNLIMITED:
        return None
    if not text.isdigit():
        raise CommandError(f"--{field.replace('_', '-')} is a number or {UNLIMITED}, not {text!r}")
    return int(text)


async def _call(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    async with service("codegen") as codegen:
        return await codegen.call(method, path, body)


async def _list() -> list[Any]:
    async with service("codegen") as codegen:
        return await codegen.items("/v1/campaigns")
