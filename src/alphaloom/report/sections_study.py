"""Sections on training, portfolios, audit and provenance."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from alphaloom.backtest.result import BacktestResult
from alphaloom.report import figures, figures_portfolio
from alphaloom.report.content import (
    Block,
    Chart,
    Code,
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
from alphaloom.report.verdict import excess_test

WINDOWS = (
    Column("window", "Window", text, numeric=False),
    Column("model", "Model", text, numeric=False),
    Column("train_start", "Trained from", text, numeric=False),
    Column("train_end", "to", text, numeric=False),
    Column("valid_start", "Validated from", text, numeric=False),
    Column("test_start", "Tested from", text, numeric=False),
    Column("test_end", "to", text, numeric=False),
    Column("n_train", "Training rows", count),
    Column("n_short_history", "Listed late", count, "training windows that begin before the stock has any feature"),
    Column("n_gaps", "With gaps", count, "training windows with a day without any feature in between"),
    Column("n_test_days", "Test dates", count),
    Column("purged", "Purged", count, "training dates dropped because their label reaches into a later part"),
    Column("in_sample_rank_ic", "RankIC in", number(4), "on the dates trained on"),
    Column("out_of_sample_rank_ic", "RankIC out", number(4), "on the dates tested on"),
    Column("gap", "Gap", number(4), "in sample less out of sample"),
    Column("in_sample_mse", "MSE in", number(5)),
    Column("out_of_sample_mse", "MSE out", number(5)),
    Column("best_iteration", "Best iteration", count),
    Column("best_epoch", "Best epoch", count),
    Column("seconds", "Seconds", number(1)),
)

PERCENT_METRICS = ("return", "volatility", "drawdown", "tracking_error", "turnover", "cost", "cash_weight", "unfilled")
TRAINING_RECORDS = (
    ("train_loss", "Training loss"),
    ("valid_loss", "Validation loss"),
    ("valid_rank_ic", "Validation RankIC"),
)


def windows_section(windows: pl.DataFrame, headline: str) -> Section:
    """Return in- against out-of-sample by training window, the traded model first."""
    if {"in_sample_rank_ic", "out_of_sample_rank_ic"} <= set(windows.columns):
        windows = windows.with_columns((pl.col("in_sample_rank_ic") - pl.col("out_of_sample_rank_ic")).alias("gap"))
    models = windows["model"].unique(maintain_order=True).to_list() if "model" in windows.columns else [headline]
    models.sort(key=lambda name: name != headline)
    blocks: list[Block] = [
        Chart(
            f"RankIC in and out of sample: {model}",
            figures.window_bars(windows, model),
            height=300,
            is_half=len(models) > 1,
        )
        for model in models
    ]
    if "gap" in windows.columns and "model" in windows.columns:
        keys = ["in_sample_rank_ic", "out_of_sample_rank_ic", "gap"]
        means = windows.group_by("model", maintain_order=True).agg(pl.col(keys).mean(), pl.len().alias("windows"))
        columns = (
            Column("model", "Model", text, numeric=False),
            Column("windows", "Windows", count),
            *(column for column in WINDOWS if column.key in keys),
        )
        blocks.append(table("Mean over windows", means, columns))
    blocks.append(table("Windows", windows, WINDOWS, is_folded=windows.height > 12))
    lead = "In against out of sample: a large gap means that the model remembers its training sample."
    return Section("windows", "Training windows", lead, blocks)


def training_section(curves: pl.DataFrame) -> Section:
    """Return how each model's loss and validation RankIC moved while it was trained."""
    blocks: list[Block] = []
    for model in curves["model"].unique(maintain_order=True):
        part = curves.filter(pl.col("model") == model)
        for key, title in TRAINING_RECORDS:
            if key in part.columns and part[key].cast(pl.Float64).is_finite().any():
                figure = figures.training_curves(curves, model, key)
                blocks.append(Chart(f"{title}: {model}", figure, height=280, is_half=True))
    return Section("training", "Training", "One line a window, early windows red, late ones blue.", blocks)


def importance_section(importance: pl.DataFrame) -> Section:
    """Return which features each model uses."""
    models = importance["model"].unique(maintain_order=True).to_list()
    blocks: list[Block] = []
    for model in models:
        rows = min(25, importance.filter(pl.col("model") == model)["feature"].n_unique())
        figure = figures.importance_bars(importance, model)
        blocks.append(Chart(f"Features: {model}", figure, height=80 + 18 * rows, is_half=len(models) > 1))
    lead = "Mean share of importance over windows; importance tells what a model uses, not what causes returns."
    return Section("features", "Features", lead, blocks)


def portfolio_section(portfolios: Mapping[str, BacktestResult], annual_days: float) -> Section:
    """Return portfolios against their benchmark after costs."""
    has_benchmark = any(result.nav["excess_ret"].is_not_null().any() for result in portfolios.values())
    blocks: list[Block] = [excess_table(portfolios, annual_days)] if has_benchmark else []
    blocks.append(metrics_table(portfolios))
    blocks.append(Chart("Growth of 1", figures_portfolio.net_asset_value(portfolios), "After all costs; log axis."))
    if has_benchmark:
        blocks.append(Chart("Relative to the benchmark", figures_portfolio.excess_growth(portfolios), is_half=True))
    blocks.append(Chart("Drawdown", figures_portfolio.drawdowns(portfolios), is_half=has_benchmark))
    if has_benchmark:
        note = "Excess return is geometric; cost is below zero."
        blocks.append(Chart("By year", figures_portfolio.yearly_bars(portfolios), note, height=300))
    for name, result in portfolios.items():
        blocks.append(
            Chart(
                f"Trading by month: {name}",
                figures_portfolio.trading_bars(result),
                "Fractions of net asset value.",
                height=260,
            )
        )
        blocks.append(table(f"By year: {name}", result.yearly, YEARLY))
        blocks.append(fills_table(name, result))
    first = next(iter(portfolios.values()))
    if first.conventions:
        lines = "\n".join(f"{key.replace('_', ' ')}: {value}" for key, value in first.conventions.items())
        blocks.append(Code("How these figures are defined", lines))
    lead = "Replayed day by day with entry after the decision, the market's rules and every cost."
    return Section("portfolio", "Portfolio", lead, blocks)


YEARLY = (
    Column("year", "Year", text),
    Column("days", "Days", count),
    Column("ret", "Return", percent(1)),
    Column("benchmark", "Benchmark", percent(1)),
    Column("excess", "Excess", percent(1), "geometric"),
    Column("volatility", "Volatility", percent(1), "a year"),
    Column("sharpe", "Sharpe", number(2)),
    Column("max_drawdown", "Drawdown", percent(1), "deepest, of the peak"),
    Column("excess_max_drawdown", "Excess drawdown", percent(1), "relative to the benchmark"),
    Column("tracking_error", "Tracking error", percent(1), "a year"),
    Column("information_ratio", "IR", number(2)),
    Column("turnover", "Turnover", percent(0), "one-way, sum of the year"),
    Column("cost", "Cost", percent(2), "sum of the year"),
)


def excess_table(portfolios: Mapping[str, BacktestResult], annual_days: float) -> Table:
    """Return excess return and information ratio of every portfolio with their uncertainty."""
    rows = []
    root = float(np.sqrt(annual_days))
    for name, result in portfolios.items():
        test = excess_test(result.nav)
        rows.append(
            {
                "portfolio": name,
                "excess": test.mean * annual_days,
                "interval": f"{percent(1)(test.low * annual_days)} to {percent(1)(test.high * annual_days)}",
                "ir": test.ir * root,
                "ir_interval": f"{number(2)(test.ir_low * root)} to {number(2)(test.ir_high * root)}",
                "t": test.t_newey_west,
                "positive": test.positive,
                "n": test.n,
            }
        )
    columns = (
        Column("portfolio", "Portfolio", text, numeric=False),
        Column("excess", "Excess a year", percent(1), "arithmetic: mean daily difference x days a year"),
        Column("interval", "Interval", text, "stationary bootstrap, 95 %"),
        Column("ir", "IR", number(2), "information ratio a year"),
        Column("ir_interval", "Interval", text, "stationary bootstrap, 95 %"),
        Column("t", "t (NW)", number(2)),
        Column("positive", "Days ahead", percent(1), "share of days with an excess return above zero"),
        Column("n", "Days", count),
    )
    return table("Excess over the benchmark", pl.DataFrame(rows), columns)


def metrics_table(portfolios: Mapping[str, BacktestResult]) -> Table:
    """Return every metric of every portfolio, one column each; definitions on hover."""
    keys = list(dict.fromkeys(key for result in portfolios.values() for key in result.metrics))
    conventions = next(iter(portfolios.values())).conventions
    rows = []
    for key in keys:
        form = percent(1) if any(part in key for part in PERCENT_METRICS) else significant
        rows.append(
            [
                key.replace("_", " "),
                *(form(result.metrics.get(key)) for result in portfolios.values()),
                conventions.get(key, ""),
            ]
        )
    titles = ["Figure", *portfolios, "Definition"]
    numeric = [False, *[True] * len(portfolios), False]
    return Table("Whole span", titles, rows, numeric, [""] * len(titles), is_folded=True)


def fills_table(name: str, result: BacktestResult) -> Table:
    """Return trades by side and reason: number, value and what they cost."""
    costs = [key for key in ("commission", "duty", "transfer_fee", "impact") if key in result.fills.columns]
    frame = (
        result.fills.group_by("side", "reason")
        .agg(pl.len().alias("trades"), pl.col("value", *costs).sum())
        .sort("side", "reason")
    )
    total = pl.sum_horizontal(costs) if costs else pl.lit(0.0)
    frame = frame.with_columns((1e4 * total / pl.col("value")).alias("bps"))
    columns = (
        Column("side", "Side", text, numeric=False),
        Column("reason", "Reason", text, numeric=False),
        Column("trades", "Trades", count),
        Column("value", "Value", count),
        *(Column(key, key.replace("_", " ").capitalize(), count) for key in costs),
        Column("bps", "All costs, bps", number(1)),
    )
    return table(f"Trades: {name}", frame, columns, is_folded=True)


def audit_section(audit: pl.DataFrame) -> Section:
    """Return what the look-ahead audit found."""
    if audit.height:
        blocks: list[Block] = [any_table("Findings", audit)]
    else:
        blocks = [Text("No value changed when later data were cut off or altered.")]
    return Section("audit", "Look-ahead audit", "Values recomputed without the data that follow them.", blocks)


def provenance_section(provenance: Mapping[str, Any]) -> Section:
    """Return where everything came from: plain values as a table, records and the recipe folded beneath."""
    blocks: list[Block] = []
    simple = {key: value for key, value in provenance.items() if not isinstance(value, (Mapping, list, tuple))}
    recipe = simple.pop("recipe", None)
    if simple:
        frame = pl.DataFrame(
            {"what": [key.replace("_", " ") for key in simple], "value": [text(v) for v in simple.values()]}
        )
        what = (Column("what", "", text, numeric=False), Column("value", "", text, numeric=False))
        blocks.append(table("", frame, what))
    if recipe is not None:
        blocks.append(Code("Recipe", str(recipe)))
    blocks += [
        Code(key.replace("_", " ").capitalize(), json.dumps(value, indent=1, ensure_ascii=False, default=str))
        for key, value in provenance.items()
        if isinstance(value, (Mapping, list, tuple))
    ]
    return Section("provenance", "Provenance", "What is needed to make these numbers again.", blocks)
