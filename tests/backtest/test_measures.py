import math

import numpy as np
import polars as pl
import pytest

from alphaloom.backtest import measures
from alphaloom.backtest.result import COST_KINDS, NAV_SCHEMA, YEARLY_SCHEMA


def nav_table(ret, bench=None, start="2020-12-28", **columns):
    """A `nav` table of the given daily returns."""
    dates = np.busday_offset(start, np.arange(len(ret)), roll="forward").astype("datetime64[D]")
    base = {
        "date": pl.Series(dates).cast(pl.Date),
        "nav": np.cumprod(1 + np.asarray(ret)),
        "ret": ret,
        "benchmark_ret": bench if bench is not None else [None] * len(ret),
        "excess_ret": np.subtract(ret, bench) if bench is not None else [None] * len(ret),
        "universe_ret": [None] * len(ret),
        "turnover": np.full(len(ret), 0.1),
        "cost": np.full(len(ret), 0.001),
        "holdings": np.full(len(ret), 7),
    }
    others = set(NAV_SCHEMA) - set(base) - {"holdings"}
    base |= {name: np.full(len(ret), 0.0005 if name in {"duty", "slippage"} else 0.0) for name in others}
    return pl.DataFrame({name: (base | columns)[name] for name in NAV_SCHEMA}, schema=NAV_SCHEMA)


def test_drawdown_is_divided_by_the_peak():
    """A fall from 150 to 90 is 40 % of the peak, not 60 % of the start."""
    assert measures.max_drawdown(np.array([0.5, -0.2, -0.25, 1.0])) == pytest.approx(-0.4)


def test_drawdown_counts_the_start_as_a_peak():
    """A series that only falls has its whole loss as drawdown."""
    assert measures.max_drawdown(np.array([-0.1, -0.1])) == pytest.approx(0.81 - 1)


def test_drawdown_equals_the_worst_pair_of_dates():
    """The drawdown is the smallest ratio of a later value to an earlier one, less 1."""
    rng = np.random.default_rng(3)
    ret = rng.normal(0, 0.02, 60)
    wealth = np.concatenate([[1.0], np.cumprod(1 + ret)])
    worst = min(wealth[b] / wealth[a] - 1 for a in range(61) for b in range(a, 61))
    assert measures.max_drawdown(ret) == pytest.approx(worst)


def test_annual_return_is_geometric():
    """Doubling in half of the year's days quadruples in a year."""
    ret = np.full(121, 2 ** (1 / 121) - 1)
    assert measures.annual_return(ret, 242) == pytest.approx(3.0)


def test_total_loss_is_minus_one():
    """Once all is lost the annual return is -1, whatever follows."""
    assert measures.annual_return(np.array([-1.0, 0.5]), 242) == -1.0


def test_metrics_equal_their_formulas():
    """Every headline figure follows its textbook formula on the days after the base row."""
    rng = np.random.default_rng(0)
    ret, bench = rng.normal(0.001, 0.01, 101), rng.normal(0.0, 0.01, 101)
    ret[0] = bench[0] = 0.0
    got = measures.metrics_of(nav_table(ret, bench), 242)
    r, b = ret[1:], bench[1:]
    ratio = np.cumprod((1 + r) / (1 + b))
    expected = {
        "days": 100,
        "total_return": np.prod(1 + r) - 1,
        "annual_return": np.prod(1 + r) ** 2.42 - 1,
        "annual_return_arithmetic": r.mean() * 242,
        "volatility": r.std(ddof=1) * math.sqrt(242),
        "sharpe": r.mean() / r.std(ddof=1) * math.sqrt(242),
        "tracking_error": (r - b).std(ddof=1) * math.sqrt(242),
        "information_ratio": (r - b).mean() / (r - b).std(ddof=1) * math.sqrt(242),
        "excess_annual_return": ratio[-1] ** 2.42 - 1,
        "excess_annual_return_arithmetic": (r - b).mean() * 242,
        "excess_max_drawdown": measures.max_drawdown((1 + r) / (1 + b) - 1),
        "beta": np.cov(r, b)[0, 1] / b.var(ddof=1),
        "turnover_annual": 24.2,
        "cost_annual": 0.242,
        "holdings_mean": 7,
    }
    for name, value in expected.items():
        assert got[name] == pytest.approx(value), name


def test_without_benchmark_relative_figures_are_nan():
    """No benchmark gives NaN, not 0, for everything relative."""
    got = measures.metrics_of(nav_table(np.array([0.0, 0.01, -0.02, 0.01])), 242)
    for name in ("tracking_error", "information_ratio", "excess_annual_return", "benchmark_annual_return", "beta"):
        assert math.isnan(got[name]), name
    assert not math.isnan(got["sharpe"])


def test_years_compound_to_the_whole():
    """The product of yearly returns is the total return; sums of turnover and cost are the whole's."""
    rng = np.random.default_rng(1)
    ret, bench = rng.normal(0, 0.01, 400), rng.normal(0, 0.01, 400)
    table = nav_table(ret, bench)
    yearly = measures.yearly_of(table, 242)
    assert yearly.schema == pl.Schema(YEARLY_SCHEMA)
    assert yearly["year"].to_list() == [2020, 2021, 2022]
    assert (yearly["ret"] + 1).product() - 1 == pytest.approx(np.prod(1 + ret[1:]) - 1)
    assert (yearly["excess"] + 1).product() - 1 == pytest.approx(np.prod((1 + ret[1:]) / (1 + bench[1:])) - 1)
    assert yearly["turnover"].sum() == pytest.approx(0.1 * 399)
    assert yearly.select(pl.sum_horizontal(COST_KINDS).sum()).item() == pytest.approx(0.001 * 399)
    assert yearly["days"].sum() == 399


def test_every_metric_with_a_convention_is_worded():
    """Figures that admit two definitions say which is meant."""
    words = measures.conventions(242)
    for name in ("annual_return", "volatility", "sharpe", "max_drawdown", "turnover", "cost", "information_ratio"):
        assert words[name]
