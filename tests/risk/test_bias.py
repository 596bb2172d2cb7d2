"""Bias statistics: right forecasts pass, wrong ones show, the figures are those of the formulas."""

import numpy as np
import polars as pl
import pytest

from alphaloom.errors import DataError
from alphaloom.risk.bias import BiasSettings, bias_test, solve, statistics
from alphaloom.risk.forecast import RiskForecast

N, K = 90, 4


class Known:
    """Forecasts of a market whose covariance is known; `scale` multiplies what they say of volatility."""

    def __init__(self, scale=1.0):
        rng = np.random.default_rng(1)
        root = np.tril(rng.normal(size=(K, K))) * 0.008
        self.exposures = np.vstack([np.ones(N), rng.normal(size=(K - 1, N))])
        self.covariance, self.specific = root @ root.T, rng.uniform(0.01, 0.03, N) ** 2
        self.scale = scale

    def returns(self, T):
        """Draw returns of T days."""
        rng = np.random.default_rng(2)
        f = rng.multivariate_normal(np.zeros(K), self.covariance, T)
        return f @ self.exposures + rng.normal(size=(T, N)) * np.sqrt(self.specific)

    def forecast(self, row):
        """Return the truth times the scale."""
        s = self.scale**2
        names = ("country", "a", "b", "c")
        return RiskForecast(
            np.datetime64("2020-01-01") + row, names, self.exposures, s * self.covariance, s * self.specific
        )


SETTINGS = BiasSettings(horizons=(1, 5), random=8, names=20, optimised=4)
CAP = np.exp(np.random.default_rng(3).normal(size=(1200, N)))


def test_right_forecasts_have_bias_one():
    """On random, style and optimised portfolios, over one day and over five."""
    truth = Known()
    found = bias_test(truth, truth.returns(1200), CAP, SETTINGS, styles=("a", "b"))
    assert set(found.table["kind"]) == {"market", "random", "random active", "style", "optimised"}
    daily = found.table.filter(pl.col("horizon") == 1)
    np.testing.assert_allclose(daily["bias"], 1.0, atol=0.08)
    np.testing.assert_allclose(found.table["bias"], 1.0, atol=0.2)
    summary = found.summary().filter(pl.col("horizon") == 1)
    assert summary["inside"].mean() > 0.8
    assert summary["q"].to_numpy() == pytest.approx(2.27, abs=0.15)


def test_too_low_forecasts_show():
    """Risk foreseen at half has a bias of two."""
    wrong = Known(0.5)
    found = bias_test(wrong, Known().returns(1200), CAP, SETTINGS)
    np.testing.assert_allclose(found.table.filter(pl.col("horizon") == 1)["bias"], 2.0, atol=0.16)


def test_spans_do_not_overlap():
    """Five days from each fifth forecast on: sums of returns over the root of five daily variances."""
    truth = Known()
    returns = truth.returns(40)
    found = bias_test(truth, returns, CAP[:40], SETTINGS)
    part = found.series.filter((pl.col("horizon") == 5) & (pl.col("kind") == "market"))
    assert part["date"].to_list() == [np.datetime64("2020-01-01") + k for k in range(0, 35, 5)]
    weights = CAP[5] / CAP[5].sum()
    row = part.row(1, named=True)
    assert row["return"] == pytest.approx(returns[6:11].sum(axis=0) @ weights)
    assert row["volatility"] == pytest.approx(np.sqrt(5 * truth.forecast(5).variance(weights)))


def test_portfolios_are_what_they_say():
    """Random ones hold equal weights of the same stocks; active ones sum to 0; styles are long high, short low."""
    truth = Known()
    seen = {}

    class Watch(Known):
        def forecast(self, row):
            seen[row] = super().forecast(row)
            return seen[row]

    settings = BiasSettings(horizons=(1,), random=2, names=10, optimised=1)
    found = bias_test(Watch(), truth.returns(30), CAP[:30], settings, styles=("a",))
    assert found.series.filter(pl.col("kind") == "random")["portfolio"].unique().sort().to_list() == ["01", "02"]
    assert set(found.series.filter(pl.col("kind") == "optimised")["portfolio"]) == {"01", "least variance"}
    order = np.argsort(truth.exposures[1], kind="stable")
    weights = np.zeros(N)
    weights[order[-18:]], weights[order[:18]] = 1 / 18, -1 / 18
    row = found.series.filter(pl.col("kind") == "style").row(0, named=True)
    assert row["volatility"] == pytest.approx(np.sqrt(seen[0].variance(weights)))


def test_optimised_portfolios_solve_the_covariance():
    """V^-1 b by the factor form equals numpy's solution, also when F is singular."""
    truth = Known()
    truth.covariance[:, -1] = truth.covariance[-1] = 0.0
    forecast = truth.forecast(0)
    use = np.arange(N) % 3 > 0
    right = np.random.default_rng(0).normal(size=(2, int(use.sum())))
    X = forecast.exposures[:, use]
    V = X.T @ forecast.covariance @ X + np.diag(forecast.specific[use])
    np.testing.assert_allclose(solve(forecast, use, right), np.linalg.solve(V, right.T).T, rtol=1e-8)


def test_statistics_are_those_of_their_formulas():
    """Deviation, bounds, MRAD over windows, Q."""
    z = np.random.default_rng(0).normal(size=60)
    series = pl.DataFrame({"horizon": 21, "kind": "x", "portfolio": "p", "z": z})
    row = statistics(series, window=12).row(0, named=True)
    assert row["bias"] == pytest.approx(z.std(ddof=1))
    assert row["low"] == pytest.approx(1 - np.sqrt(2 / 60))
    assert row["mrad"] == pytest.approx(np.mean([abs(z[k : k + 12].std(ddof=1) - 1) for k in range(49)]))
    assert row["q"] == pytest.approx(np.mean(z**2 - np.log(z**2)))


def test_no_whole_span_is_an_error():
    """The message tells what was asked for."""
    with pytest.raises(DataError, match="No forecast of 3 rows has a span of 5 days after it"):
        bias_test(Known(), Known().returns(3), CAP[:3], BiasSettings(horizons=(5,)))
