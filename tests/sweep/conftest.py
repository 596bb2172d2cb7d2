"""A small market, scores of no skill on it, and one finished sweep."""

import numpy as np
import polars as pl
import pytest

from alphaloom.data.simulate import SimulatedMarket, simulate
from alphaloom.sweep.run import run_sweep
from alphaloom.sweep.settings import SweepSettings

SETTINGS = {
    "name": "small",
    "axes": {"portfolio.num_stock": [10, 20], "backtest.slippage_bps": [0, 20]},
    "beside": {"best ten": {"portfolio": {"name": "topk", "k": 10}}},
    "portfolio": {"name": "linear_programme", "style_limit": 0.5, "turnover_limit": 0.6},
    "universe": [{"name": "listed", "days": 20}, "not_suspended"],
    "risk": {"styles": ["size"], "benchmark": "SH000300"},
    "backtest": {"capital": 10_000_000},
}


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """Return a small market."""
    folder = tmp_path_factory.mktemp("market") / "store"
    return simulate(SimulatedMarket(stocks=60, years=1, seed=5, alpha="none"), folder)


@pytest.fixture(scope="session")
def scores(store):
    """Return weekly scores of all stocks from the fourth month on, drawn at random."""
    bars = store.read("bars").select("date", "symbol").sort("date", "symbol")
    days = bars["date"].unique().sort()[60::5]
    frame = bars.filter(pl.col("date").is_in(days.implode()))
    return frame.with_columns(pl.Series("score", np.random.default_rng(0).normal(size=frame.height)))


@pytest.fixture(scope="session")
def settings():
    """Return two axes and one portfolio beside them."""
    return SweepSettings.parse(SETTINGS)


@pytest.fixture(scope="session")
def done(store, scores, settings, tmp_path_factory):
    """Return a finished sweep's folder and report."""
    out = tmp_path_factory.mktemp("sweep") / "out"
    return out, run_sweep(scores, store, out, settings, origin={"scores": "random"})
