"""`counterfoil demo`: plays a campaign and ends with what head office, a store and an operator would ask."""

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from counterfoil.demo.play import Plan, Played, System, play_demo
from counterfoil.environment import run_folder, variable
from counterfoil.http import service
from shared.environment import kafka_connection


def demo(
    seed: Annotated[int, typer.Option(help="The same seed plays the same stores and events")] = 2009,
    codes: Annotated[int, typer.Option(help="How many codes are printed", min=10_000)] = 1_000_000,
    events: Annotated[int, typer.Option(help="About how many of them are redeemed", min=100)] = 110_000,
    folder: Annotated[Path | None, typer.Option(help="Where the chart and the CSV go; .run/demo if not given")] = None,
) -> None:
    """Plays a campaign on the running system: stores, codes, a stream of game events, standings, figures."""
    console = Console()
    plan = Plan(seed=seed, codes=codes, events=events)
    folder = folder or run_folder() / "demo"
    played = asyncio.run(_play(plan, folder, console))
    _show_standings(console, played.board)
    _show_chain(console, played)
    _show_seconds(console, played, plan)
    _show_addresses(console, played.campaign_id, folder)


async def _play(plan: Plan, folder: Path, console: Console) -> Played:
    variable("KAFKA_BOOTSTRAP_SERVERS", "to publish the demo's events")
    async with AsyncExitStack() as stack:
        codegen = await stack.enter_async_context(service("codegen"))
        ranking = await stack.enter_async_context(service("ranking", token="REPORTS_TOKEN"))  # noqa: S106
        reporting = await stack.enter_async_context(service("reporting", token="REPORTS_TOKEN"))  # noqa: S106
        system = System(codegen=codegen, ranking=ranking, reporting=reporting, kafka=kafka_connection())
        return await play_demo(system, plan, folder, console)


def _show_standings(console: Console, board: dict[str, Any]) -> None:
    table = Table(
        "rank", "store", "region", "redeemed", "share", title=f"Standings of {board['total']} stores, as of {board['as_of']}"
    )
    for row in board["rows"][:10]:
        table.add_row(str(row["rank"]), row["store_name"], row["region"] or "", f"{row['score']:,}", f"{row['share']:.2%}")
    console.print(table)


def _show_chain(console: Console, played: Played) -> None:
    tally, summary = played.tally, played.summary
    table = Table("figure", "number", title="The whole chain")
    table.add_row("events sent", f"{played.sent:,}")
    table.add_row("events decided", f"{tally.decided:,}")
    for outcome, count in tally.outcomes.most_common():
        table.add_row(f"  {outcome}", f"{count:,}")
    table.add_row("redeemed less reversed: outcomes", f"{tally.redemptions - tally.reversals:,}")
    table.add_row("redeemed less reversed: ranking", f"{sum(row['score'] for row in played.board['rows']):,}")
    table.add_row("redeemed less reversed: reporting", f"{summary['accepted'] - summary['reversed']:,}")
    table.add_row("codes issued", f"{summary['issued']:,}")
    table.add_row("codes outstanding", f"{summary['outstanding']:,}")
    console.print(table)


def _show_seconds(console: Console, played: Played, plan: Plan) -> None:
    table = Table("part", "seconds", "a second", title="Time")
    sizes = {
        "codes, request to published": plan.codes,
        "codes exported as CSV": plan.codes,
        "events, first sent to last decided": played.sent,
    }
    for part, seconds in played.seconds.items():
        table.add_row(part, f"{seconds:.1f}", f"{sizes[part] / seconds:,.0f}" if part in sizes else "")
    console.print(table)


def _show_addresses(console: Console, campaign_id: str, folder: Path) -> None:
    ranking, reporting = (os.environ.get(f"{name}_URL", "") for name in ("RANKING", "REPORTING"))
    console.print(f"Charts and CSV: {folder}/", soft_wrap=True)
    console.print(f"Open next (the tokens are in {run_folder()}/env):", soft_wrap=True)
    console.print(f"  make codes     {os.environ.get('CODEGEN_URL', '')}/", soft_wrap=True)
    console.print(f"  live board     {ranking}/?campaign={campaign_id}", soft_wrap=True)
    console.print(f"  head office    {reporting}/?campaign={campaign_id}", soft_wrap=True)
    console.print(f"  all routes     {os.environ.get('REDEMPTION_URL', '')}/docs", soft_wrap=True)
