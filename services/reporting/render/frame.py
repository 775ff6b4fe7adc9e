"""What every chart shares: heading above, `as of` below, axes with round figures and thin hairlines."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from services.reporting.domain import words
from services.reporting.domain.charts.base import Heading
from services.reporting.domain.charts.times import Step
from services.reporting.render.fonts import shortened, width_of
from services.reporting.render.palette import Palette
from services.reporting.render.picture import Picture

WIDTH: Final = 960.0
HEIGHT: Final = 540.0
MARGIN: Final = 40.0
HEADLINE_SIZE: Final = 22.0
AXIS_SIZE: Final = 12.0
ROUND_FACTORS: Final = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)


_HAN: Final = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"
_NO_START: Final = "、。，．・：；？！ー々）］｝」』】〉》〕"
_PIECE: Final = re.compile(rf"[{_HAN}][{_NO_START}]*\s*|[^\s{_HAN}]+\s*|\s+")


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a picture; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    def inset(self, *, left: float = 0, top: float = 0, right: float = 0, bottom: float = 0) -> "Box":
        return replace(self, left=self.left + left, top=self.top + top, right=self.right - right, bottom=self.bottom - bottom)


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values from 0 (or `low`) to `high` onto positions from `start` to `end`."""

    high: float
    start: float
    end: float
    low: float = 0.0

    def __call__(self, value: float) -> float:
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)


def begin(heading: Heading, palette: Palette) -> tuple[Picture, Box]:
    """A picture with heading and footer, and the room between them."""
    picture = Picture(WIDTH, HEIGHT, palette)
    picture.title = heading.title
    picture.description = f"{heading.headline}. {heading.subtitle}. {heading.footer}."
    room = WIDTH - 2 * MARGIN
    picture.text(MARGIN, 36, shortened(heading.title, 13, room, True), size=13, color=palette.accent, bold=True)
    y = 66.0
    for line in wrapped(heading.headline, HEADLINE_SIZE, room, lines=2):
        picture.text(MARGIN, y, line, size=HEADLINE_SIZE, bold=True)
        y += 28
    picture.text(MARGIN, y - 4, shortened(heading.subtitle, 14, room), size=14, color=palette.muted)
    picture.line((MARGIN, HEIGHT - 38), (WIDTH - MARGIN, HEIGHT - 38), palette.hairline)
    picture.text(MARGIN, HEIGHT - 18, shortened(heading.footer, 12, room), size=12, color=palette.muted)
    return picture, Box(MARGIN, y + 16, WIDTH - MARGIN, HEIGHT - 52)


def say_empty(picture: Picture, box: Box, sentence: str) -> None:
    """What a chart without data says in its middle."""
    picture.text((box.left + box.right) / 2, (box.top + box.bottom) / 2 - 6, "Nothing to show yet", size=20, anchor="middle")
    picture.text(
        (box.left + box.right) / 2,
        (box.top + box.bottom) / 2 + 20,
        sentence,
        size=14,
        color=picture.palette.muted,
        anchor="middle",
    )


def round_ticks(high: float, *, most: int = 6, whole: bool = True) -> list[float]:
    """Round figures from 0 to at least `high`: steps of 1, 2, 2.5 or 5 times a power of ten, at most `most` steps."""
    rough = max(high, 1e-9) / most
    power = 10.0 ** math.floor(math.log10(rough))
    factors = (1, 2, 2.5, 5, 10) if power > 1 or not whole else (1, 2, 5, 10)
    step = next(factor * power for factor in factors if factor * power >= rough * (1 - 1e-9))
    if whole:
        step = max(1.0, step)
    return [n * step for n in range(math.ceil(max(high, step) / step - 1e-9) + 1)]


def ticks_beside(high: float, steps: int) -> list[float]:
    """Round figures from 0 to at least `high` in so many steps: for a second axis that shares the hairlines of the first."""
    rough = max(high / steps, 1e-9)
    power = 10.0 ** math.floor(math.log10(rough))
    step = max(1.0, next(factor * power for factor in ROUND_FACTORS if factor * power >= rough * (1 - 1e-9)))
    return [n * math.ceil(step) for n in range(steps + 1)]


def value_axis(
    picture: Picture, box: Box, high: float, title: str, *, shown: Callable[[float], str] | None = None, whole: bool = True
) -> tuple[Scale, Box]:
    """Hairlines across with their figures on the left and the title above; gives the scale and the room that is left."""
    ticks = round_ticks(high, whole=whole)
    shown = shown or (lambda value: words.number(int(value)))
    labels = [shown(tick) for tick in ticks]
    inner = box.inset(left=max(width_of(label, AXIS_SIZE) for label in labels) + 10, top=22, bottom=26)
    scale = Scale(ticks[-1], inner.bottom, inner.top)
    picture.text(box.left, box.top + 8, title, size=AXIS_SIZE, color=picture.palette.muted)
    for tick, label in zip(ticks, labels, strict=True):
        y = scale(tick)
        picture.line((inner.left, y), (inner.right, y), picture.palette.hairline)
        picture.text(inner.left - 8, y + 4, label, size=AXIS_SIZE, color=picture.palette.muted, anchor="end")
    return scale, inner


def time_labels(picture: Picture, y: float, xs: Sequence[float], starts: Sequence[date], step: Step) -> None:
    """Dates under some of the positions, as many as stand apart; the year where it changes."""
    texts = [f"{start:%b} {start.year}" if step is Step.MONTH else words.short_day(start) for start in starts]
    room = max(width_of(text, AXIS_SIZE) for text in texts) + 22
    every = max(1, math.ceil(room * len(xs) / max(1.0, xs[-1] - xs[0] + room)))
    for n in range(0, len(xs), every):
        picture.text(xs[n], y, texts[n], size=AXIS_SIZE, color=picture.palette.muted, anchor="middle")


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions moved apart to at least `gap`, in the same order, kept between `low` and `high` where they fit."""
    order = sorted(range(len(positions)), key=lambda n: positions[n])
    placed = [0.0] * len(positions)
    at = -math.inf
    for n in order:
        at = max(positions[n], at + gap, low)
        placed[n] = at
    over = max((placed[n] for n in order), default=high) - high
    at = math.inf
    for n in reversed(order):
        if over <= 0:
            break
        at = min(placed[n], at - gap, high)
        placed[n] = at
    return placed


def wrapped(text: str, size: float, room: float, *, lines: int) -> list[str]:
    """A bold text in as few lines as it takes, the last one shortened when it takes more than `lines`."""
    parts: list[str] = []
    rest = _breakable(text)
    while rest and len(parts) < lines - 1:
        taken = 1
        while taken < len(rest) and width_of("".join(rest[: taken + 1]).strip(), size, True) <= room:
            taken += 1
        parts.append("".join(rest[:taken]).strip())
        rest = rest[taken:]
    return [*(shortened(part, size, room, True) for part in [*parts, *(["".join(rest).strip()] if rest else [])])]


def _breakable(text: str) -> list[str]:
    """The text in pieces that a line may end after: words, and Han and kana one by one, with the marks that begin no line."""
    return _PIECE.findall(text)
