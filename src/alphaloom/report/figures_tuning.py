"""Plotly figures of searches for settings: scans of single settings, candidates, and the settings chosen."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from alphaloom.report.figures import short
from alphaloom.report.theme import BLUE, DIVERGING, GREY, ORANGE, PURPLE, TEAL, fade, new_figure, shades, use_ratio_axis
from alphaloom.report.tuning import Record, ends, is_number, recipe_candidate, settings_of, shown, sign
from alphaloom.typing import Doubles

ROUNDS = (BLUE, TEAL, PURPLE)
MOST_NAMES = 6
"""A legend names at most so many windows."""


def scan_lines(record: Record, path: str) -> Any:
    """Return the mean objective over folds against the values of one setting, one line a round of the scan.

    Bands are one standard error over the tested dates, after each date's own mean is taken out, which all values share.
    The range that is searched on is shaded; a diamond marks the recipe's own settings.
    """
    rounds = [item for item in record["scan"] if item["setting"] == path and item["points"]]
    values = [point["value"] for item in rounds for point in item["points"]]
    has_numbers = all(map(is_number, [*values, rounds[0]["own"]]))
    traces = []
    for k, item in enumerate(rounds):
        traces += _scanned(item, ROUNDS[min(k, len(ROUNDS) - 1)], has_numbers=has_numbers)
    own = recipe_candidate(record)
    if own is not None:
        traces.append(_recipe(rounds[0]["own"] if has_numbers else shown(rounds[0]["own"]), own["mean"]))
    figure = new_figure(traces, x=path, y_format=".4f", hovermode="closest", legend_traceorder="normal")
    kept = record["space"].get(path)
    if has_numbers:
        use_ratio_axis(figure, [*values, rounds[0]["own"]], [point["value"] for point in rounds[0]["points"]])
    else:
        figure.update_xaxes(type="category")
    if kept is not None:
        low, high = ends(kept)
        order = list(dict.fromkeys(map(shown, values)))
        x0, x1 = (low, high) if has_numbers else (order.index(shown(low)) - 0.4, order.index(shown(high)) + 0.4)
        figure.add_vrect(x0=x0, x1=x1, fillcolor=fade(GREY, 0.16), line_width=0, layer="below")
    return figure


def _scanned(item: Record, colour: str, *, has_numbers: bool) -> list[Any]:
    """Return band and line of one round."""
    from plotly import graph_objects as go

    x = [point["value"] if has_numbers else shown(point["value"]) for point in item["points"]]
    mean = np.array([point["mean"] for point in item["points"]])
    error = paired_error(np.array([np.concatenate(point["daily"]) for point in item["points"]]))
    band = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    return [
        go.Scatter(x=x, y=short(mean + error), **band),
        go.Scatter(x=x, y=short(mean - error), fill="tonexty", fillcolor=fade(colour, 0.18), **band),
        go.Scatter(
            x=x,
            y=short(mean),
            name=f"round {item['round']}",
            mode="lines+markers",
            line={"color": colour, "width": 1.8},
            marker={"size": 6},
        ),
    ]


def _recipe(x: Any, y: float) -> Any:
    from plotly import graph_objects as go

    marker = {"symbol": "diamond", "size": 11, "color": ORANGE, "line": {"width": 1, "color": "white"}}
    return go.Scatter(x=[x], y=short([y]), mode="markers", name="the recipe's own", marker=marker)


def paired_error(daily: Doubles) -> Doubles:
    """Return the standard error of each row's mean over the columns of `daily [points, dates]`, less what they share.

    Each column's own mean is taken out first; the factor for it makes up for one mean less.

    Source: Cousineau (2005), corrected by Morey (2008): within-subject standard errors.
    """
    points, count = daily.shape
    if points < 2:
        return np.full(points, np.nan)
    own = daily - daily.mean(axis=0)
    return np.asarray(own.std(axis=1, ddof=1) / np.sqrt(count) * np.sqrt(points / (points - 1)))


def search_lines(records: Sequence[Record]) -> Any:
    """Return how much better than the recipe's own settings each candidate of a model was, and the best so far.

    One colour a window; candidates given up before their last fold are grey, and compared over the folds they have.
    Better is up for either objective. Where the recipe's settings could not be fitted, the first candidate takes
    their place.
    """
    from plotly import graph_objects as go

    colours = shades(len(records))
    traces, pruned_x, pruned_y = [], list[int](), list[float]()
    for record, colour in zip(records, colours, strict=True):
        gain = candidate_gains(record)
        numbers = np.arange(1, gain.size + 1)
        is_complete = np.array([item["state"] == "complete" for item in record["candidates"]])
        best = np.maximum.accumulate(np.where(is_complete, gain, -np.inf))
        line = {"color": colour, "width": 1.6, "shape": "hv"}
        name = str(record["window"])
        traces.append(
            go.Scatter(x=numbers.tolist(), y=short(best), name=name, mode="lines", line=line, legendgroup=name)
        )
        dots = {
            "mode": "markers",
            "marker": {"color": colour, "size": 5, "opacity": 0.65},
            "showlegend": False,
            "legendgroup": name,
        }
        traces.append(go.Scatter(x=numbers[is_complete].tolist(), y=short(gain[is_complete]), name=name, **dots))
        pruned_x += numbers[~is_complete].tolist()
        pruned_y += gain[~is_complete].tolist()
    if pruned_x:
        marker = {"color": GREY, "size": 5, "symbol": "x-thin", "line": {"width": 1.2, "color": GREY}}
        traces.append(go.Scatter(x=pruned_x, y=short(pruned_y), name="given up", mode="markers", marker=marker))
    has_names = len(records) <= MOST_NAMES
    figure = new_figure(traces, x="candidate", y_format=".4f", hovermode="closest", showlegend=has_names)
    figure.update_xaxes(rangemode="tozero")
    return figure


def candidate_gains(record: Record) -> Doubles:
    """Return how much better each candidate is than the recipe's own settings, over the folds that it was scored on."""
    own = recipe_candidate(record) or next(item for item in record["candidates"] if item["state"] == "complete")
    values = [np.array(item["values"]) for item in record["candidates"]]
    return sign(record) * np.array([(item - own["values"][: item.size]).mean() for item in values])


def chosen_heat(records: Sequence[Record]) -> Any:
    """Return the best value of each setting (rows) in each window of a model, coloured by its place in the range."""
    from plotly import graph_objects as go

    paths = settings_of(records)[::-1]
    places = np.full((len(paths), len(records)), np.nan)
    words = [["" for _ in records] for _ in paths]
    for j, record in enumerate(records):
        for i, path in enumerate(paths):
            if path in record["space"]:
                value = record["best"]["settings"][path]
                places[i, j] = place_in(record["space"][path], value)
                words[i][j] = f"{value:.2g}" if isinstance(value, float) else str(value)
    heat = go.Heatmap(
        z=[short(row) for row in places],
        x=[str(record["test_start"])[:7] for record in records],
        y=paths,
        zmin=0.0,
        zmax=1.0,
        colorscale=DIVERGING,
        text=words,
        texttemplate="%{text}",
        hovertemplate="%{y}, %{x}: %{text}<extra></extra>",
        xgap=2,
        ygap=2,
        showscale=False,
    )
    axes: dict[str, Any] = {"xaxis_type": "category", "yaxis_type": "category"}
    figure = new_figure([heat], x="first test month", hovermode="closest", **axes)
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(showgrid=False)
    return figure


def place_in(span: Record, value: Any) -> float:
    """Return where a value lies in a range as a record holds it: 0 at its first and 1 at its last value.

    Distance is in the range's own measure. A value outside, such as the recipe's own, lies at the nearer end; one that
    a list does not hold, nowhere (NaN).
    """
    listed = span.get("values")
    if listed:
        if value not in listed:
            return math.nan
        return float(listed.index(value) / (len(listed) - 1)) if len(listed) > 1 else 0.5
    low, high = span["low"], span["high"]
    if span.get("log"):
        low, high, value = math.log(low), math.log(high), math.log(max(value, low))
    return min(max(float(value - low) / float(high - low), 0.0), 1.0)
