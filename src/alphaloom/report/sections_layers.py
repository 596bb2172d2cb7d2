"""The section on layered tests: every group of a score as a portfolio of its own, side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from alphaloom.backtest.layers import LayeredTest
from alphaloom.backtest.result import BacktestResult
from alphaloom.evaluation.inference import MeanTest, mean_test
from alphaloom.report import figures_layers
from alphaloom.report.content import Block, Chart, Column, Section, Table, Text, count, number, percent, table, text

GROUP_COLUMNS = (
    Column("group", "Group", text, numeric=False),
    Column("annual_return", "Return", percent(1), "a year, geometric, after costs"),
    Column("excess_annual_return", "Excess", percent(1), "a year over the benchmark, geometric"),
    Column("universe_excess_annual_return", "Over universe", percent(1), "a year over all stocks equally weighted"),
    Column("volatility", "Volatility", percent(1), "a year"),
    Column("sharpe", "Sharpe", number(2)),
    Column("information_ratio", "IR", number(2), "against the benchmark"),
    Column("max_drawdown", "Drawdown", percent(1), "deepest, of the peak"),
    Column("excess_max_drawdown", "Excess drawdown", percent(1), "relative to the benchmark"),
    Column("turnover_annual", "Turnover", percent(0), "one-way, a year"),
    Column("cost_annual", "Cost", percent(2), "a year"),
    Column("holdings_mean", "Names", number(0), "mean number held"),
)
TEST_COLUMNS = (
    Column("what", "", text, numeric=False),
    Column("year", "A year", percent(1), "arithmetic: mean daily difference x days a year"),
    Column("interval", "Interval", text, "stationary bootstrap, 95 %"),
    Column("ir", "Ratio", number(2), "mean over standard deviation, a year"),
    Column("t", "t (NW)", number(2)),
    Column("positive", "Days ahead", percent(1), "share of days above zero"),
    Column("n", "Days", count),
)


def layers_section(
    portfolios: Mapping[str, BacktestResult], layers: Sequence[Sequence[str]], annual_days: float
) -> Section:
    """Return the layered tests of a run; `layers` are the names of the portfolios of each, best group first."""
    blocks: list[Block] = []
    for names in layers:
        blocks += layer_blocks(LayeredTest({name: portfolios[name] for name in names}), annual_days)
    lead = "All scored stocks in equal groups by score, group 1 the best, each replayed as a portfolio of its own."
    return Section("layers", "Layers", lead, blocks)


def layer_blocks(test: LayeredTest, annual_days: float) -> list[Block]:
    """Return tables and charts of one layered test."""
    names = group_names(test)
    has_benchmark = bool(np.isfinite(test.benchmark).any())
    has_universe = bool(np.isfinite(test.universe).any())
    blocks: list[Block] = [groups_table(test, names), tests_table(test, annual_days), Text(ordering_sentence(test))]
    if has_benchmark:
        figure = figures_layers.excess_by_group(test, names, "benchmark_ret")
        blocks.append(Chart("Relative to the benchmark, by group", figure, "After costs, from 1."))
    if has_universe:
        figure = figures_layers.excess_by_group(test, names, "universe_ret")
        note = "Over all stocks that may be held, equally weighted and without costs."
        blocks.append(Chart("Relative to the universe, by group", figure, note, is_half=True))
    figure = figures_layers.spread_by_day(test)
    note = "Running sum, not compounded; selling short is assumed possible, without a cost of borrowing."
    blocks.append(Chart("Best less worst group", figure, note, is_half=has_universe))
    what = "Excess" if has_benchmark else "Return"
    blocks.append(Chart(f"{what} by year and group", figures_layers.years_by_group(test, names), height=300))
    blocks.append(years_table(test, names, what))
    return blocks


def group_names(test: LayeredTest) -> list[str]:
    """Return what the groups are called on the page: `1 (best)` to `5 (worst)`."""
    ends = {0: " (best)", len(test.names) - 1: " (worst)"}
    return [f"{k + 1}{ends.get(k, '')}" for k in range(len(test.names))]


def groups_table(test: LayeredTest, names: Sequence[str]) -> Table:
    """Return the figures of every group."""
    rows: list[dict[str, Any]] = [
        {"group": name, **result.metrics} for name, result in zip(names, test.groups.values(), strict=True)
    ]
    missing = {key for key in rows[0] if key != "group" and not any(np.isfinite(row[key]) for row in rows)}
    columns = [column for column in GROUP_COLUMNS if column.key not in missing]
    note = f"Portfolios {test.names[0]} to {test.names[-1]}."
    return table("By group", pl.DataFrame(rows, infer_schema_length=None), columns, note=note)


def layer_tests(test: LayeredTest) -> dict[str, MeanTest]:
    """Return the tests of the daily means: the best group over benchmark and universe, the best less the worst."""
    best = test.returns[:, 0]
    found = {
        "best group over the benchmark": best - test.benchmark,
        "best group over the universe": best - test.universe,
        "best less worst, before costs": test.spread,
        "best less worst, after costs of both": test.spread_net,
    }
    return {what: mean_test(values) for what, values in found.items() if np.isfinite(values).any()}


def tests_table(test: LayeredTest, annual_days: float) -> Table:
    """Return means a year with their uncertainty."""
    root, p1 = float(np.sqrt(annual_days)), percent(1)
    rows = [
        {
            "what": what,
            "year": found.mean * annual_days,
            "interval": f"{p1(found.low * annual_days)} to {p1(found.high * annual_days)}",
            "ir": found.ir * root,
            "t": found.t_newey_west,
            "positive": found.positive,
            "n": found.n,
        }
        for what, found in layer_tests(test).items()
    ]
    return table("Best group and spread", pl.DataFrame(rows), TEST_COLUMNS)


def ordering_sentence(test: LayeredTest) -> str:
    """Return how well the order of the groups is that of their returns, over all days and by year."""
    yearly = test.yearly()["ordering"]
    return (
        f"Order of the groups (rank correlation of group and return; 1 when every better group earned more, −1 when "
        f"less): {number(2)(test.ordering)} over the whole span, {number(2)(yearly.mean())} on average over "
        f"{count(len(yearly))} calendar years, above zero in {count((yearly > 0).sum())} of them."
    )


def years_table(test: LayeredTest, names: Sequence[str], what: str) -> Table:
    """Return each group's excess by year, the spread and the order."""
    columns = [
        Column("year", "Year", text),
        *(Column(key, name, percent(1)) for key, name in zip(test.names, names, strict=True)),
        Column("spread", "Best less worst", percent(1), "difference of the returns, after costs"),
        Column("ordering", "Order", number(2), "rank correlation of group and return"),
    ]
    note = "Return of the year less the benchmark's." if what == "Excess" else "Return of the year."
    return table(f"{what} by year", test.yearly(), columns, note=note)


def layer_metrics(portfolios: Mapping[str, BacktestResult], names: Sequence[str]) -> dict[str, Any]:
    """Return every number of a layered test beside the groups' own metrics."""
    test = LayeredTest({name: portfolios[name] for name in names})
    return {
        "groups": list(names),
        "tests": {what: vars(found) for what, found in layer_tests(test).items()},
        "ordering": test.ordering,
        "yearly": test.yearly().to_dicts(),
    }
