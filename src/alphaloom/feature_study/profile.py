"""Profile of a feature family: coverage, distribution, persistence, IC, cost and groups of like features."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from alphaloom.errors import DataError
from alphaloom.feature_study.blocks import (
    MIN_NAMES,
    Judged,
    column_t,
    feature_blocks,
    judged,
    listed_cells,
    rank_ics,
)
from alphaloom.feature_study.days import LAGS, QUANTILES, DaySampler, SampledDays
from alphaloom.feature_study.facts import FeatureFacts, feature_facts
from alphaloom.feature_study.groups import Group, correlated_groups
from alphaloom.feature_study.problems import Problem, data_problems
from alphaloom.feature_study.summary import Summary
from alphaloom.features.base import FeatureFamily
from alphaloom.features.written import ExpressionFamily
from alphaloom.kernels.column_moments import ic_block
from alphaloom.labels.base import Label
from alphaloom.language.plan import Plan
from alphaloom.panel import Panel
from alphaloom.typing import Doubles

TIMED_ROWS = 64
"""Rows on which a feature's own cost is measured, beside its look-back."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class FeatureProfile:
    """What is known of a family's features on one panel.

    `table` has one row a feature: `feature, group, coverage, infinite, zeros, mean, std, skew, kurtosis, q01 ... q99,
    outliers, ac_1, ac_5, ac_20, turnover, rank_ic, rank_ic_se, rank_ic_t, rank_icir, ic, ic_t, positive, ms, mb`.
    `histograms [F, BINS]` are shares between the 1 % and 99 % quantiles.
    """

    family: FeatureFamily
    table: pl.DataFrame
    histograms: Doubles
    groups: tuple[Group, ...]
    problems: tuple[Problem, ...]
    defined: tuple[FeatureFacts, ...]
    facts: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "family": self.family.describe(),
            "facts": self.facts,
            "features": self.table.to_dicts(),
            "groups": [vars(group) for group in self.groups],
            "problems": [vars(problem) for problem in self.problems],
        }


def profile_features(
    family: FeatureFamily,
    panel: Panel,
    label: Label,
    *,
    start: object = None,
    end: object = None,
    threshold: float = 0.8,
    progress: Progress | None = None,
) -> FeatureProfile:
    """Return the profile of a family on the listed stocks of a panel.

    Coverage, moments and IC come from every date; quantiles, histograms, persistence, turnover and correlations from
    evenly spaced ones (their number is in `facts`). Memory does not grow with the dates.

    Args:
        family: the features.
        panel: with `feature_study.blocks.required_fields(family, label)`.
        label: what the features are to foretell; read for IC alone.
        start: first day; without it the first one with the whole look-back before it.
        end: last day.
        threshold: mean absolute rank correlation from which features share a group.
        progress: called with what is done.

    Raises:
        DataError: too few days, or no listed stock on them.
    """
    began = time.perf_counter()
    data = judged(panel, label, family.lookback, start=start, end=end)
    if np.isnan(data.label[data.first : data.stop]).all():
        raise DataError(
            f"The label {label.name!r} has no value from {panel.dates[data.first]} to {panel.dates[data.stop - 1]}."
        )
    names = family.columns()
    sampler = DaySampler(data, len(names))
    summary: Summary | None = None
    rank_ic, ic, seconds = [], [], 0.0
    for block in feature_blocks(family, data):
        part = Summary.of(block.values, listed_cells(data, block.start, block.stop))
        summary = part if summary is None else summary + part
        sampler.feed(block)
        label_rows = data.label[block.start : block.stop]
        rank_ic.append(rank_ics(block.values, label_rows))
        pearson, pairs = ic_block(block.values, label_rows)
        ic.append(np.where(pairs >= MIN_NAMES, pearson, np.nan))
        seconds += block.seconds
        if progress:
            progress(f"profile of {family.name}", block.stop - data.first, data.stop - data.first)
    assert summary is not None
    days = sampler.result()
    table = _table(names, summary, days, np.concatenate(rank_ic), np.concatenate(ic), data.steps)
    groups = correlated_groups(names, days.correlation, np.abs(table["rank_ic_t"].to_numpy()), threshold)
    member = {name: group.number for group in groups for name in group.features}
    rows, N = data.stop - data.first, panel.shape[1]
    cost, how = feature_costs(family, data, seconds)
    table = table.with_columns(
        pl.Series("group", [member.get(name) for name in names], dtype=pl.Int64),
        pl.Series("ms", 1000 * cost),
        pl.Series("mb", np.full(len(names), 4e-6 * rows * N)),
    )
    facts = {
        "from": str(panel.dates[data.first]),
        "to": str(panel.dates[data.stop - 1]),
        "days": rows,
        "stocks": int(data.panel.universe[data.first : data.stop].any(axis=0).sum()),
        "cells": summary.cells,
        "label": label.describe(),
        "label_days": data.steps,
        "sampled_days": days.days,
        "threshold": threshold,
        "compute_seconds": round(seconds, 3),
        "cost_measured": how,
        "seconds": round(time.perf_counter() - began, 1),
    }
    problems = data_problems(names, summary, days)
    return FeatureProfile(family, table, days.histograms, groups, problems, tuple(feature_facts(family)), facts)


def feature_costs(family: FeatureFamily, data: Judged, seconds: float) -> tuple[Doubles, str]:
    """Return each feature's seconds over the judged rows `[F]`, and how they were measured.

    Written features are timed one by one on a few rows, each with all that it shares with others; a compiled family's
    features are computed together, so each gets an equal share of the `seconds` that the family took.
    """
    F = len(family.columns())
    if not isinstance(family, ExpressionFamily):
        return np.full(F, seconds / max(1, F)), "an equal share of the family's time"
    plan = family.plan
    rows = data.stop - data.first
    timed = min(TIMED_ROWS, rows)
    cost = np.empty(F)
    for f, (name, root) in enumerate(zip(plan.names, plan.roots, strict=True)):
        alone = Plan((name,), (root,))
        first = max(0, data.stop - timed - alone.lookback)
        part = data.panel.select(alone.inputs).rows(first, data.stop)
        began = time.perf_counter()
        alone.compute(part, start_row=part.shape[0] - timed)
        cost[f] = (time.perf_counter() - began) * (rows + alone.lookback) / part.shape[0]
    return cost, f"each alone on {timed} days with its look-back, scaled to all days"


def _table(
    names: list[str], summary: Summary, days: SampledDays, rank_ic: Doubles, ic: Doubles, steps: int
) -> pl.DataFrame:
    mean, error, t = column_t(rank_ic, steps)
    pearson, _, pearson_t = column_t(ic, steps)
    known = ~np.isnan(rank_ic)
    count = known.sum(axis=0)
    squares = np.where(known, (rank_ic - mean) ** 2, 0.0).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = mean / np.sqrt(squares / (count - 1))
        positive = (rank_ic > 0).sum(axis=0) / count
    columns: dict[str, Any] = {
        "feature": names,
        "group": [None] * len(names),
        "coverage": summary.coverage,
        "infinite": summary.infinite,
        "zeros": summary.zeros,
        "mean": summary.mean,
        "std": summary.std,
        "skew": summary.skew,
        "kurtosis": summary.kurtosis,
        **{f"q{round(100 * q):02d}": row for q, row in zip(QUANTILES, days.quantiles, strict=True)},
        "outliers": days.outliers,
        **{f"ac_{lag}": row for lag, row in zip(LAGS, days.persistence, strict=True)},
        "turnover": days.turnover,
        "rank_ic": mean,
        "rank_ic_se": error,
        "rank_ic_t": t,
        "rank_icir": np.where(np.isfinite(ratio), ratio, np.nan),
        "ic": pearson,
        "ic_t": pearson_t,
        "positive": positive,
        "ic_days": count,
    }
    return pl.DataFrame(columns)
