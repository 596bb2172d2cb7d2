"""Store: the durable market data of one market, a folder of Parquet tables."""

import datetime as dt
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import polars as pl

from alphaloom import __version__
from alphaloom.data.batch import BY_YEAR, Batch, Mode
from alphaloom.data.conform import table_named
from alphaloom.data.files import hash_file, read_json, recover, schema_of, write_json
from alphaloom.data.schema import TABLES
from alphaloom.errors import DataError, MissingFieldError, UnsafeFileError, UsageError, did_you_mean
from alphaloom.typing import PathLike

FORMAT = 1
META = "store.json"
STALE_SECONDS = 86_400
"""Age at which the remains of a killed write are removed by the next one."""

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
        recover(self.path)

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
        write_json(folder / META, {"format": FORMAT, "market": market, "created_by": f"alphaloom {__version__}"})
        return cls(folder)

    @property
    def market(self) -> str:
        """Name of the market's rules."""
        return str(self.meta["market"])

    def annotate(self, **facts: Any) -> None:
        """Add facts to `store.json` (plain data only): sources, caveats, the name of a frame's label."""
        self.meta = {**self.meta, **facts}
        write_json(self.path / META, self.meta)

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
        return dict(schema_of(files[0])) if files else {}

    def scan(self, table: str, *, since: dt.date | None = None) -> pl.LazyFrame:
        """Return a lazy frame over a table, sorted by key; of `bars` and `frame` also the rows from a date on alone.

        Years before that date are not opened.

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
        if since is not None:
            files = [file for file in files if int(file.stem) >= since.year] or files[-1:]
        for file in files:
            schema_of(file)
        frame = pl.scan_parquet(files)
        return frame if since is None else frame.filter(pl.col("date") >= since)

    def read(self, table: str, columns: Iterable[str] | None = None, *, since: dt.date | None = None) -> pl.DataFrame:
        """Return a whole table sorted by key, or some of its columns, or of `bars` and `frame` the rows from a date on.

        Raises:
            MissingFieldError: the store does not have the table or a column.
            UnsafeFileError: a file is damaged or cut short.
        """
        frame = self.scan(table, since=since)
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
    def writing(self) -> Iterator[Batch]:
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
        """Return 16 hex digits of the BLAKE2 hash of all tables and the market's name: equal for equal data."""
        total = hashlib.blake2b(self.market.encode(), digest_size=8)
        for name, digest in self.file_hashes().items():
            total.update(f"{name}:{digest};".encode())
        return total.hexdigest()

    def file_hashes(self) -> dict[str, str]:
        """Return the BLAKE2 hash of each table file by its name in the store, such as `bars/2014.parquet`.

        Hashes are remembered by size and time of change, so that later calls take milliseconds.
        """
        remembered = read_json(self.cache_folder() / "fingerprint.json")
        known: dict[str, list[Any]] = {}
        for table in self.tables():
            for file in self.files(table):
                name = file.relative_to(self.path).as_posix()
                stat = file.stat()
                entry = remembered.get(name)
                if entry is None or entry[:2] != [stat.st_size, stat.st_mtime_ns]:
                    entry = [stat.st_size, stat.st_mtime_ns, hash_file(file)]
                known[name] = entry
        if known != remembered:
            try:
                self.cache_folder().mkdir(parents=True, exist_ok=True)
                write_json(self.cache_folder() / "fingerprint.json", known)
            except OSError as error:
                log.warning("Cannot remember file hashes in %s (%s); set ALPHALOOM_CACHE.", self.cache_folder(), error)
        return {name: entry[2] for name, entry in known.items()}
