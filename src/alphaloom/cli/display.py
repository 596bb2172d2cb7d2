"""What the commands print: tables, progress, JSON."""

import json
import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import polars as pl
    from rich.console import RenderableType

    from alphaloom.data.import_ import ImportReport


def print_json(data: Mapping[str, Any]) -> None:
    """Print machine-readable results to standard output; NaN and infinities, which JSON does not have, become null."""
    typer.echo(json.dumps(_finite(data), indent=1, ensure_ascii=False, default=str, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


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


def columns_that_fit(frame: "pl.DataFrame", width: int, digits: int) -> list[str]:
    """Return the first columns of a frame, one at least, that a table of some width holds without breaking any cell."""
    used, kept = 1, list[str]()
    for name in frame.columns:
        used += 3 + max(len(name), *(len(_cell(value, digits)) for value in frame[name]))
        if kept and used > width:
            break
        kept.append(name)
    return kept


def print_rich(content: "RenderableType") -> None:
    """Print what a library renders for the terminal."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 160).print(content)


def print_import(report: "ImportReport") -> None:
    """Print what an import did."""
    done = "built" if report.created else "extended"
    typer.echo(f"{report.store} {done} from {report.format} data in {report.seconds:.1f} s")
    print_pairs({table: f"{rows:,} rows" for table, rows in report.rows.items()})
    for table, reasons in report.quarantined.items():
        for reason, rows in reasons.items():
            typer.echo(f"  set aside from {table}: {rows:,} rows, {reason}")
    for note in report.notes:
        typer.echo(f"  note: {note}")


def print_run(metrics: Mapping[str, Any]) -> None:
    """Print a run's verdict, signals, windows and portfolios."""
    import polars as pl

    verdict = metrics["verdict"]
    typer.echo(verdict["words"])
    for line in verdict["findings"]:
        typer.echo(f"  {line}")
    signals = []
    for name, signal in metrics["signals"].items():
        for horizon, item in signal["horizons"].items():
            test = item["rank_ic"]
            keep = ("mean", "se", "ir", "t_newey_west", "t_non_overlapping", "positive", "n")
            signals.append({"signal": name, "periods ahead": horizon, **{key: test[key] for key in keep}})
    print_table(pl.DataFrame(signals, infer_schema_length=None), "RankIC")
    keep = ("window", "model", "n_train", "n_test_days", "in_sample_rank_ic", "out_of_sample_rank_ic", "seconds")
    windows = [{key: row.get(key) for key in keep} for row in metrics["windows"]]
    if windows:
        print_table(pl.DataFrame(windows, infer_schema_length=None), "windows")
    portfolios = [
        {"portfolio": name, **{key: item["metrics"].get(key) for key in PORTFOLIO_FIGURES}}
        for name, item in metrics["portfolios"].items()
    ]
    if portfolios:
        print_table(pl.DataFrame(portfolios, infer_schema_length=None), "portfolios, after costs")


PORTFOLIO_FIGURES = (
    "annual_return",
    "excess_annual_return",
    "volatility",
    "sharpe",
    "information_ratio",
    "max_drawdown",
    "turnover_annual",
    "cost_annual",
)


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
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description:<34}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
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

    def years(self, done: int, total: int, what: str) -> None:
        """Show progress that is told as (done, total, what)."""
        self(what, done, total)

    @contextmanager
    def running(self) -> Iterator["Progress"]:
        """Show the bar while the block runs."""
        if self._bar is None:
            yield self
            return
        with self._bar:
            yield self
