"""Storage: one field, the last 60 days and one more day of dense files, against Parquet.

13 fields of 4,300 stocks x 1,300 days, as float32: dense files (`alphaloom.data.dense`), one Parquet table of long rows
(polars, zstd) and one Parquet file a day. Times are CPU seconds of one thread, the files in the page cache; each is the
median of rounds in which all programs take turns.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from alphaloom.data.dense import DenseFolder, append_rows
from alphaloom.data.store import Store
from alphaloom.typing import Array, Dates, Floats
from benchmarks.record import save

N_FIELDS = 13
RECENT = 60
NAMES = [f"field_{k}" for k in range(N_FIELDS)]


def fields(n_days: int, n_stocks: int) -> dict[str, Floats]:
    """Return random walks of price-like values `[T, N]`; one stock in five lists late."""
    rng = np.random.default_rng(0)
    listed = np.where(rng.random(n_stocks) < 0.2, rng.integers(0, n_days, n_stocks), 0)
    absent = np.arange(n_days)[:, None] < listed
    made = {}
    for name in NAMES:
        walk = np.exp(np.cumsum(rng.normal(0, 0.02, (n_days, n_stocks)).astype(np.float32), axis=0))
        made[name] = np.where(absent, np.float32(np.nan), walk * np.float32(10)).astype(np.float32)
    return made


class Stored:
    """The fields in all forms on disk but for the last day, and the programs that read and append."""

    def __init__(self, root: Path, panel: dict[str, Floats]) -> None:
        self.root, self.panel = root, panel
        n_days, self.n_stocks = next(iter(panel.values())).shape
        self.dates: Dates = np.busday_offset("2010-01-01", np.arange(n_days), roll="forward")
        self.symbols = np.array([f"SH{600000 + n}" for n in range(self.n_stocks)])
        self.calendar, self.names = pl.Series(self.dates), pl.Enum(self.symbols.tolist())
        held = {name: values[:-1] for name, values in panel.items()}
        with DenseFolder.making(root / "dense", self.dates[:-1], self.symbols, {"content": {}}) as folder:
            folder.keep_universe(~np.isnan(held[NAMES[0]]))
            for name, values in held.items():
                folder.keep(name, values)
        rows = self.long_rows(slice(None))
        self.last = rows.filter(pl.col("date") == self.calendar[-1])
        rows = rows.filter(pl.col("date") < self.calendar[-1])
        rows.write_parquet(root / "table.parquet", compression="zstd")
        (root / "days").mkdir()
        for day in rows.partition_by("date", maintain_order=True):
            day.write_parquet(root / "days" / f"{day['date'][0]}.parquet", compression="zstd")
        self.count = 0

    def long_rows(self, days: slice) -> pl.DataFrame:
        """Return the listed cells as rows with date and symbol."""
        t, n = np.nonzero(~np.isnan(self.panel[NAMES[0]][days]))
        columns = {name: values[days][t, n] for name, values in self.panel.items()}
        return pl.DataFrame({"date": self.dates[days][t], "symbol": self.symbols[n], **columns})

    def scatter(self, rows: pl.DataFrame, names: list[str], dates: Dates) -> Array:
        """Return rows as `[len(names), T, N]`."""
        t = np.searchsorted(dates, rows["date"].to_numpy())
        n = rows["symbol"].cast(self.names).to_physical().to_numpy()
        out = np.full((len(names), dates.size, self.n_stocks), np.nan, dtype=np.float32)
        for k, name in enumerate(names):
            out[k, t, n] = rows[name].to_numpy()
        return out

    @property
    def dense(self) -> DenseFolder:
        """The dense folder, opened as a reader does."""
        folder = DenseFolder.open(self.root / "dense")
        assert folder is not None
        return folder

    def field_dense(self) -> Array:
        """Copy one field into memory."""
        return np.array(self.dense.field(NAMES[3]))

    def field_table(self) -> pl.DataFrame:
        """Read one column and the keys."""
        return pl.read_parquet(self.root / "table.parquet", columns=["date", "symbol", NAMES[3]])

    def field_table_values(self) -> pl.DataFrame:
        """Read one column alone, which cannot be placed without the keys."""
        return pl.read_parquet(self.root / "table.parquet", columns=[NAMES[3]])

    def field_days(self) -> pl.DataFrame:
        """Read one column and the keys of all days."""
        return pl.read_parquet(self.root / "days" / "*.parquet", columns=["date", "symbol", NAMES[3]])

    def recent_dense(self) -> Array:
        """Copy the last days of all fields into memory."""
        folder = self.dense
        return np.stack([folder.field(name)[-RECENT:] for name in NAMES])

    def recent_table(self) -> Array:
        """Read the last days of all fields."""
        dates = self.dates[:-1][-RECENT:]
        rows = pl.scan_parquet(self.root / "table.parquet").filter(pl.col("date") >= dates[0].item()).collect()
        return self.scatter(rows, NAMES, dates)

    def recent_days(self) -> Array:
        """Read the files of the last days."""
        files = sorted((self.root / "days").glob("*.parquet"))[-RECENT:]
        return self.scatter(pl.read_parquet(files), NAMES, self.dates[:-1][-RECENT:])

    def append_rows(self) -> None:
        """Add the last day's row to the file of every field, in place."""
        for name, values in self.panel.items():
            append_rows(self.root / "dense" / f"field-{name}.rows", self.dates.size - 1, values[-1:])

    def append_state(self) -> None:
        """Make the folder of the state with the last day beside that of the state before, as a store's cache does."""
        self.count += 1
        old, columns = self.dense, np.arange(self.n_stocks)
        with DenseFolder.making(self.root / f"grown-{self.count}", self.dates, self.symbols, {"content": {}}) as folder:
            for name, values in self.panel.items():
                folder.extend(old, name, values[-1:], columns)
            folder.extend_universe(old, ~np.isnan(self.panel[NAMES[0]][-1:]), columns)

    def undo_append(self) -> None:
        """Take the added rows off again."""
        for file in (self.root / "dense").glob("*.rows"):
            size = (self.dates.size - 1) * self.n_stocks * (1 if file.stem == "universe" else 4)
            with file.open("r+b") as stream:
                stream.truncate(size)

    def append_table(self) -> None:
        """Write the table anew with the last day."""
        rows = pl.concat([pl.read_parquet(self.root / "table.parquet"), self.last])
        rows.write_parquet(self.root / "longer.parquet", compression="zstd")

    def write_store(self) -> None:
        """Write the table anew as a store does, with its checks, one file a year."""
        rows = pl.concat([pl.read_parquet(self.root / "table.parquet"), self.last])
        if not (self.root / "store").exists():
            Store.create(self.root / "store")
        Store(self.root / "store").write("frame", rows, mode="replace")

    def append_file(self) -> None:
        """Write the file of the last day."""
        self.last.write_parquet(self.root / "last.parquet", compression="zstd")


def seconds(
    programs: dict[str, Callable[[], Any]], rounds: int, after: Callable[[], None] | None = None
) -> dict[str, float]:
    """Return the median CPU seconds of each program; they take turns."""
    found: dict[str, list[float]] = {name: [] for name in programs}
    for k in range(rounds + 1):
        for name, program in programs.items():
            start = time.process_time()
            program()
            if k:  # the first round warms the page cache
                found[name].append(time.process_time() - start)
            if after is not None:
                after()
    return {name: median(times) for name, times in found.items()}


def main(arguments: list[str]) -> int:
    """Run the benchmark; the exit code is 1 when the forms do not hold the same."""
    parser = argparse.ArgumentParser(prog="benchmarks.storage", description=__doc__)
    parser.add_argument("--days", type=int, default=1300)
    parser.add_argument("--stocks", type=int, default=4300)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        stored = Stored(Path(folder), fields(chosen.days, chosen.stocks))
        everything = stored.dates[:-1]
        one: dict[str, Callable[[], Any]] = {
            "dense": stored.field_dense,
            "table": lambda: stored.scatter(stored.field_table(), [NAMES[3]], everything),
            "table, rows only": stored.field_table,
            "table, values only": stored.field_table_values,
            "file a day": lambda: stored.scatter(stored.field_days(), [NAMES[3]], everything),
        }
        recent = {"dense": stored.recent_dense, "table": stored.recent_table, "file a day": stored.recent_days}
        more = {
            "dense": stored.append_rows,
            "dense, new state": stored.append_state,
            "table": stored.append_table,
            "table, by the store": stored.write_store,
            "file a day": stored.append_file,
        }
        same = np.array_equal(one["dense"](), one["table"]()[0], equal_nan=True) and all(
            np.array_equal(recent["dense"](), recent[name](), equal_nan=True) for name in ("table", "file a day")
        )
        if not same:
            print("The forms do not hold the same values.")
            return 1
        rows = []
        for work, programs, after in (
            ("one field, all dates", one, None),
            (f"last {RECENT} days, all fields", recent, None),
            ("append one day", more, stored.undo_append),
        ):
            cost = seconds(programs, chosen.rounds, after)
            for name, value in cost.items():
                rows.append({"work": work, "form": name, "ms": value * 1000, "ratio": value / cost["dense"]})
    facts = {"days": chosen.days, "stocks": chosen.stocks, "fields": N_FIELDS}
    append = (
        "`append one day`: `dense` adds a row to the files; `dense, new state` also makes the folder that counts it, "
        "the one before staying whole; `table` reads the table and writes it anew, `by the store` with its checks."
    )
    notes = [
        f"{N_FIELDS} float32 fields, {chosen.stocks:,} stocks x {chosen.days:,} days; CPU seconds of one thread.",
        "Reads end in memory; rows are placed on dates x symbols but for `rows only` and `values only` (no keys).",
        append,
    ]
    save("storage", "Dense files against Parquet", rows, facts, notes)
    return 0
