"""Plotly figures of risk models and attributions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from alphaloom.report.figures import short
from alphaloom.report.theme import BLUE, GREY, ORANGE, PURPLE, SERIES, TEAL, fade, new_figure
from alphaloom.typing import Dates, Doubles

WINDOW = 63
"""Days of rolling means."""
KIND_COLOURS = {"country": BLUE, "industry": ORANGE, "style": TEAL, "specific": PURPLE, "not covered": GREY}


def cumulated(dates: Dates, returns: Mapping[str, Doubles]) -> Any:
    """Return the running sum of factor returns, one line a factor."""
    return _lines(dates, {name: np.nancumsum(values) for name, values in returns.items()}, ".1%")


def volatilities(dates: Dates, values: Mapping[str, Doubles]) -> Any:
    """Return volatilities foreseen, a year, one line a factor."""
    return _lines(dates, values, ".1%")


def multipliers(dates: Dates, values: Mapping[str, Doubles]) -> Any:
    """Return the regime multipliers of volatility."""
    return _lines(dates, values, ".2f")


def explained(dates: Dates, r2: Doubles) -> Any:
    """Return R2 of the daily regressions and its rolling mean."""
    from plotly import graph_objects as go

    days = [str(day) for day in dates]
    rolled = pl.Series(r2).fill_nan(None).rolling_mean(WINDOW, min_samples=WINDOW // 3).to_numpy()
    traces = [
        go.Scatter(x=days, y=short(r2), name="day", mode="lines", line={"width": 0.6, "color": fade(BLUE, 0.35)}),
        go.Scatter(x=days, y=short(rolled), name=f"mean of {WINDOW} days", mode="lines", line={"color": BLUE}),
    ]
    return new_figure(traces, y_format=".0%", yaxis_rangemode="tozero")


def stocks_lines(dates: Dates, stocks: Doubles, covered: Doubles) -> Any:
    """Return how many stocks a day's regression was made of, and how many the forecasts cover."""
    return _lines(dates, {"in the regression": stocks, "covered": covered}, ".0f", yaxis_rangemode="tozero")


def bias_dots(table: pl.DataFrame) -> Any:
    """Return the bias statistic of every test portfolio, by kind; the band is where 95 % of right forecasts lie."""
    from plotly import graph_objects as go

    kinds = table["kind"].unique(maintain_order=True).to_list()
    rng = np.random.default_rng(0)
    traces = []
    for k, kind in enumerate(kinds):
        part = table.filter(pl.col("kind") == kind)
        spread = k + (0.5 * rng.random(part.height) - 0.25 if part.height > 1 else np.zeros(1))
        traces.append(
            go.Scatter(
                x=short(spread),
                y=short(part["bias"].to_numpy()),
                text=part["portfolio"].to_list(),
                hovertemplate="%{text}: %{y:.3f}<extra>" + kind + "</extra>",
                mode="markers",
                marker={"color": SERIES[k % len(SERIES)], "size": 6, "opacity": 0.75},
                name=kind,
                showlegend=False,
            )
        )
    figure = new_figure(traces, y_format=".2f", hovermode="closest")
    figure.update_xaxes(
        tickvals=list(range(len(kinds))), ticktext=kinds, showgrid=False, zeroline=False, range=[-0.5, len(kinds) - 0.5]
    )
    low, high = table["low"].to_numpy().max(), table["high"].to_numpy().min()
    figure.add_hrect(y0=low, y1=high, fillcolor=fade(GREY, 0.15), line_width=0)
    figure.add_hline(y=1.0, line={"color": GREY, "width": 1, "dash": "dot"})
    return figure


def coverage_lines(coverage: pl.DataFrame) -> Any:
    """Return the share of the universe that knows the best known descriptor of a style, one line a style."""
    shares = coverage.with_columns(share=pl.col("known") / pl.col("members")).fill_nan(None)
    best = shares.group_by("style", "date", maintain_order=True).agg(pl.col("share").max())
    dates = coverage["date"].unique().sort().to_numpy().astype("datetime64[D]")
    lines = {}
    for (name,), part in best.group_by("style", maintain_order=True):
        lines[str(name)] = part["share"].fill_null(float("nan")).to_numpy()
    return _lines(dates, lines, ".0%", yaxis_rangemode="tozero")


def specific_quantiles(dates: Dates, quantiles: Mapping[str, Doubles]) -> Any:
    """Return quantiles over the stocks of the specific volatility foreseen, a year."""
    return _lines(dates, quantiles, ".0%", yaxis_rangemode="tozero")


def attribution_bars(table: pl.DataFrame, value: str, y_format: str) -> Any:
    """Return contributions by source, one bar each, coloured by kind."""
    from plotly import graph_objects as go

    kinds = table["kind"].to_list()
    bars = go.Bar(
        x=short(table[value].to_numpy())[::-1],
        y=table["source"].to_list()[::-1],
        orientation="h",
        marker={"color": [KIND_COLOURS[kind] for kind in kinds][::-1]},
    )
    figure = new_figure([bars], hovermode="closest", yaxis_type="category")
    figure.update_xaxes(tickformat=y_format, hoverformat=y_format)
    return figure


def attribution_lines(dates: Dates, contributions: Mapping[str, Doubles]) -> Any:
    """Return running sums of daily contributions by kind."""
    figure = cumulated(dates, contributions)
    for trace in figure.data:
        trace.line.color = KIND_COLOURS.get(trace.name, GREY)
    return figure


def _lines(dates: Dates, values: Mapping[str, Doubles | Sequence[float]], y_format: str, **layout: Any) -> Any:
    from plotly import graph_objects as go

    days = [str(day) for day in dates]
    traces = [
        go.Scatter(
            x=days,
            y=short(line),
            name=name,
            mode="lines",
            line={
                "width": 1.4,
                "color": SERIES[k % len(SERIES)],
                "dash": ("solid", "dot", "dash")[k // len(SERIES) % 3],
            },
        )
        for k, (name, line) in enumerate(values.items())
    ]
    return new_figure(traces, y_format=y_format, **layout)
