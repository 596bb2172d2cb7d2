"""Store: the durable market data of one market, a folder of Parquet tables."""

import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

import polars as pl

from alphaloom import __version__
from alphaloom.data.conform import conform, table_named
from alphaloom.data.merge import merge
from alphaloom.data.problems import split_refused, summarise
from alphaloom.data.schema import TABLES, Table
from alphaloom.errors import DataError, MissingFieldError, UnsafeFileError, UsageError, did_you_mean
from alphaloom.typing import PathLike

FORMAT = 1
META = "store.json"
BY_YEAR = frozenset({"bars", "frame"})
"""Tables kept as one file a year; the others are one file each."""
FLUSH_ROWS = 1_500_000
"""Rows gathered before they are written aside by year: bounds the memory of an import."""
STALE_SECONDS = 86_400
"""Age at which the remains of a killed write are removed by the next one."""

Mode = Literal["extend", "replace"]

log = logging.getLogger(__name__)


class Store:
    """A folder of Parquet tables (`alphaloom.data.schema`) and `store.json`.

    `bars` and `frame` are one file a year (`bars/2014.parquet`), the other tables one file (`listing.parquet`). Rows
    are sorted by key, keys are unique, columns have the schema's types. Rows set aside by an import are in
    `quarantine/`; `cache/` may be deleted at any time.

    Raises:
        DataError: there is no store in the folder, or it was written by a later version.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        if not (self.path / META).is_file():
            raise DataError(
                f"{self.path} is not a store (no {META}). Build one with `alphaloom data import` or "
                "`alphaloom data simulate`."
            )
        try:
            self.meta: dict[str, Any] = json.loads((self.path / META).read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise UnsafeFileError(f"{self.path / META} is damaged: {error}. Import the store again.") from None
        if self.meta.get("format") != FORMAT:
            raise DataError(
                f"{self.path} has store format {self.meta.get('format')!r}; this version of alphaloom reads {FORMAT}."
            )
        _recover(self.path)

    @classmethod
    def create(cls, path: PathLike, market: str = "china") -> Self:
        """Return a new, empty store; the folder must be absent or empty.

        Args:
            path: folder to make.
            market: name of the market rules that apply (`alphaloom.data.market_rules`).

        Raises:
            UsageError: the folder holds something already.
        """
        folder = Path(path)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder} exists and is not an empty folder; choose another place for the new store.")
        folder.mkdir(parents=True, exist_ok=True)
        _write_json(folder / META, {"format": FORMAT, "market": market, "created_by": f"alphaloom {__version__}"})
        return cls(folder)

    @property
    def market(self) -> str:
        """Name of the market's rules."""
        return str(self.meta["market"])

    def annotate(self, **facts: Any) -> None:
        """Add facts to `store.json` (plain data only): sources, caveats, the name of a frame's label."""
        self.meta = {**self.meta, **facts}
        _write_json(self.path / META, self.meta)

    def tables(self) -> list[str]:
        """Return the names of the tables present, in the schema's order."""
        return [name for name in TABLES if self.files(name)]

    def files(self, table: str) -> list[Path]:
        """Return the Parquet files of a table, oldest year first; empty when the table is absent."""
        if table in BY_YEAR:
            return sorted((self.path / table).glob("*.parquet"))
        file = self.path / f"{table}.parquet"
        return [file] if file.is_file() else []

    def columns(self, table: str) -> dict[str, pl.DataType]:
        """Return the columns of a table and their types; empty when the table is absent."""
        table_named(table)
        files = self.files(table)
        return dict(_schema(files[0])) if files else {}

    def scan(self, table: str) -> pl.LazyFrame:
        """Return a lazy frame over a table, sorted by key within each year.

        Raises:
            MissingFieldError: the store does not have the table.
            UnsafeFileError: a file is damaged or cut short.
        """
        table_named(table)
        files = self.files(table)
        if not files:
            raise MissingFieldError(
                f"The store {self.path} has no table {table!r}; it has: {', '.join(self.tables()) or 'none'}. "
                f"Import one (columns: {', '.join(TABLES[table].columns)})."
            )
        for file in files:
            _schema(file)
        return pl.scan_parquet(files)

    def read(self, table: str, columns: Iterable[str] | None = None) -> pl.DataFrame:
        """Return a whole table sorted by key, or some of its columns.

        Raises:
            MissingFieldError: the store does not have the table or a column.
            UnsafeFileError: a file is damaged or cut short.
        """
        frame = self.scan(table)
        if columns is not None:
            wanted = list(columns)
            known = self.columns(table)
            for column in wanted:
                if column not in known:
                    raise MissingFieldError(
                        f"Table {table!r} of {self.path} has no column {column!r}.{did_you_mean(column, known)} "
                        f"It has: {', '.join(known)}."
                    )
            frame = frame.select(wanted)
        try:
            return frame.collect()
        except (pl.exceptions.ComputeError, OSError) as error:
            raise UnsafeFileError(f"Table {table!r} of {self.path} cannot be read: {error}. Import it again.") from None

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
        """Write a table and return the number of its rows; all of it or nothing.

        `extend` adds new keys; a key that is stored already may be repeated with equal values, and is refused with
        different ones. `replace` drops what was stored. Frames are taken one at a time, so a table larger than memory
        can be streamed. Form is checked by `alphaloom.data.conform`, values by `alphaloom.data.problems`.

        Args:
            table: a table of the schema.
            frames: one frame, or parts in any order; within a part, dates may not step back within a symbol.
            mode: `extend` or `replace`.
            extras: names of further numeric columns to keep.
            sort: accept parts whose rows are in any order.
            quarantine: set refused rows and duplicate keys aside in `quarantine/`, with a reason, instead of refusing
                the whole table. Of equal repeats one row is kept; of conflicting ones none.

        Raises:
            DataError: unknown or missing column, wrong type, null or duplicate key, dates out of order, high below
                low, a price not above zero, or a stored key with other values.
        """
        with self.writing() as batch:
            return batch.write(table, frames, mode, extras=extras, sort=sort, quarantine=quarantine)

    @contextmanager
    def writing(self) -> Iterator["Batch"]:
        """Return a context in which several tables are written; they take effect together at its end, or not at all."""
        for left in self.path.glob(".writing-*"):
            if time.time() - left.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        aside = Path(tempfile.mkdtemp(prefix=".writing-", dir=self.path))
        try:
            batch = Batch(self, aside)
            yield batch
            batch.commit()
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def quarantined(self, table: str) -> pl.DataFrame | None:
        """Return the rows of a table that an import set aside, with their `reason`; None when there are none."""
        file = self.path / "quarantine" / f"{table}.parquet"
        return pl.read_parquet(file) if file.is_file() else None

    def cache_folder(self) -> Path:
        """Return where derived panels are kept: `cache/` in the store, or a folder under `ALPHALOOM_CACHE`."""
        place = os.environ.get("ALPHALOOM_CACHE")
        if not place:
            return self.path / "cache"
        key = hashlib.blake2b(str(self.path.resolve()).encode(), digest_size=6).hexdigest()
        return Path(place) / f"{self.path.name}-{key}"

    def fingerprint(self) -> str:
        """Return 16 hex digits of the BLAKE2 hash of all tables and the market's name: equal for equal data.

        Hashes of single files are remembered by size and time of change, so that later calls take milliseconds.
        """
        remembered = _read_json(self.cache_folder() / "fingerprint.json")
        known: dict[str, list[Any]] = {}
        total = hashlib.blake2b(self.market.encode(), digest_size=8)
        for table in self.tables():
            for file in self.files(table):
                name = file.relative_to(self.path).as_posix()
                stat = file.stat()
                entry = remembered.get(name)
                if entry is None or entry[:2] != [stat.st_size, stat.st_mtime_ns]:
                    entry = [stat.st_size, stat.st_mtime_ns, _hash_file(file)]
                known[name] = entry
                total.update(f"{name}:{entry[2]};".encode())
        if known != remembered:
            try:
                self.cache_folder().mkdir(parents=True, exist_ok=True)
                _write_json(self.cache_folder() / "fingerprint.json", known)
            except OSError as error:
                log.warning("Cannot remember file hashes in %s (%s); set ALPHALOOM_CACHE.", self.cache_folder(), error)
        return total.hexdigest()


class Batch:
    """Tables being written aside; made by `Store.writing`."""

    def __init__(self, store: Store, aside: Path) -> None:
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
                "Nothing was written. Correct them, or import with quarantine switched on to set them aside."
            )
        kept = {file.stem if table in BY_YEAR else "all": file for file in self.store.files(table)} if old else {}
        rows = 0
        for period in sorted(parts.periods | set(kept)):
            target = self._target(table, period)
            target.parent.mkdir(parents=True, exist_ok=True)
            if period not in parts.periods and list(old) == list(columns):
                _link(kept[period], target)
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


def _schema(file: Path) -> Mapping[str, pl.DataType]:
    """Return a Parquet file's columns.

    Raises:
        UnsafeFileError: the file is damaged or cut short.
    """
    try:
        return pl.read_parquet_schema(file)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UnsafeFileError(f"{file} is not a whole Parquet file ({error}). Copy or import it again.") from None


def _recover(folder: Path) -> None:
    """Finish or undo a table's change that was interrupted between its two renames."""
    for old in folder.glob(".old-*"):
        place = folder / old.name.removeprefix(".old-")
        if place.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(place)


def _link(source: Path, target: Path) -> None:
    """Make the target the same file as the source, or a copy where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _hash_file(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _read_json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError:
        return {}
    return data if isinstance(data, dict) else {}


def _write_json(file: Path, data: Mapping[str, Any]) -> None:
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    aside.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    aside.replace(file)
