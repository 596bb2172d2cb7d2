"""Figures of several runs, one colour a run."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from alphaloom.comparison.compare import RunResult
from alphaloom.report.figures import short
from alphaloom.report.theme import GREY, SERIES, new_figure, use_log_axis
from alphaloom.typing import Doubles


def cumulative_ic(runs: Sequence[RunResult]) -> Any:
    """Return the running sum of each run's RankIC at its first horizon."""
    lines = {}
    for run in runs:
        own = run.ic.filter(pl.col("horizon") == run.signal["primary"]).drop_nulls("rank_ic")
        lines[run.name] = (own["date"], np.cumsum(own["rank_ic"].to_numpy()))
    return new_figure(_lines(lines), y_format=".2f")


def growth(runs: Sequence[RunResult]) -> Any:
    """Return what 1 grew to in each run's first portfolio."""
    lines = {run.name: (run.nav["date"], (run.nav["nav"] / run.nav["nav"][0]).to_numpy()) for run in runs}
    return use_log_axis(new_figure(_lines(lines), y_format=".2f"), np.concatenate([y for _, y in lines.values()]))


def relative_growth(runs: Sequence[RunResult]) -> Any:
    """Return the growth of each run's first portfolio over that of its benchmark."""
    lines = {}
    for run in runs:
        own, other = (run.nav[name].cast(pl.Float64).fill_null(0.0).to_numpy() for name in ("ret", "benchmark_ret"))
        ratio = np.concatenate([[1.0], np.cumprod((1.0 + own[1:]) / (1.0 + other[1:]))])
        lines[run.name] = (run.nav["date"], ratio)
    return use_log_axis(new_figure(_lines(lines), y_format=".2f"), np.concatenate([y for _, y in lines.values()]))


def difference_bars(tests: pl.DataFrame) -> Any:
    """Return each difference as a dot with its interval, zero marked."""
    from plotly import graph_objects as go

    places = [f"{row['pair']}<br>{row['of'].removeprefix('RankIC, ')}" for row in tests.to_dicts()]
    centre, low, high = (tests[name].to_numpy() for name in ("difference", "low", "high"))
    colours = [SERIES[2] if a > 0 else SERIES[4] if b < 0 else GREY for a, b in zip(low, high, strict=True)]
    dots = go.Scatter(
        x=short(centre),
        y=places,
        mode="markers",
        marker={"size": 9, "color": colours},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": short(high - centre),
            "arrayminus": short(centre - low),
            "color": GREY,
            "thickness": 1.5,
        },
    )
    figure = new_figure([dots], hovermode="closest", showlegend=False)
    figure.update_xaxes(zeroline=True, zerolinewidth=2, hoverformat=".4f")
    figure.update_yaxes(autorange="reversed")
    return figure


def year_bars(yearly: pl.DataFrame, names: Sequence[str], key: str) -> Any:
    """Return one group of bars a year, one bar a run."""
    from plotly import graph_objects as go

    bars = []
    for k, name in enumerate(names):
        own = yearly.filter(pl.col("run") == name)
        values = own[key].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        bars.append(
            go.Bar(x=own["year"].cast(pl.String).to_list(), y=short(values), name=name, marker={"color": _colour(k)})
        )
    return new_figure(bars, y_format=".1%", barmode="group", xaxis={"type": "category"})


def _lines(lines: dict[str, tuple[pl.Series, Doubles]]) -> list[Any]:
    from plotly import graph_objects as go

    return [
        go.Scatter(
            x=days.cast(pl.String).to_list(),
            y=short(values),
            name=name,
            mode="lines",
            line={"width": 1.8, "color": _colour(k)},
        )
        for k, (name, (days, values)) in enumerate(lines.items())
    ]


def _colour(k: int) -> str:
    return SERIES[k % len(SERIES)]
