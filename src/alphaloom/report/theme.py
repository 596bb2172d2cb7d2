"""Colours and layout that all figures share; both work on light and dark pages."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from alphaloom.typing import Doubles

BLUE, ORANGE, TEAL, PURPLE, GREY, RED = "#3b82c4", "#e08a3c", "#2f9e8f", "#8f6bc4", "#8a93a0", "#cf5c5c"
SERIES = (BLUE, ORANGE, TEAL, PURPLE, RED, "#b5a13a", GREY)
LOW_TO_HIGH = ("#cf5c5c", "#e08a3c", "#b5a13a", "#2f9e8f", "#3b82c4")
LEAST_RATIO = 8.0
"""Values over at least this ratio are shown on a log axis where they are spaced by ratios."""
DIVERGING = [[0.0, ORANGE], [0.5, "rgba(128,128,128,0.04)"], [1.0, BLUE]]


def new_figure(traces: Sequence[Any], *, x: str = "", y: str = "", y_format: str = "", **layout: Any) -> Any:
    """Return a figure with the shared layout: axis titles `x` and `y`, hover format `y_format` (d3).

    Ticks follow `y_format` when it is a percentage; else they are as short as they can be.
    """
    from plotly import graph_objects

    figure = graph_objects.Figure(list(traces))
    figure.update_layout(
        template="none",
        margin={"l": 56, "r": 16, "t": 12, "b": 44},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        hovermode="x unified",
        xaxis={"title": {"text": x}, "automargin": True},
        yaxis={
            "title": {"text": y, "standoff": 10},
            "automargin": True,
            "tickformat": y_format if y_format.endswith("%") else "",
            "hoverformat": y_format,
        },
    )
    figure.update_layout(**layout)
    return figure


def use_log_axis(figure: Any, values: Doubles) -> Any:
    """Return the figure with a logarithmic y axis, ticked at a few round numbers between the least and largest value.

    The axis stays linear when there is no value, no variation, or one that is not positive.
    """
    present = values[~np.isnan(values)]
    low, high = (float(present.min()), float(present.max())) if present.size else (0.0, 0.0)
    if not 0 < low < high:
        return figure
    ticks = round_ticks(low, high)
    figure.update_yaxes(type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    return figure


def is_spaced_by_ratios(values: Sequence[float]) -> bool:
    """Return whether increasing positive values over a wide ratio are spaced more evenly by ratios than by steps."""
    x = np.array(sorted(set(values)), dtype=np.float64)
    if x.size < 3 or x[0] <= 0 or x[-1] / x[0] < LEAST_RATIO:
        return False
    steps, ratios = np.diff(x), np.diff(np.log(x))
    return bool(ratios.std() / ratios.mean() < steps.std() / steps.mean())


def use_ratio_axis(figure: Any, values: Sequence[float], spacing: Sequence[float]) -> None:
    """Make the x axis logarithmic where the values of `spacing` are spaced by ratios and all of `values` allow it."""
    if is_spaced_by_ratios(spacing) and min(values) > 0:
        ticks = round_ticks(min(values), max(values), most=6)
        figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])


def round_ticks(low: float, high: float, *, most: int = 8) -> list[float]:
    """Return round numbers between two positive bounds: equal steps below a ratio of 4, else a few of each power."""
    if high / low < 4:
        power = 10.0 ** math.floor(math.log10(high - low))
        step = next(k * power for k in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0) if (high - low) / (k * power) <= most)
        return [round(k * step, 10) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for digits in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)):
        found = [round(d * 10.0**k, 10) for k in powers for d in digits if low <= d * 10.0**k <= high]
        ticks = found if len(found) <= most or not ticks else ticks
    return ticks


def shades(n: int) -> list[str]:
    """Return n colours from the lowest to the highest quantile."""
    if n <= 1:
        return [LOW_TO_HIGH[-1]]
    colours = [tuple(int(c[k : k + 2], 16) for k in (1, 3, 5)) for c in LOW_TO_HIGH]
    result = []
    for k in range(n):
        place = k * (len(colours) - 1) / (n - 1)
        low = min(int(place), len(colours) - 2)
        part = place - low
        mixed = (round(a + (b - a) * part) for a, b in zip(colours[low], colours[low + 1], strict=True))
        result.append("rgb({},{},{})".format(*mixed))
    return result


def fade(colour: str, share: float) -> str:
    """Return a `#rrggbb` colour with the given opacity."""
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share:g})"
