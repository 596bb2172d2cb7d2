"""Plotly figures of sweeps: heat maps over two axes, lines over one, and what return a unit of risk bought."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from alphaloom.report.figures import cell_heat, short
from alphaloom.report.sweep import SweepPoint, SweepReport
from alphaloom.report.theme import BLUE, GREY, ORANGE, SERIES, new_figure, shades
from alphaloom.typing import Doubles

BETTER_IS_BLUE = [[0.0, "rgba(224,138,60,0.55)"], [0.5, "rgba(128,128,128,0.06)"], [1.0, "rgba(59,130,196,0.75)"]]

LEAST_RANGE = 0.1
"""A map's colours span at least this share of its largest value."""


def metric_heat(report: SweepReport, metric: str, form: str, rest: tuple[str, ...] = ()) -> Any:
    """Return a metric over the first axis (rows, the first value on top) and the second (columns); blue is higher."""
    (rows, y), (columns, x) = list(report.axes.items())[:2]
    values = report.values(metric, rest)
    whole = np.array([point.result.metrics.get(metric, np.nan) for point in report.grid])
    low, high = colour_range(whole)
    figure = cell_heat(values[::-1], x, list(y)[::-1], low, high, BETTER_IS_BLUE, form, xaxis_type="category")
    figure.update_xaxes(title={"text": columns})
    figure.update_yaxes(title={"text": rows, "standoff": 8})
    return figure


def colour_range(values: Doubles) -> tuple[float, float]:
    """Return the lowest and highest value, farther apart where they hardly differ: rounding gets no colour."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    least = LEAST_RANGE * max(abs(low), abs(high))
    slack = max(0.0, least - (high - low)) / 2
    return low - slack, high + slack


def metric_lines(report: SweepReport, metrics: Sequence[tuple[str, str]], form: str) -> Any:
    """Return metrics over the values of the only axis."""
    from plotly import graph_objects as go

    ((axis, labels),) = report.axes.items()
    traces = [
        go.Scatter(
            x=list(labels),
            y=short(report.values(metric)[:, 0]),
            name=title,
            mode="lines+markers",
            line={"color": SERIES[k % len(SERIES)], "width": 2},
        )
        for k, (metric, title) in enumerate(metrics)
    ]
    return new_figure(traces, x=axis, y_format=form, xaxis_type="category")


def excess_by_year(report: SweepReport, *, has_benchmark: bool) -> Any:
    """Return every point's return by year, over the benchmark where there is one: years across, the first on top."""
    years = sorted({year for point in report.points for year in point.result.yearly["year"].to_list()})
    key = "excess" if has_benchmark else "ret"
    values = np.full((len(report.points), len(years)), np.nan)
    for k, point in enumerate(report.points):
        for year, value in point.result.yearly.select("year", key).iter_rows():
            values[k, years.index(year)] = np.nan if value is None else value
    reach = float(np.nanmax(np.abs(values)))
    names = [point.name for point in report.points][::-1]
    columns = [str(year) for year in years]
    return cell_heat(values[::-1], columns, names, -reach, reach, BETTER_IS_BLUE, ".1%", xaxis_type="category")


def frontier(report: SweepReport, risk: str, gain: str, x: str, y: str) -> Any:
    """Return what every point earned against what it risked; the line joins those that none beats in both.

    Points of the grid are coloured by the first axis, from red to blue; those beside it are hollow, with their names.
    """
    from plotly import graph_objects as go

    across, up = _metric(report.points, risk), _metric(report.points, gain)
    best = efficient(across, up)
    traces = [
        go.Scatter(
            x=short(across[best]),
            y=short(up[best]),
            mode="lines",
            name="none better in both",
            line={"color": GREY, "width": 1.2, "dash": "dot"},
            hoverinfo="skip",
        )
    ]
    first = next(iter(report.axes.values()), ())
    for k, label in enumerate(first):
        own = [n for n, point in enumerate(report.points) if point.labels is not None and point.labels[0] == label]
        marker = {"color": shades(len(first))[k], "size": 9}
        traces.append(_dots(report, own, across, up, f"{next(iter(report.axes))} {label}", marker))
    beside = [n for n, point in enumerate(report.points) if point.labels is None]
    if beside:
        marker = {"color": ORANGE if first else BLUE, "size": 9, "symbol": "diamond-open"}
        traces.append(_dots(report, beside, across, up, "beside the grid", marker))
    figure = new_figure(traces, x=x, y=y, y_format=".1%", hovermode="closest")
    figure.update_xaxes(tickformat=".1%")
    return figure


def efficient(risk: Doubles, gain: Doubles) -> np.ndarray:
    """Return the places of the points that no other beats in both, by increasing risk; those with NaN are none."""
    order = np.lexsort((-gain, risk))
    kept, most = [], -np.inf
    for n in order:
        if gain[n] > most and np.isfinite(risk[n]):
            kept.append(int(n))
            most = gain[n]
    return np.array(kept, dtype=np.int64)


def _dots(report: SweepReport, own: list[int], x: Doubles, y: Doubles, name: str, marker: dict[str, Any]) -> Any:
    from plotly import graph_objects as go

    return go.Scatter(
        x=short(x[own]),
        y=short(y[own]),
        mode="markers",
        name=name,
        marker=marker,
        text=[report.points[n].name for n in own],
        hovertemplate="%{text}<br>%{x:.2%}, %{y:.2%}<extra></extra>",
    )


def _metric(points: Sequence[SweepPoint], name: str) -> Doubles:
    return np.array([point.result.metrics.get(name, np.nan) for point in points], dtype=np.float64)
