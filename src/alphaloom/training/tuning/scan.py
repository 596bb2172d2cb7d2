"""What a scan over one setting says: whether the setting matters, and which part of its range is worth searching."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import friedmanchisquare

from alphaloom.training.tuning.space import Range, Value
from alphaloom.typing import Doubles


def narrow(span: Range, points: Sequence[Value], values: Doubles, level: float) -> tuple[Range | None, float | None]:
    """Return the part of a range worth searching, or None where the setting makes no difference, and the p-value.

    A point stays if it is not clearly worse than the best one: its mean lies at most one standard error of the
    difference, taken date by date, below the best. The part reaches from the point before the first that stays to the
    one after the last.

    Args:
        span: the range.
        points: values tried, in order.
        values: of the objective on each tested date `[points, dates]`, greater is better.
        level: of Friedman's test that all points are equal.
    """
    if len(points) < 2:
        return None, None
    p = _friedman(values)
    if p is None or p > level:
        return None, p
    best = int(np.argmax(values.mean(axis=1)))
    loss = values[best] - values
    error = loss.std(axis=1, ddof=1) / np.sqrt(values.shape[1])
    stays = np.flatnonzero(loss.mean(axis=1) <= error)
    low, high = max(int(stays[0]) - 1, 0), min(int(stays[-1]) + 1, len(points) - 1)
    return span.between(points[low], points[high]), p


def _friedman(values: Doubles) -> float | None:
    """Return the p-value that no row differs; None where all are equal."""
    if np.ptp(values, axis=0).max() == 0:
        return None
    if len(values) == 2:
        from scipy.stats import wilcoxon

        return float(wilcoxon(values[0], values[1]).pvalue)
    return float(friedmanchisquare(*values).pvalue)
