"""The colours of `look.md`: paper and ink, light and dark."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Theme(StrEnum):
    LIGHT = "light"
    DARK = "dark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """`series` in their order are told apart by colour-blind eyes and in grey; `ramp` goes from nothing to most, one hue."""

    ground: str
    ink: str
    muted: str
    hairline: str
    accent: str
    alarm: str
    rest: str
    rest_text: str
    series: tuple[str, ...]
    ramp: tuple[str, ...]
    darker: Mapping[str, str] = field(default_factory=dict)

    def text_of(self, color: str) -> str:
        """The colour in which a series is named: its own, or a darker one where its own is too pale for letters."""
        return self.darker.get(color, color)

    def on(self, color: str) -> str:
        """Ground or ink, whichever is read better on a colour."""
        return max((self.ground, self.ink), key=lambda text: contrast(text, color))


def contrast(a: str, b: str) -> float:
    """The contrast of two colours as WCAG 2 counts it: 1 for the same, 21 for black and white."""
    light, dark = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: str) -> float:
    channels = [int(color[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


LIGHT: Final = Palette(
    ground="#FBFAF7",
    ink="#1B1F24",
    muted="#5B6068",
    hairline="#D9D5CC",
    accent="#0B6E4F",
    alarm="#B3261E",
    rest="#B9B4A8",
    rest_text="#6B675E",
    series=("#0B6E4F", "#D98E04", "#2F5D9B", "#A23B72", "#6B7A1E", "#8C5A3C", "#4A4E57"),
    ramp=("#EFF3EE", "#D0E3D8", "#ABD0BE", "#82BAA0", "#57A283", "#2F8967", "#0B6E4F", "#07523A"),
    darker={"#D98E04": "#8A5A00", "#B9B4A8": "#6B675E"},
)
DARK: Final = Palette(
    ground="#14171A",
    ink="#ECEAE4",
    muted="#A7ABAF",
    hairline="#2C3238",
    accent="#5CC9A0",
    alarm="#FF8A80",
    rest="#5A6068",
    rest_text="#9BA1A8",
    series=("#5CC9A0", "#F0B84A", "#7FA8E0", "#D77FB0", "#AEBB5C", "#C79877", "#A9AFBA"),
    ramp=("#1B2420", "#1F3A2F", "#24513F", "#2B6A52", "#348467", "#409F7D", "#4FB891", "#6FD6B0"),
    darker={"#5A6068": "#9BA1A8"},
)


def palette_of(theme: Theme) -> Palette:
    return DARK if theme is Theme.DARK else LIGHT
