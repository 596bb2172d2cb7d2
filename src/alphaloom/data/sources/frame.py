"""One frame of ready-made features and a label, indexed by (datetime, instrument), as Parquet or pickle."""

import ast
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from alphaloom.data.parquet_files import read_parquet
from alphaloom.data.safe_pickle import load_frame
from alphaloom.data.sources.base import Facts, Source, sources
from alphaloom.errors import DataError, did_you_mean

PICKLES = (".pkl", ".pickle")


@sources.register("frame")
class Frame(Source):
    """Reads a qlib-style frame into the table `frame`; each column becomes the panel field `frame:NAME`.

    The label is the last column unless named. Two-level columns such as ("feature", "KMID") take their last level.
    Pickles are read by an unpickler that admits only numpy and pandas types.
    """

    label: str | None = None
    """Name of the label column; by default the last one."""
    market: str = "china"
    """Market rules that apply."""
    date_column: str = "datetime"
    """Name of the index level or column that holds the days."""
    symbol_column: str = "instrument"
    """Name of the index level or column that holds the symbols."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether the path is a pickle, or Parquet with `datetime` and `instrument`."""
        if not path.is_file() or path.suffix not in {*PICKLES, ".parquet"}:
            return False
        if path.suffix in PICKLES:
            return True
        try:
            return {"datetime", "instrument"} <= set(pl.read_parquet_schema(path))
        except (pl.exceptions.PolarsError, OSError):
            return False

    def facts(self, path: Path) -> Facts:
        """Return the market and the label's name."""
        names = list(pl.read_parquet_schema(path)) if path.suffix == ".parquet" and self.recognises(path) else []
        names = [_plain(name) for name in names if name not in {self.date_column, self.symbol_column}]
        return Facts(market=self.market, label=self.label or (names[-1] if names else ""))

    def read(self, path: Path) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield the frame once."""
        frame = frame_of_pickle(path) if path.suffix in PICKLES else read_parquet(path)
        for name in (self.date_column, self.symbol_column):
            if name not in frame.columns:
                raise DataError(
                    f"{path} has no index level or column {name!r}.{did_you_mean(name, frame.columns)} It has: "
                    f"{', '.join(frame.columns[:12])}. Name it in the mapping as date_column or symbol_column."
                )
        keys = {self.date_column: "date", self.symbol_column: "symbol"}
        plain = [keys.get(name, _plain(name)) for name in frame.columns]
        repeated = sorted({name for name in plain if plain.count(name) > 1})
        if repeated:
            raise DataError(f"{path} has the column {repeated[0]!r} more than once; rename it where the frame is made.")
        frame.columns = plain
        label = self.label or plain[-1]
        if label not in plain:
            raise DataError(f"{path} has no label column {label!r}.{did_you_mean(label, plain)}")
        yield "frame", frame.with_columns(pl.col("symbol").cast(pl.String))


def frame_of_pickle(path: Path) -> pl.DataFrame:
    """Return a pickled pandas frame with its index levels as columns; two-level columns by their last level.

    Raises:
        DataError: it holds no frame, or a column twice.
        UnsafeFileError: the pickle asks for more than numpy and pandas types, or is damaged.
    """
    frame = load_frame(path)
    if frame.columns.nlevels > 1:
        frame.columns = [item[-1] for item in frame.columns]
    if frame.columns.has_duplicates:
        name = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"{path} has the column {name!r} more than once; rename it where the frame is made.")
    columns: dict[str, pl.Series] = {}
    for level in range(frame.index.nlevels):
        values = frame.index.get_level_values(level)
        if values.name is not None:
            numbers = values.to_numpy()
            texts = numbers.dtype.kind == "O"
            columns[str(values.name)] = pl.Series(values.astype(str).tolist()) if texts else pl.Series(numbers)
    for name in frame.columns:
        columns[str(name)] = pl.Series(frame[name].to_numpy())
    return pl.DataFrame(columns)


def _plain(name: str) -> str:
    """Return the last level of a two-level column name as pandas writes it to Parquet: "('feature', 'KMID')"."""
    if not (name.startswith("(") and name.endswith(")")):
        return name
    try:
        value = ast.literal_eval(name)
    except (ValueError, SyntaxError):
        return name
    return str(value[-1]) if isinstance(value, tuple) and value else name
