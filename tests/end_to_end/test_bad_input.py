"""Bad input: one clear error on standard error, exit code 2, nothing written."""

import pickle

import polars as pl
import pytest
import yaml

from alphaloom.cli import call

pytestmark = [pytest.mark.xdist_group("end_to_end")]


def bars(**change: list) -> pl.DataFrame:
    """Return four good bars of two stocks, with columns changed."""
    columns = {
        "date": ["2020-01-02", "2020-01-02", "2020-01-03", "2020-01-03"],
        "symbol": ["SH600000", "SZ000001", "SH600000", "SZ000001"],
        "open": [10.0, 5.0, 10.1, 5.1],
        "high": [10.5, 5.2, 10.6, 5.3],
        "low": [9.9, 4.9, 10.0, 5.0],
        "close": [10.2, 5.1, 10.3, 5.2],
        "volume": [1e6, 2e6, 1e6, 2e6],
    }
    return pl.DataFrame({**columns, **change}).with_columns(pl.col("date").str.to_date())


@pytest.mark.parametrize(
    ("name", "frame", "words"),
    [
        ("duplicate keys", bars(symbol=["SH600000"] * 4, close=[10.2, 10.3, 10.3, 10.4]), ["2020-01-02", "SH600000"]),
        ("high below low", bars(high=[9.0, 5.2, 10.6, 5.3]), ["high", "SH600000", "2020-01-02"]),
        ("unknown column", bars().rename({"volume": "volumne"}), ["volumne", "volume"]),
        ("wrong dtype", bars(close=["a", "b", "c", "d"]), ["close"]),
        ("dates out of order", bars(date=["2020-01-03"] * 2 + ["2020-01-02"] * 2), ["SH600000", "2020-01-02"]),
    ],
)
def test_broken_bars_are_refused(name, frame, words, tmp_path, capsys):
    """A file that breaks a promise is refused, naming the column, the stock or the date; no store appears."""
    frame.write_parquet(tmp_path / "bars.parquet")
    code = call(["data", "import", str(tmp_path / "bars.parquet"), str(tmp_path / "store")])
    errors = capsys.readouterr().err
    assert code == 2, name
    assert errors.startswith("Error: ")
    for word in words:
        assert word in errors
    assert [p.name for p in tmp_path.iterdir()] == ["bars.parquet"]


def test_truncated_parquet_is_refused(tmp_path, capsys):
    """A file cut short is named; no store appears."""
    bars().write_parquet(tmp_path / "whole.parquet")
    data = (tmp_path / "whole.parquet").read_bytes()
    (tmp_path / "whole.parquet").unlink()
    (tmp_path / "bars.parquet").write_bytes(data[: len(data) // 2])
    assert call(["data", "import", str(tmp_path / "bars.parquet"), str(tmp_path / "store")]) == 2
    assert "bars.parquet" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


class Evil:
    """Runs a command when unpickled."""

    def __reduce__(self):
        import os

        return os.system, ("touch stolen",)


def test_a_malicious_pickle_runs_nothing(tmp_path, capsys, monkeypatch):
    """A pickle that would call anything but numpy and pandas is refused, naming the call; nothing runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "csi_data.pkl").write_bytes(pickle.dumps(Evil()))
    assert call(["data", "import", str(tmp_path / "csi_data.pkl"), str(tmp_path / "store"), "--format", "frame"]) == 2
    assert "system" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["csi_data.pkl"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"modle": []}, ["unknown setting 'modle'", "Did you mean 'models'"]),
        ({"universe": [{"name": "listed", "days": 100000}]}, ["universe is empty", "'listed'"]),
        ({"windows": {"train_months": 60}}, ["60 months of training"]),
        ({"features": ["needs_pledges"]}, ["pledge_ratio", "the features"]),
        ({"features": ["nothing"]}, ["NOTHING", "has no value", "adj_close"]),
        ({"models": [{"name": "gru", "steps": 1000}]}, ["longer than the data"]),
        ({"risk": {"styles": [], "benchmark": "SH999999"}, "portfolios": ["topk"]}, ["SH999999"]),
    ],
)
def test_recipes_that_cannot_run_say_why(change, words, market, recipe_file, tmp_path, capsys, odd_features):
    """A recipe that the data cannot serve fails before training, in plain words; no run folder appears."""
    recipe = {**yaml.safe_load(recipe_file.read_text()), **change}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe))
    code = call(["run", str(tmp_path / "r.yaml"), str(market), "--out", str(tmp_path / "run"), "--json"])
    errors = capsys.readouterr().err
    assert code == 2, errors
    for word in words:
        assert word in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "run").exists()


@pytest.fixture
def odd_features():
    """Register, for one test, a family of an absent field and one that is NaN everywhere."""
    from typing import ClassVar

    import numpy as np

    from alphaloom.features.base import FeatureFamily, features

    class Odd(FeatureFamily):
        """One column of nothing."""

        inputs: ClassVar[tuple[str, ...]] = ("adj_close",)

        @property
        def lookback(self):
            return 0

        def columns(self):
            return ["NOTHING"]

        def compute(self, panel):
            return np.full((*panel.shape, 1), np.nan, dtype=np.float32)

    class Pledges(Odd):
        """Needs a field that no store has."""

        inputs: ClassVar[tuple[str, ...]] = ("pledge_ratio",)

    features.names()
    features.register("nothing")(Odd)
    features.register("needs_pledges")(Pledges)
    yield
    for name in ("nothing", "needs_pledges"):
        del features._classes[name]
