"""`counterfoil verify-certificate`: counts a certified table again from the outcomes that it names."""

import asyncio
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from counterfoil.environment import CommandError
from counterfoil.printing import AsJson, print_json
from shared.environment import read_settings


class WindowName(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    ALL = "all"


def verify_certificate(
    campaign: Annotated[str, typer.Argument(metavar="CAMPAIGN", help="The campaign's id")],
    day: Annotated[datetime, typer.Option("--date", formats=["%Y-%m-%d"], help="A day within the window")],
    window: Annotated[WindowName, typer.Option(help="Which window")] = WindowName.DAY,
    json: AsJson = False,
) -> None:
    """Says whether a certificate's table and hash are what the outcomes come to; where not, each difference."""
    verified = asyncio.run(_verify(campaign, window, day))
    if json:
        print_json(verified)
    if verified["problems"]:
        raise CommandError(f"the certificate does not hold: {'; '.join(verified['problems'])}")
    if not json:
        typer.echo(f"the certificate holds: {verified['hash']}, counted again from {verified['outcomes_read']:,} outcomes")


async def _verify(campaign: str, window: WindowName, day: datetime) -> dict[str, Any]:
    from services.ranking.app import CannotRecount, RankingSettings, verify_certificate

    try:
        found = await verify_certificate(read_settings(RankingSettings), campaign, window.value, day.date())
    except CannotRecount as error:
        raise CommandError(str(error)) from None
    return {
        "campaign_id": found.certificate.campaign_id,
        "window": window.value,
        "certified_at": found.certificate.certified_at,
        "hash": found.certificate.hash,
        "recomputed_hash": found.recomputed_hash,
        "outcomes_read": found.outcomes_read,
        "problems": list(found.problems),
    }
