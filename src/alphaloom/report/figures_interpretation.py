"""Plotly figures of what models learned: importances, SHAP values, integrated gradients, attention, gates."""

from typing import Any

import numpy as np
import polars as pl

from alphaloom.report.figures import short
from alphaloom.report.theme import BLUE, DIVERGING, GREY, ORANGE, TEAL, fade, new_figure
from alphaloom.typing import Doubles

MOST_DATES = 120
"""Columns of a heat map by date; more dates are averaged in runs."""
SEEN = [[0.0, "rgba(128,128,128,0.04)"], [1.0, BLUE]]
LOW_AND_HIGH = [[0.0, ORANGE], [0.5, GREY], [1.0, BLUE]]


def drop_bars(summary: pl.DataFrame) -> Any:
    """Return the drop in RankIC of each row of a permutation summary, two Newey-West errors either side.

    A row without an error has no such bar.
    """
    from plotly import graph_objects as go

    rows = summary.reverse()
    bars = go.Bar(
        x=short(rows["drop"].cast(pl.Float64).fill_null(float("nan")).to_numpy()),
        y=rows["feature"].to_list(),
        orientation="h",
        error_x={"type": "data", "array": short(2 * rows["se"].fill_null(0.0).to_numpy()), "color": GREY, "width": 0},
        marker={"color": [TEAL if group else BLUE for group in rows["is_group"]]},
    )
    figure = new_figure([bars], x="drop in RankIC", hovermode="closest", yaxis_type="category")
    figure.update_xaxes(hoverformat=".4f")
    return figure


def swarm(points: pl.DataFrame, features: list[str], *, most: int = 200) -> Any:
    """Return single SHAP values by feature, the first on top, coloured by the feature's rank among the stocks.

    Points of a row are moved up and down by how many there are at the same value, so that the row shows their density.
    Those of a missing feature are hollow.
    """
    place = {name: k for k, name in enumerate(reversed(features))}
    x, y, rank = [], [], []
    for name in features:
        part = points.filter(pl.col("feature") == name)
        part = part.gather_every(max(1, -(-part.height // most)))
        values = part["value"].cast(pl.Float64).to_numpy()
        x.append(values)
        y.append(place[name] + 0.38 * _spread(values))
        rank.append(part["place"].cast(pl.Float64).fill_null(float("nan")).to_numpy())
    across, up, shade = (np.concatenate(parts) for parts in (x, y, rank))
    there = ~np.isnan(shade)
    colours = {"color": short(shade[there], digits=2), "cmin": 0, "cmax": 1, "colorscale": LOW_AND_HIGH}
    traces = [_dots(across[there], up[there], "rank %{marker.color:.0%}", {"opacity": 0.75, **colours})]
    if not there.all():
        hollow = {"color": GREY, "symbol": "circle-open"}
        traces.append(_dots(across[~there], up[~there], "missing", hollow))
    figure = new_figure(traces, x="added to the score", hovermode="closest")
    ticks = {"tickvals": list(range(len(features))), "ticktext": list(reversed(features))}
    figure.update_yaxes(**ticks, showgrid=False, zeroline=False, range=[-0.6, len(features) - 0.4])
    return figure


def _dots(x: Doubles, y: Doubles, words: str, marker: dict[str, Any]) -> Any:
    from plotly import graph_objects as go

    return go.Scatter(
        x=short(x),
        y=[round(float(v), 2) for v in y],
        mode="markers",
        marker={"size": 4, **marker},
        hovertemplate=f"%{{x:.4g}}, {words}<extra></extra>",
        showlegend=False,
    )


def _spread(values: Doubles, bins: int = 60) -> Doubles:
    """Return a shift between -1 and 1 for each value: the more values near it, the wider they are laid out."""
    if values.size == 0 or np.ptp(values) == 0:
        return np.zeros(values.size)
    bin_of = np.minimum((bins * (values - values.min()) / np.ptp(values)).astype(int), bins - 1)
    fullest = max(2, int(np.bincount(bin_of).max()))
    shift = np.zeros(values.size)
    for b in np.unique(bin_of):
        inside = np.flatnonzero(bin_of == b)
        k = np.arange(inside.size)
        shift[inside] = np.where(k % 2 == 0, 1, -1) * ((k + 1) // 2) * 2 / fullest
    return shift.clip(-1, 1)


def step_shares(steps: pl.DataFrame, features: list[str]) -> Any:
    """Return each feature's part of the spread by rows back: a heat map, the first feature on top."""
    back = sorted(steps["rows_back"].unique().to_list(), reverse=True)
    order = list(reversed(features))
    values = np.full((len(order), len(back)), np.nan)
    for feature, rows, share in steps.select("feature", "rows_back", "share").iter_rows():
        if feature in order:
            values[order.index(feature), back.index(rows)] = share
    bound = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 1.0
    return _heat(values, [_ago(rows) for rows in back], order, -bound, bound, DIVERGING, ".1%", x_kind="category")


def step_bars(summary: pl.DataFrame) -> Any:
    """Return the mean weight of each step with the middle four fifths of the stocks."""
    from plotly import graph_objects as go

    frame = summary.sort("rows_back", descending=True)
    weight, low, high = (frame[key].to_numpy() for key in ("weight", "low", "high"))
    error = {
        "type": "data",
        "symmetric": False,
        "array": short(np.maximum(high - weight, 0)),
        "arrayminus": short(np.maximum(weight - low, 0)),
        "color": GREY,
    }
    labels = [_ago(rows) for rows in frame["rows_back"]]
    bars = go.Bar(x=labels, y=short(weight), error_y=error, marker={"color": BLUE}, name="mean weight")
    even = go.Scatter(
        x=labels,
        y=[round(1 / frame.height, 5)] * frame.height,
        mode="lines",
        name="even",
        line={"color": ORANGE, "dash": "dot"},
    )
    figure = new_figure([bars, even], y_format=".1%", xaxis_type="category")
    figure.update_yaxes(rangemode="tozero")
    return figure


def step_heat(attention: pl.DataFrame) -> Any:
    """Return the mean weight of each step by date."""
    back = sorted(attention["rows_back"].unique().to_list())
    values, dates = by_date(attention, "rows_back", back, "weight")
    return _heat(values, dates, [_ago(rows) for rows in back], 0, float(np.nanmax(values)), SEEN, ".1%")


def gate_heat(gate: pl.DataFrame, features: list[str]) -> Any:
    """Return the gate's weight of each feature by date, around 1; the first feature on top."""
    order = list(reversed(features))
    values, dates = by_date(gate, "feature", order, "weight")
    reach = max(float(np.nanmax(np.abs(values - 1))), 1e-9)
    return _heat(values, dates, order, 1 - reach, 1 + reach, DIVERGING, ".3f")


def by_date(frame: pl.DataFrame, key: str, rows: list[Any], value: str) -> tuple[Doubles, list[str]]:
    """Return `value` as `[rows, dates]` and the dates as text; runs of dates are averaged down to `MOST_DATES`."""
    dates = frame["date"].unique().sort()
    size = -(-dates.len() // MOST_DATES)
    shown = dates.gather_every(size)
    place = pl.col("date").rank("dense").cast(pl.Int64)
    cells = (
        frame.with_columns(((place - 1) // size).alias("run"))
        .group_by(key, "run")
        .agg(pl.col(value).mean())
        .iter_rows()
    )
    out = np.full((len(rows), shown.len()), np.nan)
    where = {name: k for k, name in enumerate(rows)}
    for name, run, mean in cells:
        if name in where:
            out[where[name], run] = mean
    return out, shown.cast(pl.String).to_list()


def _heat(
    values: Doubles, x: list[str], y: list[str], low: float, high: float, scale: Any, form: str, *, x_kind: str = "-"
) -> Any:
    from plotly import graph_objects as go

    heat = go.Heatmap(
        z=[short(row, digits=3) for row in values],
        x=x,
        y=y,
        zmin=float(f"{low:.4g}"),
        zmax=float(f"{high:.4g}"),
        colorscale=scale,
        hovertemplate=f"%{{y}}, %{{x}}: %{{z:{form}}}<extra></extra>",
        colorbar={"thickness": 8, "outlinewidth": 0, "tickformat": form, "len": 0.9},
    )
    figure = new_figure([heat], hovermode="closest", yaxis_type="category", xaxis_type=x_kind)
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(showgrid=False)
    return figure


def direction_colour(value: float | None) -> str:
    """Return the colour of a direction: blue upwards, orange downwards, pale when it is neither."""
    if value is None or abs(value) < 0.1:
        return fade(GREY, 0.7)
    return BLUE if value > 0 else ORANGE


def strength_bars(summary: pl.DataFrame) -> Any:
    """Return mean |SHAP value| of each row of a summary, coloured by direction."""
    from plotly import graph_objects as go

    rows = summary.reverse()
    bars = go.Bar(
        x=short(rows["share"].to_numpy()),
        y=rows["feature"].to_list(),
        orientation="h",
        marker={"color": [direction_colour(value) for value in rows["direction"]]},
    )
    figure = new_figure([bars], x="share of mean |SHAP value|", hovermode="closest", yaxis_type="category")
    figure.update_xaxes(tickformat=".1%", hoverformat=".2%")
    return figure


def _ago(rows: int) -> str:
    return "t" if rows == 0 else f"t − {rows}"
