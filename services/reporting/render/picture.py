"""Drawing with the origin at the top left, and what comes out: a reportlab drawing as SVG, PDF or PNG.

Coordinates and sizes are points; one point is one pixel of an SVG, and `scale` pixels of a PNG.
"""

import io
import re
import struct
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy
import pypdfium2
from isal import isal_zlib
from reportlab.graphics import renderPDF, renderSVG
from reportlab.graphics.shapes import Circle, Drawing, Line, Polygon, PolyLine, Rect, String
from reportlab.lib.colors import Color, HexColor
from reportlab.pdfgen.canvas import Canvas

from services.reporting.render.fonts import BOLD, REGULAR, ready_for_text, run_width, runs_of, shaped, width_of
from services.reporting.render.palette import Palette
from services.reporting.render.tagging import Tags
from services.reporting.render.webfonts import faces, family_of

OTHER_FONTS: Final = "'Noto Sans','Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
PNG_LEVEL: Final = 1
OUTLINE: Final = 0.025
"""Of the size: what makes a regular letter about as heavy as a bold one."""

Point = tuple[float, float]


class Picture:
    """A drawing in the making. Every method adds on top of what is there; y grows downwards, text stands on its y."""

    def __init__(self, width: float, height: float, palette: Palette) -> None:
        self.width = width
        self.height = height
        self.palette = palette
        self.title = ""
        self.description = ""
        self.drawing = Drawing(width, height)
        self.rect(0, 0, width, height, palette.ground)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 14,
        color: str | None = None,
        bold: bool = False,
        anchor: str = "start",
    ) -> None:
        self.drawing.add(
            String(
                round(x, 2),
                round(self.height - y, 2),
                text,
                fontName=BOLD if bold else REGULAR,
                fontSize=size,
                fillColor=_color(color or self.palette.ink),
                textAnchor=anchor,
            )
        )

    def rect(self, x: float, y: float, width: float, height: float, fill: str, *, radius: float = 0) -> None:
        self.drawing.add(
            Rect(
                round(x, 2),
                round(self.height - y - height, 2),
                round(width, 2),
                round(height, 2),
                rx=radius,
                ry=radius,
                fillColor=_color(fill),
                strokeColor=None,
            )
        )

    def line(self, a: Point, b: Point, color: str, *, width: float = 1, dash: Sequence[float] | None = None) -> None:
        self.drawing.add(
            Line(
                *self._flat([a, b]),
                strokeColor=_color(color),
                strokeWidth=width,
                strokeDashArray=list(dash) if dash else None,
            )
        )

    def path(self, points: Sequence[Point], color: str, *, width: float = 2, dash: Sequence[float] | None = None) -> None:
        self.drawing.add(
            PolyLine(
                self._flat(points),
                strokeColor=_color(color),
                strokeWidth=width,
                strokeLineJoin=1,
                strokeLineCap=1,
                strokeDashArray=list(dash) if dash else None,
            )
        )

    def area(self, points: Sequence[Point], fill: str) -> None:
        self.drawing.add(Polygon(self._flat(points), fillColor=_color(fill), strokeColor=None))

    def dot(self, x: float, y: float, radius: float, fill: str, *, ring: str | None = None) -> None:
        self.drawing.add(
            Circle(
                round(x, 2),
                round(self.height - y, 2),
                radius,
                fillColor=_color(fill),
                strokeColor=_color(ring) if ring else None,
                strokeWidth=2 if ring else 0,
            )
        )

    def _flat(self, points: Sequence[Point]) -> list[float]:
        return [value for x, y in points for value in (round(x, 2), round(self.height - y, 2))]


@cache
def _color(text: str) -> Color:
    return HexColor(text)


def to_svg(picture: Picture) -> bytes:
    """The picture as SVG that stands alone: named for screen readers, real text in the fonts that it brings along."""
    canvas = _SvgCanvas(
        (picture.width, picture.height),
        svgAttrs={"role": "img", "version": "1.1", "style": "font-variant-numeric: tabular-nums"},
    )
    for node, words in zip(canvas.svg.childNodes[:2], (picture.title, picture.description), strict=True):
        node.firstChild.data = words
    renderer: Any = _SvgRenderer()
    renderer.draw(picture.drawing, canvas, 0, 0, showBoundary=False)
    families = dict.fromkeys([family_of(REGULAR), *(family_of(font) for font in sorted(renderer.used))])
    canvas.svg.setAttribute("font-family", ",".join([*(f"'{family}'" for family in families), OTHER_FONTS]))
    style = canvas.doc.createElement("style")
    style.appendChild(canvas.doc.createTextNode(faces(renderer.used)))
    canvas.svg.insertBefore(style, canvas.svg.childNodes[2])
    out = io.StringIO()
    canvas.save(out)
    return re.sub(r"<!DOCTYPE[^>]*>\s*", "", re.sub(r"\n\t*", "\n", out.getvalue())).encode()


def to_pdf(picture: Picture, *, compressed: bool = True) -> bytes:
    """The picture as a PDF of one page of its own size, with its title as metadata and its text as text."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(picture.width, picture.height), pageCompression=int(compressed), lang="en")
    canvas.setTitle(picture.title)
    canvas.setSubject(picture.description)
    canvas.setCreator("Counterfoil reporting")
    tags = Tags(canvas)
    with tags.content("Figure", alt=f"{picture.title}: {picture.description}"):
        draw_on(canvas, picture, 0, 0)
    tags.show_page()
    tags.finish(title=picture.title, subject=picture.description)
    canvas.save()
    return out.getvalue()


def to_png(picture: Picture, *, scale: float = 2.0) -> bytes:
    """The picture as PNG, by way of its PDF."""
    document = pypdfium2.PdfDocument(to_pdf(picture, compressed=False))
    try:
        pixels = document[0].render(scale=scale, rev_byteorder=True).to_numpy()
        return write_png(pixels, dots_per_inch=72 * scale)
    finally:
        document.close()


def write_png(pixels: Any, *, dots_per_inch: float) -> bytes:
    """Height × width × 3 bytes of red, green and blue as PNG.

    Without a row filter, which flat colours do not need, and packed by ISA-L: a tenth of zlib's time for a fifth more bytes.
    """
    height, width, _ = pixels.shape
    rows = numpy.zeros((height, 1 + 3 * width), dtype=numpy.uint8)
    rows[:, 1:] = pixels.reshape(height, 3 * width)
    dots_per_metre = round(dots_per_inch / 0.0254)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
            _chunk(b"pHYs", struct.pack(">IIB", dots_per_metre, dots_per_metre, 1)),
            _chunk(b"IDAT", isal_zlib.compress(rows, PNG_LEVEL)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", isal_zlib.crc32(kind + body))


def draw_on(canvas: Any, picture: Picture, x: float, y: float) -> None:
    """Draws the picture on a page, its lower left corner at (x, y)."""
    ready_for_text()
    renderer: Any = _PdfRenderer()
    renderer.draw(picture.drawing, canvas, x, y, showBoundary=False)


def draw_text(canvas: Any, x: float, y: float, text: str, size: float, *, bold: bool = False) -> None:
    """Writes a text of any script on a page, from x on. Scripts whose font has no bold are outlined in their colour instead."""
    for run in runs_of(text, bold):
        canvas.setFont(run.font, size)
        written = shaped(run, size) if run.shaped else run.text
        if bold and run.font != BOLD:
            canvas.saveState()
            canvas.setStrokeColor(canvas._fillColorObj)  # noqa: SLF001 (there is no public way to ask for it)
            canvas.setLineWidth(size * OUTLINE)
            canvas.drawString(x, y, written, mode=2)
            canvas.restoreState()
        else:
            canvas.drawString(x, y, written)
        x += run_width(run, size)


class _PdfRenderer(renderPDF._PDFRenderer):  # type: ignore[misc]  # noqa: SLF001 (made to be derived from)
    def drawString(self, shape: Any) -> None:  # noqa: N802 (reportlab's name)
        state = self._tracker.getState()
        size, bold = state["fontSize"], state["fontName"] == BOLD
        shift = {"start": 0.0, "middle": 0.5, "end": 1.0}[state["textAnchor"]]
        draw_text(self._canvas, shape.x - shift * width_of(shape.text, size, bold), shape.y, shape.text, size, bold=bold)
        self._canvas.setFont(state["fontName"], size)


class _SvgCanvas(renderSVG.SVGCanvas):  # type: ignore[misc]
    def setFont(self, font: str, size: float) -> None:  # noqa: N802 (reportlab's name)
        self._font, self._fontSize = font, size
        self.style["font-size"] = f"{size:g}px"
        self.style["font-weight"] = "700" if font == BOLD else "400"

    def setFillColor(self, color: Any) -> None:  # noqa: N802 (reportlab's name)
        self._fillColor = color
        self.style["fill"] = "none" if color is None else f"#{color.hexval()[2:]}"

    def setStrokeColor(self, color: Any) -> None:  # noqa: N802 (reportlab's name)
        self._strokeColor = color
        self.style["stroke"] = "none" if color is None else f"#{color.hexval()[2:]}"

    def line(self, x1: float, y1: float, x2: float, y2: float) -> None:
        """As a line: reportlab's closed path goes there and back, which fills the gaps of a dashed one."""
        style = self._formatStyle(renderSVG.LINE_STYLES)
        self.currGroup.appendChild(renderSVG.transformNode(self.doc, "line", x1=x1, y1=y1, x2=x2, y2=y2, style=style))


class _SvgRenderer(renderSVG._SVGRenderer):  # type: ignore[misc]  # noqa: SLF001 (made to be derived from)
    def __init__(self) -> None:
        super().__init__()
        self.used: dict[str, set[str]] = defaultdict(set)

    def drawString(self, shape: Any) -> None:  # noqa: N802 (reportlab's name)
        """Text as the browser sets it, anchored where we mean it, and isolated so that its own direction is found."""
        canvas, state = self._canvas, self._tracker.getState()
        for run in runs_of(shape.text, state["fontName"] == BOLD):
            self.used[run.font].update(run.text)
        text = shape.text if shape.text.isascii() else f"\u2068{shape.text}\u2069"
        style = canvas._formatStyle(["font-size", "font-weight", "fill"])  # noqa: SLF001 (its own renderer's part)
        node = renderSVG.transformNode(
            canvas.doc,
            "text",
            x=shape.x,
            y=-shape.y,
            style=style,
            transform="scale(1,-1)",
            **{"text-anchor": state["textAnchor"]},
        )
        node.appendChild(canvas.doc.createTextNode(text))
        canvas.currGroup.appendChild(node)
