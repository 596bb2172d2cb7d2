"""CSV files: one a table, or one a symbol."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
from pydantic import Field

from alphaloom.data.schema import TABLES
from alphaloom.data.sources.base import Facts, Source, sources
from alphaloom.data.tabular import TableMaps, facts_of, read_tables
from alphaloom.errors import DataError, UnsafeFileError

SUFFIXES = (".csv", ".csv.gz")
NULLS = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "--"]


@sources.register("csv")
class Csv(Source):
    """Reads a CSV file or a folder of them: `bars.csv`, or one file a symbol, with columns as in the store or mapped.

    All columns are read as text and turned into the store's types, so that `000001` stays a symbol; a text that is no
    number is an error with its file and row.
    """

    tables: TableMaps = Field(default_factory=dict)
    """Column mapping by table."""
    market: str | None = None
    """Market rules that apply; by default those of `store.json`, else `china`."""
    separator: str = ","
    """Character between columns."""
    encoding: str = "utf8"
    """`utf8`, or another Python codec such as `gbk`."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether the path is a CSV file, or a folder of tables or of nothing but CSV files."""
        if path.is_file():
            return path.name.endswith(SUFFIXES)
        named = any((path / f"{table}{suffix}").is_file() for table in TABLES for suffix in SUFFIXES)
        files = [item for item in path.iterdir() if item.is_file()]
        nested = any(any((path / table).glob("*.csv")) for table in TABLES)
        return named or nested or (bool(files) and all(item.name.endswith(SUFFIXES) for item in files))

    def facts(self, path: Path) -> Facts:
        """Return the market and notes, of `store.json` where there is one."""
        return facts_of(path, SUFFIXES, self.tables, self.market, lambda file: self._file(file, rows=0).columns)

    def read(self, path: Path) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield one frame a file."""
        yield from read_tables(path, SUFFIXES, self.tables, self._file, self.facts(path).extras)

    def _file(self, file: Path, rows: int | None = None) -> pl.DataFrame:
        try:
            frame = pl.read_csv(
                file,
                separator=self.separator,
                infer_schema=False,
                null_values=NULLS,
                encoding=self.encoding,
                n_rows=rows,
            )
        except (pl.exceptions.PolarsError, LookupError, UnicodeDecodeError) as error:
            raise UnsafeFileError(f"{file} cannot be read as CSV: {str(error).splitlines()[0]}.") from None
        if frame.width < 2:
            raise DataError(f"{file} has one column, {frame.columns[0]!r}; is {self.separator!r} its separator?")
        return frame
