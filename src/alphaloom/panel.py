"""Panel: dense fields of one market on one pair of axes, dates and symbols."""

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Self

import numpy as np
import polars as pl

from alphaloom.errors import AlignmentError, DataError, MissingFieldError, did_you_mean
from alphaloom.typing import Bools, Dates, Floats, PathLike, Symbols


@dataclass(frozen=True, eq=False)
class Panel:
    """Immutable, dense, field-major: `dates [T]`, `symbols [N]`, `universe bool [T, N]`, `fields` of float32 `[T, N]`.

    NaN means *missing*; `universe` means *may be held or learned from*; the two are never mixed. Features, labels,
    scores and weights are Panels on the same axes. All arrays are read-only (a writable input is not copied but viewed
    read-only: hand it over).

    A field named in `categories` holds codes 0, 1, ... as floats; `categories[name][code]` is the text.

    Raises:
        AlignmentError: an array's shape is not `[T, N]`, dates are not increasing, or a symbol repeats.
    """

    dates: Dates
    symbols: Symbols
    universe: Bools
    fields: Mapping[str, Floats]
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        dates = np.asarray(self.dates, dtype="datetime64[D]")
        symbols = np.asarray(self.symbols, dtype=np.str_)
        if dates.ndim != 1 or symbols.ndim != 1:
            raise AlignmentError(f"dates and symbols must be one-dimensional, got {dates.shape} and {symbols.shape}.")
        steps = np.flatnonzero(np.diff(dates) <= np.timedelta64(0, "D"))
        if steps.size:
            raise AlignmentError(
                f"Dates must increase: {dates[steps[0] + 1]} follows {dates[steps[0]]}. Sort the rows by date first."
            )
        names, counts = np.unique(symbols, return_counts=True)
        if (counts > 1).any():
            raise AlignmentError(f"Symbol {str(names[counts > 1][0])!r} appears twice among the panel's symbols.")
        shape = (dates.size, symbols.size)
        arrays = {}
        for name, array in {"universe": self.universe, **self.fields}.items():
            wanted = np.bool_ if name == "universe" else np.float32
            if array.shape != shape:
                raise AlignmentError(
                    f"{name!r} has shape {array.shape}; {shape[0]} dates x {shape[1]} symbols need {shape}."
                )
            if array.dtype != wanted:
                raise DataError(f"{name!r} has dtype {array.dtype}; a panel holds {np.dtype(wanted)}.")
            arrays[name] = _read_only(array)
        object.__setattr__(self, "dates", _read_only(dates))
        object.__setattr__(self, "symbols", _read_only(symbols))
        object.__setattr__(self, "universe", arrays.pop("universe"))
        object.__setattr__(self, "fields", MappingProxyType(arrays))
        object.__setattr__(self, "categories", MappingProxyType(dict(self.categories)))

    @classmethod
    def from_block(cls, like: "Panel", names: Iterable[str], block: Floats) -> "Panel":
        """Return a panel on `like`'s axes whose fields are the slices of `block [T, N, F]`, without a copy."""
        columns = list(names)
        if block.ndim != 3 or block.shape[2] != len(columns):
            raise AlignmentError(f"A block of {len(columns)} fields must be [T, N, {len(columns)}], got {block.shape}.")
        return cls(
            like.dates,
            like.symbols,
            like.universe,
            {name: block[:, :, j] for j, name in enumerate(columns)},
        )

    @property
    def shape(self) -> tuple[int, int]:
        """T and N."""
        return self.dates.size, self.symbols.size

    @property
    def names(self) -> list[str]:
        """Names of the fields, in order."""
        return list(self.fields)

    def __getitem__(self, name: str) -> Floats:
        """Return the field `[T, N]`.

        Raises:
            MissingFieldError: the panel has no such field.
        """
        if name not in self.fields:
            raise MissingFieldError(
                f"The panel has no field {name!r}.{did_you_mean(name, self.fields)} It has: {', '.join(self.fields)}."
            )
        return self.fields[name]

    def __contains__(self, name: str) -> bool:
        return name in self.fields

    def __repr__(self) -> str:
        T, N = self.shape
        span = f"{self.dates[0]} to {self.dates[-1]}" if T else "no dates"
        share = f"{self.universe.mean():.1%} in universe"
        return f"Panel({T} dates ({span}) x {N} symbols, {len(self.fields)} fields, {share})"

    def with_fields(self, fields: Mapping[str, Floats], *, keep: bool = True) -> "Panel":
        """Return a panel on the same axes with these fields added (or alone, with `keep=False`)."""
        return Panel(
            self.dates,
            self.symbols,
            self.universe,
            {**(self.fields if keep else {}), **fields},
            self.categories,
        )

    def with_universe(self, universe: Bools) -> "Panel":
        """Return the same panel with another universe `[T, N]`."""
        return Panel(self.dates, self.symbols, universe, self.fields, self.categories)

    def select(self, names: Iterable[str]) -> "Panel":
        """Return the panel with these fields alone."""
        return self._cut(self.dates, self.symbols, self.universe, {name: self[name] for name in names})

    def rows(self, start: int, stop: int) -> "Panel":
        """Return the dates at positions `start` to `stop - 1`."""
        fields = {name: array[start:stop] for name, array in self.fields.items()}
        return self._cut(self.dates[start:stop], self.symbols, self.universe[start:stop], fields)

    def columns(self, keep: Bools) -> "Panel":
        """Return the symbols where `keep [N]` is true.

        Raises:
            AlignmentError: `keep` is not one flag a symbol.
        """
        if keep.dtype != np.bool_ or keep.shape != self.symbols.shape:
            raise AlignmentError(f"keep must be boolean [{self.symbols.size}], not {keep.dtype} {keep.shape}.")
        fields = {name: _read_only(array[:, keep]) for name, array in self.fields.items()}
        return self._cut(self.dates, _read_only(self.symbols[keep]), _read_only(self.universe[:, keep]), fields)

    def _cut(self, dates: Dates, symbols: Symbols, universe: Bools, fields: Mapping[str, Floats]) -> "Panel":
        """Return a part of this panel: its axes and arrays were checked when the panel was made."""
        part = object.__new__(Panel)
        for name, value in (("dates", dates), ("symbols", symbols), ("universe", universe)):
            object.__setattr__(part, name, value)
        object.__setattr__(part, "fields", MappingProxyType(dict(fields)))
        object.__setattr__(part, "categories", self.categories)
        return part

    def between(self, start: object = None, end: object = None) -> "Panel":
        """Return the dates from `start` to `end`, both included; None leaves that side open."""
        return self.rows(*self.span(start, end))

    def span(self, start: object = None, end: object = None) -> tuple[int, int]:
        """Return positions `(first, last + 1)` of the dates from `start` to `end`, both included."""
        first = 0 if start is None else int(np.searchsorted(self.dates, as_date(start), side="left"))
        stop = self.dates.size if end is None else int(np.searchsorted(self.dates, as_date(end), side="right"))
        return first, max(first, stop)

    def same_axes(self, other: "Panel") -> None:
        """Check that the other panel has the same dates and symbols.

        Raises:
            AlignmentError: it has not; the message names the first difference.
        """
        for what, mine, theirs in (
            ("dates", self.dates, other.dates),
            ("symbols", self.symbols, other.symbols),
        ):
            if mine.shape != theirs.shape:
                raise AlignmentError(f"Panels have {mine.size} and {theirs.size} {what}: align them first.")
            differ = np.flatnonzero(mine != theirs)
            if differ.size:
                k = differ[0]
                raise AlignmentError(f"Panels differ in {what} at position {k}: {mine[k]} and {theirs[k]}.")

    def stack(self, names: Iterable[str] | None = None) -> Floats:
        """Return the fields as one array `[T, N, F]`; no copy when the panel was made of just such a block."""
        columns = self.names if names is None else list(names)
        arrays = [self[name] for name in columns]
        base = arrays[0].base if arrays else None
        if (
            isinstance(base, np.ndarray)
            and base.shape == (*self.shape, len(arrays))
            and all(
                a.base is base and a.__array_interface__["data"][0] == base[:, :, j].__array_interface__["data"][0]
                for j, a in enumerate(arrays)
            )
        ):
            return _read_only(base)
        block = np.empty((*self.shape, len(arrays)), dtype=np.float32)
        for j, array in enumerate(arrays):
            block[:, :, j] = array
        return block

    def to_frame(self, *, universe_only: bool = False, drop_empty: bool = True) -> pl.DataFrame:
        """Return the long frame: `date`, `symbol`, then one column a field; NaN becomes null.

        Rows outside the universe are left out with `universe_only`; rows in which every field is NaN with `drop_empty`.
        Sorted by date, then symbol.
        """
        keep = self.universe.copy() if universe_only else np.ones(self.shape, dtype=np.bool_)
        if drop_empty and self.fields:
            some = np.zeros(self.shape, dtype=np.bool_)
            for array in self.fields.values():
                some |= ~np.isnan(array)
            keep &= some
        t, n = np.nonzero(keep)
        columns: dict[str, pl.Series] = {
            "date": pl.Series(self.dates[t]).cast(pl.Date),
            "symbol": pl.Series(self.symbols[n].astype(object), dtype=pl.String),
        }
        for name, array in self.fields.items():
            if name in self.categories:
                texts = [*self.categories[name], None]
                codes = np.where(np.isnan(array[t, n]), len(texts) - 1, array[t, n]).astype(np.int64)
                columns[name] = pl.Series([texts[c] for c in codes], dtype=pl.String)
            else:
                columns[name] = pl.Series(array[t, n]).fill_nan(None)
        return pl.DataFrame(columns)

    @classmethod
    def from_frame(
        cls,
        frame: pl.DataFrame,
        *,
        dates: Dates | None = None,
        symbols: Symbols | None = None,
        universe: Bools | None = None,
    ) -> "Panel":
        """Return the panel of a long frame with `date` and `symbol` columns; text columns become categories.

        Axes default to the sorted dates and symbols of the frame; rows outside given axes are an error. Absent rows
        and nulls are NaN. The universe defaults to the rows present.

        Raises:
            DataError: no `date` or `symbol` column, a repeated key, a key outside the given axes, or a column that is
                neither number, boolean nor text.
        """
        for key in ("date", "symbol"):
            if key not in frame.columns:
                raise DataError(f"A long frame needs a {key!r} column; this one has: {', '.join(frame.columns)}.")
        frame = frame.with_columns(pl.col("date").cast(pl.Date))
        day = frame["date"].to_numpy().astype("datetime64[D]")
        name = frame["symbol"].cast(pl.String).to_numpy().astype(np.str_)
        dates = np.unique(day) if dates is None else np.asarray(dates, dtype="datetime64[D]")
        symbols = np.unique(name) if symbols is None else np.asarray(symbols, dtype=np.str_)
        t = _positions(dates, day, "date")
        n = _positions(symbols, name, "symbol")
        flat = t * symbols.size + n
        if np.unique(flat).size != flat.size:
            keys, counts = np.unique(flat, return_counts=True)
            first = keys[counts > 1][0]
            raise DataError(
                f"{int((counts > 1).sum())} (date, symbol) keys repeat, first {dates[first // symbols.size]} "
                f"{symbols[first % symbols.size]}. Keep one row for each."
            )
        shape = (dates.size, symbols.size)
        fields: dict[str, Floats] = {}
        categories: dict[str, tuple[str, ...]] = {}
        for column in frame.columns:
            if column in {"date", "symbol"}:
                continue
            series = frame[column]
            if series.dtype in {pl.String, pl.Categorical, pl.Enum}:
                texts = series.cast(pl.String).drop_nulls().unique().sort().to_list()
                categories[column] = tuple(texts)
                code = {text: float(k) for k, text in enumerate(texts)}
                values = np.array([code.get(v, np.nan) for v in series.to_list()], dtype=np.float32)
            elif series.dtype.is_numeric() or series.dtype == pl.Boolean:
                values = series.cast(pl.Float32).fill_null(float("nan")).to_numpy()
            else:
                raise DataError(f"Column {column!r} is {series.dtype}; a panel holds numbers, booleans and text.")
            array = np.full(shape, np.nan, dtype=np.float32)
            array[t, n] = values
            fields[column] = array
        if universe is None:
            universe = np.zeros(shape, dtype=np.bool_)
            universe[t, n] = True
        return cls(dates, symbols, universe, fields, categories)

    def save(self, folder: PathLike) -> None:
        """Write `meta.json` and one `.npy` a field into a folder, aside first, then renamed: never half a panel."""
        folder = Path(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            np.save(aside / "dates.npy", self.dates)
            np.save(aside / "symbols.npy", self.symbols)
            np.save(aside / "universe.npy", self.universe)
            for k, array in enumerate(self.fields.values()):
                np.save(aside / f"field-{k}.npy", np.ascontiguousarray(array))
            meta = {
                "fields": self.names,
                "categories": {k: list(v) for k, v in self.categories.items()},
            }
            (aside / "meta.json").write_text(json.dumps(meta, ensure_ascii=False, indent=1))
            if folder.exists():
                shutil.rmtree(folder)
            aside.rename(folder)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise

    @classmethod
    def load(cls, folder: PathLike) -> Self:
        """Return a saved panel with its fields memory-mapped.

        Raises:
            DataError: there is no panel in the folder.
        """
        folder = Path(folder)
        if not (folder / "meta.json").is_file():
            raise DataError(f"{folder} holds no panel (no meta.json).")
        meta = json.loads((folder / "meta.json").read_text())
        return cls(
            np.load(folder / "dates.npy"),
            np.load(folder / "symbols.npy"),
            np.load(folder / "universe.npy", mmap_mode="r"),
            {name: np.load(folder / f"field-{k}.npy", mmap_mode="r") for k, name in enumerate(meta["fields"])},
            {name: tuple(texts) for name, texts in meta["categories"].items()},
        )


def as_date(value: object) -> np.datetime64:
    """Return a date, `datetime`, ISO text or datetime64 as `datetime64[D]`.

    Raises:
        DataError: not a date.
    """
    try:
        return np.datetime64(str(value)[:10], "D")
    except ValueError:
        raise DataError(f"{value!r} is not a date; write it as 2024-12-31.") from None


def _positions(axis: Dates | Symbols, keys: Dates | Symbols, what: str) -> np.ndarray:
    order = np.argsort(axis, kind="stable")
    found = np.searchsorted(axis, keys, sorter=order)
    place = order[np.minimum(found, axis.size - 1)] if axis.size else np.zeros(keys.size, dtype=np.int64)
    wrong = np.flatnonzero(axis[place] != keys) if axis.size else np.arange(keys.size)
    if wrong.size:
        raise DataError(f"{wrong.size} rows have a {what} outside the panel's axis, first {keys[wrong[0]]}.")
    return place


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
