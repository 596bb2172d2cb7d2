"""Dense folders: rows in, the same rows out; growth in place, new columns, and what a killed process leaves behind."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import bars, small_store

from alphaloom.data.dense import DenseFolder, append_rows, map_rows, write_rows
from alphaloom.data.fields import available_fields
from alphaloom.data.load import load_panel
from alphaloom.data.store import Store
from alphaloom.errors import AlignmentError

FLOAT = np.dtype(np.float32)
GROWER = """
import sys
from alphaloom.data.load import load_panel
from alphaloom.data.fields import available_fields
from alphaloom.data.store import Store
store = Store(sys.argv[1])
names = available_fields(store)
print("ready", flush=True)
load_panel(store, names)
"""


def made(place: Path, dates: np.ndarray, symbols: list[str], fields: dict[str, np.ndarray]) -> DenseFolder:
    """Return a folder with these fields; the universe is where the first of them is above 0."""
    with DenseFolder.making(place, dates, np.array(symbols), {"content": {}}) as folder:
        folder.keep_universe(next(iter(fields.values())) > 0)
        for name, values in fields.items():
            folder.keep(name, values)
    found = DenseFolder.open(place)
    assert found is not None
    return found


def days(count: int) -> np.ndarray:
    """Return consecutive days."""
    return np.datetime64("2020-01-01") + np.arange(count)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(0, 5), st.integers(1, 6), st.integers(0, 2), st.data())
def test_growth_is_concatenation(
    tmp_path_factory: pytest.TempPathFactory, T: int, later: int, N: int, more: int, data: st.DataObject
) -> None:
    """New rows below, new columns NaN above them, corrected rows for the last ones; the old folder stays as it was."""
    place = tmp_path_factory.mktemp("dense")
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    old_values = rng.normal(size=(T, N)).astype(FLOAT)
    old = made(place / "old", days(T), [f"S{n}" for n in range(N)], {"a:b/c": old_values})
    columns = np.sort(rng.permutation(N + more)[:N])
    rows = rng.normal(size=(later, N + more)).astype(FLOAT)
    corrected = data.draw(st.none() | st.integers(1, T))
    earlier = None if corrected is None else rng.normal(size=(corrected, N + more)).astype(FLOAT)
    expected = np.full((T + later, N + more), np.nan, dtype=FLOAT)
    expected[:T, columns] = old_values
    if earlier is not None:
        expected[T - len(earlier) : T] = earlier
    expected[T:] = rows
    symbols = np.array([f"S{n}" for n in range(N + more)])
    with DenseFolder.making(place / "new", days(T + later), symbols, {"content": {}}) as folder:
        folder.extend(old, "a:b/c", rows, columns, earlier)
        folder.extend_universe(old, rows > 0, columns)
    new = DenseFolder.open(place / "new")
    assert new is not None
    assert new.fields() == ["a:b/c"]
    np.testing.assert_array_equal(new.field("a:b/c"), expected)
    np.testing.assert_array_equal(new.universe()[:T, columns], old_values > 0)
    np.testing.assert_array_equal(new.universe()[T:], rows > 0)
    np.testing.assert_array_equal(old.field("a:b/c"), old_values)
    assert not new.field("a:b/c").flags.writeable


def test_rows_beyond_those_that_count_are_ignored_and_not_shared(tmp_path: Path) -> None:
    """A file that someone began to extend is read up to its rows; the next growth copies it."""
    values = np.arange(12, dtype=FLOAT).reshape(4, 3)
    old = made(tmp_path / "old", days(4), ["A", "B", "C"], {"x": values})
    file = old.path / "field-x.rows"
    append_rows(file, 4, np.full((2, 3), -1, dtype=FLOAT))
    np.testing.assert_array_equal(old.field("x"), values)
    rows = np.ones((1, 3), dtype=FLOAT)
    with DenseFolder.making(tmp_path / "new", days(5), old.symbols, {"content": {}}) as folder:
        folder.extend(old, "x", rows, np.arange(3))
    assert not file.samefile(tmp_path / "new" / "field-x.rows")
    np.testing.assert_array_equal(map_rows(tmp_path / "new" / "field-x.rows", (5, 3), FLOAT), np.vstack([values, rows]))
    assert (tmp_path / "new" / "field-x.rows").stat().st_size == 5 * 3 * 4


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    """An error while a folder is made leaves nothing; a file cut short is no field."""
    with (
        pytest.raises(AttributeError),
        DenseFolder.making(tmp_path / "f", days(2), np.array(["A"]), {"content": {}}) as folder,
    ):
        folder.keep("x", None)
    assert list(tmp_path.iterdir()) == []
    assert DenseFolder.open(tmp_path / "f") is None
    whole = made(tmp_path / "f", days(2), ["A"], {"x": np.zeros((2, 1), dtype=FLOAT)})
    write_rows(whole.path / "field-x.rows", np.zeros((1, 1), dtype=FLOAT))
    assert not whole.has("x")
    assert whole.fields() == []


def test_rows_of_another_shape_are_refused(tmp_path: Path) -> None:
    """The message names the file and both shapes."""
    old = made(tmp_path / "old", days(2), ["A"], {"x": np.zeros((2, 1), dtype=FLOAT)})
    with (
        pytest.raises(AlignmentError, match=r"field-x.rows needs rows \(3, 1\) less \(2, 1\)"),
        DenseFolder.making(tmp_path / "new", days(3), old.symbols, {"content": {}}) as folder,
    ):
        folder.extend(old, "x", np.zeros((2, 1), dtype=FLOAT), np.arange(1))


@pytest.mark.slow
def test_a_killed_growth_changes_nothing(tmp_path: Path) -> None:
    """Whenever the process dies while it extends the cache, the next load gives what a cache built at once gives."""
    store = small_store(tmp_path / "s")
    names = available_fields(store)
    rng = random.Random(0)
    for T in range(61, 71):
        last = store.read("bars", ["date"])["date"].max()
        old = load_panel(store, names)
        held = {name: values.copy() for name, values in old.fields.items()}
        store.write("bars", bars(T).filter(pl.col("date") > last, pl.col("symbol") != "SH688001"))
        command = [sys.executable, "-c", GROWER, str(store.path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(rng.uniform(0.0, 0.2))
            process.send_signal(signal.SIGKILL)
        for name, values in held.items():
            np.testing.assert_array_equal(old[name], values)
        found = load_panel(Store(store.path), names)
        fresh = Store.create(tmp_path / f"fresh-{T}")
        for table in store.tables():
            fresh.write(table, store.read(table))
        expected = load_panel(fresh, names)
        for name in names:
            np.testing.assert_array_equal(found[name].view(np.uint32), expected[name].view(np.uint32), err_msg=name)
        assert not list((store.path / "cache").glob(".fields-*"))
