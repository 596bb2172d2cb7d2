"""Sections of the page of a grid of recipes: effects of choices, points, single-factor rows, windows, portfolios."""

from collections.abc import Iterable
from urllib.parse import quote

import polars as pl

from alphaloom.report import figures_grid
from alphaloom.report.content import (
    Block,
    Chart,
    Column,
    Section,
    Text,
    count,
    number,
    percent,
    probability,
    table,
    text,
)
from alphaloom.report.grid import GridPoint, GridReport
from alphaloom.report.grid_tables import factor_table, horizons, spread_table, window_table

MOST_LINES = 8
"""Points that one chart shows as lines; more make a heat map."""

N4, P1 = number(4), percent(1)
POINT = Column("point", "Point", text, numeric=False)
DIFFERENCE = (
    Column("difference", "Difference", N4, "in mean RankIC, date by date on common dates"),
    Column("difference_low", "from", N4, "95 % interval, stationary block bootstrap of the differences"),
    Column("difference_high", "to", N4),
    Column("t", "t", number(1), "Newey-West, not corrected for the number of comparisons"),
    Column("p", "p", probability, "of t, not corrected"),
    Column("p_holm", "p, Holm", probability, "corrected for all rows of this table"),
    Column("n", "Dates", count, "common dates"),
)
EFFECTS = (
    Column("axis", "Choice", text, numeric=False),
    Column("value", "Set to", text, numeric=False),
    Column("base", "instead of", text, "the baseline's value", numeric=False),
    *DIFFERENCE[:-1],
    Column(
        "pairs", "Pairs", count, "points of each value that went in: equal in all other settings, both with a result"
    ),
    Column("possible", "of", count, "points with the baseline's value"),
    DIFFERENCE[-1],
)
POINTS = (
    Column("rank_ic", "RankIC", N4, "mean over dates of the traded signal"),
    Column("low", "from", N4, "95 % interval, stationary block bootstrap"),
    Column("high", "to", N4),
    Column("ir", "ICIR", number(2), "mean / std of RankIC per date, not annualised"),
    Column("t_newey_west", "t", number(1), "Newey-West"),
    Column("n", "Dates", count),
    Column("in_sample_rank_ic", "RankIC in", N4, "mean over windows, on the dates trained on"),
    Column("out_of_sample_rank_ic", "RankIC out", N4, "mean over windows, on the dates tested on"),
    Column("gap", "Gap", N4, "in sample less out of sample"),
    Column("in_sample_mse", "MSE in", number(5)),
    Column("out_of_sample_mse", "MSE out", number(5)),
    Column("seconds", "Seconds", count, "of all fits"),
    Column("search_seconds", "searching", count, "seconds of all candidates tried, where settings were searched for"),
)
PORTFOLIOS = (
    Column("annual_return", "Return", P1, "a year, geometric, after all costs"),
    Column("excess_annual_return", "Excess", P1, "over the benchmark, a year, geometric"),
    Column("information_ratio", "IR", number(2), "a year"),
    Column("max_drawdown", "Drawdown", P1),
    Column("turnover_annual", "Turnover", percent(0), "one-way, a year"),
    Column("excess_difference", "Excess less baseline", P1, "a year, mean of daily differences"),
    Column("excess_low", "from", P1, "95 % interval, stationary block bootstrap of the differences"),
    Column("excess_high", "to", P1),
    Column("excess_t", "t", number(1), "Newey-West, not corrected for the number of comparisons"),
)
FACTOR = (
    POINT,
    Column("mean", "Mean", N4),
    Column("std", "Std", N4),
    Column("ir", "IR", number(3), "mean / std, not annualised"),
    Column("t_stat", "t (naive)", number(1), "IR x root of the number of dates: too large when returns overlap"),
    Column("t_newey_west", "t (NW)", number(1), "Newey-West"),
    Column("positive", "Positive", P1, "share of dates with RankIC above zero"),
    Column("negative", "Negative", P1, "share of dates with RankIC below zero"),
    Column("sig_positive", "Sig. positive", P1, "share of dates on which RankIC alone is significantly above zero"),
    Column("sig_negative", "Sig. negative", P1, "share of dates on which RankIC alone is significantly below zero"),
    Column("significance", "Significant", P1, "share of dates with either"),
    Column("skew", "Skew", number(2)),
    Column("kurtosis", "Kurtosis", number(2), "in excess of the normal's"),
    Column("n", "Dates", count),
)
SPREAD = (
    Column("replicates", "Replicates", count, "with a result"),
    Column("mean", "Mean", N4, "of the replicates' mean RankIC"),
    Column("std", "Std", N4, "between replicates"),
    Column("lowest", "Lowest", N4),
    Column("highest", "Highest", N4),
    Column("low", "from", N4, "95 % interval of the mean over dates, of RankIC averaged over replicates"),
    Column("high", "to", N4),
)


def effects_section(report: GridReport) -> Section:
    """Return what each choice does in place of the baseline's, all else equal."""
    effects = report.effects()
    places = [f"{row['axis']}: {row['value']}" for row in effects.to_dicts()]
    blocks: list[Block] = []
    if effects["difference"].is_not_null().any():
        figure = figures_grid.difference_forest(effects, places, "difference in RankIC")
        blocks.append(Chart("Effect of each choice on RankIC", figure, FOREST, _rows(effects.height)))
    blocks.append(table("Effects of choices", effects, EFFECTS))
    lacking = int((effects["possible"] - effects["pairs"]).sum())
    if lacking:
        words = f"Pairs left out because one of the two has no result or is not in the grid: {count(lacking)}."
        blocks.append(Text(words))
    lead = (
        "What a value does in place of the baseline's: points that agree in all other settings are averaged by date, "
        "then compared date by date."
    )
    return Section("effects", "Effects of choices", lead, blocks)


FOREST = (
    "Dots with 95 % intervals. Filled: below 5 % after Holm's correction; hollow: not. Green lies above zero, red "
    "below, grey holds it."
)


def points_section(report: GridReport) -> Section:
    """Return RankIC of all points as a forest, a map or a line over the choices, and their tables."""
    frame, against = report.table(), report.comparisons()
    blocks: list[Block] = []
    if report.series:
        note = f"With 95 % intervals, each of one point alone; diamond and dotted line: the baseline.{_by(report.axes)}"
        figure = figures_grid.rank_ic_forest(report, frame)
        blocks.append(Chart("RankIC of every point", figure, note, _rows(len(report.series))))
    blocks += _choice_charts(report)
    axes = _axis_columns(report, report.axes)
    note = "The baseline is marked *. Intervals and t are of each point alone."
    shown = [column for column in POINTS if column.key != "search_seconds" or frame[column.key].is_not_null().any()]
    blocks.append(table("All points", _marked(report, frame), [POINT, *axes, *shown], note=note, links=_links(report)))
    if against.height and against["difference"].is_not_null().any():
        blocks += _comparison_blocks(report, against)
    lead = f"Traded signals at horizon {report.horizon}; each name leads to the point's own report."
    if not report.finished:
        lead = "There is nothing to show."
    return Section("points", "Points", lead, blocks)


def _choice_charts(report: GridReport) -> list[Block]:
    """Return a map over two choices or a line over one of numbers."""
    choices = report.choices
    if not figures_grid.on_grid(report) or any(len(labels) < 2 for labels in choices.values()):
        return []
    if len(choices) == 2:
        (rows, y), (columns, _) = choices.items()
        figure = figures_grid.choice_heat(report)
        title = f"RankIC by {rows} and {columns}"
        return [Chart(title, figure, "Blue is the higher value; read it with the intervals.", 110 + 34 * len(y))]
    if len(choices) == 1:
        ((axis, labels),) = choices.items()
        if figures_grid.numbers_of(labels) is not None:
            note = "The band is the 95 % interval of each mean alone; the diamond is the baseline."
            return [Chart(f"RankIC over {axis}", figures_grid.choice_line(report), note)]
    return []


def _comparison_blocks(report: GridReport, against: pl.DataFrame) -> list[Block]:
    marks = [report.cell_mark(cell) for cell in report.cells if cell != report.base_cell]
    figure = figures_grid.difference_forest(against, marks, "difference in RankIC")
    chart = Chart("RankIC less the baseline's", figure, f"{FOREST}{_by(report.choices)}", _rows(against.height))
    axes = _axis_columns(report, report.choices) if report.replicate is None else []
    replicates = [] if report.replicate is None else [SPREAD[0]]
    note = "Paired by date. A p that is not corrected flatters the best of many points; Holm's does not."
    return [chart, table("Against the baseline", against, [POINT, *axes, *DIFFERENCE, *replicates], note=note)]


def replicates_section(report: GridReport) -> Section:
    """Return how much results differ between replicates."""
    frame = spread_table(report)
    blocks = [table(f"RankIC over {report.replicate}", frame, [POINT, *SPREAD])]
    lead = f"Points that differ in {report.replicate} alone; a difference within their spread may be luck of the draw."
    return Section("replicates", "Replicates", lead, blocks)


def factor_section(report: GridReport) -> Section:
    """Return the single-factor rows of every point, a table a horizon."""
    blocks = [table(f"RankIC {name} ahead", factor_table(report, name), FACTOR) for name in horizons(report)]
    lead = "Single-factor analysis of the traded signals, in the measures that are usual for it."
    return Section("factor", "Factor analysis", lead, blocks)


def windows_section(report: GridReport) -> Section | None:
    """Return RankIC by test window: a line a point, or a heat map of many; None without windows."""
    windows = window_table(report)
    if not windows.height:
        return None
    points = windows["point"].n_unique()
    if points <= MOST_LINES and windows["test_start"].n_unique() > 1:
        chart = Chart("RankIC by test window", figures_grid.window_lines(windows), _by(report.choices).strip(), 360)
    else:
        note = f"Blue is above zero, orange below.{_by(report.choices)}"
        chart = Chart("RankIC by test window", figures_grid.window_heat(windows), note, _rows(points))
    mean = "averaged over replicates by date" if report.replicate is not None else "mean over the dates of each window"
    return Section("windows", "Test windows", f"Out-of-sample RankIC of the traded signals, {mean}.", [chart])


def portfolios_section(report: GridReport) -> Section:
    """Return the first portfolio of every point, and its excess return less the baseline's."""
    shown = [column for column in PORTFOLIOS if report.table()[column.key].is_not_null().any()]
    frame = _marked(report, report.table())
    blocks = [table("First portfolio of every point", frame, [POINT, *shown], links=_links(report))]
    lead = "After all costs. Differences are of daily excess returns, paired by date."
    return Section("portfolios", "Portfolios", lead, blocks)


def failures_section(report: GridReport) -> Section:
    """Return the points without a result, each with the reason."""
    frame = pl.DataFrame([{"point": point.name, "failure": point.failure} for point in report.failed])
    columns = (POINT, Column("failure", "Reason", text, numeric=False))
    lead = "These were tried and count among the points; nothing is compared with them."
    return Section("failures", "Without a result", lead, [table("Points without a result", frame, columns)])


def _by(axes: Iterable[str]) -> str:
    """Return in words what the names in a chart are made of."""
    names = list(axes)
    return f" Named by {', '.join(names)}." if names else ""


def _axis_columns(report: GridReport, axes: Iterable[str]) -> list[Column]:
    """Return a column an axis; none where names tell all labels."""
    if all(label in point.name for point in report.points for label in point.labels):
        return []
    return [Column(f"axis {axis}", axis, text, numeric=False) for axis in axes]


def _marked(report: GridReport, frame: pl.DataFrame) -> pl.DataFrame:
    is_base = pl.col("point") == report.baseline
    return frame.with_columns(pl.when(is_base).then(pl.col("point") + " *").otherwise(pl.col("point")).alias("point"))


def _links(report: GridReport) -> list[str]:
    return [_link(point) for point in report.points]


def _link(point: GridPoint) -> str:
    return quote(point.folder) if point.failure is None else ""


def _rows(n: int) -> int:
    """Return the height of a chart of n rows, in pixels."""
    return 110 + 34 * n
