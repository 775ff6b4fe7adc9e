"""The bundled fonts inside an SVG, cut down to the characters that it holds: words then have everywhere the widths that the
chart was laid out with, and no script is missing where a reader's machine has no font for it.
"""

import base64
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from typing import Any, Final

import uharfbuzz

from services.reporting.render.fonts import BOLD, FOLDER, REGULAR, file_of

FAMILY: Final = "Counterfoil"
COMMON: Final = frozenset(map(chr, range(0x20, 0x7F))) | frozenset("·…–−÷\u202f")
"""In every subset of the base fonts, so that one serves most charts."""


def faces(used: Mapping[str, Iterable[str]]) -> str:
    """CSS with a family for each font that is used, the characters used being given with it."""
    rules = []
    for font, characters in sorted(used.items()):
        wanted = frozenset(characters) | (COMMON if font in (REGULAR, BOLD) else frozenset())
        weight = "700" if font == BOLD else "400"
        rules.append(f"@font-face{{font-family:'{family_of(font)}';font-weight:{weight};src:url({_data(font, wanted)})}}")
    return "".join(rules)


def family_of(font: str) -> str:
    """The family's name in an SVG; one of ours, so that it cannot be taken for one that is installed."""
    return FAMILY if font in (REGULAR, BOLD) else f"{FAMILY} {font}"


@lru_cache(maxsize=200)
def _data(font: str, characters: frozenset[str]) -> str:
    wanted: Any = uharfbuzz.SubsetInput()
    wanted.flags = uharfbuzz.SubsetFlags.NO_HINTING
    wanted.unicode_set.update(ord(character) for character in characters)
    subset = uharfbuzz.subset(_face(font), wanted)
    return f"data:font/ttf;base64,{base64.b64encode(subset.blob.data).decode()}"


@cache
def _face(font: str) -> Any:
    return uharfbuzz.Face((FOLDER / file_of(font)).read_bytes())
