"""FeatureFolder: features that were computed into a folder, read by rows and columns without loading the rest."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from alphaloom.data.blocks import META, Block, block_folder, damaged, load_symbols, read_array, read_block
from alphaloom.data.files import read_json
from alphaloom.errors import DataError, SettingError, did_you_mean
from alphaloom.panel import Panel
from alphaloom.typing import Bools, Dates, Floats, PathLike, Symbols

FORMAT = 1


class FeatureFolder:
    """Features of one or more families on one pair of axes, memory-mapped block by block.

    `names`: the columns, in order of the families. `dates [T]`, `symbols [N]`, `listed bool [T, N]`: the stock-days
    that the long frame holds. A name that two families share is written `family:name`.

    Raises:
        DataError: the folder holds no features, or an update of it is running or was interrupted.
        UnsafeFileError: a file is damaged or absent.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        self.meta = read_meta(self.path)
        if self.meta["status"] != "complete":
            raise DataError(
                f"{self.path} is unfinished: its computation is running or was interrupted. Run the same "
                "`alphaloom features compute` again; what is finished is kept."
            )
        self.symbols: Symbols = load_symbols(self.path, self.meta["symbols"])
        size = int(self.meta["rows"])
        self.dates: Dates = np.array(read_array(self.path / "dates.npy", (size,), np.dtype("datetime64[D]")))
        self.listed: Bools = read_array(self.path / "listed.npy", (size, self.symbols.size), np.dtype(np.bool_))
        self.names: list[str] = column_labels([(item["part"], item["columns"]) for item in self.meta["families"]])
        self._starts = [int(start) for _, start, _ in self.meta["blocks"]]
        self._open: dict[tuple[str, int], Block] = {}

    @property
    def shape(self) -> tuple[int, int, int]:
        """T, N, F."""
        return self.dates.size, self.symbols.size, len(self.names)

    def __repr__(self) -> str:
        T, N, F = self.shape
        return (
            f"FeatureFolder({self.path}: {F} features, {T} dates ({self.dates[0]} to {self.dates[-1]}) x {N} symbols)"
        )

    def block(self, start: int = 0, stop: int | None = None, columns: Sequence[str] | None = None) -> Floats:
        """Return the features on rows `start` to `stop - 1` as a new array `[rows, N, F]`, in the order asked for.

        Raises:
            SettingError: rows outside the folder, or no such column.
            UnsafeFileError: a block is damaged or absent.
        """
        first, last = self._rows(start, stop)
        chosen = self._places(self.names if columns is None else columns)
        out = np.empty((last - first, self.symbols.size, len(chosen)), dtype=np.float32)
        for part, places, into in self._by_part(chosen):
            for index, begin, end in self.meta["blocks"]:
                a, b = max(first, begin), min(last, end)
                if a < b:
                    values = self._values(part, index, begin, end)[a - begin : b - begin]
                    dense = isinstance(into, slice)
                    out[a - first : b - first, :, into] = values if dense else values[:, :, places]
        return out

    def panel(self, columns: Sequence[str] | None = None, start: int = 0, stop: int | None = None) -> Panel:
        """Return the features as a panel whose universe is the listed stock-days."""
        first, last = self._rows(start, stop)
        names = list(self.names if columns is None else columns)
        like = Panel(self.dates[first:last], self.symbols, np.asarray(self.listed[first:last]), {})
        return Panel.from_block(like, names, self.block(first, last, names))

    def to_frames(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """Yield the long frame block by block: date, symbol, columns; every listed stock-day, by date, then symbol."""
        for _, begin, end in self.meta["blocks"]:
            yield self.panel(columns, begin, end).to_frame(universe_only=True, drop_empty=False)

    def check(self) -> None:
        """Read all blocks and check that they are there, of this folder's axes, and hold what was written.

        Raises:
            UnsafeFileError: one does not.
        """
        for item in self.meta["families"]:
            for index, begin, end in self.meta["blocks"]:
                self._values(item["part"], index, begin, end)
                self._open[item["part"], index].check()

    def _values(self, part: str, index: int, begin: int, end: int) -> Floats:
        key = (part, index)
        if key not in self._open:
            folder = block_folder(self.path / part, index)
            block = read_block(folder)
            if block is None:
                raise damaged(folder, "it is absent")
            if block.symbols != self.meta["symbols"] or not np.array_equal(block.dates, self.dates[begin:end]):
                raise damaged(folder, "it belongs to other dates or symbols")
            self._open[key] = block
        return self._open[key].values()

    def _rows(self, start: int, stop: int | None) -> tuple[int, int]:
        last = self.dates.size if stop is None else stop
        if not 0 <= start <= last <= self.dates.size:
            raise SettingError(
                f"Rows {start} to {last} are asked for; {self.path} has rows 0 to {self.dates.size - 1}."
            )
        return start, last

    def _places(self, columns: Sequence[str]) -> list[int]:
        place = {name: k for k, name in enumerate(self.names)}
        for name in columns:
            if name not in place:
                raise SettingError(f"{self.path} has no feature {name!r}.{did_you_mean(name, place)}")
        return [place[name] for name in columns]

    def _by_part(self, chosen: list[int]) -> Iterator[tuple[str, list[int], list[int] | slice]]:
        """Yield, for each family that holds some of the places, the places in it and those in the output."""
        begin = 0
        for item in self.meta["families"]:
            end = begin + len(item["columns"])
            into = [k for k, place in enumerate(chosen) if begin <= place < end]
            if into:
                places = [chosen[k] - begin for k in into]
                dense = into == list(range(into[0], into[-1] + 1)) and places == list(range(end - begin))
                yield item["part"], places, slice(into[0], into[-1] + 1) if dense else into
            begin = end


def read_meta(path: Path) -> dict[str, Any]:
    """Return what a feature folder says about itself.

    Raises:
        DataError: the folder holds no features, or those of a later version.
    """
    meta = read_json(path / META)
    if not meta:
        raise DataError(f"{path} holds no features (no readable {META}). Make it with `alphaloom features compute`.")
    if meta.get("format") != FORMAT:
        raise DataError(f"{path} has feature format {meta.get('format')!r}; this version of alphaloom reads {FORMAT}.")
    return meta


def column_labels(families: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Return the names of all columns; one that two families have becomes `family:name`.

    >>> column_labels([("a", ["x", "y"]), ("b", ["y"])])
    ['x', 'a:y', 'b:y']
    """
    uses = Counter(name for _, columns in families for name in columns)
    return [f"{part}:{name}" if uses[name] > 1 else name for part, columns in families for name in columns]
