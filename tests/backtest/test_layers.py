"""Layered tests: numbers of all groups, recomputed with pandas and scipy."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from studies import make_portfolio

from alphaloom.backtest.layers import LayeredTest, ordering
from alphaloom.errors import AlignmentError, UsageError


def grouped(groups=4, **changes):
    """Groups with less drift each, over the same benchmark."""
    made = [make_portfolio(1, days=520, drift=0.0006 - 0.0003 * k) for k in range(groups)]
    noise = np.random.default_rng(0).normal(0, 0.002, (520, groups))
    noise[0] = 0
    out = {}
    for k, result in enumerate(made):
        nav = result.nav.with_columns((pl.col("ret") + pl.Series(noise[:, k])).alias("ret"), cost=pl.lit(0.0001 * k))
        out[f"g{k + 1}"] = replace(result, nav=nav.with_columns(**changes))
    return LayeredTest(out)


@pytest.fixture(scope="module")
def test_of_four():
    """Four groups with a benchmark and a universe."""
    return grouped()


def test_years_are_compounded_daily_returns(test_of_four):
    """Excess is the group's compounded return less the benchmark's; the order is scipy's Spearman correlation."""
    for row in test_of_four.yearly().iter_rows(named=True):
        totals = []
        for name, result in test_of_four.groups.items():
            year = result.nav.slice(1).filter(pl.col("date").dt.year() == row["year"])
            total = (1 + year["ret"]).product()
            totals.append(total)
            assert row[name] == pytest.approx(total - (1 + year["benchmark_ret"]).product())
        assert row["spread"] == pytest.approx(totals[0] - totals[-1])
        assert row["ordering"] == pytest.approx(spearmanr(totals, [4, 3, 2, 1]).statistic)


def test_the_base_row_counts_for_nothing(test_of_four):
    """There is a return a day after the first."""
    assert len(test_of_four.dates) == test_of_four.returns.shape[0] == 519
    assert test_of_four.spread.shape == (519,)


def test_the_spread_before_and_after_costs(test_of_four):
    """Before costs both groups' costs are given back; after costs both are paid."""
    first, last = test_of_four.groups["g1"].nav.slice(1), test_of_four.groups["g4"].nav.slice(1)
    gross = (first["ret"] + first["cost"] - last["ret"] - last["cost"]).to_numpy()
    np.testing.assert_allclose(test_of_four.spread, gross)
    np.testing.assert_allclose(test_of_four.spread_net, gross - 0.0003)


def test_without_a_benchmark_years_are_returns():
    """Nothing is taken off, and nothing is NaN."""
    none = pl.lit(None, dtype=pl.Float64)
    test = grouped(benchmark_ret=none, excess_ret=none)
    row = test.yearly().row(0, named=True)
    year = test.groups["g1"].nav.slice(1).filter(pl.col("date").dt.year() == row["year"])
    assert row["g1"] == pytest.approx((1 + year["ret"]).product() - 1)


@given(returns=st.lists(st.integers(-5, 5), min_size=2, max_size=8))
@settings(max_examples=60, deadline=None)
def test_the_order_is_spearmans(returns):
    """Ties are averaged; equal returns have no order."""
    values = np.array(returns, dtype=float)
    if np.ptp(values) == 0:
        assert np.isnan(ordering(values))
    else:
        expected = spearmanr(values, np.arange(values.size)[::-1]).statistic
        assert ordering(values) == pytest.approx(expected, abs=1e-9)


def test_groups_of_other_days_or_alone_are_refused(test_of_four):
    """A comparison needs two groups over the same days."""
    first, *_, last = test_of_four.groups.values()
    with pytest.raises(UsageError, match="at least two groups; given: a"):
        LayeredTest({"a": first})
    with pytest.raises(AlignmentError, match="different days: a 2019-01-08 to .*, b 2019-01-08 to"):
        LayeredTest({"a": first, "b": replace(last, nav=last.nav.head(100))})
