"""The manifest of a dump: it describes its files to the byte."""

from pathlib import Path

import pytest

from counterfoil.environment import CommandError
from counterfoil.fixtures.manifest import NAME, checked_manifest, write_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "stores.jsonl").write_bytes(b'{"id":"s-1"}\n{"id":"s-2"}\n')
    (tmp_path / "register").mkdir()
    (tmp_path / "register" / "b-1.csv").write_bytes(b"serial,store_id\n1,s-1\n")
    write_manifest(tmp_path)
    return tmp_path


def test_files_are_described_by_rows_and_hash(folder: Path) -> None:
    manifest = checked_manifest(folder)
    assert {name: file.rows for name, file in manifest.files.items()} == {"stores.jsonl": 2, "register/b-1.csv": 1}
    assert manifest.rows("voids.jsonl") == 0


def test_the_fingerprint_is_of_the_files_alone(folder: Path) -> None:
    before = checked_manifest(folder)
    after = write_manifest(folder)
    assert after.made_at > before.made_at
    assert after.fingerprint == before.fingerprint
    (folder / "stores.jsonl").write_bytes(b"")
    assert write_manifest(folder).fingerprint != before.fingerprint


@pytest.mark.parametrize("name", ["stores.jsonl", "register/b-1.csv"])
def test_one_changed_byte_is_found(folder: Path, name: str) -> None:
    (folder / name).write_bytes((folder / name).read_bytes().replace(b"s-1", b"s-7"))
    with pytest.raises(CommandError, match=f"{name} was changed"):
        checked_manifest(folder)


def test_a_file_too_many_and_one_too_few_are_named(folder: Path) -> None:
    (folder / "more.jsonl").write_bytes(b"")
    with pytest.raises(CommandError, match=r"more.jsonl is not in the manifest"):
        checked_manifest(folder)
    (folder / "more.jsonl").unlink()
    (folder / "stores.jsonl").unlink()
    with pytest.raises(CommandError, match=r"stores.jsonl is missing"):
        checked_manifest(folder)


def test_what_is_no_dump_or_of_another_format_is_a_sentence(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(CommandError, match="is no dump"):
        checked_manifest(tmp_path_factory.mktemp("empty"))
    text = (folder / NAME).read_text().replace('"format": 1', '"format": 2')
    (folder / NAME).write_text(text)
    with pytest.raises(CommandError, match="reads the format 1"):
        checked_manifest(folder)
    (folder / NAME).write_text("{")
    with pytest.raises(CommandError, match="cannot be read"):
        checked_manifest(folder)
