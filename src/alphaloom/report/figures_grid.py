"""Plotly figures of grids of recipes: forests of intervals, windows, a map over two axes, a line over one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from alphaloom.report.figures import cell_heat, short
from alphaloom.report.figures_sweep import BETTER_IS_BLUE, colour_range
from alphaloom.report.grid import Cell, GridReport
from alphaloom.report.theme import BLUE, GREY, ORANGE, RED, SERIES, TEAL, fade, new_figure, use_ratio_axis
from alphaloom.typing import Doubles

LEVEL = 0.05
"""Chance below which a difference counts as clear."""


def rank_ic_forest(report: GridReport, points: pl.DataFrame) -> Any:
    """Return RankIC of every point with its interval, a colour each value of the first axis; the baseline is a diamond.

    Points stand by the first axis, in the order given within it, those beside the grid last; a dotted line marks the
    baseline's mean, over its replicates where there are some. `points` is `report.table()`.
    """
    groups: dict[str, list[str]] = {}
    first = next(iter(report.axes), "")
    for label in (*report.axes.get(first, ()), None):
        known = [p for p in report.points if p.name in report.series and (p.labels[0] if p.labels else None) == label]
        if known:
            groups["beside the grid" if label is None else f"{first} {label}"] = [point.name for point in known]
    marks = {point.name: " · ".join(point.labels) or point.name for point in report.points}
    base = {point.name for point in report.cells[report.base_cell]}
    traces, shown, ends = [], list[str](), list[float | None]()
    for k, (title, names) in enumerate(groups.items()):
        own = points.filter(pl.col("point").is_in(names))
        symbols = ["diamond" if name in base else "circle" for name in names]
        marker = {"size": 9, "symbol": symbols, "color": SERIES[k % len(SERIES)]}
        shown += (here := [marks[name] for name in names])
        ends += [*own["low"], *own["high"]]
        traces.append(_intervals(own, ("rank_ic", "low", "high"), here, title, marker))
    figure = new_figure(traces, x="RankIC", hovermode="closest", showlegend=len(traces) > 1)
    series = report.cell_series.get(report.base_cell)
    if series is not None:
        figure.add_vline(x=float(series["value"].to_numpy().mean()), line={"color": GREY, "dash": "dot", "width": 1.2})
    return _forest_axes(figure, shown, ends)


def difference_forest(tests: pl.DataFrame, places: Sequence[str], x: str) -> Any:
    """Return each difference with its interval, zero marked.

    Filled where Holm's p is below 5 %, hollow where it is not; green above zero, red below, grey where the interval
    holds zero.

    Args:
        tests: rows of `GridReport.comparisons` or `effects`.
        places: what each row is called.
        x: title of the axis.
    """
    keep = tests["difference"].is_not_null().to_list()
    own = tests.filter(pl.col("difference").is_not_null())
    names = [place for place, there in zip(places, keep, strict=True) if there]
    colours, symbols = [], []
    for row in own.to_dicts():
        low, high, holm = (
            np.nan if row[key] is None else row[key] for key in ("difference_low", "difference_high", "p_holm")
        )
        colours.append(TEAL if low > 0 else RED if high < 0 else GREY)
        symbols.append("circle" if holm < LEVEL else "circle-open")
    marker = {"size": 9, "color": colours, "symbol": symbols}
    dots = _intervals(own, ("difference", "difference_low", "difference_high"), names, "", marker)
    figure = new_figure([dots], x=x, hovermode="closest", showlegend=False)
    figure.update_xaxes(zeroline=True, zerolinewidth=2)
    return _forest_axes(figure, names, own["difference_low"].to_list() + own["difference_high"].to_list() + [0.0])


def _forest_axes(figure: Any, names: Sequence[str], ends: Sequence[float | None]) -> Any:
    """Return a forest with its rows in the order given, the first on top, over the given ends of intervals.

    Names stand above the intervals: beside them, long ones would leave a narrow screen no width.
    """
    known = [value for value in ends if value is not None]
    if known:
        slack = 0.04 * (max(known) - min(known)) or 0.01
        figure.update_xaxes(range=short([min(known) - slack, max(known) + slack]))
    figure.update_yaxes(type="category", categoryorder="array", categoryarray=list(names)[::-1], title=None)
    figure.update_yaxes(showticklabels=False, range=[-0.6, len(names) - 0.1])
    at = {"x": 0, "xref": "paper", "xanchor": "left", "yanchor": "bottom", "showarrow": False}
    # By place: a name such as 10 would be taken for a place.
    notes = [{"text": name, "y": k, **at} for k, name in enumerate(reversed(names))]
    figure.update_xaxes(hoverformat=".4f")
    figure.update_layout(margin={"l": 16}, annotations=notes)
    return figure


def _intervals(frame: pl.DataFrame, keys: tuple[str, str, str], places: Sequence[str], name: str, marker: Any) -> Any:
    from plotly import graph_objects as go

    centre, low, high = (_floats(frame, key) for key in keys)
    error = {
        "type": "data",
        "symmetric": False,
        "array": short(np.nan_to_num(high - centre)),
        "arrayminus": short(np.nan_to_num(centre - low)),
        "color": GREY,
        "thickness": 1.5,
        "width": 3,
    }
    return go.Scatter(x=short(centre), y=list(places), name=name, mode="markers", marker=marker, error_x=error)


def window_lines(windows: pl.DataFrame) -> Any:
    """Return the RankIC of each point by test window, one line a point."""
    from plotly import graph_objects as go

    traces = []
    for k, name in enumerate(windows["mark"].unique(maintain_order=True)):
        own = windows.filter(pl.col("mark") == name)
        traces.append(
            go.Scatter(
                x=own["test_start"].cast(pl.String).to_list(),
                y=short(own["rank_ic"].to_numpy()),
                name=name,
                mode="lines+markers",
                line={"color": SERIES[k % len(SERIES)], "width": 1.6, "dash": "solid" if k < len(SERIES) else "dot"},
                marker={"size": 5},
            )
        )
    return new_figure(traces, y_format=".4f")


def window_heat(windows: pl.DataFrame) -> Any:
    """Return the RankIC of each point (rows) by test window (columns)."""
    names = windows["mark"].unique(maintain_order=True).to_list()
    starts = sorted(windows["test_start"].unique().to_list())
    values = np.full((len(names), len(starts)), np.nan)
    for name, start, value in windows.select("mark", "test_start", "rank_ic").iter_rows():
        values[names.index(name), starts.index(start)] = value
    reach = float(np.nanmax(np.abs(values)))
    x = [str(start)[:7] for start in starts]
    return cell_heat(
        values[::-1], x, names[::-1], -reach, reach, BETTER_IS_BLUE, ".3f", hover=".4f", xaxis_type="category"
    )


def on_grid(report: GridReport) -> list[Cell]:
    """Return the cells with a RankIC that do not stand beside the grid."""
    return [cell for cell in report.cell_series if not cell.beside]


def choice_heat(report: GridReport) -> Any:
    """Return the mean RankIC over the two choices: rows the first, its first value on top; columns the second."""
    (rows, y), (columns, x) = report.choices.items()
    values = np.full((len(y), len(x)), np.nan)
    for cell in on_grid(report):
        a, b = cell.labels
        values[y.index(a), x.index(b)] = report.cell_series[cell]["value"].to_numpy().mean()
    low, high = colour_range(values)
    figure = cell_heat(values[::-1], x, list(y)[::-1], low, high, BETTER_IS_BLUE, ".4f", xaxis_type="category")
    figure.update_xaxes(title={"text": columns})
    figure.update_yaxes(title={"text": rows, "standoff": 8})
    return figure


def numbers_of(labels: Sequence[str]) -> list[float] | None:
    """Return labels as numbers; None where one of them is none."""
    try:
        return [float(label) for label in labels]
    except ValueError:
        return None


def choice_line(report: GridReport) -> Any:
    """Return RankIC over the only choice, whose values are numbers, with the interval as a band.

    Replicates are dots; a diamond marks the baseline.
    """
    from plotly import graph_objects as go

    ((axis, _),) = report.choices.items()
    cells = sorted(on_grid(report), key=lambda cell: float(cell.labels[0]))
    x = [float(cell.labels[0]) for cell in cells]
    tests = [report.test(report.cell_series[cell]) for cell in cells]
    mean, low, high = (np.array([getattr(test, key) for test in tests]) for key in ("mean", "low", "high"))
    band = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    traces = [
        go.Scatter(x=x, y=short(high), **band),
        go.Scatter(x=x, y=short(low), fill="tonexty", fillcolor=fade(BLUE, 0.18), **band),
        go.Scatter(x=x, y=short(mean), name="RankIC", mode="lines+markers", line={"color": BLUE, "width": 2}),
    ]
    if report.replicate is not None:
        dots = [(float(c.labels[0]), p.name) for c in cells for p in report.cells[c] if p.name in report.series]
        y = [report.series[name]["value"].to_numpy().mean() for _, name in dots]
        names = [name for _, name in dots]
        marker = {"color": GREY, "size": 5}
        traces.append(
            go.Scatter(
                x=[at for at, _ in dots], y=short(y), text=names, name="replicates", mode="markers", marker=marker
            )
        )
    base = report.base_cell
    if base in cells:
        marker = {"symbol": "diamond", "size": 11, "color": ORANGE, "line": {"width": 1, "color": "white"}}
        y = short([mean[cells.index(base)]])
        traces.append(go.Scatter(x=[float(base.labels[0])], y=y, name="baseline", mode="markers", marker=marker))
    figure = new_figure(traces, x=axis, y_format=".4f", hovermode="closest", legend_traceorder="normal")
    use_ratio_axis(figure, x, x)
    return figure


def _floats(frame: pl.DataFrame, key: str) -> Doubles:
    return frame[key].cast(pl.Float64).fill_null(float("nan")).to_numpy()
