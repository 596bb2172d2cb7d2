"""What is wrong, or odd, with the values of features: nothing known, infinite, constant, the same as another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alphaloom.feature_study.blocks import feature_blocks, judged, listed_cells
from alphaloom.feature_study.days import DaySampler, SampledDays
from alphaloom.feature_study.summary import Summary
from alphaloom.features.base import FeatureFamily
from alphaloom.panel import Panel

LEAST_COVERAGE = 0.5
"""Share of listed cells with a value below which a feature is reported."""
SAME = 0.99995
"""Mean |rank correlation| from which two features order the stocks alike."""


@dataclass(frozen=True)
class Problem:
    """One thing to know about a feature: its kind and a sentence."""

    feature: str
    kind: str
    words: str


def find_problems(
    family: FeatureFamily, panel: Panel, *, start: object = None, end: object = None
) -> tuple[Problem, ...]:
    """Return what is odd about a family's values on the listed stocks of a panel, from `start` to `end`.

    Without `start` the days begin where the look-back is whole.

    Raises:
        DataError: fewer than 60 days, or no listed stock on them.
    """
    data = judged(panel, None, family.lookback, start=start, end=end)
    names = family.columns()
    days, parts = DaySampler(data, len(names)), []
    for block in feature_blocks(family, data):
        parts.append(Summary.of(block.values, listed_cells(data, block.start, block.stop)))
        days.feed(block)
    return data_problems(names, sum(parts[1:], parts[0]), days.result())


def data_problems(names: Sequence[str], summary: Summary, days: SampledDays) -> tuple[Problem, ...]:
    """Return what is odd about the features, by feature and kind.

    Kinds: `empty`, `coverage` (below `LEAST_COVERAGE`), `infinite`, `constant` (one value everywhere), `common` (the
    same for all stocks of a date), `duplicate` (equal to an earlier feature), `same order` (an earlier feature orders
    the stocks alike, or the other way round). The last three are judged on the sampled dates.
    """
    found: list[Problem] = []
    duplicate = {j: group[0] for group in days.duplicates for j in group[1:]}
    coverage, std = summary.coverage, summary.std
    alike = np.abs(np.nan_to_num(days.correlation, nan=0.0)) >= SAME
    for j, name in enumerate(names):
        if coverage[j] == 0:
            found.append(Problem(name, "empty", "has no value for any listed stock"))
            continue
        if coverage[j] < LEAST_COVERAGE:
            found.append(Problem(name, "coverage", f"has a value on {coverage[j]:.1%} of the listed stock-days only"))
        if summary.infinite[j]:
            found.append(Problem(name, "infinite", f"is infinite {int(summary.infinite[j]):,} times"))
        if std[j] == 0 or np.isnan(std[j]):
            found.append(Problem(name, "constant", f"has one value, {summary.mean[j]:.6g}, everywhere"))
            continue
        if not days.varies[j]:
            found.append(Problem(name, "common", "is the same for all stocks of a date: it cannot rank them"))
            continue
        if j in duplicate:
            found.append(Problem(name, "duplicate", f"equals {names[duplicate[j]]}"))
            continue
        earlier = np.flatnonzero(alike[j, :j])
        if earlier.size:
            found.append(Problem(name, "same order", f"orders the stocks as {names[earlier[0]]} does, or its reverse"))
    return tuple(found)
