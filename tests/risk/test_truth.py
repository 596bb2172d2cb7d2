"""What the risk model finds of a simulated market's true factor returns, and whether its forecasts are right."""

import numpy as np
import polars as pl
import pytest

from alphaloom.data.fields import available_fields
from alphaloom.data.load import load_panel
from alphaloom.data.simulate import SimulatedMarket, simulate
from alphaloom.data.simulate.truth import Truth
from alphaloom.panel import Panel
from alphaloom.risk.bias import BiasSettings, bias_test
from alphaloom.risk.estimator import risk_models
from alphaloom.risk.models.cne5 import NAMES
from alphaloom.risk.regression import Cells, RegressionSettings, cross_sections, simple_returns

pytestmark = pytest.mark.slow
START = 260
"""Rows before it are left out: beta, liquidity and residual volatility want a year."""


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """Two years of 1,500 stocks with so little specific risk that the smallest factors stand out."""
    folder = tmp_path_factory.mktemp("quiet") / "store"
    return simulate(SimulatedMarket(stocks=1500, years=2, specific_vol=0.003, seed=11), folder)


def test_factor_returns_are_found(quiet):
    """Given the true exposures, every industry's and style's returns correlate above 0.95 with the true ones."""
    truth = Truth.of(quiet.path)
    panel = load_panel(quiet, ["adj_close", "is_listed", "log_cap", "listed_days"])
    frame = truth.exposures().select("date", "symbol", *NAMES, "industry").collect()
    known = Panel.from_frame(frame, dates=panel.dates, symbols=panel.symbols)
    listed = panel["is_listed"] == 1
    code = np.where(listed & np.isfinite(known["industry"]), np.nan_to_num(known["industry"]), -1).astype(np.int64)
    cap = np.where(listed, np.exp(panel["log_cap"].astype(np.float64)), np.nan)
    cells = Cells(known.stack(NAMES), code, cap, listed & (panel["listed_days"] >= 60))
    found = cross_sections(
        simple_returns(panel["adj_close"]), cells, known.categories["industry"], NAMES, RegressionSettings()
    )
    true = truth.factor_returns()
    lowest = {
        name: np.corrcoef(found.returns[1:, k], true[name].to_numpy()[1:])[0, 1] for k, name in enumerate(found.factors)
    }
    assert len(lowest) == 1 + 28 + 10
    assert min(lowest.values()) > 0.95, sorted(lowest.items(), key=lambda item: item[1])[:3]
    errors = found.returns[1:] - np.column_stack([true[name].to_numpy()[1:] for name in found.factors])
    told = np.sqrt(np.nanmean(found.errors[1:] ** 2, axis=0))
    np.testing.assert_allclose(np.sqrt(np.nanmean(errors**2, axis=0))[29:], told[29:], rtol=0.25)


def test_risk_is_foreseen_within_a_tenth(quiet):
    """With exposures of its own: mean bias statistics of random, style, optimised and pure factor portfolios."""
    styles = ["beta", "size", "liquidity", {"name": "growth", "years": 2}, "leverage", "book_to_price"]
    estimator = risk_models.parse({"name": "cne5", "preset": "next_day", "styles": styles})
    there = set(available_fields(quiet))
    panel = load_panel(quiet, [*estimator.required, *(name for name in estimator.wanted if name in there)])
    model = estimator.fit(panel)
    rows = np.flatnonzero(model.ready)
    found = bias_test(
        model,
        simple_returns(panel["adj_close"]),
        model.cells.cap,
        BiasSettings(horizons=(1,), random=10, optimised=5),
        rows=rows[rows >= START],
        styles=model.factors[29:],
        pure=model.pure,
    )
    bias = dict(found.summary().select("kind", "bias").iter_rows())
    assert set(bias) == {"market", "random", "random active", "style", "optimised", "factor"}
    for kind in ("random", "style", "optimised", "factor"):
        assert 0.9 < bias[kind] < 1.1, bias
    assert found.table.filter(pl.col("kind") == "factor").height == 35
