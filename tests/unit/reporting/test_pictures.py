"""Every chart in every shape and format: drawn without an error, within its frame, with its words in it."""

import base64
import ctypes
import io
import itertools
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pypdfium2
import pytest
from fontTools.ttLib import TTFont
from PIL import Image

from services.reporting.domain.charts.base import ChartName
from services.reporting.domain.charts.times import burn_down
from services.reporting.render.charts.drawing import AnyChart, draw
from services.reporting.render.charts.heat import _step
from services.reporting.render.fonts import runs_of, shortened, width_of
from services.reporting.render.frame import HEIGHT, WIDTH, round_ticks, spread, ticks_beside, wrapped
from services.reporting.render.pages import Paper
from services.reporting.render.palette import DARK, LIGHT, Palette, Theme, contrast, palette_of
from services.reporting.render.picture import to_pdf, to_png, to_svg
from services.reporting.render.report import draw_report
from tests.unit.reporting.samples import LAST, MAKERS, NAMES, SCENE, SHAPES, sample_report

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


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ChartName)
def test_no_words_of_a_chart_lie_on_others(name: ChartName, shape: str) -> None:
    expect_words_apart(MAKERS[name](SHAPES[shape]))


def test_codes_that_are_expected_to_run_out_are_told_beside_the_days() -> None:
    rows = [{"day": LAST - timedelta(days=n), "accepted": 100, "reopened": 0} for n in range(7)]
    chart = burn_down(SCENE, rows, {LAST - timedelta(days=7): 900}, LAST - timedelta(days=9), LAST, LAST + timedelta(days=5))
    assert chart.expected == 0
    expect_words_apart(chart)


def test_codes_of_a_campaign_that_is_over_are_not_told_as_left() -> None:
    rows = [{"day": LAST, "accepted": 100, "reopened": 0}]
    ended = replace(SCENE, campaign=replace(SCENE.campaign, ends_at=SCENE.now))
    chart = burn_down(ended, rows, {LAST - timedelta(days=7): 900}, LAST - timedelta(days=9), LAST, LAST)
    assert chart.heading.headline == "800 codes were left when the campaign ended"


def expect_words_apart(chart: AnyChart) -> None:
    root = ET.fromstring(to_svg(draw(chart, LIGHT)))
    boxes = [box_of(text) for text in root.findall(f".//{SVG}text")]
    for (left, top, right, bottom, text), (other_left, other_top, other_right, other_bottom, other) in itertools.combinations(
        boxes, 2
    ):
        apart = right <= other_left or other_right <= left or bottom <= other_top or other_bottom <= top
        assert apart, (text, other)


def box_of(text: ET.Element) -> tuple[float, float, float, float, str]:
    """Where a line of text is: left, top (of capitals), right, bottom (of descenders), and its words."""
    style, words = text.attrib["style"], text.text or ""
    size = float(re.findall(r"font-size: ([\d.]+)px", style)[0])
    width = width_of(words, size, "font-weight: 700" in style)
    left = float(text.attrib["x"]) - {"start": 0, "middle": width / 2, "end": width}[text.attrib["text-anchor"]]
    base = -float(text.attrib["y"])
    return left, base - 0.72 * size, left + width, base + 0.2 * size, words


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


@pytest.mark.parametrize(
    "name",
    [
        "The Grand Spring Promotion of Every Arcade, Toy Shop and Playtime Superstore",
        "春季大促銷：全日本すべての店舗で使えるプロモーションコード、二〇二六年！",
        "حملة الربيع الكبرى لجميع المتاجر في المملكة العربية السعودية والخليج",
    ],
)
def test_long_names_take_more_lines_and_are_whole_on_the_cover(name: str) -> None:
    lines = wrapped(name, 30, 300, lines=9)
    assert len(lines) > 1
    assert "".join(lines).replace(" ", "") == name.replace(" ", "")
    assert all(width_of(line, 30, True) <= 300 for line in lines)
    assert not any(line.startswith(("、", "！", "：")) for line in lines)
    document = pypdfium2.PdfDocument(draw_report(replace(sample_report(8), campaign=name), Paper.LETTER))
    cover = document[0].get_textpage().get_text_range()
    assert "…" not in cover.partition("20 Oct")[0]
    document.close()


@pytest.mark.parametrize("high", [0, 1, 2, 3, 7, 10, 99, 101, 12_345, 10**9])
def test_ticks_are_round_few_and_reach_the_highest(high: int) -> None:
    ticks = round_ticks(high)
    assert ticks[0] == 0
    assert ticks[-1] >= high
    assert 2 <= len(ticks) <= 8
    assert all(tick == int(tick) for tick in ticks)


@pytest.mark.parametrize("high", [1, 7, 9_491, 31_810, 10**9])
@pytest.mark.parametrize("steps", [1, 4, 5, 6])
def test_a_second_axis_has_as_many_ticks_as_the_first(high: int, steps: int) -> None:
    ticks = ticks_beside(high, steps)
    assert len(ticks) == steps + 1
    assert high <= ticks[-1] <= max(steps, 2 * high)
    assert all(tick == int(tick) for tick in ticks)


def test_labels_are_spread_in_order() -> None:
    placed = spread([10, 11, 12, 90], 20, 0, 100)
    assert placed == sorted(placed)
    assert all(b - a >= 20 for a, b in itertools.pairwise(placed))


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_words_stand_out_from_the_ground_and_from_bars(palette: Palette) -> None:
    for name in ("ink", "muted", "accent", "alarm", "rest_text"):
        assert contrast(getattr(palette, name), palette.ground) >= 4.5, name
    for color in (*palette.series, palette.rest):
        assert contrast(palette.text_of(color), palette.ground) >= 4.5, color
        assert contrast(palette.on(color), color) >= 4.5, color


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.01)


def test_an_svg_brings_the_glyphs_of_all_its_words() -> None:
    root = ET.fromstring(to_svg(draw(MAKERS[ChartName.TOP_STORES](SHAPES["some"]), LIGHT)))
    rules = re.findall(r"font-family:'([^']+)'[^}]*base64,([^)]+)\)", root.findtext(f".//{SVG}style") or "")
    assert {family for family, _ in rules} <= {name.strip("'") for name in root.attrib["font-family"].split(",")}
    covered = {point for _, data in rules for point in TTFont(io.BytesIO(base64.b64decode(data))).getBestCmap()}
    words = "".join(text.text or "" for text in root.findall(f".//{SVG}text"))
    assert {c for c in words if ord(c) not in covered} <= set("\u2068\u2069"), "names in Greek, Cyrillic, CJK, Arabic, Hebrew"


def test_a_chart_in_pdf_says_what_it_shows() -> None:
    chart = MAKERS[ChartName.DAILY](SHAPES["some"])
    document = pypdfium2.PdfDocument(to_pdf(draw(chart, LIGHT)))
    assert pypdfium2.raw.FPDFCatalog_IsTagged(document)
    ((kind, alt),) = structure(document[0])
    assert kind == "Figure"
    assert chart.heading.headline in alt
    document.close()


def structure(page: pypdfium2.PdfPage) -> list[tuple[str, str]]:
    """The structure elements that have content on a page, in reading order: kind and alternative text."""
    tree = pypdfium2.raw.FPDF_StructTree_GetForPage(page)
    found: list[tuple[str, str]] = []

    def walk(element: Any) -> None:
        children = pypdfium2.raw.FPDF_StructElement_CountChildren(element)
        kids = [pypdfium2.raw.FPDF_StructElement_GetChildAtIndex(element, n) for n in range(children)]
        if not any(kids):
            kind = said(pypdfium2.raw.FPDF_StructElement_GetType, element)
            found.append((kind, said(pypdfium2.raw.FPDF_StructElement_GetAltText, element)))
        for kid in filter(None, kids):
            walk(kid)

    for n in range(pypdfium2.raw.FPDF_StructTree_CountChildren(tree)):
        walk(pypdfium2.raw.FPDF_StructTree_GetChildAtIndex(tree, n))
    pypdfium2.raw.FPDF_StructTree_Close(tree)
    return found


def said(ask: Any, element: Any) -> str:
    buffer = ctypes.create_string_buffer(4096)
    length = ask(element, buffer, 4096)
    return buffer.raw[: max(0, length - 2)].decode("utf-16-le")


def test_the_report_is_tagged_in_reading_order() -> None:
    document = pypdfium2.PdfDocument(draw_report(sample_report(20), Paper.A4))
    assert pypdfium2.raw.FPDFCatalog_IsTagged(document)
    kinds = [[kind for kind, _ in structure(page)] for page in document]
    assert kinds[0][:2] == ["P", "H1"]
    assert set(kinds[1]) == {"H1", "P", "Link"}
    for page in kinds[2:11]:
        assert page[:1] == ["Figure"]
        assert {"TH", "TD"} <= set(page)
    assert all(page[0] == "H1" for page in kinds[11:])
    document.close()


def test_every_line_of_the_contents_is_a_link_that_the_structure_knows() -> None:
    written = draw_report(report := sample_report(20), Paper.A4)
    objects = dict(re.findall(rb"(\d+) 0 obj(.*?)endobj", written, re.DOTALL))
    elements = {number: body for number, body in objects.items() if b"/S /Link" in body}
    assert len(elements) == len(report.charts) + len(report.tables) + 1
    (numbers,) = [body for body in objects.values() if b"/Nums" in body]
    for number, element in elements.items():
        (annotation,) = [objects[to] for to in re.findall(rb"/Obj (\d+) 0 R", element)]
        assert b"/Dest" in annotation
        assert re.search(rb"/Contents \(.+, page \d+\)", annotation)
        (parent,) = re.findall(rb"/StructParent (\d+)", annotation)
        assert re.search(rb"\b%s %s 0 R" % (parent, number), numbers), "from the link to its element as well"


def test_the_most_has_the_strongest_tone() -> None:
    for most in (1, 2, 7, 158):
        assert [_step(value, most, 8) for value in (0, most)] == [0, 7]


def test_ticks_are_more_than_three() -> None:
    assert round_ticks(123) == [0, 25, 50, 75, 100, 125]
