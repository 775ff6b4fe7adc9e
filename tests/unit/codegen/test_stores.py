"""Lists of stores from CSV and JSON, every bad row named."""

from typing import Any

import pytest

from services.codegen.domain.refusals import Wrong
from services.codegen.domain.stores import Unreadable, changes_to, checked_stores, stores_from_csv
from shared.contracts.codegen import Store


def faults(rows: Any) -> dict[str, str]:
    with pytest.raises(Wrong) as refused:
        checked_stores(rows)
    return {fault.field: fault.message for fault in refused.value.faults}


def test_a_csv_gives_the_same_stores_as_json() -> None:
    text = '\ufeffname,id,paused,region\r\nΩmega,s-1,TRUE,\r\n"Main, Street",s-2,,US-CA\r\n'
    assert checked_stores(stores_from_csv(text.encode())) == [
        Store(revision=1, id="s-1", name="Ωmega", paused=True),
        Store(revision=1, id="s-2", name="Main, Street", region="US-CA"),
    ]


def test_every_bad_row_is_named_by_number_and_field() -> None:
    rows = [
        {"id": "s-1", "name": "One"},
        {"id": "s 2", "name": ""},
        {"id": "s-1", "name": "Again", "colour": "red"},
        {"name": "No id", "hidden": "yes"},
        "s-5",
    ]
    found = faults(rows)
    assert set(found) == {"1.id", "1.name", "2.id", "2.colour", "3.id", "3.hidden", "4"}
    assert found["2.id"] == "row 3: is the same as in row 1"


def test_of_thousands_of_bad_rows_each_is_named() -> None:
    assert list(faults([{"id": f"s-{number}", "name": ""} for number in range(3_000)])) == [f"{n}.name" for n in range(3_000)]
    with pytest.raises(Wrong) as refused:
        stores_from_csv(b"id,name\n" + b"s-1\n" * 3_000)
    assert len(refused.value.faults) == 3_000


def test_control_characters_in_a_name_are_refused() -> None:
    assert set(faults([{"id": "s-1", "name": "a\tb"}, {"id": "s-2", "name": "a\u0085b"}])) == {"0.name", "1.name"}


@pytest.mark.parametrize("header", ["id", "id,name,colour", "id,name,name", "", "name;id"])
def test_a_wrong_header_is_refused(header: str) -> None:
    with pytest.raises((Wrong, Unreadable)):
        stores_from_csv(f"{header}\ns-1,One\n".encode())


def test_another_encoding_than_utf_8_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="UTF-8"):
        stores_from_csv("id,name\ns-1,Café\n".encode("latin-1"))


def test_a_row_with_a_cell_too_many_is_named() -> None:
    with pytest.raises(Wrong, match="row 2"):
        stores_from_csv(b"id,name\ns-1,One\ns-2,Two,more\n")


def test_an_empty_list_is_refused() -> None:
    assert set(faults([])) == {"(body)"}


def test_a_list_is_compared_store_by_store() -> None:
    known = {"s-1": Store(revision=4, id="s-1", name="One"), "s-2": Store(revision=2, id="s-2", name="Two")}
    wanted = [
        Store(revision=1, id="s-1", name="One"),
        Store(revision=1, id="s-2", name="2"),
        Store(revision=1, id="s-3", name="3"),
    ]
    changes = changes_to(known, wanted)
    assert changes.unchanged == 1
    assert [(store.id, store.revision) for store in changes.updated] == [("s-2", 3)]
    assert [(store.id, store.revision) for store in changes.created] == [("s-3", 1)]
