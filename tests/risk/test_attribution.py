"""Attribution: contributions sum exactly to return and to risk, and are those of the formulas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from alphaloom.errors import AlignmentError, DataError
from alphaloom.risk.attribution import attribute_returns, attribute_risk, carino
from alphaloom.risk.forecast import RiskForecast
from alphaloom.risk.holdings import held_weights, holding_returns


@pytest.fixture(scope="module")
def portfolio(market, fitted):
    """Weights of forty stocks decided every 20 days, and of the market; what they earn."""
    rng = np.random.default_rng(0)
    targets = np.full(market.shape, np.nan)
    cap = np.nan_to_num(fitted.cells.cap)
    for row in range(150, market.dates.size, 20):
        chosen = rng.permutation(np.flatnonzero(market["is_listed"][row] == 1))[:40]
        targets[row] = 0.0
        targets[row, chosen] = rng.dirichlet(np.ones(40)) * 0.95
    returns = holding_returns(market["adj_close"])
    held = held_weights(targets, returns, market["is_listed"] == 1)
    return held, returns, cap / cap.sum(axis=1, keepdims=True)


def test_contributions_sum_to_the_return_of_every_day(fitted, portfolio):
    """Country, industries, styles and specific: to 1e-12 of weights times returns."""
    held, returns, _ = portfolio
    found = attribute_returns(fitted, held, returns)
    assert found.rows[0] == 151
    for d, t in enumerate(found.rows):
        assert found.contributions[d].sum() == pytest.approx(held[t - 1] @ returns[t], abs=1e-12)
    assert found.linked().sum() == pytest.approx(np.prod(1 + found.returns) - 1, rel=1e-10)


def test_active_contributions_sum_to_the_active_return(fitted, portfolio):
    """Against a benchmark: daily to the difference, linked to the difference of compounded returns."""
    held, returns, market = portfolio
    found = attribute_returns(fitted, held, returns, market)
    np.testing.assert_allclose(found.contributions.sum(axis=1), found.returns, atol=1e-12)
    both = np.prod(1 + found.returns + found.benchmark) - np.prod(1 + found.benchmark)
    assert found.linked().sum() == pytest.approx(both, rel=1e-9)
    t = int(found.rows[10])
    assert found.benchmark[10] == pytest.approx(market[t - 1] @ returns[t])


def test_a_contribution_is_exposure_times_factor_return(fitted, portfolio):
    """Each factor's, by its own exposure at the close before; specific is the stocks' residual."""
    held, returns, _ = portfolio
    found = attribute_returns(fitted, held, returns)
    d = 30
    t = int(found.rows[d])
    X, covered = fitted.exposures(t - 1)
    weights = held[t - 1]
    k = fitted.factors.index("size")
    assert found.exposures[d, k] == pytest.approx(weights @ X[k])
    assert found.contributions[d, k] == pytest.approx(weights @ X[k] * fitted.regressions.returns[t, k])
    rest = returns[t] - np.nan_to_num(fitted.regressions.returns[t]) @ X
    assert found.contributions[d, -2] == pytest.approx((weights * rest)[covered].sum(), abs=1e-14)
    assert found.exposures[d, -1] == pytest.approx(weights[~covered].sum())


def test_pure_portfolios_have_their_factor_as_the_only_source(fitted, market):
    """A pure style portfolio earns its factor's return, and nothing by other factors."""
    returns = holding_returns(market["adj_close"])
    held = np.full(market.shape, np.nan)
    rows = np.flatnonzero(fitted.ready)[10:14]
    for row in rows:
        names, pure = fitted.pure(int(row))
        held[row] = pure[names.index("size")]
    found = attribute_returns(fitted, held, returns)
    k = fitted.factors.index("size")
    np.testing.assert_allclose(found.exposures[:, k], 1.0, atol=1e-8)
    np.testing.assert_allclose(found.contributions[:, k], fitted.regressions.returns[found.rows, k], atol=1e-9)
    others = [c for c in range(len(fitted.factors)) if c != k]
    np.testing.assert_allclose(found.contributions[:, others], 0.0, atol=1e-9)


def test_tables_tell_sums_and_days(fitted, portfolio):
    """Linked contributions by source; the daily frame has a row for each day and source."""
    held, returns, _ = portfolio
    found = attribute_returns(fitted, held, returns)
    table = found.table(243.0)
    assert table["contribution"].sum() == pytest.approx(np.prod(1 + found.returns) - 1, rel=1e-10)
    size = table.row(fitted.factors.index("size"), named=True)
    assert size["mean"] == pytest.approx(243 * found.contributions[:, fitted.factors.index("size")].mean())
    daily = found.daily(fitted.dates)
    assert daily.height == found.contributions.size
    by_day = daily.group_by("date").agg(total=daily["contribution"].sum()).height
    assert by_day == found.rows.size


@given(
    arrays(np.float64, (5, 3), elements=st.floats(-0.1, 0.1)),
    arrays(np.float64, 5, elements=st.floats(-0.2, 0.2)),
)
def test_linking_sums_to_the_difference_of_compounded_returns(contributions, benchmark):
    """For any daily contributions and benchmark returns."""
    active = contributions.sum(axis=1)
    linked = carino(contributions, benchmark + active, benchmark)
    expected = np.prod(1 + benchmark + active) - np.prod(1 + benchmark)
    assert linked.sum() == pytest.approx(expected, abs=1e-9)


def forecast_of(seed=0, N=12, K=3):
    """A small forecast; the last stock is not covered."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(K, K)) * 0.01
    specific = rng.uniform(1e-4, 9e-4, N)
    specific[-1] = np.nan
    exposures = rng.normal(size=(K, N))
    exposures[:, -1] = 0
    return RiskForecast(np.datetime64("2020-01-02"), ("country", "size", "value"), exposures, root @ root.T, specific)


@given(arrays(np.float64, 12, elements=st.floats(-1, 1)))
def test_risk_contributions_sum_to_volatility_and_variance(weights):
    """By source (x sigma rho) and by stock (Euler), for any weights."""
    forecast = forecast_of()
    covered = np.where(np.isfinite(forecast.specific), weights, 0.0)
    if np.abs(covered).max() < 1e-6:
        return
    found = attribute_risk(forecast, weights, ("country", "style", "style"))
    variance = forecast.variance(covered)
    assert found.volatility**2 == pytest.approx(variance, rel=1e-9)
    assert found.sources["variance"].sum() == pytest.approx(variance, rel=1e-9)
    assert found.sources["contribution"].sum() == pytest.approx(found.volatility, rel=1e-9)
    assert found.sources["share"].sum() == pytest.approx(1.0, rel=1e-9)
    assert found.stocks["contribution"].sum() == pytest.approx(found.volatility, rel=1e-9)
    product = found.sources["exposure"] * found.sources["volatility"] * found.sources["correlation"]
    np.testing.assert_allclose(product, found.sources["contribution"], rtol=1e-8, atol=1e-15)
    assert found.uncovered == pytest.approx(abs(weights[-1]))


def test_marginal_risk_is_the_derivative():
    """A little more of one stock changes volatility by its marginal contribution."""
    forecast = forecast_of()
    weights = np.append(np.random.default_rng(1).normal(size=11), 0.0)
    found = attribute_risk(forecast, weights, ("country", "style", "style"))
    for n in (0, 7):
        bump = np.zeros(12)
        bump[n] = 1e-6
        up, down = (np.sqrt(forecast.variance(weights + sign * bump)) for sign in (1, -1))
        marginal = found.stocks.row(n, named=True)["marginal"]
        assert marginal == pytest.approx((up - down) / 2e-6, rel=1e-5)


def test_correlation_is_with_the_portfolio():
    """Rho of a factor is its covariance with the portfolio over both volatilities."""
    forecast = forecast_of()
    weights = np.append(np.ones(11) / 11, 0.0)
    found = attribute_risk(forecast, weights, ("country", "style", "style"))
    x = forecast.exposures @ weights
    rho = (forecast.covariance @ x)[1] / np.sqrt(forecast.covariance[1, 1]) / found.volatility
    assert found.sources.row(1, named=True)["correlation"] == pytest.approx(rho)


def test_mistakes_are_named(fitted, portfolio):
    """Shapes, no day in common, nothing covered."""
    held, returns, _ = portfolio
    with pytest.raises(AlignmentError, match="The held weights are"):
        attribute_returns(fitted, held[:, :3], returns)
    with pytest.raises(DataError, match="the two spans do not meet"):
        attribute_returns(fitted, np.full(held.shape, np.nan), returns)
    with pytest.raises(DataError, match="covers no stock of the portfolio on 2020-01-02"):
        attribute_risk(forecast_of(), np.append(np.zeros(11), 1.0), ("country", "style", "style"))
