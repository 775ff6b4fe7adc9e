"""The pages of a report: a canvas with the size of its paper, tags, and the ways in which words are written on it."""

import io
from contextlib import nullcontext
from enum import StrEnum
from typing import Any, Final

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4, LETTER
from reportlab.pdfgen.canvas import Canvas

from services.reporting.domain.report import Report
from services.reporting.render.fonts import shortened, width_of
from services.reporting.render.palette import LIGHT
from services.reporting.render.picture import draw_text
from services.reporting.render.tagging import Tags

MARGIN: Final = 54.0


class Paper(StrEnum):
    A4 = "a4"
    LETTER = "letter"


class Pages:
    """A PDF in the making: y grows upwards, as PDF has it."""

    def __init__(self, paper: Paper, report: Report) -> None:
        self.width, self.height = A4 if paper is Paper.A4 else LETTER
        self.out = io.BytesIO()
        self.canvas: Any = Canvas(self.out, pagesize=(self.width, self.height), pageCompression=1, lang="en")
        self.title, self.subject = f"{report.campaign}: report", f"{report.when}; {report.footer}"
        self.canvas.setTitle(self.title)
        self.canvas.setAuthor("Counterfoil reporting")
        self.canvas.setCreator("Counterfoil reporting")
        self.canvas.setSubject(self.subject)
        self.canvas.setKeywords(["redemptions", report.campaign])
        self.canvas.setViewerPreference("DisplayDocTitle", "true")
        self.canvas.showOutline()
        self.tags = Tags(self.canvas)
        self.footer = report.footer
        self.room = self.width - 2 * MARGIN

    def text(
        self, x: float, y: float, text: str, size: float, *, tag: str = "P", color: str = LIGHT.ink, bold: bool = False
    ) -> None:
        """Writes a text, tagged as what it is; a tag of "" is for the caller's own."""
        self.canvas.setFillColor(HexColor(color))
        with self.tags.content(tag) if tag else nullcontext():
            draw_text(self.canvas, x, y, text, size, bold=bold)

    def right(
        self, x: float, y: float, text: str, size: float, *, tag: str = "P", color: str = LIGHT.ink, bold: bool = False
    ) -> None:
        self.text(x - width_of(text, size, bold), y, text, size, tag=tag, color=color, bold=bold)

    def hairline(self, y: float, *, color: str = LIGHT.hairline, width: float = 0.6, until: float | None = None) -> None:
        self.canvas.setStrokeColor(HexColor(color))
        self.canvas.setLineWidth(width)
        with self.tags.decoration():
            self.canvas.line(MARGIN, y, until or self.width - MARGIN, y)

    def heading(self, title: str, remark: str) -> float:
        """A page's title; gives the y below it."""
        self.text(MARGIN, self.height - 84, title, 22, tag="H1", bold=True)
        self.text(MARGIN, self.height - 104, shortened(remark, 11, self.room), 11, color=LIGHT.muted)
        return float(self.height - 136)
