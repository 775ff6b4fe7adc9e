"""`counterfoil batch`: ask for codes, watch them being made, take them away as CSV."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer

from counterfoil.environment import CommandError
from counterfoil.http import Service, in_path, service
from counterfoil.printing import AsJson, codes_bar, print_json, print_table

app = typer.Typer(no_args_is_help=True)

BatchId = Annotated[str, typer.Argument(metavar="ID", help="The batch's id")]

EVENT_DATA: Final = b"data: "
CODES_AT_ONCE: Final = 100_000
"""Fewer are exported before a bar could be read."""

RECONNECTS: Final = 20
RECONNECT_SECONDS: Final = 1.0


@app.command("create")
def create(
    campaign: Annotated[str, typer.Argument(help="The campaign's id")],
    count_per_store: Annotated[int | None, typer.Option(help="So many codes for each store")] = None,
    store: Annotated[list[str] | None, typer.Option(help="STORE_ID=COUNT; repeatable")] = None,
    publish: Annotated[bool, typer.Option(help="Publish as soon as it is verified")] = False,
    watch: Annotated[bool, typer.Option(help="Stay and show the progress")] = False,
    idempotency_key: Annotated[str | None, typer.Option(help="The same key never makes a second batch")] = None,
    json: AsJson = False,
) -> None:
    """Asks for a batch: so many codes for every store, or for the stores named."""
    request: dict[str, Any] = {"campaign_id": campaign, "publish": publish, **_what(count_per_store, store)}
    batch = asyncio.run(_create(request, idempotency_key or uuid.uuid4().hex, watch=watch))
    _show(batch, as_json=json)


@app.command("watch")
def watch_batch(batch_id: BatchId, json: AsJson = False) -> None:
    """Shows the progress of a batch until it is ready (published, if that was asked for), failed or cancelled."""
    _show(asyncio.run(_watch_by_id(batch_id)), as_json=json)


@app.command("publish")
def publish_batch(batch_id: BatchId, json: AsJson = False) -> None:
    """Publishes a batch that is ready: from then on its codes can be redeemed."""
    _show(asyncio.run(_call("POST", f"/v1/batches/{in_path(batch_id)}/publish")), as_json=json)


@app.command("cancel")
def cancel_batch(batch_id: BatchId, json: AsJson = False) -> None:
    """Cancels a batch that is not published; none of its codes stays."""
    _show(asyncio.run(_call("POST", f"/v1/batches/{in_path(batch_id)}/cancel")), as_json=json)


@app.command("resume")
def resume_batch(batch_id: BatchId, json: AsJson = False) -> None:
    """Goes on with a batch that failed, from its last loaded block."""
    _show(asyncio.run(_call("POST", f"/v1/batches/{in_path(batch_id)}/resume")), as_json=json)


@app.command("pause")
def pause_batch(batch_id: BatchId, json: AsJson = False) -> None:
    """Refuses the batch's codes, everywhere and at once, until `unpause`."""
    _show(asyncio.run(_call("PATCH", f"/v1/batches/{in_path(batch_id)}", {"paused": True})), as_json=json)


@app.command("unpause")
def unpause_batch(batch_id: BatchId, json: AsJson = False) -> None:
    """Goes on after a pause."""
    _show(asyncio.run(_call("PATCH", f"/v1/batches/{in_path(batch_id)}", {"paused": False})), as_json=json)


@app.command("list")
def show_all(campaign: Annotated[str | None, typer.Option(help="Only this campaign's")] = None, json: AsJson = False) -> None:
    """Lists batches, newest first."""
    batches = asyncio.run(_list(campaign))
    if json:
        print_json(batches)
    else:
        print_table(("id", "campaign_id", "state", "count", "stores", "loaded", "paused", "published_at"), batches)


@app.command("export")
def export(
    batch_id: BatchId,
    out: Annotated[Path, typer.Option(help="The file to write")],
    store_id: Annotated[str | None, typer.Option(help="Only this store's codes")] = None,
    manifest: Annotated[bool, typer.Option(help="The manifest instead of the codes")] = False,
) -> None:
    """Writes a batch's codes, or its manifest, as CSV."""
    typer.echo(f"{asyncio.run(_export(batch_id, out, store_id, manifest=manifest))} bytes to {out}")


async def follow(codegen: Service, batch_id: str) -> dict[str, Any]:
    """Shows the three figures of a batch as bars until it rests, and returns it. Raises CommandError when it failed."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(40),
        TaskProgressColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    batch: dict[str, Any] = await codegen.call("GET", f"/v1/batches/{in_path(batch_id)}")
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bars = {name: progress.add_task(name, total=batch["count"], figures="") for name in ("generated", "loaded", "verified")}
        async for batch in _events(codegen, batch_id):
            for name, bar in bars.items():
                progress.update(bar, completed=batch[name], figures=_figures(batch) if name == "loaded" else "")
    if batch["state"] == "failed":
        raise CommandError(f"batch {batch_id} failed: {batch['error']}; `counterfoil batch resume {batch_id}` goes on with it")
    return batch


async def _events(codegen: Service, batch_id: str) -> AsyncIterator[dict[str, Any]]:
    """The batch at each change until it rests. A copy that dies is survived: another one tells on."""
    tries = 0
    while True:
        try:
            async with codegen.stream(f"/v1/batches/{in_path(batch_id)}/progress") as body:
                async for line in body.lines():
                    if line.startswith(EVENT_DATA):
                        tries = RECONNECTS
                        yield orjson.loads(line.removeprefix(EVENT_DATA))
            return
        except CommandError:
            if not tries:
                raise
            tries -= 1
            await asyncio.sleep(RECONNECT_SECONDS)


def _figures(batch: dict[str, Any]) -> str:
    rate = f"{batch['rows_per_second']:,.0f} codes/s" if batch["rows_per_second"] else ""
    left = f"{batch['eta_seconds']:.1f} s left" if batch["eta_seconds"] else ""
    return " · ".join(part for part in (rate, left) if part)


def _what(count_per_store: int | None, stores: list[str] | None) -> dict[str, Any]:
    if (count_per_store is None) == (not stores):
        raise CommandError("say either --count-per-store N or --store STORE_ID=COUNT")
    if count_per_store is not None:
        return {"count_per_store": count_per_store, "stores": "all"}
    return {"allotments": [_allotment(text) for text in stores or []]}


def _allotment(text: str) -> dict[str, Any]:
    store_id, _, count = text.rpartition("=")
    if not store_id or not count.isdecimal():
        raise CommandError(f"{text!r} is not STORE_ID=COUNT")
    return {"store_id": store_id, "count": int(count)}


@app.command("adopt")
def adopt(json: AsJson = False) -> None:
    """After codegen was restored: takes from the topics what was made since, and makes those codes again. Then start it."""
    adopted = asyncio.run(_adopt())
    if json:
        print_json(adopted)
        return
    counts = ", ".join(f"{adopted[kind]:,} {kind}" for kind in ("campaigns", "stores", "batches", "codes", "voids", "tokens"))
    typer.echo(f"adopted {counts}")
    for batch_id in adopted["ended"]:
        typer.echo(f"batch {batch_id} was not ready when the tables were lost and is cancelled: order it again")


async def _adopt() -> dict[str, Any]:
    from services.codegen.app import Refused, adopt_from_topics

    try:
        adopted = await adopt_from_topics()
    except Refused as refused:
        raise CommandError(str(refused)) from None
    return {name: getattr(adopted, name) for name in adopted.__struct_fields__}


def _show(batch: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(batch)
    else:
        paused = " (paused)" if batch["paused"] else ""
        typer.echo(f"{batch['id']}: {batch['state']}{paused}, {batch['count']:,} codes for {batch['stores']:,} stores")


async def _create(request: dict[str, Any], key: str, *, watch: bool) -> dict[str, Any]:
    async with service("codegen") as codegen:
        batch: dict[str, Any] = await codegen.call("POST", "/v1/batches", request, headers={"Idempotency-Key": key})
        return await follow(codegen, batch["id"]) if watch else batch


async def _watch_by_id(batch_id: str) -> dict[str, Any]:
    async with service("codegen") as codegen:
        return await follow(codegen, batch_id)


async def _call(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    async with service("codegen") as codegen:
        batch: dict[str, Any] = await codegen.call(method, path, body)
        return batch


async def _list(campaign: str | None) -> list[Any]:
    async with service("codegen") as codegen:
        return await codegen.items("/v1/batches", query={"campaign_id": campaign} if campaign else None)


async def _export(batch_id: str, out: Path, store_id: str | None, *, manifest: bool) -> int:
    path = f"/v1/batches/{in_path(batch_id)}"
    query = {"store_id": store_id} if store_id else None
    written = 0
    async with service("codegen") as codegen:
        codes = 0 if manifest else await _count(codegen, path, store_id)
        async with codegen.stream(f"{path}/{'manifest' if manifest else 'codes'}.csv", query=query) as body:
            with out.open("wb") as file, codes_bar(codes, shown=codes >= CODES_AT_ONCE) as on_codes:
                async for chunk in body.chunks():
                    written += file.write(chunk)
                    on_codes(chunk.count(b"\n"))
    return written


async def _count(codegen: Service, path: str, store_id: str | None) -> int:
    """How many codes an export has; 0 for a store that is not in the batch, of which the export itself tells."""
    if store_id is None:
        return int((await codegen.call("GET", path))["count"])
    allotments = (await codegen.call("GET", path, query={"allotments": "true"}))["allotments"]
    return sum(allotment["count"] for allotment in allotments if allotment["store_id"] == store_id)
