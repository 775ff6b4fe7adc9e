"""Charts as pictures, and their data as JSON and CSV."""

import hashlib
from collections.abc import Hashable
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, Literal

import orjson
from aiohttp import web
from pydantic import Field

from services.reporting.api.queries import PeriodQuery, access_of, selected
from services.reporting.api.sheets import SCOPES
from services.reporting.domain.charts.base import Chart, ChartName
from services.reporting.handlers.charts import scene_of, work_out
from services.reporting.handlers.freshness import FreshnessBoard
from services.reporting.handlers.keeping import Kept
from services.reporting.handlers.selecting import Selected
from services.reporting.render.palette import Theme
from services.reporting.render.worker import ImageFormat, Renderer, draw_chart
from services.reporting.store.reading import FigureStore
from shared.web.csv_stream import head, write_rows
from shared.web.problems import Problem
from shared.web.routes import Answer, Call, Route

IMAGE_TYPES: Final = {
    ImageFormat.SVG: "image/svg+xml",
    ImageFormat.PNG: "image/png",
    ImageFormat.PDF: "application/pdf",
}
IMAGE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; font-src data:; frame-ancestors 'self'"
"""A chart opened by itself: an SVG carries its colours in style attributes and its fonts as data, and nothing else."""


class ChartQuery(PeriodQuery):
    """Of a chart."""

    theme: Theme = Field(default=Theme.LIGHT, description="Light or dark")
    by: Literal["chain", "region"] = Field(default="chain", description="What shares are of (chart `share`)")
    header: Literal["plain"] | None = Field(default=None, description="As in the other CSV files")


class Charts:
    """Answers with charts, drawn in the worker process and kept for some seconds."""

    def __init__(self, figures: FigureStore, board: FreshnessBoard, renderer: Renderer) -> None:
        self._figures = figures
        self._board = board
        self._renderer = renderer
        self._kept = Kept[bytes](len)

    def routes(self) -> list[Route]:
        common: dict[str, Any] = {"method": "GET", "scopes": SCOPES, "query": ChartQuery}
        base = "/v1/campaigns/{campaign_id}/charts/{name}"
        images = [
            Route(
                path=f"{base}.{image}",
                handler=self.image,
                summary=f"A chart as {image.upper()}",
                content_type=IMAGE_TYPES[image],
                **common,
            )
            for image in ImageFormat
        ]
        return [
            *images,
            Route(path=f"{base}.csv", handler=self.csv, summary="A chart's data as CSV", content_type="text/csv", **common),
            Route(path=f"{base}.json", handler=self.json, summary="A chart's data, with what it says", **common),
            Route(path=base, handler=self.no_format, summary="Refused: a chart needs a format", hidden=True, **common),
        ]

    async def image(self, call: Call[Any, Any]) -> Answer | web.Response:
        name = _chart_name(call.path["name"])
        image = ImageFormat(call.request.path.rpartition(".")[2])
        chosen = await selected(self._figures, call)

        async def draw() -> bytes:
            return await self._renderer.run(draw_chart, await self._chart(name, chosen, call), image, call.query.theme)

        body = await self._kept.get(_key(call, name, image), draw)
        tag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
        headers = {"ETag": tag, "Cache-Control": "private, max-age=5", "Content-Security-Policy": IMAGE_POLICY}
        if call.request.headers.get("If-None-Match") == tag:
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        headers["Content-Disposition"] = f'inline; filename="{chosen.campaign.id}-{name}.{image}"'
        return Answer(value=body, content_type=IMAGE_TYPES[image], headers=headers)

    async def csv(self, call: Call[Any, Any]) -> Answer:
        name = _chart_name(call.path["name"])
        chosen, as_of = await selected(self._figures, call), self._board.latest.as_of

        async def write() -> bytes:
            columns, rows = (await self._chart(name, chosen, call)).table()
            return head(columns, now=as_of, plain=call.query.header == "plain") + write_rows(rows)

        disposition = {"Content-Disposition": f'attachment; filename="{chosen.campaign.id}-{name}.csv"'}
        return Answer(value=await self._kept.get(_key(call, name, "csv"), write), content_type="text/csv", headers=disposition)

    async def json(self, call: Call[Any, Any]) -> Answer:
        name = _chart_name(call.path["name"])
        chosen, as_of = await selected(self._figures, call), self._board.latest.as_of

        async def write() -> bytes:
            return _as_json(name, await self._chart(name, chosen, call), as_of)

        return Answer(value=await self._kept.get(_key(call, name, "json"), write))

    async def no_format(self, call: Call[Any, Any]) -> Answer:
        name = _chart_name(call.path["name"].partition(".")[0])
        raise Problem(404, f"A chart comes as {', '.join(ImageFormat)}, csv or json: …/charts/{name}.svg")

    async def _chart(self, name: ChartName, chosen: Selected, call: Call[Any, Any]) -> Chart:
        query = call.query
        asked = query.asked
        names = [*(asked.stores or ()), *(asked.regions or ()), *(asked.chains or ())]
        scene = scene_of(chosen, self._board.latest, only=", ".join(names[:4]) + (", …" if len(names) > 4 else ""))
        marked = asked.stores if access_of(call.caller).everything else None
        return await work_out(self._figures, name, chosen, scene, by=query.by, asked_stores=marked)


def _chart_name(text: str) -> ChartName:
    try:
        return ChartName(text)
    except ValueError:
        raise Problem(404, f"There is no such chart; there are {', '.join(ChartName)}") from None


def _key(call: Call[Any, Any], *of: str) -> Hashable:
    """What must be the same for an answer to serve another call: what is asked for, and what the caller may see."""
    return (*of, call.path["campaign_id"], call.query, access_of(call.caller))


def _as_json(name: ChartName, chart: Chart, as_of: datetime) -> bytes:
    columns, rows = chart.table()
    heading = chart.heading
    return orjson.dumps(
        {
            "chart": name,
            "title": heading.title,
            "headline": heading.headline,
            "subtitle": heading.subtitle,
            "as_of": as_of,
            "columns": columns,
            "rows": rows,
        },
        default=_plain,
    )


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else str(value)
