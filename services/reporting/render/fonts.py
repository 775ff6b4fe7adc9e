"""The bundled fonts, and how a text is cut into runs of them: by script, in visual order, shaped where the script joins.

reportlab's own bidirectional text needs a library that is not to be had here; python-bidi orders the characters, and reportlab
shapes each right-to-left run with HarfBuzz.
"""

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

from bidi import get_display
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont, shapeStr

FOLDER: Final = Path(__file__).parent / "fonts"
REGULAR: Final = "NotoSans"
BOLD: Final = "NotoSans-Bold"
ARABIC: Final = "NotoSansArabic"
HEBREW: Final = "NotoSansHebrew"
HANGUL: Final = "CounterfoilHangul"
CJK: Final = "DroidSansFallback"
_FILES: Final = {
    REGULAR: "NotoSans-Regular.ttf",
    BOLD: "NotoSans-Bold.ttf",
    ARABIC: "NotoSansArabic-Regular.ttf",
    HEBREW: "NotoSansHebrew-Regular.ttf",
    HANGUL: "CounterfoilHangul-Regular.ttf",
    CJK: "DroidSansFallback.ttf",
}
_ISOLATED: Final = re.compile("(\u2068[^\u2069]*\u2069)")
_MIRRORED: Final = str.maketrans("()[]{}<>«»", ")(][}{><»«")


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of text in one font, in the order in which it is drawn from left to right. `shaped`: still in logical order."""

    text: str
    font: str
    shaped: bool


@lru_cache(maxsize=20_000)
def runs_of(text: str, bold: bool) -> tuple[Run, ...]:
    """The runs of a text, from left to right."""
    base = BOLD if bold else REGULAR
    if text.isascii():
        return (Run(text, _ready(base), False),)
    parts = [part for part in _ISOLATED.split(text) if part]
    if len(parts) > 1 or _ISOLATED.fullmatch(text):
        return tuple(run for part in parts for run in runs_of(part.strip("\u2068\u2069"), bold))
    visual = _in_visual_order(text)
    runs: list[list[str]] = []
    for character in visual:
        font = _font_of(character, base)
        if runs and (runs[-1][1] == font or (character == " " and runs[-1][1] in (ARABIC, HEBREW))):
            runs[-1][0] += character
        else:
            runs.append([character, font])
    return tuple(_run(piece, font) for piece, font in runs)


@lru_cache(maxsize=20_000)
def width_of(text: str, size: float, bold: bool = False) -> float:
    """The width of a text in points."""
    return float(sum(run_width(run, size) for run in runs_of(text, bold)))


def run_width(run: Run, size: float) -> float:
    if run.shaped:
        return float(sum(piece.x_advance for piece in shaped(run, size).__shapeData__) * size / 1000)
    return float(pdfmetrics.stringWidth(run.text, run.font, size))


def shaped(run: Run, size: float) -> Any:
    """A right-to-left run as reportlab's shaped text: the glyphs from left to right, each with its advance."""
    return shapeStr(run.text, run.font, size, force=True)


def file_of(font: str) -> str:
    """The name of a font's file in `FOLDER`."""
    return _FILES[font]


def ready_for_any_text() -> None:
    """Reads all fonts, those of rare scripts too: half a second, once in a process."""
    for name in _FILES:
        _ready(name)


def ready_for_text() -> None:
    """Makes the two base fonts known to reportlab."""
    _ready(REGULAR)
    _ready(BOLD)


def shortened(text: str, size: float, room: float, bold: bool = False) -> str:
    """The text, or as much of its start and end as the room takes, with "…" in the middle."""
    if width_of(text, size, bold) <= room:
        return text
    low, high = 0, len(text) - 1
    while low < high:
        keep = (low + high + 1) // 2
        if width_of(_without_middle(text, keep), size, bold) <= room:
            low = keep
        else:
            high = keep - 1
    return _without_middle(text, low)


def _without_middle(text: str, keep: int) -> str:
    head = (keep + 1) // 2
    tail = keep - head
    return f"{text[:head].rstrip()}…{text[-tail:].lstrip() if tail else ''}"


@cache
def _ready(name: str) -> str:
    pdfmetrics.registerFont(TTFont(name, str(FOLDER / _FILES[name]), shapable=name in (ARABIC, HEBREW)))
    return name


@cache
def _has(font: str, point: int) -> bool:
    face: Any = pdfmetrics.getFont(_ready(font)).face
    return point in face.charToGlyph


def _font_of(character: str, base: str) -> str:
    point = ord(character)
    if 0x0590 <= point <= 0x05FF or 0xFB1D <= point <= 0xFB4F:
        return _ready(HEBREW)
    if 0x0600 <= point <= 0x08FF or 0xFB50 <= point <= 0xFDFF or 0xFE70 <= point <= 0xFEFE:
        return _ready(ARABIC)
    if point >= 0x1100 and not _has(base, point):
        return next((font for font in (HANGUL, CJK) if _has(font, point)), _ready(base))
    return _ready(base)


def _run(piece: str, font: str) -> Run:
    if font not in (ARABIC, HEBREW):
        return Run(piece, font, False)
    return Run(piece[::-1], font, True)


def _in_visual_order(text: str) -> str:
    if not any(_is_right_to_left(character) for character in text):
        return text
    visual = str(get_display(text))
    strong = next((c for c in text if c.isalpha()), "")
    return visual.translate(_MIRRORED) if strong and _is_right_to_left(strong) else visual


def _is_right_to_left(character: str) -> bool:
    point = ord(character)
    return 0x0590 <= point <= 0x08FF or 0xFB1D <= point <= 0xFDFF or 0xFE70 <= point <= 0xFEFE
