"""Plotly figures of portfolios against their benchmark."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from alphaloom.backtest.result import COST_KINDS, BacktestResult
from alphaloom.report.figures import MONTHS, cell_heat
from alphaloom.report.theme import DIVERGING, GREY, ORANGE, PURPLE, SERIES, TEAL, fade, new_figure, use_log_axis
from alphaloom.typing import Doubles


def net_asset_value(portfolios: Mapping[str, BacktestResult]) -> Any:
    """Return the growth of 1 of every portfolio and of the first one's benchmark, on a log axis."""
    traces = [
        nav_line(result.nav, growth(nav_column(result.nav, "ret")), name, SERIES[k % len(SERIES)], 2.2)
        for k, (name, result) in enumerate(portfolios.items())
    ]
    first = next(iter(portfolios.values()))
    benchmark = nav_column(first.nav, "benchmark_ret")
    if not np.isnan(benchmark[1:]).all():
        traces.append(nav_line(first.nav, growth(benchmark), "benchmark", GREY, 1.6))
    values = np.array([v for trace in traces for v in trace.y if v is not None])
    return use_log_axis(new_figure(traces, y_format=".3f"), values)


def excess_growth(portfolios: Mapping[str, BacktestResult]) -> Any:
    """Return net asset value over benchmark, both from 1: growth relative to the benchmark."""
    traces = []
    for k, (name, result) in enumerate(portfolios.items()):
        ratio = growth(nav_column(result.nav, "ret")) / growth(nav_column(result.nav, "benchmark_ret"))
        traces.append(nav_line(result.nav, ratio, name, SERIES[k % len(SERIES)], 2.0))
    return new_figure(traces, y_format=".3f")


def drawdowns(portfolios: Mapping[str, BacktestResult]) -> Any:
    """Return each portfolio's fall below its highest value so far, as a fraction of that value."""
    traces = []
    for k, (name, result) in enumerate(portfolios.items()):
        wealth = growth(nav_column(result.nav, "ret"))
        line = nav_line(result.nav, wealth / np.maximum.accumulate(wealth) - 1.0, name, SERIES[k % len(SERIES)], 1.2)
        line.fill = "tozeroy"
        line.fillcolor = fade(SERIES[k % len(SERIES)], 0.18)
        traces.append(line)
    return new_figure(traces, y_format=".1%")


def trading_bars(result: BacktestResult) -> Any:
    """Return one-way turnover and unfilled orders, summed by month, as fractions of net asset value."""
    from plotly import graph_objects as go

    monthly = (
        result.nav.slice(1)
        .group_by_dynamic("date", every="1mo")
        .agg(pl.col("turnover").sum(), pl.col("unfilled").cast(pl.Float64).sum())
    )
    traces = [
        go.Bar(
            x=monthly["date"].cast(pl.String).to_list(), y=_short(nav_column(monthly, key)), name=name, marker=marker
        )
        for key, name, marker in (
            ("turnover", "turnover, one-way", {"color": TEAL}),
            ("unfilled", "wanted, not filled", {"color": ORANGE}),
        )
    ]
    return new_figure(traces, y_format=".0%")


def monthly_heat(result: BacktestResult) -> Any:
    """Return the compounded return of each month, over the benchmark where there is one, the first year on top."""
    days = result.nav.slice(1)
    against = days["excess_ret"].is_not_null().any()
    ratio = (1 + pl.col("ret")) / (1 + pl.col("benchmark_ret")) if against else 1 + pl.col("ret")
    month, year = pl.col("date").dt.month(), pl.col("date").dt.year()
    frame = days.group_by(year.alias("year"), month.alias("month")).agg((ratio.product() - 1).alias("value"))
    years = sorted(frame["year"].unique().to_list(), reverse=True)
    values = np.full((len(years), 12), np.nan)
    for y, m, value in frame.iter_rows():
        values[years.index(y), m - 1] = value
    reach = float(np.nanmax(np.abs(values)))
    return cell_heat(values, MONTHS, [str(y) for y in years], -reach, reach, DIVERGING, ".1%", hover=".2%")


def yearly_bars(results: Mapping[str, BacktestResult]) -> Any:
    """Return each portfolio's geometric excess return and its cost by year."""
    from plotly import graph_objects as go

    traces = []
    for k, (name, result) in enumerate(results.items()):
        years = [str(year) for year in result.yearly["year"]]
        excess = _short(nav_column(result.yearly, "excess"))
        traces.append(go.Bar(x=years, y=excess, name=f"{name} excess", marker={"color": SERIES[k % len(SERIES)]}))
        cost = _short(-nav_column(result.yearly, "cost"))
        colour = fade(PURPLE, 0.5) if k == 0 else fade(GREY, 0.6)
        traces.append(go.Bar(x=years, y=cost, name=f"{name} cost", marker={"color": colour}))
    return new_figure(traces, y_format=".1%", xaxis_type="category")


def cost_bars(result: BacktestResult) -> Any:
    """Return what trading cost by year, one part of the bar a kind of cost; kinds that cost nothing are left out."""
    from plotly import graph_objects as go

    years = [str(year) for year in result.yearly["year"]]
    traces = []
    for kind, colour in zip(COST_KINDS, SERIES, strict=False):
        paid = nav_column(result.yearly, kind)
        if paid.any():
            marker = {"color": colour}
            traces.append(go.Bar(x=years, y=_short(paid), name=kind.replace("_", " "), marker=marker))
    return new_figure(traces, y_format=".2%", xaxis_type="category", barmode="stack")


def nav_line(nav: pl.DataFrame, values: Doubles, name: str, colour: str, width: float) -> Any:
    """Return a line of values `[T]` over the days of a `nav` table."""
    from plotly import graph_objects as go

    return go.Scatter(
        x=nav["date"].cast(pl.String).to_list(),
        y=_short(values),
        name=name,
        mode="lines",
        line={"color": colour, "width": width},
    )


def growth(returns: Doubles) -> Doubles:
    """Return growth of 1 from daily returns; the first row is the base and earns nothing."""
    growth: Doubles = np.concatenate([[1.0], np.cumprod(1.0 + returns[1:])])
    return growth


def nav_column(frame: pl.DataFrame, name: str) -> Doubles:
    """Return a column `[T]`, NaN where it is null."""
    return frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _short(values: Doubles) -> list[float | None]:
    return [float(f"{v:.6g}") if np.isfinite(v) else None for v in values]
