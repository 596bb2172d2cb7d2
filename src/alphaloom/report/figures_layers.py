"""Plotly figures of a layered test."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from alphaloom.backtest.layers import LayeredTest
from alphaloom.backtest.result import BacktestResult
from alphaloom.report.figures import short
from alphaloom.report.figures_portfolio import growth, nav_column, nav_line
from alphaloom.report.theme import BLUE, ORANGE, new_figure, shades


def excess_by_group(test: LayeredTest, names: Sequence[str], over: str) -> Any:
    """Return each group's growth relative to a column of daily returns, `benchmark_ret` or `universe_ret`, from 1."""
    traces = [
        nav_line(result.nav, _relative(result, over), name, colour, 1.8)
        for result, name, colour in zip(test.groups.values(), names, group_colours(len(names)), strict=True)
    ]
    return new_figure(traces, y_format=".3f")


def spread_by_day(test: LayeredTest) -> Any:
    """Return the running sum of the best group less the worst, before and after the costs of both."""
    first = next(iter(test.groups.values()))
    traces = [
        nav_line(first.nav, np.concatenate([[0.0], np.cumsum(values)]), name, colour, 2.0)
        for values, name, colour in (
            (test.spread, "before costs", BLUE),
            (test.spread_net, "after costs of both", ORANGE),
        )
    ]
    return new_figure(traces, y_format=".1%")


def years_by_group(test: LayeredTest, names: Sequence[str]) -> Any:
    """Return the groups' returns over the benchmark by year, one bar a group."""
    from plotly import graph_objects as go

    yearly = test.yearly()
    years = [str(year) for year in yearly["year"]]
    traces = [
        go.Bar(x=years, y=short(yearly[group].to_numpy()), name=name, marker={"color": colour})
        for group, name, colour in zip(test.names, names, group_colours(len(names)), strict=True)
    ]
    return new_figure(traces, y_format=".1%", xaxis_type="category")


def group_colours(n: int) -> list[str]:
    """Return a colour a group, best group first, as the quantiles of scores have them."""
    return shades(n)[::-1]


def _relative(result: BacktestResult, over: str) -> np.ndarray:
    return np.asarray(growth(nav_column(result.nav, "ret")) / growth(nav_column(result.nav, over)))
