"""Intervals of a portfolio's headline numbers, annual where the numbers are."""

from dataclasses import replace
from functools import partial

import numpy as np
import polars as pl

from alphaloom.evaluation.validity.intervals import (
    Interval,
    Statistic,
    bootstrap_interval,
    deepest_drawdown,
    growth,
    ratio,
)
from alphaloom.typing import Doubles

LEAST_DAYS = 60
"""Fewer days with a return get no interval."""


def portfolio_intervals(nav: pl.DataFrame, annual_days: float) -> dict[str, Interval]:
    """Return intervals of `annual_return`, `sharpe`, `information_ratio` and `max_drawdown`, by these names.

    The first row of `nav`, the base, does not count; names of numbers with under 60 days are absent.
    """
    days = nav.slice(1)
    own, excess = (days[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in ("ret", "excess_ret"))
    asked: tuple[tuple[str, Doubles, Statistic], ...] = (
        ("annual_return", own, partial(_annual_growth, annual_days)),
        ("sharpe", own, partial(_annual_ratio, annual_days)),
        ("information_ratio", excess, partial(_annual_ratio, annual_days)),
        ("max_drawdown", own, deepest_drawdown),
    )
    found = {}
    for name, values, statistic in asked:
        known = values[~np.isnan(values)]
        if known.size >= LEAST_DAYS and np.ptp(known) > 0 and known.min() > -1.0:
            found[name] = bootstrap_interval(known, statistic)
    if "annual_return" in found:  # nobody loses more than all
        item = found["annual_return"]
        found["annual_return"] = replace(item, low=max(item.low, -1.0))
    return found


def _annual_growth(annual_days: float, values: Doubles) -> Doubles:
    return np.asarray((1.0 + growth(values)) ** annual_days - 1.0)


def _annual_ratio(annual_days: float, values: Doubles) -> Doubles:
    return np.asarray(ratio(values) * np.sqrt(annual_days))
