"""Is a mean different from zero? Tests and intervals for series whose values overlap or depend on each other.

Every function drops NaN first and treats what remains as consecutive.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from alphaloom.errors import UsageError
from alphaloom.evaluation.resampling import block_for, interval_of, widening
from alphaloom.kernels.bootstrap import stationary_moments
from alphaloom.typing import Array, Doubles

REACH = 3
"""Newey-West lags and bootstrap blocks reach at least so many horizons."""


@dataclass(frozen=True)
class MeanTest:
    """Mean of a series with its uncertainty, told in several ways; all NaN where it cannot be computed.

    Attributes:
        n: values that are not missing.
        mean, std: `std` with divisor n - 1.
        ir: mean / std per value, not annualised (ICIR when the series is an IC).
        t_naive, p_naive: ir x sqrt(n) and its two-sided Student probability; wrong when values overlap.
        se, lags, freedom: of `newey_west`: standard error of the mean, lags, degrees of freedom.
        t_newey_west, p_newey_west: mean / se and its two-sided Student probability with `freedom` degrees.
        t_non_overlapping: mean, over the possible starting points, of the naive t of every `steps`-th value.
        p_non_overlapping: its two-sided Student probability with `n_non_overlapping - 1` degrees.
        n_non_overlapping: values in the shortest of those subsamples.
        low, high: bootstrap interval of the mean; `ir_low`, `ir_high` of the ir.
        level: probability that the intervals cover.
        block: mean block length of the bootstrap.
        positive: share of values above zero (the hit rate).
    """

    n: int
    mean: float
    std: float
    ir: float
    t_naive: float
    p_naive: float
    se: float
    lags: int
    freedom: float
    t_newey_west: float
    p_newey_west: float
    t_non_overlapping: float
    p_non_overlapping: float
    n_non_overlapping: int
    low: float
    high: float
    ir_low: float
    ir_high: float
    level: float
    block: float
    positive: float


def mean_test(values: Array, *, steps: int = 1, level: float = 0.95, resamples: int = 1000, seed: int = 0) -> MeanTest:
    """Return the mean of `values [D]` with naive, Newey-West and non-overlapping t and a bootstrap interval.

    Args:
        values: one value a date, in order of time; NaN is dropped.
        steps: how many neighbouring values share data (the horizon in units of the dates).
        level: coverage of the intervals.
        resamples: bootstrap samples.
        seed: of the bootstrap.

    Lags and blocks reach at least three horizons and the errors allow for their own uncertainty: with short lags and
    normal probabilities, overlapping returns of a slow signal without skill are found significant far too often
    (`benchmarks/null_study.py`).
    """
    x = _present(values)
    n = x.size
    if n < 3 or np.ptp(x) == 0.0:
        return _untested(x, steps, level)
    mean, std = float(x.mean()), float(x.std(ddof=1))
    t, t_apart = naive_t(x), non_overlapping_t(x, steps)
    se, lags, freedom = newey_west(x, steps)
    block = block_for(x, REACH * steps if steps > 1 else 1)
    means, ratios = _bootstrap(x, block, resamples, seed)
    wider = widening(n, block, level)
    low, high = interval_of(means, mean, level, wider)
    ir_low, ir_high = interval_of(ratios, mean / std, level, wider)
    return MeanTest(
        n=n,
        mean=mean,
        std=std,
        ir=mean / std,
        t_naive=t,
        p_naive=student_p(t, n - 1),
        se=se,
        lags=lags,
        freedom=freedom,
        t_newey_west=mean / se,
        p_newey_west=student_p(mean / se, freedom),
        t_non_overlapping=t_apart,
        p_non_overlapping=student_p(t_apart, max(n // steps - 1, 1)),
        n_non_overlapping=n // steps,
        low=low,
        high=high,
        ir_low=ir_low,
        ir_high=ir_high,
        level=level,
        block=block,
        positive=float((x > 0).mean()),
    )


def _untested(x: Doubles, steps: int, level: float) -> MeanTest:
    """Return what is known of too few values, or of values without variation: number, mean, share above zero."""
    fields: dict[str, Any] = dict.fromkeys(MeanTest.__dataclass_fields__, float("nan"))
    fields |= {"n": x.size, "lags": 0, "n_non_overlapping": x.size // steps, "level": level}
    if x.size:
        fields |= {"mean": float(x.mean()), "positive": float((x > 0).mean())}
    return MeanTest(**fields)


def naive_t(values: Array) -> float:
    """Return mean / (std / sqrt(n)); NaN for fewer than two values or a constant series."""
    x = _present(values)
    if x.size < 2 or np.ptp(x) == 0.0:
        return float("nan")
    return float(x.mean() / x.std(ddof=1) * np.sqrt(x.size))


def student_p(t: float, freedom: float) -> float:
    """Return the two-sided probability of a Student t."""
    return float(2.0 * special.stdtr(freedom, -abs(t)))


def newey_west_error(values: Array, lags: int) -> float:
    """Return the standard error of the mean that allows for autocorrelation up to `lags`.

    `sqrt((g0 + 2 sum_l (1 - l / (L + 1)) g_l) / n)`, g_l the autocovariance with divisor n.

    Source: Newey and West (1987); equal to OLS on a constant with a Bartlett-kernel HAC covariance.

    Raises:
        UsageError: `lags` is negative or not below the number of values.
    """
    x = _present(values)
    if not 0 <= lags < x.size:
        raise UsageError(f"Newey-West needs 0 <= lags < {x.size} values; got {lags} lags.")
    e = x - x.mean()
    total = e @ e
    for lag in range(1, lags + 1):
        total += 2.0 * (1.0 - lag / (lags + 1.0)) * (e[lag:] @ e[:-lag])
    return float(np.sqrt(total) / x.size)


def newey_west(values: Array, steps: int = 1) -> tuple[float, int, float]:
    """Return the standard error of a mean, how many lags it uses, and its degrees of freedom.

    `lags = max(3 x steps, 1.3 sqrt n)`, at most a third of the n values. With `b = (lags + 1) / n`, the Bartlett
    estimate of the variance falls short by the factor `1 - b + b^2 / 3`, because the mean itself is estimated, and
    varies like a chi-square with `1.5 / b` degrees of freedom. The error is corrected for the first; mean / error is
    judged by Student's t for the second.

    Source: Lazarus, Lewis, Stock and Watson (2018), section 3, for `1.3 sqrt n`; Kiefer and Vogelsang (2005) for fixed
    b; Sun (2014) for the equivalent degrees of freedom.
    Differs: Newey and West's own test takes few lags and the normal distribution.

    Raises:
        UsageError: fewer than three values.
    """
    x = _present(values)
    n = x.size
    if n < 3:
        raise UsageError(f"Newey-West needs at least three values; got {n}.")
    lags = min(max(REACH * steps, int(np.ceil(1.3 * np.sqrt(n)))), n // 3)
    b = (lags + 1) / n
    return newey_west_error(x, lags) / float(np.sqrt(1.0 - b + b * b / 3.0)), lags, 1.5 / b


def non_overlapping_t(values: Array, steps: int) -> float:
    """Return the naive t of every `steps`-th value, averaged over the `steps` possible starting points.

    The average keeps the answer from depending on where one begins; NaN when a subsample has under three values.
    """
    x = _present(values)
    if x.size // steps < 3:
        return float("nan")
    return float(np.mean([naive_t(x[start::steps]) for start in range(steps)]))


def _bootstrap(x: Doubles, block: float, resamples: int, seed: int) -> tuple[Doubles, Doubles]:
    means, spread = stationary_moments(x, block, resamples, seed)
    ratios = np.divide(means, spread, out=np.full(means.size, np.nan), where=spread > 0)
    return means, ratios


def _present(values: Array) -> Doubles:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1:
        raise UsageError(f"A series must have one axis; got shape {x.shape}.")
    return x[~np.isnan(x)]
