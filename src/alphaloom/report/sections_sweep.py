"""Sections of a sweep's page: the grid, all points, years, what risk bought, and what the level rests on."""

import itertools

import polars as pl

from alphaloom.report import figures_portfolio, figures_sweep
from alphaloom.report.content import (
    Block,
    Chart,
    Column,
    Section,
    Table,
    Text,
    count,
    number,
    percent,
    table,
    text,
)
from alphaloom.report.sections_orders import unfilled_table
from alphaloom.report.sections_portfolio import YEARLY, level_texts, years_table
from alphaloom.report.sweep import SweepReport

MOST_MAPS = 12
"""Combinations of the third and further axes that get maps of their own."""
MOST_LINES = 8
"""Portfolios that one chart of growth shows."""

AGAINST = (
    ("excess_annual_return", "Excess return a year", ".1%"),
    ("information_ratio", "Information ratio", ".2f"),
    ("excess_max_drawdown", "Excess drawdown", ".1%"),
    ("tracking_error", "Tracking error", ".1%"),
)
"""Measures of a grid against a benchmark; the first three are those of the seed study's figure 17, of alpha."""
ALONE = (
    ("annual_return", "Return a year", ".1%"),
    ("sharpe", "Sharpe ratio", ".2f"),
    ("max_drawdown", "Drawdown", ".1%"),
    ("cost_annual", "Cost a year", ".2%"),
)

POINTS = (
    Column("point", "Portfolio", text, numeric=False),
    Column("annual_return", "Return", percent(1), "a year, geometric, after all costs"),
    Column("excess_annual_return", "Excess", percent(1), "over the benchmark, a year, geometric"),
    Column("interval", "Interval", text, "of the arithmetic excess: stationary bootstrap, 95 %, one portfolio alone"),
    Column("excess_t", "t (NW)", number(1), "Newey-West, not corrected for the number of portfolios"),
    Column("information_ratio", "IR", number(2)),
    Column("sharpe", "Sharpe", number(2)),
    Column("volatility", "Volatility", percent(1), "a year"),
    Column("tracking_error", "Tracking error", percent(1), "a year"),
    Column("max_drawdown", "Drawdown", percent(1)),
    Column("excess_max_drawdown", "Excess drawdown", percent(1)),
    Column("turnover_annual", "Turnover", percent(0), "one-way, a year"),
    Column("cost_annual", "Cost", percent(2), "a year"),
    Column("cash_weight_mean", "Cash", percent(1), "mean share of net asset value that is not invested"),
    Column("holdings_mean", "Stocks", number(0), "held, on average"),
    Column("relaxed", "Relaxed", count, "decisions at which a limit could not be kept and gave way"),
)


def grid_section(report: SweepReport) -> Section:
    """Return heat maps over the first two axes, or lines over a single one, and the table of the seed study."""
    measures = (*AGAINST, *ALONE) if report.has_benchmark else ALONE
    blocks: list[Block] = []
    axes = list(report.axes.items())
    if len(axes) == 1:
        for metrics, form in LINES if report.has_benchmark else LINES_ALONE:
            words = ", ".join(name for _, name in metrics)
            title = words[0].upper() + words[1:]
            blocks.append(Chart(title, figures_sweep.metric_lines(report, metrics, form), "", 300, is_half=True))
        return Section("grid", "Grid", f"How the portfolio changes with {axes[0][0]}.", blocks)
    rests = list(itertools.product(*(labels for _, labels in axes[2:])))
    height = 110 + 34 * len(axes[0][1])
    for rest in rests[:MOST_MAPS]:
        where = "".join(f", {axis} {label}" for (axis, _), label in zip(axes[2:], rest, strict=True))
        for metric, title, form in measures[: len(measures) if len(rests) == 1 else 3]:
            figure = figures_sweep.metric_heat(report, metric, form, rest)
            blocks.append(Chart(f"{title}{where}", figure, "", height, is_half=True))
        blocks.append(study_table(report, rest, where))
    if len(rests) > MOST_MAPS:
        blocks.append(Text(f"Maps of the first {MOST_MAPS} of {len(rests)} combinations; all points are in the table."))
    lead = f"Every combination of {' and '.join(axis for axis, _ in axes)}; blue is the higher value of a map."
    return Section("grid", "Grid", lead, blocks)


LINES: tuple[tuple[tuple[tuple[str, str], ...], str], ...] = (
    ((("annual_return", "return a year"), ("excess_annual_return", "excess return a year")), ".1%"),
    ((("information_ratio", "information ratio"), ("sharpe", "Sharpe ratio")), ".2f"),
    ((("max_drawdown", "drawdown"), ("excess_max_drawdown", "excess drawdown")), ".1%"),
    ((("cost_annual", "cost a year"), ("cash_weight_mean", "cash not invested"), ("unfilled_mean", "unfilled")), ".2%"),
)
LINES_ALONE = tuple(
    (tuple(pair for pair in metrics if "excess" not in pair[0] and pair[0] != "information_ratio"), form)
    for metrics, form in LINES
)


def study_table(report: SweepReport, rest: tuple[str, ...], where: str) -> Table:
    """Return return, Sharpe ratio and drawdown in each cell, of the excess where there is a benchmark.

    Source: seed study of weekly boosting, table 14.
    """
    (rows, y), (columns, x) = list(report.axes.items())[:2]
    names = [metric for metric, _, _ in (AGAINST if report.has_benchmark else ALONE)[:3]]
    gain, ratio, fall = (report.values(metric, rest) for metric in names)
    cells = [
        [
            f"{percent(1)(gain[i, j])} ({number(2)(ratio[i, j])}) [{percent(1)(fall[i, j])}]"
            for j in range(gain.shape[1])
        ]
        for i in range(gain.shape[0])
    ]
    kind = (
        "excess return, (information ratio), [excess drawdown]"
        if report.has_benchmark
        else "return, (Sharpe), [drawdown]"
    )
    return Table(
        f"By {rows} and {columns}{where}: {kind}",
        [f"{rows} \\ {columns}", *x],
        [[label, *cells[k]] for k, label in enumerate(y)],
        [False, *[True] * len(x)],
        [""] * (1 + len(x)),
    )


def points_section(report: SweepReport) -> Section:
    """Return the table of all points, and what was left unfilled at the reference."""
    frame = report.table().with_columns(
        pl.struct("excess_low", "excess_high")
        .map_elements(
            lambda pair: (
                ""
                if pair["excess_low"] is None
                else f"{percent(1)(pair['excess_low'])} to {percent(1)(pair['excess_high'])}"
            ),
            return_dtype=pl.String,
        )
        .alias("interval")
    )
    shown = [column for column in POINTS if column.key not in frame.columns or frame[column.key].is_not_null().any()]
    blocks: list[Block] = [table("All portfolios", frame, shown)]
    point = report.reference
    if point.unfilled.height:
        blocks.append(unfilled_table(point.name, point.unfilled))
    lead = "Each portfolio's orders, decisions and daily values lie in its folder under points."
    return Section("portfolios", "Portfolios", lead, blocks)


def years_section(report: SweepReport) -> Section:
    """Return every point's return by year, the reference's figures by year, and growth beside the benchmark."""
    reference, against = report.reference, report.has_benchmark
    figure = figures_sweep.excess_by_year(report, has_benchmark=against)
    title = "Excess return by year" if against else "Return by year"
    chosen = {reference.name: reference.result}
    chosen |= {p.name: p.result for p in report.points if p.labels is None and len(chosen) < MOST_LINES}
    if len(report.axes) == 1:
        chosen = {point.name: point.result for point in report.points[:MOST_LINES]}
    blocks: list[Block] = [Chart(title, figure, "", 110 + 24 * len(report.points))]
    if len(chosen) > 1:
        blocks.append(years_table(chosen))
    blocks.append(table(f"By year: {reference.name}", reference.result.yearly, YEARLY))
    blocks.append(Chart("Growth of 1", figures_portfolio.net_asset_value(chosen), "After all costs; log axis."))
    if against:
        blocks.append(Chart("Relative to the benchmark", figures_portfolio.excess_growth(chosen), is_half=True))
    blocks.append(Chart("Drawdown", figures_portfolio.drawdowns(chosen), is_half=against))
    lead = f"Details are of {reference.name}, the middle of the grid: no result has chosen it."
    return Section("years", "By year", lead, blocks)


def frontier_section(report: SweepReport) -> Section:
    """Return what each point earned against what it risked, over the benchmark and alone."""
    note = "Hover for the portfolio. What was efficient in these years need not be in others."
    blocks: list[Block] = []
    if report.has_benchmark:
        words = ("tracking error a year", "excess return a year")
        figure = figures_sweep.frontier(report, "tracking_error", "excess_annual_return", *words)
        blocks.append(Chart("Over the benchmark", figure, note, 380, is_half=True))
    figure = figures_sweep.frontier(report, "volatility", "annual_return", "volatility a year", "return a year")
    blocks.append(Chart("Alone", figure, note, 380, is_half=report.has_benchmark))
    return Section(
        "frontier", "Efficient frontier", "Return bought for a unit of risk, as realised after costs.", blocks
    )


def level_section(report: SweepReport) -> Section:
    """Return what the level of all returns rests on."""
    point = report.reference
    blocks = level_texts({point.name: point.result}, report.provenance.get("data_notes", ()))
    lead = "Differences between the portfolios of a sweep are safer to read than their level."
    return Section("level", "What the level rests on", lead, blocks)
