"""Intervals of headline numbers against arch and closed forms; paired differences."""

import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap
from random_series import autoregressive

from alphaloom.backtest.measures import annual_return, max_drawdown, sharpe
from alphaloom.errors import AlignmentError, DataError, UsageError
from alphaloom.evaluation.inference import mean_test
from alphaloom.evaluation.resampling import widening
from alphaloom.evaluation.validity.intervals import (
    STATISTICS,
    bootstrap_interval,
    deepest_drawdown,
    growth,
    mean,
    paired_difference,
    ratio,
)

RETURNS = 0.01 * autoregressive(0.1, 600, 3) + 0.0008


def test_numbers_are_those_of_the_backtest():
    """Each statistic of one row is the figure of the same series in a backtest."""
    row = RETURNS[None]
    np.testing.assert_allclose(ratio(row)[0] * np.sqrt(243), sharpe(RETURNS, 243))
    np.testing.assert_allclose((1 + growth(row)[0]) ** 243 - 1, annual_return(RETURNS, 243))
    np.testing.assert_allclose(deepest_drawdown(row)[0], max_drawdown(RETURNS))
    falling = np.array([[-0.1, 0.05, 0.02]])
    np.testing.assert_allclose(deepest_drawdown(falling)[0], max_drawdown(falling[0]))


@pytest.mark.parametrize("name", ["mean", "ratio", "deepest_drawdown"])
@pytest.mark.parametrize("method", ["stationary", "circular"])
def test_intervals_are_those_of_arch_before_widening(name, method):
    """Percentiles of arch's own resamples, within what 4,000 of them leave to chance."""
    statistic = STATISTICS[name]
    got = bootstrap_interval(RETURNS, statistic, steps=4, resamples=4000, method=method)
    theirs = StationaryBootstrap(got.block, RETURNS, seed=1).conf_int(
        lambda x: statistic(x[None])[0], reps=4000, method="percentile"
    )
    wider = 1.0 if name == "deepest_drawdown" else widening(600, got.block, 0.95)
    width = got.high - got.low
    np.testing.assert_allclose(got.value + wider * (theirs[:, 0] - got.value), [got.low, got.high], atol=0.06 * width)
    assert got.block >= 12
    assert got.value == statistic(RETURNS[None])[0]


def test_the_mean_is_the_signal_tests_own():
    """One interval of a mean in the whole program: the signal's test and this one agree to the digit."""
    x = np.insert(RETURNS, 5, np.nan)
    got, test = bootstrap_interval(x, mean, steps=3, seed=4), mean_test(x, steps=3, seed=4)
    np.testing.assert_allclose([got.low, got.high, got.block], [test.low, test.high, test.block])


def test_p_is_where_the_interval_touches_zero():
    """An interval at level 1 - p has 0 as a bound."""
    got = bootstrap_interval(RETURNS, ratio)
    assert 0.001 < got.p_value < 0.5
    touching = bootstrap_interval(RETURNS, ratio, level=1 - got.p_value)
    assert min(abs(touching.low), abs(touching.high)) < 1e-4
    assert np.isnan(bootstrap_interval(RETURNS, deepest_drawdown).p_value)
    assert bootstrap_interval(RETURNS + 0.05, mean).p_value < 0.002


def test_pairing_takes_off_what_both_runs_share():
    """Two runs on the same market: their difference is sharp though each alone is not."""
    rng = np.random.default_rng(5)
    market = 0.012 * rng.normal(size=600)
    a, b = (market + 0.001 * rng.normal(size=600) + drift for drift in (0.0003, 0.0))
    a[7] = np.nan
    got = paired_difference(a, b, mean, seed=2)
    alone = bootstrap_interval(a, mean, seed=2)
    assert got.high - got.low < 0.2 * (alone.high - alone.low)
    assert got.low > 0
    assert got.n == 599
    both = ~np.isnan(a)
    np.testing.assert_allclose(got.value, (a[both] - b[both]).mean())
    swapped = paired_difference(b, a, mean, seed=2)
    np.testing.assert_allclose([swapped.low, swapped.high, swapped.value], [-got.high, -got.low, -got.value])
    assert paired_difference(a, b, ratio).low > 0
    same = paired_difference(a, a, ratio)
    assert (same.low, same.value, same.high) == (0.0, 0.0, 0.0)


def test_mistakes_are_named():
    """Series of different lengths, too few dates, unknown methods."""
    with pytest.raises(AlignmentError, match="same dates"):
        paired_difference(RETURNS, RETURNS[1:], mean)
    with pytest.raises(DataError, match="ten values or more; got 9"):
        bootstrap_interval(RETURNS[:9], mean)
    with pytest.raises(UsageError, match="'moving'"):
        bootstrap_interval(RETURNS, mean, method="moving")
    with pytest.raises(UsageError, match="steps must be 1"):
        bootstrap_interval(RETURNS, mean, steps=0)
