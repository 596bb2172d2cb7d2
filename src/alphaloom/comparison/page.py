"""A Comparison as a page."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from alphaloom.comparison.compare import DAILY, Comparison, RunResult
from alphaloom.comparison.figures import cumulative_ic, difference_bars, growth, relative_growth, year_bars
from alphaloom.report.content import (
    Block,
    Chart,
    Column,
    Page,
    Section,
    Text,
    any_table,
    count,
    number,
    percent,
    probability,
    table,
    text,
)
from alphaloom.report.files import write_text
from alphaloom.report.page import render
from alphaloom.typing import PathLike

OVERVIEW = (
    Column("run", "Run", text, numeric=False),
    Column("verdict", "Verdict", text, numeric=False),
    Column("rank_ic", "RankIC", number(4), "mean of the traded signal at its first horizon"),
    Column("low", "from", number(4), "95 % interval of the mean"),
    Column("high", "to", number(4)),
    Column("t_newey_west", "t", number(1), "Newey-West"),
    Column("in_sample", "In sample", number(4), "mean over windows of RankIC on the dates trained on"),
    Column("out_of_sample", "Out of sample", number(4)),
    Column("annual_return", "Return", percent(1), "a year, after costs, of the first portfolio"),
    Column("excess_annual_return", "Excess", percent(1)),
    Column("information_ratio", "IR", number(2)),
    Column("max_drawdown", "Drawdown", percent(1)),
    Column("turnover_annual", "Turnover", percent(0), "a year, one-way"),
)
HORIZONS = (
    Column("run", "Run", text, numeric=False),
    Column("horizon", "Periods ahead", text, numeric=False),
    Column("days", "Trading days", number(0)),
    Column("mean", "RankIC", number(4)),
    Column("low", "from", number(4)),
    Column("high", "to", number(4)),
    Column("ir", "ICIR", number(2)),
    Column("t_newey_west", "t, Newey-West", number(1)),
    Column("t_non_overlapping", "t, non-overlapping", number(1)),
    Column("n", "Dates", count),
)
DIFFERENCES = (
    Column("pair", "Second less first", text, numeric=False),
    Column("of", "Of", text, numeric=False),
    Column("mean_a", "First", number(4)),
    Column("mean_b", "Second", number(4)),
    Column("difference", "Difference", number(4)),
    Column("low", "from", number(4), "95 % interval, paired stationary block bootstrap"),
    Column("high", "to", number(4)),
    Column("t_newey_west", "t", number(1), "Newey-West"),
    Column("p_newey_west", "p", probability),
    Column("n", "Dates", count),
    Column("first", "Since", text, numeric=False),
)
EXCESS = tuple(
    Column(c.key, c.title, percent(3), c.meaning) if c.key in {"mean_a", "mean_b", "difference", "low", "high"} else c
    for c in DIFFERENCES
    if c.key != "of"
)


def write_comparison(comparison: Comparison, path: PathLike) -> None:
    """Write the page of a comparison to `path`, and its numbers beside it with the ending `.json`."""
    numbers = json.dumps(comparison.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
    write_text(Path(path).with_suffix(".json"), numbers + "\n")
    write_text(path, render(comparison_page(comparison)))


def comparison_page(comparison: Comparison) -> Page:
    """Return the page: overview, signal, portfolios, settings."""
    runs = comparison.runs
    sections = [
        Section("overview", "Overview", "One row a run.", [table("", comparison.overview(), OVERVIEW)]),
        _signal(comparison),
    ]
    if any(run.nav.height for run in runs):
        sections.append(_portfolios(comparison))
    sections.append(_settings(comparison))
    return Page(
        title=" · ".join(run.name for run in runs),
        subtitle=f"Comparison of {len(runs)} runs",
        grade="plain",
        verdict=comparison.verdict(),
        findings=comparison.cautions,
        figures=[],
        sections=sections,
    )


def _signal(comparison: Comparison) -> Section:
    runs = [run for run in comparison.runs if run.ic.height]
    tests = _pairs(comparison.differences.filter(pl.col("of") != DAILY))
    blocks: list[Block] = []
    if runs:
        blocks.append(Chart("Running sum of RankIC", cumulative_ic(runs), "At each run's first horizon.", is_half=True))
    if tests.height:
        note = "Second less first on common dates, with the 95 % interval; one that crosses zero may be chance."
        height = 100 + 60 * tests.height
        blocks.append(Chart("Differences in RankIC", difference_bars(tests), note, height, is_half=True))
        blocks.append(table("Paired differences", tests, DIFFERENCES))
    blocks.append(table("RankIC by horizon", comparison.horizons(), HORIZONS))
    return Section("signal", "Signal", "Which run ranks stocks better, and is it more than chance?", blocks)


def _portfolios(comparison: Comparison) -> Section:
    runs = [run for run in comparison.runs if run.nav.height]
    blocks: list[Block] = [Chart("Growth of 1", growth(runs), "After all costs; log axis.", is_half=_has_excess(runs))]
    if _has_excess(runs):
        blocks.append(Chart("Relative to the benchmark", relative_growth(runs), is_half=True))
    tests = _pairs(comparison.differences.filter(pl.col("of") == DAILY))
    if tests.height:
        blocks.append(table("Daily excess return, paired differences", tests, EXCESS))
    yearly = comparison.yearly()
    if yearly.height:
        what = "excess" if _has_excess(runs) else "ret"
        title = "Excess return by year" if what == "excess" else "Return by year"
        blocks.append(Chart(title, year_bars(yearly, [run.name for run in runs], what), height=300))
        wide = yearly.pivot("run", index="year", values=[what, "turnover", "cost"], maintain_order=True)
        columns = [Column("year", "Year", text)]
        for key, words, form in (
            (what, "", percent(1)),
            ("turnover", "turnover", percent(0)),
            ("cost", "cost", percent(2)),
        ):
            columns += [Column(f"{key}_{run.name}", f"{run.name} {words}".strip(), form) for run in runs]
        blocks.append(table(title, wide, columns))
    return Section("portfolios", "Portfolios", "The first portfolio of each run, after costs.", blocks)


def _settings(comparison: Comparison) -> Section:
    data = pl.DataFrame(
        {
            "run": [run.name for run in comparison.runs],
            "data hash": [run.data_hash for run in comparison.runs],
            "market": [str(run.metrics.get("market", "")) for run in comparison.runs],
            "tested from": [run.signal["first_date"] for run in comparison.runs],
            "to": [run.signal["last_date"] for run in comparison.runs],
        }
    )
    blocks: list[Block] = [Text("The recipes are equal in every setting.")]
    if comparison.settings.height:
        blocks = [any_table("Settings that differ", comparison.settings)]
    blocks.append(any_table("Data", data))
    return Section("settings", "Settings and data", "What was done differently.", blocks)


def _pairs(differences: pl.DataFrame) -> pl.DataFrame:
    return differences.with_columns(pl.format("{} less {}", "b", "a").alias("pair"))


def _has_excess(runs: Sequence[RunResult]) -> bool:
    return all(bool(np.isfinite(run.nav["excess_ret"].cast(pl.Float64).to_numpy()[1:]).any()) for run in runs)
