"""Missing values: what each way of treating them does to a family's coverage, RankIC and a model's forecasts."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.special import ndtri

from alphaloom.errors import UsageError
from alphaloom.feature_study.blocks import (
    FeatureBlock,
    Judged,
    column_t,
    feature_blocks,
    judged,
    mean_and_t,
    rank_ics,
)
from alphaloom.feature_study.missing_forecasts import Forecasts, column_mean
from alphaloom.feature_study.missing_policies import Policy
from alphaloom.features.base import FeatureFamily
from alphaloom.labels.base import Label
from alphaloom.panel import Panel
from alphaloom.transforms.chain import apply_cross_sectional
from alphaloom.typing import Doubles, Floats

LEVEL = 0.05
"""Probability of one or more false findings among the policies compared, by Bonferroni."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class PolicyResult:
    """What one policy gave.

    Attributes:
        policy: the policy.
        coverage: share of listed stock-days with a value `[F]`.
        rank_ic: of each feature on each date `[D, F]`, over the stocks that have a value.
        composite: RankIC on each later date `[D2]` of the equally weighted features, signs from the earlier half.
        ridge: the same of a ridge regression fitted on the earlier half.
        seconds: that it took.
    """

    policy: Policy
    coverage: Doubles
    rank_ic: Doubles
    composite: Doubles
    ridge: Doubles
    seconds: float


@dataclass(frozen=True, eq=False)
class MissingStudy:
    """Policies side by side on one family; `split` is the first date on which composite and ridge are tested."""

    family: FeatureFamily
    features: tuple[str, ...]
    results: tuple[PolicyResult, ...]
    steps: int
    facts: dict[str, Any]

    def table(self) -> pl.DataFrame:
        """Return one row a policy.

        Columns: `policy, meaning, coverage` (mean over features), `least` (of a feature), `rank_ic` (mean over features
        of RankIC in the direction that each has when values are left missing), `first_half, second_half` (of it),
        `rank_ic_change, _se, _t` (paired with leaving them missing), `composite, composite_icir, composite_change, _se,
        _t`, and the same of `ridge`.
        """
        base = self.results[0]
        sign = np.sign(np.nan_to_num(column_t(base.rank_ic, self.steps)[0]))
        signed_base = _row_mean(base.rank_ic * sign)
        rows = []
        for result in self.results:
            signed = _row_mean(result.rank_ic * sign)
            half = signed.size // 2
            row: dict[str, Any] = {
                "policy": result.policy.name,
                "meaning": result.policy.meaning,
                "coverage": float(result.coverage.mean()),
                "least": float(result.coverage.min()),
                "rank_ic": mean_and_t(signed, self.steps)[0],
                "first_half": mean_and_t(signed[:half], self.steps)[0],
                "second_half": mean_and_t(signed[half:], self.steps)[0],
                **_change("rank_ic", signed - signed_base, self.steps),
            }
            for key in ("composite", "ridge"):
                values = getattr(result, key)
                row[key] = mean_and_t(values, self.steps)[0]
                row[f"{key}_icir"] = _ratio(values)
                row |= _change(key, values - getattr(base, key), self.steps)
            rows.append({**row, "seconds": result.seconds})
        return pl.DataFrame(rows)

    def feature_table(self) -> pl.DataFrame:
        """Return one row a feature: coverage and RankIC when left missing, then change and t of each other policy."""
        base = self.results[0]
        mean, _, t = column_t(base.rank_ic, self.steps)
        columns: dict[str, Any] = {
            "feature": list(self.features),
            "coverage": base.coverage,
            "rank_ic": mean,
            "rank_ic_t": t,
        }
        for result in self.results[1:]:
            change, _, change_t = column_t(result.rank_ic - base.rank_ic, self.steps)
            columns[f"{result.policy.name} change"] = change
            columns[f"{result.policy.name} t"] = change_t
        return pl.DataFrame(columns)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the daily series as plain data."""
        return {
            "family": self.family.describe(),
            "facts": self.facts,
            "conclusion": " ".join(conclusion(self)),
            "policies": self.table().to_dicts(),
            "recipes": {result.policy.name: result.policy.recipe() for result in self.results},
            "features": self.feature_table().to_dicts(),
        }


def compare_policies(
    compared: Sequence[Policy],
    panel: Panel,
    label: Label,
    *,
    start: object = None,
    end: object = None,
    progress: Progress | None = None,
) -> MissingStudy:
    """Return the study of policies on the listed stocks of a panel, the first of them the one compared with.

    Every policy is judged on the same days. RankIC of single features is over the stocks that have a value, so a
    policy that fills more is judged on more stocks. Composite and ridge score every stock with a label: features are
    standardised each day and held within 3 deviations, what is still missing counts as the day's mean; they are fitted
    on the earlier half of the days, less those whose labels reach into the later half, and judged on the later one.

    Args:
        compared: as `policies` gives them; all begin with the same columns.
        panel: with `required_fields(compared, label)`.
        label: what the features are to foretell.
        start: first day; without it the first one with the longest look-back before it.
        end: last day.
        progress: called with what is done.

    Raises:
        UsageError: nothing to compare.
        DataError: too few days, or no label on one of the halves.
    """
    if len(compared) < 2:
        raise UsageError("A comparison needs the policy of leaving values missing and at least one other.")
    lookback = max(policy.family.lookback for policy in compared)
    data = judged(panel, label, lookback, start=start, end=end, min_rows=120)
    split = (data.first + data.stop) // 2
    names = compared[0].family.columns()
    results = []
    for k, policy in enumerate(compared):
        results.append(_judge(policy, data, split, len(names)))
        if progress:
            progress(f"policy {policy.name}", k + 1, len(compared))
    facts = {
        "from": str(panel.dates[data.first]),
        "to": str(panel.dates[data.stop - 1]),
        "days": data.stop - data.first,
        "split": str(panel.dates[split]),
        "stocks": int(data.panel.universe[data.first : data.stop].any(axis=0).sum()),
        "cells": int(data.panel.universe[data.first : data.stop].sum()),
        "label": label.describe(),
        "label_days": data.steps,
    }
    return MissingStudy(compared[0].family, tuple(names), tuple(results), data.steps, facts)


def conclusion(study: MissingStudy) -> tuple[str, str]:
    """Return how much is missing, and what can be said of the policies: the surest change and its uncertainty.

    The interval of the change of the ridge regression's RankIC covers 95 % for all policies together (Bonferroni).
    """
    table = study.table()
    others = table.slice(1)
    reach = float(-ndtri(LEVEL / 2 / others.height))
    missing = f"Left missing, {1 - float(table['coverage'][0]):.2%} of the values on listed stock-days are unknown."
    known = others.filter(others["ridge_change_t"].is_not_nan())
    if known.is_empty():
        return missing, "No policy changes the forecasts of a ridge regression: it makes no difference here."
    row = known.row(int(known["ridge_change_t"].abs().arg_max() or 0), named=True)
    low, high = (row["ridge_change"] + side * reach * row["ridge_change_se"] for side in (-1, 1))
    change = (
        f"{row['ridge_change']:+.5f} on {table['ridge'][0]:.4f} ({1 - LEVEL:.0%}: {low:+.5f} to {high:+.5f}, allowing "
        f"for {others.height} comparisons)"
    )
    if abs(row["ridge_change_t"]) < reach:
        return missing, (
            "No policy changes the RankIC of a ridge regression's forecasts beyond its uncertainty; the surest change, "
            f"of {row['policy']!r}, is {change}."
        )
    better = "better" if row["ridge_change"] > 0 else "worse"
    return missing, (
        f"{row['policy'].capitalize()!r} is {better} than leaving values missing: the RankIC of a ridge regression's "
        f"forecasts changes by {change}."
    )


def _judge(policy: Policy, data: Judged, split: int, F: int) -> PolicyResult:
    began = time.perf_counter()
    known, cells = np.zeros(F), 0
    model = Forecasts(len(policy.family.columns()), F, data, split)
    rank_ic = []
    for block in feature_blocks(policy.family, data):
        rows = data.panel.rows(block.start, block.stop)
        values = np.array(block.values, dtype=np.float32, order="C", copy=True)
        apply_cross_sectional(policy.transforms, values, rows, in_place=True)
        own = np.ascontiguousarray(values[:, :, :F])
        known += _known(own, rows.universe)
        cells += int(rows.universe.sum())
        rank_ic.append(rank_ics(own, data.label[block.start : block.stop]))
        model.feed(FeatureBlock(block.start, block.stop, values, 0.0), rank_ic[-1])
    composite, ridge = model.result()
    seconds = time.perf_counter() - began
    return PolicyResult(policy, known / max(1, cells), np.concatenate(rank_ic), composite, ridge, seconds)


def _known(block: Floats, listed: np.ndarray) -> Doubles:
    """Return how many listed cells of each column hold a value `[F]`."""
    total = np.zeros(block.shape[2])
    for day, on in zip(block, listed, strict=True):
        total += (~np.isnan(day[on])).sum(axis=0)
    return total


def _row_mean(values: Doubles) -> Doubles:
    return column_mean(values.T)


def _ratio(daily: Doubles) -> float:
    known = daily[~np.isnan(daily)]
    return float(known.mean() / known.std(ddof=1)) if known.size > 2 and np.ptp(known) > 0 else float("nan")


def _change(key: str, difference: Doubles, steps: int) -> dict[str, float]:
    mean, error, t = mean_and_t(difference, steps)
    return {f"{key}_change": mean, f"{key}_change_se": error, f"{key}_change_t": t}
