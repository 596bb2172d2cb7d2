"""Sections on training, audit and provenance."""

import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from alphaloom.report import figures
from alphaloom.report.content import (
    Block,
    Chart,
    Code,
    Column,
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

PATHS = (
    Column("model", "Model", text, numeric=False),
    Column("paths", "Paths", count),
    Column("lowest", "Lowest RankIC", number(4)),
    Column("median", "Median", number(4)),
    Column("highest", "Highest", number(4)),
    Column("below", "Below zero", percent(0), "share of paths with a mean RankIC below zero"),
)

TRAINING_RECORDS = (
    ("train_loss", "Training loss"),
    ("valid_loss", "Validation loss"),
    ("valid_rank_ic", "Validation RankIC"),
)


def paths_section(paths: pl.DataFrame) -> Section:
    """Return how RankIC spreads over the backtest paths of a combinatorial split."""
    value = pl.col("rank_ic").fill_nan(None)
    spread = paths.group_by("model", maintain_order=True).agg(
        pl.len().alias("paths"),
        value.min().alias("lowest"),
        value.median().alias("median"),
        value.max().alias("highest"),
        (value < 0).mean().alias("below"),
    )
    blocks: list[Block] = [
        table("RankIC over paths", spread, PATHS, note="The best path says nothing; paths share most of their fits."),
        any_table("Every path", paths, is_folded=True),
    ]
    lead = "Each path tests every date once, by another choice of fits."
    return Section("paths", "Backtest paths", lead, blocks)


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


AUDITED = (
    Column("kind", "What", text, numeric=False),
    Column("name", "Name", text, numeric=False),
    Column("columns", "Columns", count),
    Column("cuts", "Dates", count, "at which later data were cut off or replaced"),
    Column("cells", "Values compared", count),
    Column("result", "Result", text, numeric=False),
    Column("detail", "Detail", text, numeric=False),
)


PLACEBO = (
    Column("kind", "Permuted over", text, numeric=False),
    Column("rank_ic", "RankIC", number(4), "of the traded scores against what the models were fitted to"),
    Column("placebo_mean", "Placebos", number(4), "mean of the same training on permuted labels"),
    Column("placebo_deviation", "Std", number(4)),
    Column("repeats", "Repeats", count),
    Column("p", "p", probability, "chance of at least that RankIC where there is nothing to learn"),
    Column("meaning", "Meaning", text, numeric=False),
)


def audit_section(audit: Mapping[str, Any] | None, placebos: Mapping[str, Any] | None = None) -> Section:
    """Return what the look-ahead audit and placebos found; how to make them where they lack.

    Args:
        audit: the content of a run's `audit.json`.
        placebos: the content of its `placebo.json`.
    """
    blocks = _audit_blocks(audit)
    if placebos:
        rows = [{**item, "repeats": len(item["placebos"])} for item in placebos.values()]
        frame = pl.DataFrame(rows, infer_schema_length=None)
        blocks.append(table("Placebo: trained again on labels that mean nothing", frame, PLACEBO))
    else:
        blocks.append(Text("No placebo yet: `alphaloom placebo RUN STORE` trains again on labels that mean nothing."))
    lead = "Values computed again without the data that follow them, and from other such data."
    return Section("audit", "Look-ahead audit", lead, blocks)


def _audit_blocks(audit: Mapping[str, Any] | None) -> list[Block]:
    if audit is None:
        words = (
            "Not audited yet: `alphaloom audit RUN STORE` computes this run again with later data cut off or replaced."
        )
        return [Text(words)]
    checks = pl.DataFrame(audit["checks"], infer_schema_length=None)
    blocks: list[Block] = [Text(line) for line in str(audit["verdict"]).splitlines()]
    telling = checks.filter(pl.col("result") != "passed")
    if telling.height:
        blocks.append(table("Leaks, warnings, what was skipped, planted leaks", telling, AUDITED))
    blocks.append(table("Everything audited", checks, AUDITED, is_folded=True))
    return blocks


def provenance_section(provenance: Mapping[str, Any]) -> Section:
    """Return where everything came from: plain values as a table, records and the recipe folded beneath."""
    blocks: list[Block] = []
    simple = {key: value for key, value in provenance.items() if not isinstance(value, (Mapping, list, tuple))}
    long = {key: simple.pop(key) for key in list(simple) if "\n" in str(simple[key])}
    if simple:
        frame = pl.DataFrame(
            {"what": [key.replace("_", " ") for key in simple], "value": [text(v) for v in simple.values()]}
        )
        what = (Column("what", "", text, numeric=False), Column("value", "", text, numeric=False))
        blocks.append(table("", frame, what))
    blocks += [Code(key.replace("_", " ").capitalize(), str(value)) for key, value in long.items()]
    blocks += [
        Code(key.replace("_", " ").capitalize(), json.dumps(value, indent=1, ensure_ascii=False, default=str))
        for key, value in provenance.items()
        if isinstance(value, (Mapping, list, tuple))
    ]
    return Section("provenance", "Provenance", "What is needed to make these numbers again.", blocks)
