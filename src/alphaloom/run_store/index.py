"""The index of a folder of runs: SQLite beside them, drawn from the folders and never ahead of them."""

import json
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import polars as pl

from alphaloom.errors import DataError, UsageError, unknown_name
from alphaloom.report.runs import STATE, RunFolder
from alphaloom.run_store.row import NUMBERS, RunRow, read_row, stamp_of
from alphaloom.run_store.select import Selection

INDEX = "runs.sqlite"
VERSION = 1
"""Of the table's form; an index of another version is made anew."""
BUSY_SECONDS = 30.0
"""How long a write waits for another process's."""
DEPTH = 2
"""Folders below the store's in which runs are looked for."""
COLUMNS = tuple(field.name for field in fields(RunRow))

log = logging.getLogger(__name__)


class RunStore:
    """A folder of runs with its index.

    Every reading first compares the time and size of the runs' files with the index and reads again what changed, so
    folders may be copied in, moved or removed by hand. Writes are transactions that wait for one another. A folder
    without runs, or that is a run itself, gets no index file.

    Raises:
        UsageError: the folder does not exist.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise UsageError(f"There is no folder {root}. Runs lie where `alphaloom run ... --out` put them.")

    def rows(self, selection: Selection | None = None) -> list[RunRow]:
        """Return the selected runs in the selection's order, all by name without one.

        Raises:
            DataError: the index is damaged.
        """
        where, order, values = (selection or Selection()).sql()
        with self._connected() as index:
            self._refresh(index, _folders(self.root))
            found = index.execute(f"SELECT {', '.join(COLUMNS)} FROM runs {where} {order}", values).fetchall()
        return [_row(values) for values in found]

    def table(self, selection: Selection | None = None) -> pl.DataFrame:
        """Return `rows` as a frame; columns without any value keep their type."""
        return pl.DataFrame([asdict(row) for row in self.rows(selection)], schema=SCHEMA)

    def row(self, name: str) -> RunRow:
        """Return one run's row, read from its folder.

        Raises:
            UnknownNameError: no run of that name.
        """
        return read_row(self.folder(name).path, name)

    def folder(self, name: str) -> RunFolder:
        """Return the folder of a run by its name in the list.

        Raises:
            UnknownNameError: no run of that name in this store; names never lead out of it, nor do links.
        """
        found = _folders(self.root)
        if name not in found:
            raise unknown_name("run", name, found, str(self.root))
        return RunFolder(found[name])

    def rebuild(self) -> int:
        """Make the index anew from the folders, also over a damaged one; return how many runs it holds."""
        folders = _folders(self.root)
        try:
            with self._connected() as index:
                index.execute("DELETE FROM runs")
                self._refresh(index, folders)
        except DataError:
            for end in ("", "-wal", "-shm"):
                (self.root / f"{INDEX}{end}").unlink(missing_ok=True)
            with self._connected() as index:
                self._refresh(index, folders)
        return len(folders)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """Give the index inside one transaction, made first where it is absent."""
        file = self.root / INDEX
        is_kept = file.is_file() or bool(set(_folders(self.root)) - {"."})
        with closing(sqlite3.connect(file if is_kept else ":memory:", BUSY_SECONDS, isolation_level=None)) as index:
            try:
                if is_kept and index.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                    index.execute("PRAGMA journal_mode = WAL")
                index.execute("BEGIN IMMEDIATE")
                if index.execute("PRAGMA user_version").fetchone() != (VERSION,):
                    index.execute("DROP TABLE IF EXISTS runs")
                    index.execute(f"CREATE TABLE runs ({', '.join(COLUMNS)}, stamp, PRIMARY KEY (name))")
                    index.execute(f"PRAGMA user_version = {VERSION}")
                yield index
                index.execute("COMMIT")
            except sqlite3.DatabaseError as error:
                raise DataError(
                    f"The index {file} cannot be used: {error}. `alphaloom runs rebuild {self.root}` makes it anew."
                ) from error

    def _refresh(self, index: sqlite3.Connection, folders: dict[str, Path]) -> None:
        """Bring the index up to date with these folders, all there are."""
        known = dict(index.execute("SELECT name, stamp FROM runs").fetchall())
        for name in known.keys() - folders.keys():
            index.execute("DELETE FROM runs WHERE name = ?", (name,))
        for name, folder in folders.items():
            _write(index, name, folder, known.get(name))

    def note(self, name: str) -> None:
        """Bring one run's row up to date, where there is an index."""
        with self._connected() as index:
            _write(index, name, self.root / name, None)

    @classmethod
    def note_run(cls, folder: Path) -> None:
        """Bring the row of a run up to date in the index above it, if there is one.

        A run does not fail for its index, which is read again from the folders anyway: trouble is logged.
        """
        folder = Path(folder).absolute()
        for root in list(folder.parents)[:DEPTH]:
            if (root / INDEX).is_file():
                try:
                    cls(root).note(folder.relative_to(root).as_posix())
                except DataError as error:
                    log.warning("%s", error)


def list_runs(root: Path, selection: Selection | None = None) -> pl.DataFrame:
    """Return one row a run found in a folder or in the folder itself; see `RunRow`.

    Raises:
        UsageError: the folder does not exist.
        DataError: the index is damaged.
    """
    return RunStore(root).table(selection)


def _folders(root: Path) -> dict[str, Path]:
    """Return the runs' folders by name; hidden ones and those that links lead to elsewhere are left out."""
    found, home = {}, root.resolve()
    for depth in range(DEPTH + 1):
        for file in root.glob("/".join(["*"] * depth + [STATE])):
            name = file.parent.relative_to(root).as_posix()
            is_hidden = name != "." and any(part.startswith(".") for part in name.split("/"))
            if not is_hidden and (file.parent / STATE).resolve().is_relative_to(home):
                found[name] = file.parent
    return dict(sorted(found.items()))


def _write(index: sqlite3.Connection, name: str, folder: Path, known: str | None) -> None:
    stamp = stamp_of(folder)  # before reading: a change in between is then found the next time
    if stamp == known:
        return
    row = asdict(read_row(folder, name)) | {"stamp": stamp}
    row["tags"] = json.dumps(row["tags"], ensure_ascii=False)
    marks = ", ".join("?" * len(row))
    index.execute(f"INSERT OR REPLACE INTO runs ({', '.join(row)}) VALUES ({marks})", list(row.values()))


def _row(values: Sequence[Any]) -> RunRow:
    row = dict(zip(COLUMNS, values, strict=True))
    return RunRow(**row | {"tags": tuple(json.loads(row["tags"]))})


SCHEMA: dict[str, Any] = {
    name: pl.List(pl.String) if name == "tags" else pl.Float64 if name in NUMBERS else pl.String for name in COLUMNS
}
