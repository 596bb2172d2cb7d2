"""The section on what the models learned, a few blocks a method; a method without drawings gets its table."""

from collections.abc import Callable, Sequence

import polars as pl

from alphaloom.interpretation.base import Interpretation
from alphaloom.interpretation.integrated_gradients import step_means
from alphaloom.report import figures_interpretation as figures
from alphaloom.report.content import (
    Block,
    Chart,
    Column,
    Section,
    Table,
    Text,
    any_table,
    count,
    number,
    percent,
    significant,
    table,
    text,
)

MOST, ROWS = 20, 40
"""Features in a figure, rows in a table; the run's folder holds all of them."""
LEAD = (
    "What the fitted models make of their inputs on dates that they did not see. It tells what a model uses, not what "
    "causes returns."
)

PERMUTATION = (
    Column("feature", "Feature", text, numeric=False),
    Column("drop", "Drop in RankIC", number(4), "mean over test dates"),
    Column("se", "Standard error", number(4), "Newey-West over dates"),
    Column("t", "t (NW)", number(2)),
    Column("share", "of RankIC", percent(1), "drop over the model's RankIC on the same dates"),
    Column("days", "Dates", count),
    Column("members", "Members", text, "features permuted together", numeric=False),
)
SHAP = (
    Column("feature", "Feature", text, numeric=False),
    Column("mean_abs", "Mean |SHAP value|", significant, "in units of the score"),
    Column("share", "Share", percent(1)),
    Column("direction", "Direction", number(2), "correlation of the value with the feature's rank among the stocks"),
    Column("days", "Dates", count),
)
GRADIENTS = (
    Column("feature", "Feature", text, numeric=False),
    Column("share", "Share of spread", percent(1), "signed; all features sum to 100 %"),
    Column("size", "Size", percent(1), "sum over steps of |share|"),
    Column("mean_abs", "Mean |part of a score|", significant, "in units of the score"),
)
ATTENTION = (
    Column("rows_back", "Rows back", count),
    Column("weight", "Weight", percent(1)),
    Column("between_stocks", "Between stocks", percent(1), "standard deviation"),
    Column("between_dates", "Between dates", percent(1), "standard deviation of the daily mean"),
    Column("low", "Lowest tenth below", percent(1)),
    Column("high", "Highest tenth above", percent(1)),
    Column("days", "Dates", count),
)
GATE = (
    Column("feature", "Feature", text, numeric=False),
    Column("weight", "Weight", number(3), "1 is no scaling"),
    Column("between_dates", "Between dates", number(4), "standard deviation"),
    Column("lowest", "Lowest", number(3)),
    Column("highest", "Highest", number(3)),
    Column("days", "Dates", count),
)


def interpretation_section(found: Sequence[Interpretation], notes: Sequence[str] = ()) -> Section:
    """Return what each method told of each model, and which methods suited none."""
    blocks: list[Block] = []
    for item in found:
        summary = item.summary()
        for model in item.models():
            draw = DRAWN.get(item.method.name, _plain)
            blocks += draw(item, model, summary.filter(pl.col("model") == model).drop("model"))
    blocks += [Text(note) for note in notes]
    return Section("interpretation", "Interpretation", LEAD, blocks)


def _own(item: Interpretation, model: str, which: int = 0) -> pl.DataFrame:
    """Return one of a method's tables for one model."""
    return item.frames[type(item.method).tables[which]].filter(pl.col("model") == model)


def _first(
    caption: str, summary: pl.DataFrame, columns: Sequence[Column], *, note: str = "", fold: bool = True
) -> Table:
    """Return a table of a summary's first rows, with a word on how many there are."""
    if summary.height > ROWS:
        note = f"The first {ROWS} of {summary.height}. {note}".strip()
    return table(caption, summary.head(ROWS), columns, note=note, is_folded=fold)


def _height(rows: int) -> int:
    return 80 + 18 * rows


def _permutation(item: Interpretation, model: str, summary: pl.DataFrame) -> list[Block]:
    single, groups = summary.filter(~pl.col("is_group")), summary.filter("is_group")
    top = single.head(MOST)
    note = (
        "Bars: two Newey-West errors, where dates suffice. Each feature is dealt out anew among the stocks of the day."
    )
    blocks: list[Block] = [
        Chart(f"Permutation: {model}", figures.drop_bars(top), note, _height(top.height), bool(len(groups)))
    ]
    if groups.height:
        correlated = item.method.describe()["correlated"]
        note = f"Features with a mean |rank correlation| of {correlated:g} and more are dealt out together."
        first = groups.head(MOST)
        blocks.append(
            Chart(
                f"Permutation of groups: {model}",
                figures.drop_bars(first),
                note,
                _height(max(first.height, 6)),
                is_half=True,
            )
        )
        blocks.append(_first(f"Drop in RankIC of groups: {model}", groups, PERMUTATION, fold=groups.height > 6))
    blocks.append(_first(f"Drop in RankIC: {model}", single.drop("members"), PERMUTATION))
    return blocks


def _shap(item: Interpretation, model: str, summary: pl.DataFrame) -> list[Block]:
    top = summary.head(MOST)
    worst = f"{summary['residual'].to_numpy().max():.0e}"
    points = figures.swarm(_own(item, model, 1), top["feature"].to_list())
    note = "Blue raises the score with the feature, orange lowers it."
    dots = "One dot a stock and day; blue is a high value of the feature, orange a low one."
    return [
        Chart(f"SHAP: {model}", figures.strength_bars(top), note, _height(top.height), is_half=True),
        Chart(f"SHAP values: {model}", points, dots, _height(top.height), is_half=True),
        _first(f"SHAP: {model}", summary, SHAP, note=f"Values sum to the scores within {worst}."),
    ]


def _gradients(item: Interpretation, model: str, summary: pl.DataFrame) -> list[Block]:
    steps = step_means(_own(item, model))
    top = summary.head(MOST)
    note = (
        f"Part of the spread of the day's scores; the parts miss it by {percent(2)(summary['residual'].max())} of it. "
        "The baseline is zero: the mean stock only after a cross-sectional standardisation."
    )
    figure = figures.step_shares(steps, top["feature"].to_list())
    return [
        Chart(f"Integrated gradients: {model}", figure, note, _height(top.height)),
        _first(f"Integrated gradients: {model}", summary, GRADIENTS),
    ]


def _attention(item: Interpretation, model: str, summary: pl.DataFrame) -> list[Block]:
    note = "Bars: the middle four fifths of the stocks."
    return [
        Chart(f"Weights of the steps: {model}", figures.step_bars(summary), note, 300, is_half=True),
        Chart(f"Weights of the steps by date: {model}", figures.step_heat(_own(item, model)), "", 300, is_half=True),
        table(f"Weights of the steps: {model}", summary, ATTENTION, is_folded=summary.height > 10),
    ]


def _gate(item: Interpretation, model: str, summary: pl.DataFrame) -> list[Block]:
    top = summary.head(MOST)
    figure = figures.gate_heat(_own(item, model), top["feature"].to_list())
    note = "The features whose weight moves most with the state of the market; 1 is no scaling."
    return [
        Chart(f"Gate: {model}", figure, note, _height(top.height)),
        _first(f"Gate: {model}", summary, GATE),
    ]


def _plain(item: Interpretation, model: str, summary: pl.DataFrame) -> list[Block]:
    title = f"{item.method.name.replace('_', ' ').capitalize()}: {model}"
    own = summary.select([name for name in summary.columns if summary[name].is_not_null().any()])
    return [any_table(title, own, is_folded=own.height > 2 * MOST)]


DRAWN: dict[str, Callable[[Interpretation, str, pl.DataFrame], list[Block]]] = {
    "permutation": _permutation,
    "shap": _shap,
    "integrated_gradients": _gradients,
    "attention": _attention,
    "gate": _gate,
}
