"""CSV that a spreadsheet opens without harm."""

import csv
import io
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from shared.web.csv_stream import asks_for_gzip, harmless, head, write_rows

NOW = datetime(2026, 11, 22, 12, 0, 1, 500, tzinfo=UTC)


def test_the_first_row_says_when_and_plain_leaves_it_out() -> None:
    assert head(("a", "b"), now=NOW, plain=False) == b"Time UTC,2026-11-22T12:00:01Z\r\na,b\r\n"
    assert head(("a", "b"), now=NOW, plain=True) == b"a,b\r\n"


def test_formulas_are_taken_for_text() -> None:
    assert [harmless(text) for text in ("=1+1", "+1", "-1", "@x", "\tx", "\rx", "x=1", "")] == [
        "'=1+1",
        "'+1",
        "'-1",
        "'@x",
        "'\tx",
        "'\rx",
        "x=1",
        "",
    ]


def test_gzip_is_given_where_it_is_asked_for_and_not_where_it_is_forbidden() -> None:
    assert [text for text in ("gzip", "br, GZIP;q=0.5", "deflate,gzip ; q=1") if not asks_for_gzip(text)] == []
    assert [text for text in ("", "identity", "gzip;q=0", "gzip; q=0.000, *;q=1", "gzipped") if asks_for_gzip(text)] == []


def test_numbers_stay_numbers_and_nothing_stays_empty() -> None:
    assert write_rows([(-1, None, True, NOW.replace(microsecond=0))]) == b"-1,,true,2026-11-22T12:00:01Z\r\n"


@given(st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc"))), min_size=2, max_size=5))
def test_every_text_comes_back(row: list[str]) -> None:
    (read,) = csv.reader(io.StringIO(write_rows([row]).decode(), newline=""))
    assert read == [harmless(text) for text in row]
