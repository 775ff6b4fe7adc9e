"""Every event has examples, and every example is read and written again without loss."""

import json
from pathlib import Path

import msgspec
import pytest

from shared.contracts.catalogue import EVENTS, EXAMPLES, Event
from shared.contracts.codec import decoder, encode

CASES = [pytest.param(event, path, id=f"{event.name}-{path.stem}") for event in EVENTS for path in event.example_files()]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_every_event_has_an_example(event: Event) -> None:
    assert event.example_files()


def test_every_example_belongs_to_an_event() -> None:
    known = {path for event in EVENTS for path in event.example_files()}
    assert set(EXAMPLES.rglob("*.json")) == known


@pytest.mark.parametrize(("event", "path"), CASES)
def test_an_example_is_read_and_written_again(event: Event, path: Path) -> None:
    example = json.loads(path.read_text(encoding="utf-8"))
    written = json.loads(encode(decoder(event.value)(path.read_bytes())))
    absent = {name: value for name, value in written.items() if name not in example}
    assert {name: written[name] for name in example} == example
    assert all(value is None for value in absent.values())


@pytest.mark.parametrize(("event", "path"), CASES)
def test_a_reader_ignores_fields_that_it_does_not_know(event: Event, path: Path) -> None:
    example = {**json.loads(path.read_text(encoding="utf-8")), "added_in_a_later_version": {"x": 1}}
    assert decoder(event.value)(json.dumps(example).encode()) == decoder(event.value)(path.read_bytes())


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_a_missing_field_is_named(event: Event) -> None:
    required = [field.encode_name for field in msgspec.structs.fields(event.value) if field.required]
    example = json.loads(event.example_files()[0].read_text(encoding="utf-8"))
    for name in required:
        value = {key: held for key, held in example.items() if key != name}
        with pytest.raises(Exception, match=name):
            decoder(event.value)(json.dumps(value).encode())
