"""A qlib binary folder: calendar, instruments, one float32 file per stock and field."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from alphaloom.data.sources.base import Facts, Source, sources
from alphaloom.data.spells import lists_from_spells
from alphaloom.errors import DataError, UnsafeFileError
from alphaloom.typing import Dates, Floats

PRICES = ("open", "high", "low", "close", "vwap")
INDICES = {
    "csi100": "SH000903",
    "csi300": "SH000300",
    "csi500": "SH000905",
    "csi800": "SH000906",
    "csi1000": "SH000852",
}
INDEX_SYMBOL = re.compile(r"^(SH000|SZ399)\d{3}$")
STOCKS_A_PART = 400


@sources.register("qlib")
class Qlib(Source):
    """Reads `calendars/day.txt`, `instruments/*.txt` and `features/SYMBOL/FIELD.day.bin`.

    qlib stores adjusted prices and volumes with their factor: unadjusted price = price / factor, volume = volume *
    factor. A stock's span runs from its first close to the last day on which any of its fields has a value; a day
    without a close in it becomes a suspended day: flat at the last close, volume 0. Lists of instruments other than
    `all` become index members without weights; `SH000...` and `SZ399...` become indices.
    """

    market: str = "china"
    """Market rules that apply."""
    indices: dict[str, str] = INDICES
    """Symbol of the index that each instrument list describes; other lists keep their name in capitals."""
    extras: tuple[str, ...] = ()
    """Further fields to keep, by the names of their files."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether the folder has a day calendar and features."""
        return path.is_dir() and (path / "calendars" / "day.txt").is_file() and (path / "features").is_dir()

    def facts(self, path: Path) -> Facts:
        """Return the market and the caveats."""
        notes = ["unadjusted prices were recovered as price / factor and may lie off the price grid by rounding"]
        if not any((path / "features").glob("*/factor.day.bin")):
            notes.append("no factor files: prices were taken as unadjusted and adj_factor is 1 throughout")
        return Facts(market=self.market, extras={"bars": self.extras}, notes=tuple(notes))

    def read(self, path: Path) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield bars in parts of some hundred stocks, then index bars and members."""
        calendar = _calendar(path)
        folders = sorted(item for item in (path / "features").iterdir() if item.is_dir())
        if not folders:
            raise DataError(f"{path / 'features'} has no folder of a stock.")
        stocks = [item for item in folders if not INDEX_SYMBOL.match(item.name.upper())]
        for k in range(0, len(stocks), STOCKS_A_PART):
            frames = [self._stock(item, calendar) for item in stocks[k : k + STOCKS_A_PART]]
            yield "bars", pl.concat([frame for frame in frames if frame.height], how="diagonal")
        indices = [self._index(item, calendar) for item in folders if INDEX_SYMBOL.match(item.name.upper())]
        if indices:
            yield "index_bars", pl.concat(indices, how="diagonal")
        lists = [file for file in sorted((path / "instruments").glob("*.txt")) if file.stem != "all"]
        spells = [self._spells(file) for file in lists]
        if spells:
            yield "index_weights", lists_from_spells(pl.concat(spells))

    def _fields(self, folder: Path, calendar: Dates, wanted: tuple[str, ...]) -> tuple[int, dict[str, Floats]]:
        """Return the calendar position of the first value and the fields, aligned."""
        read = {}
        for name in wanted:
            file = folder / f"{name}.day.bin"
            if file.is_file():
                read[name] = _read_bin(file, calendar.size)
        if "close" not in read:
            raise DataError(f"{folder} has no close.day.bin; a stock needs open, high, low, close and volume.")
        first = min(start for start, _ in read.values())
        stop = max(start + values.size for start, values in read.values())
        aligned = {}
        for name, (start, values) in read.items():
            aligned[name] = np.full(stop - first, np.nan, dtype=np.float32)
            aligned[name][start - first : start - first + values.size] = values
        return first, aligned

    def _stock(self, folder: Path, calendar: Dates) -> pl.DataFrame:
        fields = (*PRICES, "volume", "amount", "factor", *self.extras)
        first, values = self._fields(folder, calendar, fields)
        some = np.flatnonzero(~np.isnan(values["close"]))
        if not some.size:
            return pl.DataFrame()
        last = max(int(np.flatnonzero(~np.isnan(array))[-1]) for array in values.values() if not np.isnan(array).all())
        span = slice(int(some[0]), last + 1)
        values = {name: array[span] for name, array in values.items()}
        factor = values.pop("factor", np.ones(span.stop - span.start, dtype=np.float32))
        traded = ~np.isnan(values["close"])
        factor = _fill_last(factor)
        for name in PRICES:
            if name in values:
                values[name] = (values[name].astype(np.float64) / factor).astype(np.float32)
        close = _fill_last(values["close"])
        for name in ("open", "high", "low", "close"):
            if name not in values:
                raise DataError(f"{folder} has no {name}.day.bin; a stock needs open, high, low, close and volume.")
            values[name] = np.where(traded, values[name], close)
        if "volume" not in values:
            raise DataError(f"{folder} has no volume.day.bin; a stock needs open, high, low, close and volume.")
        values["volume"] = np.where(traded, (values["volume"].astype(np.float64) * factor).astype(np.float32), 0)
        dates = calendar[first + span.start : first + span.stop]
        return pl.DataFrame(
            {
                "date": pl.Series(dates).cast(pl.Date),
                "symbol": pl.Series([folder.name.upper()] * dates.size, dtype=pl.String),
                **{name: pl.Series(array.astype(np.float32)) for name, array in values.items()},
                "adj_factor": pl.Series(factor.astype(np.float32)),
            }
        )

    def _index(self, folder: Path, calendar: Dates) -> pl.DataFrame:
        names = ("open", "high", "low", "close", "volume", "amount")
        first, values = self._fields(folder, calendar, (*names, "factor"))
        factor = values.pop("factor", None)
        if factor is not None:
            values = {n: (a / factor if n in PRICES else a) for n, a in values.items()}
        dates = calendar[first : first + values["close"].size]
        frame = pl.DataFrame(
            {
                "index": pl.Series([folder.name.upper()] * dates.size, dtype=pl.String),
                "date": pl.Series(dates).cast(pl.Date),
                **{name: pl.Series(array) for name, array in values.items()},
            }
        )
        return frame.filter(pl.col("close").is_not_nan())

    def _spells(self, file: Path) -> pl.DataFrame:
        rows = []
        for k, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            parts = line.split()
            if not parts:
                continue
            try:
                start, end = np.datetime64(parts[1], "D"), np.datetime64(parts[2], "D")
            except (IndexError, ValueError):
                raise DataError(f"{file}, line {k}: {line!r} is not `SYMBOL START END`.") from None
            rows.append((parts[0].upper(), start.item(), (end + 1).item()))
        name = self.indices.get(file.stem, file.stem.upper())
        frame = pl.DataFrame(rows, schema={"symbol": pl.String, "opt_in": pl.Date, "opt_out": pl.Date}, orient="row")
        return frame.with_columns(pl.lit(name).alias("index"))


def _calendar(path: Path) -> Dates:
    file = path / "calendars" / "day.txt"
    if not file.is_file() or not (path / "features").is_dir():
        raise DataError(f"{path} is no qlib folder: it needs calendars/day.txt and features/.")
    lines = [line.strip()[:10] for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    try:
        days = np.array(lines, dtype="datetime64[D]")
    except ValueError as error:
        raise DataError(f"{file} holds a line that is no date: {error}.") from None
    back = np.flatnonzero(np.diff(days) <= np.timedelta64(0, "D"))
    if back.size:
        raise DataError(f"{file}: dates out of order, {days[back[0] + 1]} follows {days[back[0]]}.")
    return days


def _read_bin(file: Path, T: int) -> tuple[int, Floats]:
    """Return the calendar position of the first value and the values of a `.day.bin` file."""
    size = file.stat().st_size
    if size % 4 or size < 4:
        raise UnsafeFileError(f"{file} has {size} bytes, not a multiple of 4; it was cut short.")
    data = np.fromfile(file, dtype="<f4")
    if np.isnan(data[0]) or data[0] < 0 or data[0] + data.size - 1 > T:
        raise UnsafeFileError(
            f"{file} starts at calendar position {data[0]} and holds {data.size - 1} days, but the calendar has {T}."
        )
    return int(data[0]), data[1:].astype(np.float32)


def _fill_last(values: Floats) -> Floats:
    """Return a copy in which NaN takes the last value before it; NaN before the first value stays."""
    known = np.flatnonzero(~np.isnan(values))
    place = np.searchsorted(known, np.arange(values.size), side="right") - 1
    result = values.copy()
    result[place >= 0] = values[known[place[place >= 0]]]
    return result
