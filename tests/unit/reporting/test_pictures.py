"""Every chart in every shape and format: drawn without an error, within its frame, with its words in it."""

import io
import itertools
import re
import xml.etree.ElementTree as ET

import pypdfium2
import pytest
from PIL import Image

from services.reporting.domain.charts.base import ChartName
from services.reporting.render.charts.drawing import draw
from services.reporting.render.fonts import runs_of, shortened, width_of
from services.reporting.render.frame import HEIGHT, WIDTH, round_ticks, spread
from services.reporting.render.palette import DARK, LIGHT, Theme, palette_of
from services.reporting.render.picture import to_pdf, to_png, to_svg
from tests.unit.reporting.samples import MAKERS, NAMES, SHAPES

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ChartName)
def test_every_chart_is_whole_in_every_shape(name: ChartName, shape: str) -> None:
    chart = MAKERS[name](SHAPES[shape])
    root = ET.fromstring(to_svg(draw(chart, LIGHT)))
    texts = root.findall(f".//{SVG}text")
    words = {re.sub("[\u2068\u2069]", "", text.text or "") for text in texts}
    assert re.sub("[\u2068\u2069]", "", chart.heading.title) in words
    assert any(word.startswith("as of ") for word in words)
    for text in texts:
        assert 0 <= float(text.attrib["x"]) <= WIDTH
        assert 0 <= -float(text.attrib["y"]) <= HEIGHT
    for rect in root.findall(f".//{SVG}rect"):
        assert float(rect.attrib["x"]) + float(rect.attrib["width"]) <= WIDTH + 0.5
        assert float(rect.attrib["width"]) > 0
        assert float(rect.attrib["height"]) > 0
    if shape == "none":
        assert "Nothing to show yet" in words


@pytest.mark.parametrize("name", ChartName)
def test_every_chart_is_a_png_at_twice_its_size_and_a_pdf_with_text(name: ChartName) -> None:
    picture = draw(MAKERS[name](SHAPES["some"]), palette_of(Theme.LIGHT))
    with Image.open(io.BytesIO(to_png(picture))) as image:
        assert image.size == (2 * WIDTH, 2 * HEIGHT)
    document = pypdfium2.PdfDocument(to_pdf(picture))
    assert document.get_metadata_dict()["Title"] == picture.title
    assert "as of" in document[0].get_textpage().get_text_range()
    document.close()


@pytest.mark.parametrize("text", [*NAMES, "mixed שלום abc 12", "Ærøskøbing ½ €"])
def test_every_script_has_its_glyphs(text: str) -> None:
    from reportlab.pdfbase import pdfmetrics

    for run in runs_of(text, False):
        glyphs = pdfmetrics.getFont(run.font).face.charToGlyph
        assert [c for c in run.text if ord(c) not in glyphs and c != " "] == []


def test_right_to_left_names_do_not_turn_a_sentence_around() -> None:
    runs = runs_of("\u2068חנות\u2069 leads with 7", True)
    assert [run.text for run in runs] == ["חנות", " leads with 7"]


def test_long_names_keep_their_ends() -> None:
    text = shortened(NAMES[-1], 13, 180)
    assert width_of(text, 13) <= 180
    assert text.startswith("Playtime")
    assert text.endswith("All")
    assert "…" in text


@pytest.mark.parametrize("high", [0, 1, 2, 3, 7, 10, 99, 101, 12_345, 10**9])
def test_ticks_are_round_few_and_reach_the_highest(high: int) -> None:
    ticks = round_ticks(high)
    assert ticks[0] == 0
    assert ticks[-1] >= high
    assert 2 <= len(ticks) <= 8
    assert all(tick == int(tick) for tick in ticks)


def test_labels_are_spread_in_order() -> None:
    placed = spread([10, 11, 12, 90], 20, 0, 100)
    assert placed == sorted(placed)
    assert all(b - a >= 20 for a, b in itertools.pairwise(placed))


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_texts_stand_out_from_the_ground(palette: object) -> None:
    for name in ("ink", "muted", "accent", "alarm", "rest_text"):
        assert _contrast(getattr(palette, name), getattr(palette, "ground", "")) >= 4.5, name


def _contrast(a: str, b: str) -> float:
    light, dark = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: str) -> float:
    channels = [int(color[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
