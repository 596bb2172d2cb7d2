"""qlib binary folders: read and written, equal within float32 rounding."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from stores import small_store

from alphaloom.data.export import export
from alphaloom.data.import_ import import_data
from alphaloom.data.load import load_panel
from alphaloom.data.store import Store
from alphaloom.errors import DataError, MissingFieldError, UnsafeFileError, UsageError


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Store, Path]:
    """Return a store, the store imported from its qlib export, and the export."""
    folder = tmp_path_factory.mktemp("qlib")
    store = small_store(folder / "s")
    export(store, folder / "out", "qlib")
    report = import_data(folder / "out", folder / "back")
    assert report.format == "qlib"
    return store, Store(folder / "back"), folder / "out"


def test_files_have_qlibs_form(pair: tuple[Store, Store, Path]) -> None:
    """A file holds the calendar position of its first day, then float32 values: price * factor, volume / factor."""
    store, _, out = pair
    calendar = (out / "calendars" / "day.txt").read_text().split()
    close = np.fromfile(out / "features" / "sh600004" / "close.day.bin", dtype="<f4")
    panel = load_panel(store, ["adj_close", "adj_volume"])
    assert calendar == [str(day) for day in panel.dates]
    assert close[0] == 10  # listed on day 10
    np.testing.assert_array_equal(close[1:], panel["adj_close"][10:, 1])  # NaN on the days without a row
    volume = np.fromfile(out / "features" / "sz000001" / "volume.day.bin", dtype="<f4")
    np.testing.assert_array_equal(volume[1:], panel["adj_volume"][:, 3])
    lines = (out / "instruments" / "all.txt").read_text().splitlines()
    assert lines[1].split() == ["SH600004", calendar[10], calendar[-1]]
    members = (out / "instruments" / "csi300.txt").read_text().splitlines()
    assert members[1].split()[:2] == ["SH600004", "2019-12-31"]


def test_round_trip_is_exact_within_float32(pair: tuple[Store, Store, Path]) -> None:
    """Traded rows come back within one rounding of float32; factors and amounts bit for bit."""
    store, back, _ = pair
    both = store.read("bars").join(back.read("bars"), on=["date", "symbol"], suffix="_back")
    traded = both.filter(pl.col("volume") > 0)
    assert traded.height == store.read("bars").filter(pl.col("volume") > 0).height
    for name in ("open", "high", "low", "close", "volume"):
        np.testing.assert_allclose(traded[f"{name}_back"].to_numpy(), traded[name].to_numpy(), rtol=1.3e-7)
    for name in ("amount", "adj_factor"):
        assert traded[name].equals(traded[f"{name}_back"].alias(name))
    for name in ("adj_close", "adj_volume", "is_suspended", "is_listed", "close"):
        a, b = load_panel(store, [name]), load_panel(back, [name])
        np.testing.assert_allclose(a[name], b[name], rtol=2e-7)


def test_members_and_index_come_back(pair: tuple[Store, Store, Path]) -> None:
    """Index lists survive as spells, index bars as they were."""
    store, back, _ = pair
    keys = ["index", "date", "symbol"]
    assert store.read("index_weights", keys).equals(back.read("index_weights", keys))
    assert store.read("index_bars", ["index", "date", "close"]).equals(
        back.read("index_bars", ["index", "date", "close"])
    )


def test_days_without_prices_become_suspended(pair: tuple[Store, Store, Path]) -> None:
    """A NaN day inside a stock's span is a flat bar at the last close with volume 0."""
    _, back, _ = pair
    rows = back.read("bars").filter(pl.col("symbol") == "SH600004").with_row_index("t")
    idle = rows.filter(pl.col("volume") == 0)
    assert idle["t"].to_list() == [10, 11]
    assert idle["close"].to_list() == [rows["close"][9]] * 2
    assert idle["high"].equals(idle["low"].alias("high"))


def test_damaged_folders_are_named(pair: tuple[Store, Store, Path], tmp_path: Path) -> None:
    """A file cut short, a calendar out of order, a missing field: each names its file."""
    import shutil

    folder = tmp_path / "q"
    shutil.copytree(pair[2], folder)
    file = folder / "features" / "sz000001" / "close.day.bin"
    data = file.read_bytes()
    file.write_bytes(data[:-2])
    with pytest.raises(UnsafeFileError, match=r"close\.day\.bin has \d+ bytes, not a multiple of 4"):
        import_data(folder, tmp_path / "s")
    file.write_bytes(data + b"\0" * 400)
    with pytest.raises(UnsafeFileError, match="but the calendar has 60"):
        import_data(folder, tmp_path / "s")
    file.unlink()
    with pytest.raises(DataError, match="sz000001 has no close"):
        import_data(folder, tmp_path / "s")
    (folder / "calendars" / "day.txt").write_text("2020-01-03\n2020-01-02\n")
    with pytest.raises(DataError, match="dates out of order, 2020-01-02 follows 2020-01-03"):
        import_data(folder, tmp_path / "s")


def test_export_refuses_what_it_cannot_do(pair: tuple[Store, Store, Path], tmp_path: Path) -> None:
    """Without a factor there is no qlib export; a taken place and an unknown format are usage errors."""
    bare = Store.create(tmp_path / "bare")
    bare.write("bars", pair[0].read("bars").drop("adj_factor"))
    with pytest.raises(MissingFieldError, match="no adj_factor"):
        export(bare, tmp_path / "x", "qlib")
    assert not (tmp_path / "x").exists()
    with pytest.raises(UsageError, match="exists already"):
        export(pair[0], pair[2], "qlib")
    with pytest.raises(UsageError, match=r"no export format named 'qlibb'.*Did you mean 'qlib'"):
        export(pair[0], tmp_path / "x", "qlibb")
