"""`counterfoil batch`: ask for codes, watch them being made, take them away as CSV."""

import asyncio
import uuid
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from counterfoil.environment import CommandError
from counterfoil.http import Service, service

app = typer.Typer(no_args_is_help=True)

FINAL_STATES = ("ready", "published", "failed", "cancelled")


@app.command("create")
def create(
    campaign: Annotated[str, typer.Argument(help="The campaign's id")],
    count_per_store: Annotated[int | None, typer.Option(help="So many codes for each store")] = None,
    store: Annotated[list[str] | None, typer.Option(help="STORE_ID=COUNT; repeatable")] = None,
    publish: Annotated[bool, typer.Option(help="Publish as soon as it is verified")] = False,
    watch: Annotated[bool, typer.Option(help="Stay and show the progress")] = False,
    idempotency_key: Annotated[str | None, typer.Option(help="The same key never makes a second batch")] = None,
    json: Annotated[bool, typer.Option("--json", help="The batch as JSON")] = False,
) -> None:
    """Asks for a batch: so many codes for every store, or for the stores named."""
    request: dict[str, Any] = {"campaign_id": campaign, "publish": publish, **_what(count_per_store, store)}
    batch = asyncio.run(_create(request, idempotency_key or uuid.uuid4().hex, watch=watch))
    _show(batch, as_json=json)


@app.command("watch")
def watch_batch(batch_id: str, json: Annotated[bool, typer.Option("--json", help="The batch as JSON")] = False) -> None:
    """Shows the progress of a batch until it is ready, published, failed or cancelled."""
    _show(asyncio.run(_watch_by_id(batch_id)), as_json=json)


@app.command("publish")
def publish_batch(batch_id: str) -> None:
    """Publishes a batch that is ready: from then on its codes can be redeemed."""
    _show(asyncio.run(_post(f"/v1/batches/{batch_id}/publish")), as_json=False)


@app.command("cancel")
def cancel_batch(batch_id: str) -> None:
    """Cancels a batch that is not published; none of its codes stays."""
    _show(asyncio.run(_post(f"/v1/batches/{batch_id}/cancel")), as_json=False)


@app.command("export")
def export(
    batch_id: str,
    out: Annotated[Path, typer.Option(help="The file to write")],
    store_id: Annotated[str | None, typer.Option(help="Only this store's codes")] = None,
    manifest: Annotated[bool, typer.Option(help="The manifest instead of the codes")] = False,
) -> None:
    """Writes a batch's codes, or its manifest, as CSV."""
    typer.echo(f"{asyncio.run(_export(batch_id, out, store_id, manifest=manifest))} bytes to {out}")


async def follow(codegen: Service, batch_id: str) -> dict[str, Any]:
    """Shows the three figures of a batch as bars until it is final, and returns it. Raises CommandError when it failed."""
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(40),
        TaskProgressColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    with Progress(*columns) as progress:
        batch: dict[str, Any] = await codegen.call("GET", f"/v1/batches/{batch_id}")
        bars = {name: progress.add_task(name, total=batch["count"], figures="") for name in ("generated", "loaded", "verified")}
        while True:
            for name, bar in bars.items():
                progress.update(bar, completed=batch[name], figures=_figures(batch) if name == "loaded" else "")
            if batch["state"] in FINAL_STATES:
                break
            await asyncio.sleep(0.2)
            batch = await codegen.call("GET", f"/v1/batches/{batch_id}")
    if batch["state"] == "failed":
        raise CommandError(f"batch {batch_id} failed: {batch['error']}; `counterfoil batch resume` or the page goes on with it")
    return batch


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
    if not store_id or not count.isdigit():
        raise CommandError(f"{text!r} is not STORE_ID=COUNT")
    return {"store_id": store_id, "count": int(count)}


def _show(batch: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps(batch).decode())
    else:
        typer.echo(f"{batch['id']}: {batch['state']}, {batch['count']:,} codes for {batch['stores']:,} stores")


async def _create(request: dict[str, Any], key: str, *, watch: bool) -> dict[str, Any]:
    async with service("codegen") as codegen:
        batch: dict[str, Any] = await codegen.call("POST", "/v1/batches", request, headers={"Idempotency-Key": key})
        return await follow(codegen, batch["id"]) if watch else batch


async def _watch_by_id(batch_id: str) -> dict[str, Any]:
    async with service("codegen") as codegen:
        return await follow(codegen, batch_id)


async def _post(path: str) -> dict[str, Any]:
    async with service("codegen") as codegen:
        batch: dict[str, Any] = await codegen.call("POST", path)
        return batch


async def _export(batch_id: str, out: Path, store_id: str | None, *, manifest: bool) -> int:
    path = f"/v1/batches/{batch_id}/{'manifest' if manifest else 'codes'}.csv"
    query = {"store_id": store_id} if store_id else None
    written = 0
    async with service("codegen") as codegen, codegen.stream(path, query=query) as body:
        with out.open("wb") as file:
            async for chunk in body.iter_chunked(1 << 18):
                written += file.write(chunk)
    return written
