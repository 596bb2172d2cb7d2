"""Parquet files: one a table, or several; also a copy of another store."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
from pydantic import Field

from alphaloom.data.parquet_files import parquet_columns, read_parquet
from alphaloom.data.schema import TABLES
from alphaloom.data.sources.base import Facts, Source, sources
from alphaloom.data.tabular import TableMaps, facts_of, read_tables

SUFFIXES = (".parquet",)


@sources.register("parquet")
class Parquet(Source):
    """Reads a Parquet file or a folder of them: `bars.parquet`, or the files in `bars/`.

    A folder with a `store.json`, as an export or another store has, brings its market, notes and further columns along.
    """

    tables: TableMaps = Field(default_factory=dict)
    """Column mapping by table."""
    market: str | None = None
    """Market rules that apply; by default those of `store.json`, else `china`."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether the path is a Parquet file of columns by date and symbol, or a folder of named tables."""
        if path.is_file():
            return path.suffix == ".parquet" and not _is_indexed(path)
        return any((path / f"{table}.parquet").is_file() or any((path / table).glob("*.parquet")) for table in TABLES)

    def facts(self, path: Path) -> Facts:
        """Return the market and notes, of `store.json` where there is one."""
        return facts_of(path, SUFFIXES, self.tables, self.market, parquet_columns)

    def read(self, path: Path) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield one frame a file."""
        yield from read_tables(path, SUFFIXES, self.tables, read_parquet, self.facts(path).extras)


def _is_indexed(file: Path) -> bool:
    """Return whether the file holds a (datetime, instrument) frame."""
    try:
        return {"datetime", "instrument"} <= set(pl.read_parquet_schema(file))
    except (pl.exceptions.PolarsError, OSError):
        return False
