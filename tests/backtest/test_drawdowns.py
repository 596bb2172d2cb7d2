"""Drawdowns against a walk through the days, and by hand."""

import datetime as dt

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from alphaloom.backtest.drawdowns import worst_drawdowns
from alphaloom.backtest.measures import max_drawdown

DAYS = np.datetime64("2024-01-01") + np.arange(60)


def walked(returns):
    """Return (depth, days down, recovered) of each drawdown, found day by day."""
    value, peak, low, found, down, lowest = 1.0, 1.0, 1.0, [], 0, 0
    for r in returns[1:]:
        value *= 1 + r
        if value >= peak:
            if down:
                found.append((low / peak - 1, lowest, True))
            peak, low, down = value, value, 0
            continue
        down += 1
        if value < low or down == 1:
            low, lowest = value, down
    return found + ([(low / peak - 1, lowest, False)] if down else [])


@given(st.lists(st.sampled_from([-0.3, -0.1, 0.0, 0.05, 0.2, 0.5]), min_size=1, max_size=59))
def test_drawdowns_are_those_of_a_walk_through_the_days(some):
    """Depth, length and recovery of every one; the deepest is the maximal drawdown."""
    returns = np.array([0.0, *some])
    found = worst_drawdowns(DAYS[: returns.size], returns, 60)
    mine = [(d, n, r is not None) for d, n, r in found.select("depth", "days_down", "recovery").iter_rows()]
    theirs = sorted(walked(returns))
    np.testing.assert_allclose(sorted(x[0] for x in mine), [x[0] for x in theirs], atol=1e-12)
    assert sorted(x[1:] for x in mine) == sorted(x[1:] for x in theirs)
    np.testing.assert_allclose(found["depth"].min() or 0.0, max_drawdown(returns[1:]), atol=1e-12)


def test_by_hand():
    """Down a tenth and back in two days; then down a fifth, not yet made good."""
    returns = np.array([0.0, 0.1, -0.1, 0.05, 0.1, -0.2, 0.1])
    found = worst_drawdowns(DAYS[:7], returns)
    first, second, third, fifth, sixth = (dt.date(2024, 1, k) for k in (2, 3, 5, 5, 6))
    assert found.select(pl.exclude("depth")).rows() == [(fifth, sixth, None, 1, None), (first, second, third, 1, 2)]
    np.testing.assert_allclose(found["depth"], [-0.2, -0.1])
    assert worst_drawdowns(DAYS[:3], np.zeros(3)).height == 0
