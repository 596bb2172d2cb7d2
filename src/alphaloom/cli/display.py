"""What the commands print: tables, progress, JSON."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import polars as pl


def print_json(data: Mapping[str, Any]) -> None:
    """Print machine-readable results to standard output."""
    typer.echo(json.dumps(data, indent=1, ensure_ascii=False, default=str))


def print_table(frame: "pl.DataFrame", title: str = "", *, digits: int = 4) -> None:
    """Print a frame as a table: numbers right-aligned, floats with `digits` significant digits."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, box=box.SIMPLE, title_justify="left", pad_edge=False)
    for name, dtype in frame.schema.items():
        table.add_column(name, justify="right" if dtype.is_numeric() else "left", overflow="fold")
    for row in frame.iter_rows():
        table.add_row(*[_cell(value, digits) for value in row])
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table)


def print_pairs(pairs: Mapping[str, Any], title: str = "") -> None:
    """Print names and values, one a line."""
    if title:
        typer.echo(title)
    width = max((len(name) for name in pairs), default=0)
    for name, value in pairs.items():
        typer.echo(f"  {name:<{width}}  {_cell(value, 5)}")


def _cell(value: object, digits: int) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1e6 else f"{value:.{digits}g}"
    return str(value)


class Progress:
    """A progress callable: a bar on a terminal, a line every few seconds elsewhere."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._started = time.monotonic()
        self._last = -1e9
        self._stage = ""
        self._bar: Any = None
        self._task: Any = None
        if not quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description:<34}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that `done` of `total` steps are done and what is being worked on."""
        if self.quiet:
            return
        if self._bar is not None:
            if self._task is None:
                self._task = self._bar.add_task(stage, total=max(total, 1))
            self._bar.update(self._task, description=stage, completed=done, total=max(total, 1))
            return
        now = time.monotonic()
        if now - self._last > 5 or stage != self._stage:
            self._last, self._stage = now, stage
            counts = f" ({done}/{total})" if total > 1 else ""
            typer.echo(f"[{now - self._started:6.1f} s] {stage}{counts}", err=True)

    @contextmanager
    def running(self) -> Iterator["Progress"]:
        """Show the bar while the block runs."""
        if self._bar is None:
            yield self
            return
        with self._bar:
            yield self
