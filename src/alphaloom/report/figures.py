"""Plotly figures of signals: each takes results and returns a figure that can be shown anywhere."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from alphaloom.evaluation.horizon import HorizonReport
from alphaloom.evaluation.signal import SignalReport
from alphaloom.report.theme import BLUE, DIVERGING, GREY, ORANGE, SERIES, TEAL, fade, new_figure, shades, use_log_axis
from alphaloom.typing import Array

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def cumulative_rank_ic(signals: Mapping[str, SignalReport], headline: str) -> Any:
    """Return the running sum of RankIC of each signal at its primary horizon; the traded one is drawn thicker."""
    from plotly import graph_objects as go

    traces = []
    for k, (name, signal) in enumerate(signals.items()):
        values = signal.headline.series.rank_ic
        keep = ~np.isnan(values)
        traces.append(
            go.Scatter(
                x=_days(signal.dates[keep]),
                y=short(np.cumsum(values[keep])),
                name=name,
                mode="lines",
                line={"width": 2.6 if name == headline else 1.4, "color": SERIES[k % len(SERIES)]},
            )
        )
    return new_figure(traces, y_format=".2f")


def rank_ic_bars(signal: SignalReport, *, window: int = 26) -> Any:
    """Return RankIC of every date with its rolling mean over `window` dates and their standard error band."""
    from plotly import graph_objects as go

    values = signal.headline.series.rank_ic
    keep = ~np.isnan(values)
    days, x = _days(signal.dates[keep]), values[keep]
    window = max(2, min(window, x.size // 2))
    rolled = pl.Series(x).rolling_mean(window).to_numpy()
    error = pl.Series(x).rolling_std(window).to_numpy() / np.sqrt(window)
    band = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    traces = [
        go.Bar(x=days, y=short(x), name="RankIC", marker={"color": fade(BLUE, 0.35), "line": {"width": 0}}),
        go.Scatter(x=days, y=short(rolled + error), **band),
        go.Scatter(x=days, y=short(rolled - error), fill="tonexty", fillcolor=fade(ORANGE, 0.22), **band),
        go.Scatter(x=days, y=short(rolled), name=f"mean of {window} dates", mode="lines", line={"color": ORANGE}),
    ]
    return new_figure(traces, y_format=".3f", bargap=0)


def quantile_bars(signal: SignalReport) -> Any:
    """Return each quantile's return over all placed names, a year (arithmetic), one group a horizon."""
    from plotly import graph_objects as go

    traces = []
    for k, (name, item) in enumerate(signal.horizons.items()):
        summary = item.quantile_summary()
        traces.append(
            go.Bar(
                x=[f"Q{q}" for q in summary["quantile"]],
                y=short((summary["excess"] * item.periods_per_year).to_numpy()),
                name=horizon_label(name, item),
                marker={"color": SERIES[k % len(SERIES)]},
            )
        )
    return new_figure(traces, y_format=".1%")


def quantile_curves(signal: SignalReport) -> Any:
    """Return the growth of 1 in each quantile over back-to-back holding periods, on a log axis."""
    from plotly import graph_objects as go

    frame = signal.headline.curves(signal.dates)
    names = [name for name in frame.columns if name.startswith("Q")]
    traces = [
        go.Scatter(x=_texts(frame["date"]), y=short(frame[name].to_numpy()), name=name, mode="lines") for name in names
    ]
    for trace, colour in zip(traces, shades(len(names)), strict=True):
        trace.line = {"color": colour, "width": 1.6}
    traces.append(
        go.Scatter(
            x=_texts(frame["date"]),
            y=short(frame["all"].to_numpy()),
            name="all",
            mode="lines",
            line={"color": GREY, "dash": "dot", "width": 1.4},
        )
    )
    values = frame.select(*names, "all").to_numpy()
    return use_log_axis(new_figure(traces, y_format=".2f"), values)


def spread_curves(signal: SignalReport) -> Any:
    """Return the running sum of top less bottom quantile, before and after costs."""
    from plotly import graph_objects as go

    frame = signal.headline.curves(signal.dates)
    traces = [
        go.Scatter(x=_texts(frame["date"]), y=short(frame[key].to_numpy()), name=name, mode="lines", line=line)
        for key, name, line in (
            ("spread", "before costs", {"color": BLUE, "width": 2}),
            ("spread_net", "after costs", {"color": ORANGE, "width": 2}),
        )
    ]
    return new_figure(traces, y_format=".1%")


def decay_bars(signal: SignalReport) -> Any:
    """Return RankIC against the single period that lies k ahead, with two Newey-West errors either side."""
    from plotly import graph_objects as go

    frame = signal.decay
    bars = go.Bar(
        x=[str(k) for k in frame["period"]],
        y=short(frame["rank_ic"].to_numpy()),
        error_y={"type": "data", "array": short(2 * frame["se"].to_numpy()), "color": GREY},
        marker={"color": TEAL},
        name="RankIC",
    )
    return new_figure([bars], x="periods ahead", y_format=".3f", xaxis_type="category", showlegend=False)


def turnover_lines(signal: SignalReport) -> Any:
    """Return the share of the top and bottom quantile replaced each period, and the scores' rank autocorrelation."""
    from plotly import graph_objects as go

    item = signal.headline
    days = _days(signal.dates)
    traces = [
        go.Scatter(x=days, y=short(values), name=name, mode="lines", line={"color": colour, "width": 1.3})
        for values, name, colour in (
            (item.turnover[:, -1], "top quantile replaced", BLUE),
            (item.turnover[:, 0], "bottom quantile replaced", ORANGE),
            (item.autocorrelation, "rank autocorrelation", GREY),
        )
    ]
    return new_figure(traces, y_format=".2f")


def monthly_heat(signal: SignalReport) -> Any:
    """Return mean RankIC by year and month."""
    frame = signal.monthly
    years = sorted(set(frame["year"].to_list()), reverse=True)
    values = np.full((len(years), 12), np.nan)
    for year, month, mean in frame.select("year", "month", "mean").iter_rows():
        values[years.index(year), month - 1] = mean
    bound = float(np.nanmax(np.abs(values))) if frame.height else 1.0
    return cell_heat(values, MONTHS, [str(year) for year in years], -bound, bound, DIVERGING, ".2f", hover=".4f")


def cell_heat(
    values: Array,
    x: Sequence[str],
    y: Sequence[str],
    low: float,
    high: float,
    scale: Any,
    form: str,
    *,
    hover: str = "",
    **layout: Any,
) -> Any:
    """Return a heat map `[y, x]` with each value in its cell, in the form `form` (d3), and in `hover` on hovering."""
    from plotly import graph_objects as go

    heat = go.Heatmap(
        z=[short(row) for row in values],
        x=list(x),
        y=list(y),
        zmin=float(f"{low:.4g}"),
        zmax=float(f"{high:.4g}"),
        colorscale=scale,
        texttemplate=f"%{{z:{form}}}",
        hovertemplate=f"%{{y}}, %{{x}}: %{{z:{hover or form}}}<extra></extra>",
        xgap=2,
        ygap=2,
        showscale=False,
    )
    figure = new_figure([heat], hovermode="closest", yaxis_type="category", **layout)
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(showgrid=False)
    return figure


def window_bars(windows: pl.DataFrame, model: str) -> Any:
    """Return in- and out-of-sample RankIC of each window of one model."""
    from plotly import graph_objects as go

    frame = windows.filter(pl.col("model") == model) if "model" in windows.columns else windows
    label = frame["test_start"].cast(pl.String).str.slice(0, 7) if "test_start" in frame.columns else frame["window"]
    traces = [
        go.Bar(
            x=label.cast(pl.String).to_list(),
            y=short(frame[key].cast(pl.Float64).fill_null(float("nan")).to_numpy()),
            name=name,
            marker={"color": colour},
        )
        for key, name, colour in (
            ("in_sample_rank_ic", "in sample", fade(GREY, 0.55)),
            ("out_of_sample_rank_ic", "out of sample", BLUE),
        )
        if key in frame.columns
    ]
    return new_figure(traces, x="first test month", y_format=".3f", xaxis_type="category")


def training_curves(curves: pl.DataFrame, model: str, key: str) -> Any:
    """Return one line a window of the training record `key` of one model, by epoch."""
    from plotly import graph_objects as go

    frame = curves.filter(pl.col("model") == model)
    names = frame["window"].unique(maintain_order=True).to_list()
    colours = shades(len(names))
    traces = []
    for colour, name in zip(colours, names, strict=True):
        part = frame.filter(pl.col("window") == name).sort("epoch")
        traces.append(
            go.Scatter(
                x=part["epoch"].to_list(),
                y=short(part[key].cast(pl.Float64).fill_null(float("nan")).to_numpy()),
                name=str(name),
                mode="lines",
                line={"color": colour, "width": 1.3},
            )
        )
    return new_figure(traces, x="epoch or iteration", hovermode="closest", showlegend=len(names) <= 12)


def importance_bars(importance: pl.DataFrame, model: str, *, most: int = 25) -> Any:
    """Return the features that matter most to one model, by share of its total importance."""
    from plotly import graph_objects as go

    top = (
        importance.filter(pl.col("model") == model)
        .group_by("feature")
        .agg(pl.col("importance").mean())
        .sort("importance", "feature", descending=[True, False])
        .head(most)
        .reverse()
    )
    bars = go.Bar(
        x=short(top["importance"].to_numpy()),
        y=top["feature"].to_list(),
        orientation="h",
        marker={"color": BLUE},
    )
    figure = new_figure([bars], x="share of importance", hovermode="closest", yaxis_type="category")
    figure.update_xaxes(tickformat=".1%", hoverformat=".2%")
    return figure


def universe_lines(universe: pl.DataFrame) -> Any:
    """Return how many names were candidates and how many were left by date."""
    from plotly import graph_objects as go

    traces = [
        go.Scatter(
            x=_texts(universe["date"]), y=universe[key].to_list(), name=key, mode="lines", line={"color": colour}
        )
        for key, colour in (("candidates", GREY), ("left", BLUE))
        if key in universe.columns
    ]
    return new_figure(traces, yaxis_rangemode="tozero")


def horizon_label(name: str, item: HorizonReport) -> str:
    """Return a horizon's name with its length: `4 (20 days)`."""
    days = f"{item.days:g} day" + ("" if item.days == 1 else "s")
    return f"{name} ({days})"


def _days(dates: Array) -> list[str]:
    return [str(day) for day in dates]


def _texts(dates: pl.Series) -> list[str]:
    return dates.cast(pl.String).to_list()


def short(values: Array | Sequence[float], *, digits: int = 5) -> list[float | None]:
    """Return values with five significant digits, None for NaN: what a chart can show, at half the size."""
    return [float(f"{v:.{digits}g}") if np.isfinite(v) else None for v in np.asarray(values, dtype=np.float64)]
