"""Summary of a store or a frame: shape, span, columns, types, gaps, values, coverage, first and last rows."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl
import polars.selectors as cs
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from alphaloom.data.schema import TABLES
from alphaloom.data.store import Store
from alphaloom.errors import unknown_name

DAYS = ("date", "datetime", "from_date", "announce_date", "list_date")
NAMES = ("symbol", "instrument", "index", "series")
SAMPLE_ROWS = 5
TOP_TEXTS = 5
SHOWN_COLUMNS = 10
"""Columns of the first and last rows that a terminal shows."""


@dataclass(frozen=True)
class TableSummary:
    """Summary of one table."""

    name: str
    rows: int
    columns: pl.DataFrame
    """column, dtype, missing, missing_pct, distinct; sorted as in the table."""
    distribution: pl.DataFrame
    """column, count, mean, std, min, 25%, 50%, 75%, max of the numeric columns."""
    texts: pl.DataFrame
    """column, value, count: the five most frequent values of text columns."""
    span: tuple[str, str] | None
    """First and last date."""
    symbols: int | None
    """Distinct symbols, indices or series."""
    coverage: pl.DataFrame
    """year, dates, and the least, median and greatest number of rows a date; empty without dates."""
    head: pl.DataFrame
    tail: pl.DataFrame
    bytes: int
    """Size in memory."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; dates as text."""
        frames = ("columns", "distribution", "texts", "coverage", "head", "tail")
        return {
            "name": self.name,
            "rows": self.rows,
            "span": self.span,
            "symbols": self.symbols,
            "bytes": self.bytes,
            **{name: _plain(getattr(self, name)) for name in frames},
        }


@dataclass(frozen=True)
class Summary:
    """Summaries of all tables of a store, or of one frame."""

    title: str
    facts: dict[str, Any]
    tables: tuple[TableSummary, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"title": self.title, **self.facts, "tables": [table.to_dict() for table in self.tables]}

    def render(self) -> Group:
        """Return the summary for a terminal."""
        parts: list[RenderableType] = [Text(self.title, style="bold")]
        parts += [Text(f"{name}: {_text(value)}") for name, value in self.facts.items() if value]
        for table in self.tables:
            parts += _render(table)
        return Group(*parts)


def info(data: Store | pl.DataFrame, tables: Iterable[str] | None = None, title: str = "frame") -> Summary:
    """Return the summary of a store, some of its tables, or a frame.

    Args:
        data: a store, or any frame.
        tables: names of tables; None for all.
        title: heading for a frame.

    Raises:
        UnknownNameError: the store has no such table.
    """
    if isinstance(data, pl.DataFrame):
        return Summary(title, {}, (summarise(data, title),))
    names = data.tables() if tables is None else list(tables)
    for name in names:
        if name not in data.tables():
            raise unknown_name("table", name, data.tables(), where=f"store {data.path}")
    facts = {
        "market": data.market,
        "fingerprint": data.fingerprint(),
        "created_by": data.meta.get("created_by", ""),
        "sources": [item.get("name", "") for item in data.meta.get("sources", [])],
        "notes": data.meta.get("notes", []),
    }
    return Summary(str(data.path), facts, tuple(summarise(data.read(name), name) for name in names))


def summarise(frame: pl.DataFrame, name: str) -> TableSummary:
    """Return the summary of one frame; NaN counts as missing."""
    frame = frame.with_columns(cs.float().fill_nan(None))
    day = next((column for column in DAYS if column in frame.columns and frame[column].dtype.is_temporal()), None)
    key = next((column for column in NAMES if column in frame.columns), None)
    days = frame[day].drop_nulls() if day else None
    columns, distribution = _columns(frame)
    return TableSummary(
        name=name,
        rows=frame.height,
        columns=columns,
        distribution=distribution,
        texts=_texts(frame),
        span=(str(days.min())[:10], str(days.max())[:10]) if days is not None and days.len() else None,
        symbols=frame[key].n_unique() if key else None,
        coverage=_coverage(frame, day) if day and day in {"date", "datetime"} else pl.DataFrame(),
        head=frame.head(SAMPLE_ROWS),
        tail=frame.tail(SAMPLE_ROWS),
        bytes=int(frame.estimated_size()),
    )


def _columns(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return `(columns, distribution)`; each column is sorted once for its distinct values and quartiles."""
    distinct, rows = [], []
    for column in frame:
        values = column.drop_nulls().sort()
        distinct.append(values.n_unique())
        if column.dtype.is_numeric():
            quartiles = [values.quantile(q, "linear") for q in (0.25, 0.5, 0.75)]
            wide = values.cast(pl.Float64)
            rows.append((column.name, wide.len(), wide.mean(), wide.std(), wide.min(), *quartiles, wide.max()))
    missing = [column.null_count() for column in frame]
    columns = pl.DataFrame(
        {
            "column": frame.columns,
            "dtype": [str(dtype) for dtype in frame.dtypes],
            "missing": missing,
            "missing_pct": [round(100 * count / frame.height, 2) if frame.height else 0.0 for count in missing],
            "distinct": distinct,
        }
    )
    names = ["column", "count", "mean", "std", "min", "25%", "50%", "75%", "max"]
    types = [pl.String, pl.Int64, *[pl.Float64] * 7]
    return columns, pl.DataFrame(rows, schema=dict(zip(names, types, strict=True)), orient="row")


def _texts(frame: pl.DataFrame) -> pl.DataFrame:
    parts = [
        column.drop_nulls()
        .cast(pl.String)
        .alias("value")
        .value_counts(sort=True)
        .head(TOP_TEXTS)
        .select(pl.lit(column.name).alias("column"), "value", pl.col("count").cast(pl.Int64))
        for column in frame.select(cs.string() | cs.categorical() | cs.boolean())
    ]
    return (
        pl.concat(parts) if parts else pl.DataFrame(schema={"column": pl.String, "value": pl.String, "count": pl.Int64})
    )


def _coverage(frame: pl.DataFrame, day: str) -> pl.DataFrame:
    daily = frame.drop_nulls(day).group_by(pl.col(day).cast(pl.Date).alias("day")).len()
    return (
        daily.group_by(pl.col("day").dt.year().alias("year"))
        .agg(
            pl.len().cast(pl.Int64).alias("dates"),
            pl.col("len").min().cast(pl.Int64).alias("rows_min"),
            pl.col("len").median().alias("rows_median"),
            pl.col("len").max().cast(pl.Int64).alias("rows_max"),
        )
        .sort("year")
    )


def _plain(frame: pl.DataFrame) -> list[dict[str, Any]]:
    return frame.with_columns(cs.temporal().cast(pl.String)).to_dicts() if frame.width else []


def _render(table: TableSummary) -> list[RenderableType]:
    meaning = "" if table.name not in TABLES else f"  key {', '.join(TABLES[table.name].key)}"
    span = f"  {table.span[0]} to {table.span[1]}" if table.span else ""
    names = f"  {table.symbols:,} symbols" if table.symbols is not None else ""
    line = f"\n{table.name}: {table.rows:,} rows x {table.columns.height} columns{span}{names}{meaning}"
    parts: list[RenderableType] = [Text(f"{line}  {table.bytes / 1e6:,.1f} MB", style="bold")]
    parts += [
        _grid(title, frame)
        for title, frame in (
            ("columns", table.columns),
            ("distribution", table.distribution),
            ("most frequent texts", table.texts),
            ("rows a date, by year", table.coverage),
            (f"first rows{_cut(table.head)}", table.head[:, :SHOWN_COLUMNS]),
            (f"last rows{_cut(table.tail)}", table.tail[:, :SHOWN_COLUMNS]),
        )
        if frame.height
    ]
    return parts


def _cut(frame: pl.DataFrame) -> str:
    return f" ({SHOWN_COLUMNS} of {frame.width} columns)" if frame.width > SHOWN_COLUMNS else ""


def _grid(title: str, frame: pl.DataFrame) -> Table:
    table = Table(title=title, title_justify="left", title_style="dim")
    for name, dtype in frame.schema.items():
        table.add_column(name, justify="right" if dtype.is_numeric() else "left", overflow="fold")
    for row in frame.iter_rows():
        table.add_row(*(_text(value) for value in row))
    return table


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, list):
        return "; ".join(str(item) for item in value)
    return (
        f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10_000 else str(value)
    )
