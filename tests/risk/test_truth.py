"""What the risk model finds of a simulated market's true factor returns, and whether its forecasts are right.

The market's exposures are what CNE5's descriptors observe, and specific risk is so small that a regression of its 2,500
stocks, by weights of the inverse variance, can tell the smallest factors.
"""

from dataclasses import replace

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
from alphaloom.risk.regression import RegressionSettings, cross_sections, simple_returns

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("risk_truth")]
STYLES = [
    *(name for name in NAMES if name not in {"growth", "nonlinear_size"}),
    {"name": "growth", "years": 2},
    {"name": "nonlinear_size", "centre": "equal"},
]
"""Growth and non-linear size as the simulated market defines them."""
START = 504
"""Rows before it are left out: momentum wants two years."""


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """Four years of 2,500 stocks with little specific risk, whose exposures bars and statements show."""
    folder = tmp_path_factory.mktemp("quiet") / "store"
    settings = SimulatedMarket(stocks=2500, years=4, specific_vol=0.003, exposures="observed", seed=11)
    return simulate(settings, folder)


@pytest.fixture(scope="module")
def panel(quiet):
    """Everything that the model can use."""
    estimator = risk_models.parse({"name": "cne5", "styles": STYLES})
    there = set(available_fields(quiet))
    return load_panel(quiet, [*estimator.required, *(name for name in estimator.wanted if name in there)])


@pytest.fixture(scope="module")
def model(panel):
    """The model fitted on it, with exposures of its own."""
    settings = {"preset": "next_day", "styles": STYLES, "regression": {"weights": "inverse_variance"}}
    return risk_models.parse({"name": "cne5", **settings}).fit(panel)


def true_returns(store, model):
    """Return the true factor returns `[T, K]` from row START on."""
    true = Truth.of(store.path).factor_returns()
    return np.column_stack([true[name].to_numpy() for name in model.factors])[START:]


def test_exposures_are_found(quiet, model):
    """Own exposures correlate above 0.98 with the true ones; growth, whose years are counted in rows, above 0.9."""
    frame = Truth.of(quiet.path).exposures().select("date", "symbol", *NAMES).collect()
    known = Panel.from_frame(frame, dates=model.dates, symbols=model.symbols)
    for k, name in enumerate(model.factors[29:]):
        for t in (START, 700, 900):
            members = model.cells.members[t]
            alike = np.corrcoef(model.cells.styles[t, members, k], known[name][t, members])[0, 1]
            assert alike > (0.9 if name == "growth" else 0.98), (name, t, alike)


def test_factor_returns_are_found(quiet, model):
    """Every industry's and style's returns correlate above 0.95 with the true ones."""
    true = true_returns(quiet, model)
    found = model.regressions.returns[START:]
    alike = {name: np.corrcoef(found[:, k], true[:, k])[0, 1] for k, name in enumerate(model.factors)}
    assert len(alike) == 1 + 28 + 10
    assert min(alike.values()) > 0.95, sorted(alike.items(), key=lambda item: item[1])[:3]


def test_errors_are_those_foretold_but_for_what_limits_cut(quiet, panel, model):
    """With the true exposures, and the moves that price limits cut off put back, errors have their standard errors."""
    truth = Truth.of(quiet.path)
    axes = {"dates": model.dates, "symbols": model.symbols}
    owed = Panel.from_frame(truth.alpha().select("date", "symbol", "event").collect(), **axes)["event"]
    known = Panel.from_frame(truth.exposures().select("date", "symbol", *NAMES).collect(), **axes)
    returns = simple_returns(panel["adj_close"])
    returns[1:] += np.nan_to_num(owed[1:]) - np.nan_to_num(owed[:-1])
    styles = model.factors[29:]
    cells = replace(model.cells, styles=known.stack(styles))
    found = cross_sections(returns, cells, model.factors[1:29], styles, RegressionSettings())
    errors = np.sqrt(np.mean((found.returns[START:] - true_returns(quiet, model)) ** 2, axis=0))
    told = np.sqrt(np.mean(found.errors[START:] ** 2, axis=0))
    np.testing.assert_allclose(errors[29:], told[29:], rtol=0.25)


def test_risk_is_foreseen_within_a_tenth(panel, model):
    """Mean bias statistics of random, style, optimised and pure factor portfolios over a day; each style's own."""
    rows = np.flatnonzero(model.ready)
    found = bias_test(
        model,
        simple_returns(panel["adj_close"]),
        model.cells.cap,
        BiasSettings(horizons=(1,), random=10, optimised=5),
        rows=rows[rows >= START],
        styles=NAMES,
        pure=model.pure,
    )
    bias = dict(found.summary().select("kind", "bias").iter_rows())
    assert set(bias) == {"market", "random", "random active", "style", "optimised", "factor"}
    for kind, value in bias.items():
        assert 0.9 < value < 1.1, (kind, bias)
    assert found.table.filter(pl.col("kind") == "factor").height == 1 + 28 + 10
