"""Runs, data and predictions as pages of the report's own blocks."""

import json
import math
from collections.abc import Mapping
from typing import Any

import polars as pl

from alphaloom.comparison.compare import RunResult
from alphaloom.comparison.figures import cumulative_ic, growth, relative_growth
from alphaloom.comparison.page import HORIZONS
from alphaloom.data.check import HealthReport
from alphaloom.data.info import Summary, TableSummary
from alphaloom.report.content import (
    Block,
    Chart,
    Code,
    Column,
    Figure,
    Page,
    Section,
    Table,
    any_table,
    count,
    number,
    percent,
    significant,
    table,
    text,
)
from alphaloom.report.figures import short
from alphaloom.report.runs import RunFolder
from alphaloom.report.sections_portfolio import YEARLY
from alphaloom.report.sections_study import WINDOWS
from alphaloom.report.theme import BLUE, new_figure
from alphaloom.run_store.row import RunRow
from alphaloom.web.today import Today

LOG_LINES = 40
SHOWN_STOCKS = 100
SHOWN_SCORES = 30


def run_page(row: RunRow, folder: RunFolder, result: RunResult | None) -> Page:
    """Return a run at a glance; `result` is None while it is not finished."""
    sections = [] if result is None else _results(result)
    sections.append(_origin(row, folder))
    if result is None:
        verdict, findings = ("This folder is broken", [row.problem or ""]) if row.problem else ("Not finished", [])
        return Page(row.name, row.recipe or "", "wrong" if row.problem else "plain", verdict, findings, [], sections)
    metrics = result.metrics
    return Page(
        title=row.name,
        subtitle=f"{row.recipe}. {metrics.get('market', '')}",
        grade=metrics["verdict"]["grade"],
        verdict=metrics["verdict"]["words"],
        findings=metrics["verdict"]["findings"],
        figures=_figures(result),
        sections=sections,
    )


def _figures(result: RunResult) -> list[Figure]:
    test = result.signal["horizons"][result.signal["primary"]]["rank_ic"]
    n4 = number(4)
    shown = [
        Figure("RankIC", n4(test["mean"]), f"{n4(test['low'])} to {n4(test['high'])}"),
        Figure("t, Newey-West", number(1)(test["t_newey_west"]), f"over {count(test['n'])} dates"),
    ]
    metrics = result.portfolio.get("metrics")
    if metrics:
        shown += [
            Figure("Portfolio a year", percent(1)(metrics.get("annual_return")), "geometric, after costs"),
            Figure("Excess a year", percent(1)(metrics.get("excess_annual_return")), "geometric"),
            Figure("Deepest drawdown", percent(1)(metrics.get("max_drawdown")), "of the peak"),
        ]
    return shown


def _results(result: RunResult) -> list[Section]:
    horizons = pl.DataFrame(
        [
            {"run": name, "days": item["days"], **item["rank_ic"], "horizon": name}
            for name, item in result.signal["horizons"].items()
        ],
        infer_schema_length=None,
    )
    blocks: list[Block] = [table("RankIC by horizon", horizons, [c for c in HORIZONS if c.key != "run"])]
    if result.ic.height:
        blocks.insert(0, Chart("Running sum of RankIC", cumulative_ic([result]), height=280))
    sections = [Section("signal", "Signal", f"The traded signal, {result.metrics['headline']}.", blocks)]
    windows = pl.DataFrame(result.metrics["windows"], infer_schema_length=None)
    if windows.height:
        lead = "In against out of sample."
        sections.append(
            Section("windows", "Windows", lead, [table("", windows, WINDOWS, is_folded=windows.height > 12)])
        )
    if result.nav.height:
        has_excess = result.nav["excess_ret"].is_not_null().any()
        drawn: list[Block] = [Chart("Growth of 1", growth([result]), "After all costs.", 280, is_half=bool(has_excess))]
        if has_excess:
            drawn.append(Chart("Relative to the benchmark", relative_growth([result]), "", 280, is_half=True))
        yearly = pl.DataFrame(result.portfolio["yearly"], infer_schema_length=None)
        drawn.append(table("By year", yearly, YEARLY))
        name = next(iter(result.metrics["portfolios"]))
        sections.append(Section("portfolio", "Portfolio", f"The first portfolio, {name}.", drawn))
    return sections


def _origin(row: RunRow, folder: RunFolder) -> Section:
    facts = {
        "status": row.status,
        "started": row.started,
        "finished": row.finished,
        "recipe hash": row.recipe_hash,
        "data hash": row.data_hash,
        "universe hash": row.universe_hash,
        "folder": row.run,
    }
    blocks: list[Block] = [_pairs({key: value for key, value in facts.items() if value})]
    for title, name, last in (
        ("Recipe", "recipe.yaml", None),
        ("Environment", "environment.json", None),
        (f"Last {LOG_LINES} lines of the log", "log.jsonl", LOG_LINES),
    ):
        if (folder.path / name).is_file():
            lines = (folder.path / name).read_text(encoding="utf-8", errors="replace").splitlines()
            blocks.append(Code(title, "\n".join(lines[-last:] if last else lines)))
    return Section("origin", "Origin", "Where the numbers come from.", blocks)


def data_page(name: str, summary: Summary, health: HealthReport) -> Page:
    """Return a store's health and summary."""
    errors = sum(item.severity == "error" and item.count > 0 for item in health.findings)
    warnings = sum(item.severity == "warning" and item.count > 0 for item in health.findings)
    verdict = "Sound" if health.ok and not warnings else f"{_many(errors, 'error')}, {_many(warnings, 'warning')}"
    grade = "wrong" if errors else "weak" if warnings else "strong"
    tables = {item.name: item for item in summary.tables}
    main = tables.get("bars") or tables.get("frame") or summary.tables[0]
    figures = [
        Figure("First day", health.span[0]),
        Figure("Last day", health.span[1]),
        Figure("Symbols", count(main.symbols), f"in {main.name}"),
        Figure("Rows", count(main.rows), f"in {main.name}"),
        Figure("Tables", count(len(summary.tables)), ", ".join(tables)),
    ]
    sections = [_checks(health), *(_table_section(item) for item in summary.tables), _facts(summary)]
    return Page(name, f"Market: {health.market}", grade, verdict, [], figures, sections)


def _checks(health: HealthReport) -> Section:
    found = health.table()
    sound = pl.col("severity") == "ok"
    worth = found.filter(~sound)
    blocks: list[Block] = [any_table("", worth)] if worth.height else []
    silent = found.filter(sound).select("table", "problem")
    blocks.append(any_table(f"{silent.height} checks that found nothing", silent, is_folded=True))
    return Section("checks", "Checks", "What is wrong or worth knowing, how often, and examples.", blocks)


def _table_section(item: TableSummary) -> Section:
    blocks: list[Block] = []
    if item.coverage.height > 2:
        from plotly import graph_objects as go

        years = item.coverage["year"].cast(pl.String).to_list()
        bars = go.Bar(x=years, y=short(item.coverage["rows_median"].to_numpy()), marker={"color": BLUE})
        blocks.append(Chart("Rows a date", new_figure([bars], xaxis={"type": "category"}), "Median of the year.", 220))
    blocks.append(any_table("Columns", item.columns, is_folded=len(blocks) > 0))
    if item.distribution.height:
        blocks.append(any_table("Distribution", item.distribution, is_folded=True))
    span = f", {item.span[0]} to {item.span[1]}" if item.span else ""
    return Section(item.name, item.name.replace("_", " ").capitalize(), f"{count(item.rows)} rows{span}.", blocks)


def _facts(summary: Summary) -> Section:
    facts = {
        key.replace("_", " "): "; ".join(map(str, value)) if isinstance(value, list) else str(value)
        for key, value in summary.facts.items()
        if value
    }
    return Section("origin", "Origin", "Where the data come from.", [_pairs({"folder": summary.title, **facts})])


def today_page(name: str, store: str, day: str, found: Today) -> Page:
    """Return scores and target portfolio of a day."""
    from plotly import graph_objects as go

    scores, weights = found.scores.sort("score", descending=True), found.weights
    bars = go.Histogram(x=short(scores["score"].to_numpy()), nbinsx=60, marker={"color": BLUE})
    ends = _ends(scores)
    sections = []
    figures = [Figure("Stocks scored", count(scores.height)), Figure("Window", str(scores["window"][0]))]
    if weights.height:
        weights = weights.with_columns(change=pl.col("weight") - pl.col("held"))
        turnover = float(weights["change"].abs().sum()) / 2
        figures += [
            Figure("Stocks to hold", count((weights["weight"] != 0).sum())),
            Figure("Invested", percent(1)(weights["weight"].sum())),
            Figure("To trade", percent(1)(turnover), "one-way, of net asset value"),
        ]
        columns = (
            Column("symbol", "Symbol", text, numeric=False),
            Column("weight", "Target", percent(2)),
            Column("held", "Held", percent(2), "the last decision's weight, drifted to this day's close"),
            Column("change", "Change", percent(2)),
        )
        shown = weights.sort("weight", descending=True)
        note = f"{SHOWN_STOCKS} of {weights.height}; the API gives all." if weights.height > SHOWN_STOCKS else ""
        targets = table("Target weights", shown.head(SHOWN_STOCKS), columns, note=note)
        sections.append(Section("portfolio", "Target portfolio", "Orders decided at the close of this day.", [targets]))
    blocks: list[Block] = [
        Chart("Scores", new_figure([bars], showlegend=False), "", 240),
        ends,
    ]
    sections.append(Section("scores", "Scores", "Higher is better; the unit is the model's own.", blocks))
    return Page(name, f"Scores and targets of {day} on {store}", "plain", "", [], figures, sections)


def _ends(scores: pl.DataFrame) -> Table:
    """Return the highest scores beside the lowest ones."""
    half = min(SHOWN_SCORES, math.ceil(scores.height / 2))
    high, low = scores.head(half).select("symbol", "score"), scores.tail(half).reverse().select("symbol", "score")
    rows = [
        [a, significant(x), b, significant(y)] for (a, x), (b, y) in zip(high.iter_rows(), low.iter_rows(), strict=True)
    ]
    return Table("Ends", ["Highest", "Score", "Lowest", "Score"], rows, [False, True, False, True], [""] * 4)


def _pairs(facts: Mapping[str, Any]) -> Table:
    rows = [[str(key), value if isinstance(value, str) else json.dumps(value)] for key, value in facts.items()]
    return Table("", ["", ""], rows, [False, False], ["", ""])


def _many(n: int, word: str) -> str:
    return f"{n} {word}{'' if n == 1 else 's'}"
