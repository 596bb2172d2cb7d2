"""Batch: tables written beside their place and put there together."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl

from alphaloom.data.conform import conform, table_named
from alphaloom.data.files import link
from alphaloom.data.merge import merge
from alphaloom.data.problems import split_refused, summarise
from alphaloom.data.schema import Table
from alphaloom.errors import DataError, UsageError

if TYPE_CHECKING:
    from alphaloom.data.store import Store

BY_YEAR = frozenset({"bars", "frame"})
"""Tables kept as one file a year; the others are one file each."""
FLUSH_ROWS = 1_500_000
"""Rows gathered before they are written aside by year: bounds the memory of an import."""

Mode = Literal["extend", "replace"]


class Batch:
    """Tables being written aside; made by `Store.writing`."""

    def __init__(self, store: "Store", aside: Path) -> None:
        self.store = store
        self.aside = aside
        self.written: list[str] = []
        self.set_aside: dict[str, pl.DataFrame] = {}

    def write(
        self,
        table: str,
        frames: pl.DataFrame | Iterable[pl.DataFrame],
        mode: Mode = "extend",
        *,
        extras: Iterable[str] = (),
        sort: bool = False,
        quarantine: bool = False,
    ) -> int:
        """Write a table aside and return the number of its rows; see `Store.write`."""
        schema = table_named(table)
        if table in self.written:
            raise UsageError(f"Table {table!r} is written twice in one batch; hand over all its frames in one call.")
        if mode not in {"extend", "replace"}:
            raise UsageError(f"mode {mode!r} is not allowed; choose 'extend' or 'replace'.")
        old = self.store.columns(table) if mode == "extend" else {}
        allowed = [*extras, *(name for name in old if name not in schema.columns)]
        parts = _Parts(self.aside / f"{table}.parts", table)
        wrong: list[pl.DataFrame] = []
        for frame in [frames] if isinstance(frames, pl.DataFrame) else frames:
            part, bad = split_refused(table, conform(schema, frame, extras=allowed, sort=sort))
            wrong += [bad] if bad.height else []
            parts.add(part)
        parts.flush()
        columns = _columns(schema, {**old, **parts.columns})
        if wrong and not quarantine:
            bad = pl.concat(wrong, how="diagonal")
            raise DataError(
                f"{bad.height} rows of table {table!r} are wrong:\n  {summarise(bad, list(schema.key))}\n"
                "Nothing was written. Correct them, or import with --quarantine to set them aside."
            )
        kept = {file.stem if table in BY_YEAR else "all": file for file in self.store.files(table)} if old else {}
        rows = 0
        for period in sorted(parts.periods | set(kept)):
            target = self._target(table, period)
            target.parent.mkdir(parents=True, exist_ok=True)
            if period not in parts.periods and list(old) == list(columns):
                link(kept[period], target)
                rows += int(pl.scan_parquet(target).select(pl.len()).collect().item())
                continue
            frame, repeats = merge(schema, columns, parts.frames(period), kept.get(period), quarantine=quarantine)
            wrong += [repeats] if repeats.height else []
            frame.write_parquet(target, compression="zstd")
            rows += frame.height
        if rows == 0:
            raise DataError(f"Table {table!r} would be empty; leave it out instead.")
        shutil.rmtree(parts.folder, ignore_errors=True)
        if wrong:
            self.set_aside[table] = pl.concat(wrong, how="diagonal")
        self.written.append(table)
        return rows

    def _target(self, table: str, period: str) -> Path:
        return self.aside / table / f"{period}.parquet" if table in BY_YEAR else self.aside / f"{table}.parquet"

    def commit(self) -> None:
        """Put the tables in place by renaming; a folder's old files stay recoverable until the new ones stand."""
        for table, wrong in self.set_aside.items():
            before = self.store.quarantined(table)
            rows = wrong if before is None else pl.concat([before, wrong], how="diagonal").unique(maintain_order=True)
            file = self.store.path / "quarantine" / f"{table}.parquet"
            file.parent.mkdir(exist_ok=True)
            rows.write_parquet(self.aside / "quarantine.parquet", compression="zstd")
            (self.aside / "quarantine.parquet").replace(file)
        for table in self.written:
            if table not in BY_YEAR:
                if (self.aside / f"{table}.parquet").exists():
                    (self.aside / f"{table}.parquet").replace(self.store.path / f"{table}.parquet")
                continue
            if not (self.aside / table).exists():
                continue
            place, old = self.store.path / table, self.store.path / f".old-{table}"
            if place.exists():
                place.rename(old)
            (self.aside / table).rename(place)
            shutil.rmtree(old, ignore_errors=True)


class _Parts:
    """Gathers conformed frames and writes them aside by year, so that one year at a time is merged in memory."""

    def __init__(self, folder: Path, table: str) -> None:
        self.folder = folder
        self.table = table
        self.columns: dict[str, pl.DataType] = {}
        self.periods: set[str] = set()
        self._waiting: list[pl.DataFrame] = []
        self._count = 0

    def add(self, frame: pl.DataFrame) -> None:
        if frame.is_empty():
            return
        self.columns.update(frame.schema)
        self._waiting.append(frame)
        if sum(part.height for part in self._waiting) >= FLUSH_ROWS:
            self.flush()

    def flush(self) -> None:
        if not self._waiting:
            return
        frame = pl.concat(self._waiting, how="diagonal")
        self._waiting = []
        pieces = {"all": frame}
        if self.table in BY_YEAR:
            by_year = frame.with_columns(pl.col("date").dt.year().alias("_year")).partition_by(
                "_year", as_dict=True, include_key=False
            )
            pieces = {f"{key[0]:04d}": piece for key, piece in by_year.items()}
        for period, piece in pieces.items():
            (self.folder / period).mkdir(parents=True, exist_ok=True)
            piece.write_parquet(self.folder / period / f"{self._count}.parquet", compression="uncompressed")
            self.periods.add(period)
        self._count += 1

    def frames(self, period: str) -> list[pl.DataFrame]:
        if period not in self.periods:
            return []
        return [pl.read_parquet(file) for file in sorted((self.folder / period).glob("*.parquet"))]


def _columns(table: Table, present: Mapping[str, pl.DataType]) -> dict[str, pl.DataType]:
    """Return the columns in the schema's order, then the extra ones as they came."""
    ordered = [name for name in table.columns if name in present]
    return {name: present[name] for name in [*ordered, *(name for name in present if name not in table.columns)]}
