"""The risk commands on a simulated store: files, pages, attribution, neutral scores, mistakes."""

import json
import re

import numpy as np
import polars as pl
import pytest

from alphaloom.cli import call
from alphaloom.errors import DataError, UsageError
from alphaloom.report.risk_folder import read_risk
from alphaloom.risk_fit import attribute_weights, fit_risk, neutral_scores, report_risk

FILES = {
    "bias", "bias_series", "coverage", "covariance", "days", "exposures", "factor_returns", "left_out", "specific",
}  # fmt: skip
QUICK = [
    "--styles", "size,beta,liquidity,leverage", "--preset", "next_day", "--set", "covariance.simulations=3",
    "--set", "covariance.least=60", "--set", "specific.enough=60", "--set", "specific.few=20", "--set", "bias.random=3",
    "--set", "bias.optimised=2", "--set", "bias.horizons=[1, 5]", "--set", "bias.names=30",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(simulated, tmp_path_factory, capsys_module=None):
    """A fitted model, written by the command."""
    out = tmp_path_factory.mktemp("model") / "risk"
    assert call(["risk", "fit", str(simulated.path), "--out", str(out), "--from", "2016-06-01", *QUICK, "--json"]) == 0
    return out


def test_fit_writes_every_table_and_how_it_came_about(folder):
    """Parquet tables from the first day asked for, settings resolved, the data's hash."""
    assert {file.stem for file in folder.glob("*.parquet")} == FILES
    meta = json.loads((folder / "meta.json").read_text())
    assert meta["settings"]["covariance"]["simulations"] == 3
    assert meta["settings"]["covariance"]["volatility_half_life"] == 84
    assert meta["from"] == "2016-06-01"
    assert len(meta["data_hash"]) > 10
    exposures = pl.read_parquet(folder / "exposures.parquet")
    assert exposures["date"].min().isoformat() == "2016-06-01"
    assert exposures.columns[:5] == ["date", "symbol", "industry", "cap", "member"]
    assert exposures.columns[5:] == ["size", "beta", "liquidity", "leverage"]
    covariance = pl.read_parquet(folder / "covariance.parquet")
    assert covariance.columns == ["date", "factor", "other", "covariance"]
    assert covariance.filter(pl.col("factor") == pl.col("other"))["covariance"].min() > 0


def test_a_folder_reads_back_to_the_same_forecasts(folder, market):
    """The model read from files foresees what its tables say, on the days written."""
    held = read_risk(folder)
    model = held.model
    row = int(np.flatnonzero(model.ready)[-1])
    forecast = model.forecast(row)
    table = pl.read_parquet(folder / "specific.parquet").filter(pl.col("date") == model.dates[row].astype(object))
    place = {name: n for n, name in enumerate(model.symbols.tolist())}
    for symbol, volatility in table.select("symbol", "volatility").drop_nulls().head(20).iter_rows():
        assert forecast.specific[place[symbol]] == pytest.approx(volatility**2, rel=1e-6)
    assert held.bias["kind"].n_unique() == 6
    assert model.symbols.tolist() == market.symbols.tolist()
    assert model.left_out.is_empty()


def test_report_holds_its_figures(folder, tmp_path):
    """One page: factor returns, volatilities, bias statistics, coverage, settings; it needs no network."""
    page = report_risk(folder, tmp_path / "risk.html").read_text()
    for title in ("Factor returns", "Risk foreseen", "Fit and coverage", "Bias statistics", "What the data knew"):
        assert f">{title}<" in page
    assert "Every published descriptor is in use." in page
    assert not re.search(r'(src|href)="https?://', page)
    assert call(["risk", "report", str(folder)]) == 0
    assert (folder / "report.html").is_file()


def portfolio(folder, file):
    """Thirty equal weights, decided twice."""
    model = read_risk(folder).model
    days = model.dates[np.flatnonzero(model.ready)[[5, 60]]]
    chosen = model.symbols[np.isfinite(model.cells.cap[-1])][:30].tolist()
    frame = pl.DataFrame({"date": np.repeat(days, 30), "symbol": chosen * 2, "weight": 1 / 30})
    frame.with_columns(pl.col("date").cast(pl.Date)).write_parquet(file)
    return file


def test_attribution_of_weights_made_elsewhere(folder, simulated, tmp_path):
    """Contributions sum to the compounded return, shares of variance to 1; against an index too."""
    weights = portfolio(folder, tmp_path / "weights.parquet")
    facts = attribute_weights(weights, folder, simulated, tmp_path / "out")
    assert sum(facts["by_kind"].values()) == pytest.approx(facts["return"], rel=1e-9)
    assert sum(facts["risk_share"].values()) == pytest.approx(1.0)
    assert facts["uncovered_weight"] == 0
    daily = pl.read_parquet(tmp_path / "out" / "returns.parquet")
    by_day = daily.group_by("date").agg(pl.col("contribution").sum())["contribution"]
    assert np.prod(1 + by_day.to_numpy()) - 1 == pytest.approx(facts["return"], rel=1e-9)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Attribution: weights" in page
    active = attribute_weights(weights, folder, simulated, tmp_path / "active", benchmark="SH000300")
    assert abs(active["by_kind"]["country"]) < abs(facts["by_kind"]["country"]) + 0.05
    assert call(
        ["risk", "attribute", str(weights), str(folder), str(simulated.path), "--out", str(tmp_path / "cli"), "--json"]
    ) == 0  # fmt: skip


def test_neutral_scores_hold_nothing_of_the_exposures(folder, tmp_path):
    """Scores that are size plus noise lose all correlation with size."""
    model = read_risk(folder).model
    row = int(np.flatnonzero(model.ready)[30])
    size = model.cells.styles[row, :, 0]
    known = np.isfinite(size)
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "date": [model.dates[row].astype(object)] * int(known.sum()),
            "symbol": model.symbols[known].tolist(),
            "score": size[known] + rng.normal(size=int(known.sum())),
        }
    )
    frame.write_csv(tmp_path / "scores.csv")
    facts = neutral_scores(tmp_path / "scores.csv", folder, tmp_path / "neutral.parquet")
    left = pl.read_parquet(tmp_path / "neutral.parquet").join(frame, on=["date", "symbol"], suffix="_before")
    assert facts["scored"] == left.height
    place = {name: n for n, name in enumerate(model.symbols.tolist())}
    at = [place[name] for name in left["symbol"]]
    w = np.sqrt(np.where(model.cells.members[row, at], model.cells.cap[row, at], 0.0))
    assert abs((w * size[at]) @ left["score"].to_numpy()) / w.sum() < 1e-4


def test_mistakes_are_named_before_any_work(folder, simulated, estimator, tmp_path, capsys):
    """A folder in use, another folder's content, a wrong style, no model."""
    with pytest.raises(UsageError, match="holds a risk model already; --overwrite"):
        fit_risk(simulated, folder, estimator, bias=None)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds no risk model; choose another place"):
        fit_risk(simulated, tmp_path / "other", estimator, bias=None, overwrite=True)
    assert call(["risk", "fit", str(simulated.path), "--out", str(tmp_path / "x"), "--styles", "sise"]) == 2
    assert "Did you mean 'size'" in capsys.readouterr().err
    with pytest.raises(DataError, match="holds no risk model"):
        report_risk(tmp_path)


def test_an_interrupted_fit_leaves_nothing(simulated, estimator, tmp_path, monkeypatch):
    """The folder appears whole or not at all."""

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("alphaloom.report.risk_folder._frames", fail)
    with pytest.raises(KeyboardInterrupt):
        fit_risk(simulated, tmp_path / "model", estimator, bias=None)
    assert list(tmp_path.iterdir()) == []
