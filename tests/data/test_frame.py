"""Ready-made frames indexed by (datetime, instrument): Parquet, and pickles that cannot run code."""

import collections
import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from stores import small_store

from alphaloom.data.export import export
from alphaloom.data.import_ import import_data
from alphaloom.data.load import load_panel
from alphaloom.data.safe_pickle import ALLOWED, load_frame
from alphaloom.data.store import Store
from alphaloom.errors import DataError, UnsafeFileError

FILES = Path(__file__).parent / "files"
LABEL = "Ref($close, -2)/Ref($close, -1) - 1"


def make_frame(T: int = 4, N: int = 3) -> pd.DataFrame:
    """Return a frame with two features and a label, with a gap."""
    index = pd.MultiIndex.from_product(
        [pd.date_range("2020-01-02", periods=T), [f"SH60000{n}" for n in range(N)]], names=["datetime", "instrument"]
    )
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(T * N, 2)).astype("f4"), index=index, columns=["ZETA", "ALPHA"])
    frame[LABEL] = rng.normal(size=T * N)
    return frame.drop(index=frame.index[4])


@pytest.mark.parametrize("suffix", ["pkl", "parquet"])
@pytest.mark.parametrize("two_levels", [False, True])
def test_frames_become_fields(tmp_path: Path, suffix: str, two_levels: bool) -> None:
    """Each column is a field `frame:NAME` in its order; the label is the last one and recorded."""
    frame = make_frame()
    if two_levels:
        frame.columns = pd.MultiIndex.from_tuples([("feature", "ZETA"), ("feature", "ALPHA"), ("label", LABEL)])
    file = tmp_path / f"data.{suffix}"
    frame.to_pickle(file) if suffix == "pkl" else frame.to_parquet(file)
    report = import_data(file, tmp_path / "s")
    store = Store(tmp_path / "s")
    assert report.format == "frame"
    assert store.meta["label"] == LABEL
    assert list(store.columns("frame")) == ["date", "symbol", "ZETA", "ALPHA", LABEL]
    panel = load_panel(store, ["frame:ZETA", f"frame:{LABEL}"])
    assert panel.shape == (4, 3)
    expected = make_frame()["ZETA"].unstack("instrument").to_numpy()
    np.testing.assert_array_equal(panel["frame:ZETA"], expected)
    np.testing.assert_array_equal(panel.universe, ~np.isnan(expected))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol_is_read(tmp_path: Path, protocol: int) -> None:
    """Frames of numbers, texts and categories load to equal frames under every protocol."""
    frame = make_frame()
    frame["sector"] = pd.Categorical(["a", "b"] * 5 + ["a"])
    frame["name"] = "x"
    (tmp_path / "f.pkl").write_bytes(pickle.dumps(frame, protocol=protocol))
    pd.testing.assert_frame_equal(load_frame(tmp_path / "f.pkl"), frame)


@pytest.mark.parametrize("name", ["frame-pandas1.pkl", "frame-pandas2.pkl", "qlib-pandas2.pkl"])
def test_pickles_of_older_pandas_are_read(tmp_path: Path, name: str) -> None:
    """Files written by pandas 1.5 with numpy 1.24 and by pandas 2.2 with numpy 1.26 hold the values they held then."""
    expected = pl.read_csv(FILES / "frame.csv")
    frame = load_frame(FILES / name)
    np.testing.assert_allclose(frame.to_numpy(), expected.select(pl.exclude("datetime", "instrument")).to_numpy())
    import_data(FILES / name, tmp_path / "s")
    stored = Store(tmp_path / "s").read("frame")
    assert stored["symbol"].to_list() == expected["instrument"].to_list()
    assert stored["KMID"].to_list() == pytest.approx(expected["KMID"].to_list(), rel=1e-6)


class Attack:
    """A value whose pickle calls a function."""

    def __init__(self, call: object, *args: object) -> None:
        self.call, self.args = call, args

    def __reduce__(self) -> tuple:
        return self.call, self.args


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Attack(os.system, "touch pwned"), r"posix\.system|nt\.system"),
        (Attack(eval, "1"), r"builtins\.eval"),
        (Attack(getattr, "a", "upper"), r"builtins\.getattr"),
        (Attack(pd.read_pickle, "x"), r"read_pickle"),
        (Attack(np.load, "x"), r"numpy\.load"),
        (collections.Counter("a"), r"collections\.Counter"),
        (make_frame(), None),
    ],
)
def test_anything_but_frames_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value, name) -> None:
    """A pickle that asks for any other function is refused before it runs, naming the function."""
    monkeypatch.chdir(tmp_path)
    content = value if name is None else pd.DataFrame({"a": [value]}, dtype=object)
    Path("f.pkl").write_bytes(pickle.dumps(content))
    if name is None:
        load_frame(Path("f.pkl"))
        return
    for place in ("f.pkl", "g.pkl"):
        Path("g.pkl").write_bytes(pickle.dumps(value, protocol=0))
        with pytest.raises(UnsafeFileError, match=rf"{place}.*asks for .*({name}).*to_parquet"):
            import_data(tmp_path / place, tmp_path / "s")
    assert not Path("pwned").exists()
    assert not Path("s").exists()


def test_dotted_names_do_not_reach_deeper(tmp_path: Path) -> None:
    """Protocol 4 allows names such as `DataFrame.eval`; only exact names of the list are found."""
    body = b"\x80\x04\x8c\x06pandas\x8c\x0eDataFrame.eval\x93."
    (tmp_path / "f.pkl").write_bytes(body)
    with pytest.raises(UnsafeFileError, match=r"asks for pandas\.DataFrame\.eval"):
        load_frame(tmp_path / "f.pkl")
    assert not any("." in name for _, name in ALLOWED)


def test_damaged_and_other_pickles_are_named(tmp_path: Path) -> None:
    """Cut short, empty, or not a frame: a clear error."""
    data = pickle.dumps(make_frame())
    for size in (0, 10, len(data) // 2):
        (tmp_path / "f.pkl").write_bytes(data[:size])
        with pytest.raises(UnsafeFileError, match=r"f\.pkl is not a whole pickle"):
            import_data(tmp_path / "f.pkl", tmp_path / "s")
    (tmp_path / "f.pkl").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(DataError, match="holds a dict; a pandas DataFrame is wanted"):
        import_data(tmp_path / "f.pkl", tmp_path / "s")


def test_frames_without_the_two_levels_are_refused(tmp_path: Path) -> None:
    """The index must be days and stocks, under these names or mapped ones."""
    frame = make_frame().rename_axis(["day", "code"])
    frame.to_pickle(tmp_path / "f.pkl")
    with pytest.raises(DataError, match="no index level or column 'datetime'"):
        import_data(tmp_path / "f.pkl", tmp_path / "s")
    import_data(tmp_path / "f.pkl", tmp_path / "s", mapping={"date_column": "day", "symbol_column": "code"})
    assert Store(tmp_path / "s").read("frame").height == 11
    twice = make_frame()
    twice.columns = ["A", "A", "L"]
    twice.to_pickle(tmp_path / "g.pkl")
    with pytest.raises(DataError, match="column 'A' more than once"):
        import_data(tmp_path / "g.pkl", tmp_path / "t")
    make_frame().to_parquet(tmp_path / "h.parquet")
    with pytest.raises(DataError, match=r"no label column 'ALPHB'.*Did you mean 'ALPHA'"):
        import_data(tmp_path / "h.parquet", tmp_path / "t", mapping={"label": "ALPHB"})


@pytest.mark.parametrize("suffix", ["pkl", "parquet"])
def test_a_frame_is_written_and_read_back(tmp_path: Path, suffix: str) -> None:
    """Export puts the label last; the file imports to an equal store. A store without a frame exports its bars."""
    make_frame().to_parquet(tmp_path / "in.parquet")
    import_data(tmp_path / "in.parquet", tmp_path / "s", mapping={"label": "ZETA"})
    export(Store(tmp_path / "s"), tmp_path / f"out.{suffix}", "frame")
    import_data(tmp_path / f"out.{suffix}", tmp_path / "back")
    back = Store(tmp_path / "back")
    assert back.meta["label"] == "ZETA"
    assert (
        back.read("frame")
        .select(sorted(back.columns("frame")))
        .equals(Store(tmp_path / "s").read("frame").select(sorted(back.columns("frame"))))
    )
    export(small_store(tmp_path / "bars"), tmp_path / f"bars.{suffix}", "frame")
    import_data(tmp_path / f"bars.{suffix}", tmp_path / "again", mapping={"label": "close"})
    assert "adj_factor" in Store(tmp_path / "again").columns("frame")
