"""Named queries and numbered migrations, without a server."""

from pathlib import Path

import pytest

from shared.postgres.migrations import MigrationError, read_migrations
from shared.postgres.queries import Queries


def test_queries_are_found_by_name() -> None:
    queries = Queries("-- name: one\n-- Gives one.\nSELECT 1\n\n-- name: two\nSELECT 2;\n")
    assert queries.names() == ["one", "two"]
    assert queries.two == "SELECT 2;"
    with pytest.raises(AttributeError, match="three"):
        _ = queries.three


def test_a_query_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="one"):
        Queries("-- name: one\nSELECT 1\n-- name: one\nSELECT 2\n")


def test_migrations_are_read_in_order_without_gaps(tmp_path: Path) -> None:
    (tmp_path / "0001_create.sql").write_text("CREATE TABLE t ()")
    (tmp_path / "0002_more.sql").write_text("ALTER TABLE t ADD a int")
    assert [migration.number for migration in read_migrations(tmp_path)] == [1, 2]
    (tmp_path / "0004_gap.sql").write_text("")
    with pytest.raises(MigrationError, match="without gaps"):
        read_migrations(tmp_path)
    (tmp_path / "first.sql").write_text("")
    with pytest.raises(MigrationError, match=r"first\.sql"):
        read_migrations(tmp_path)
