"""How commands print: JSON for scripts, lines for people."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import orjson
import typer

AsJson = Annotated[bool, typer.Option("--json", help="JSON for scripts")]


def print_json(value: Any) -> None:
    """One line of JSON."""
    typer.echo(orjson.dumps(value).decode())


def print_table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Columns as wide as their widest cell, the names on top; what is null is blank, what is yes or no says so."""
    cells = [list(columns), *([_cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


@contextmanager
def codes_bar(codes: int, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, moved on by so many codes at each call of what it gives."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (TextColumn("{task.description:<10}"), BarColumn(40), TaskProgressColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as progress:
        bar = progress.add_task("codes", total=codes)
        yield lambda done: progress.advance(bar, done)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
