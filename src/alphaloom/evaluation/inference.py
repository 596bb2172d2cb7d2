"""Is a mean different from zero? Tests and intervals for series whose values overlap or depend on each other.

Every function drops NaN first and treats what remains as consecutive.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from alphaloom.errors import UsageError
from alphaloom.typing import Array, Doubles, Ints

SIGNIFICANT = 2.0
"""c of Politis and White (2004), section 3.2: standard errors within which an autocorrelation counts as none."""


@dataclass(frozen=True)
class MeanTest:
    """Mean of a series with its uncertainty, told in several ways; all NaN where it cannot be computed.

    Attributes:
        n: values that are not missing.
        mean, std: `std` with divisor n - 1.
        ir: mean / std per value, not annualised (ICIR when the series is an IC).
        t_naive, p_naive: ir x sqrt(n) and its two-sided Student probability; wrong when values overlap.
        se: Newey-West standard error of the mean, `lags` lags.
        t_newey_west, p_newey_west: mean / se and its two-sided normal probability.
        t_non_overlapping: mean, over the possible starting points, of the naive t of every `steps`-th value.
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
    t_newey_west: float
    p_newey_west: float
    t_non_overlapping: float
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

    Newey-West uses 2 x `steps` lags: with fewer, overlapping returns of a slow signal are found significant far too
    often. The bootstrap's mean block is the larger of `steps` and `optimal_block_length`.
    """
    x = _present(values)
    n = x.size
    if n < 3 or np.ptp(x) == 0.0:
        nan = float("nan")
        mean = float(x.mean()) if n else nan
        positive = float((x > 0).mean()) if n else nan
        return MeanTest(
            n, mean, nan, nan, nan, nan, nan, 0, nan, nan, nan, n // steps, nan, nan, nan, nan, level, nan, positive
        )
    mean, std = float(x.mean()), float(x.std(ddof=1))
    t = naive_t(x)
    lags = min(2 * steps, n - 1)
    se = newey_west_error(x, lags)
    block = min(max(float(steps), optimal_block_length(x)), float(n))
    means, ratios = _bootstrap(x, block, resamples, seed)
    low, high = _interval(means, level)
    ir_low, ir_high = _interval(ratios, level)
    return MeanTest(
        n=n,
        mean=mean,
        std=std,
        ir=mean / std,
        t_naive=t,
        p_naive=student_p(t, n - 1),
        se=se,
        lags=lags,
        t_newey_west=mean / se,
        p_newey_west=float(2.0 * special.ndtr(-abs(mean / se))),
        t_non_overlapping=non_overlapping_t(x, steps),
        n_non_overlapping=n // steps,
        low=low,
        high=high,
        ir_low=ir_low,
        ir_high=ir_high,
        level=level,
        block=block,
        positive=float((x > 0).mean()),
    )


def naive_t(values: Array) -> float:
    """Return mean / (std / sqrt(n)); NaN for fewer than two values or a constant series."""
    x = _present(values)
    if x.size < 2 or np.ptp(x) == 0.0:
        return float("nan")
    return float(x.mean() / x.std(ddof=1) * np.sqrt(x.size))


def student_p(t: float, freedom: int) -> float:
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


def non_overlapping_t(values: Array, steps: int) -> float:
    """Return the naive t of every `steps`-th value, averaged over the `steps` possible starting points.

    The average keeps the answer from depending on where one begins; NaN when a subsample has under three values.
    """
    x = _present(values)
    if x.size // steps < 3:
        return float("nan")
    return float(np.mean([naive_t(x[start::steps]) for start in range(steps)]))


def optimal_block_length(values: Array) -> float:
    """Return the mean block length that suits the stationary bootstrap of the mean; at least 1.

    Flat-top estimate: m is the first lag of a run of `max(5, sqrt(log10 n))` autocorrelations that all lie within
    `2 sqrt(log10 n / n)`, as in the authors' own code. With `M = 2m`, `b = (G^2 / g^2)^(1/3) n^(1/3)`, where G and g
    are the weighted sums of `|k| R(k)` and `R(k)` over lags up to M. Bounded by `min(3 sqrt n, n / 3)`.

    Source: Politis and White (2004) with the correction of Patton, Politis and White (2009).
    """
    x = _present(values)
    n = x.size
    if n < 9 or np.ptp(x) == 0.0:
        return 1.0
    e = x - x.mean()
    run = max(5, int(np.ceil(np.sqrt(np.log10(n)))))
    widest = min(int(np.ceil(np.sqrt(n))) + run, n - 1)
    covariance = np.array([e[k:] @ e[: n - k] for k in range(widest + 1)]) / n
    small = np.abs(covariance[1:] / covariance[0]) < SIGNIFICANT * np.sqrt(np.log10(n) / n)
    m = next((k + 1 for k in range(widest - run + 1) if small[k : k + run].all()), widest)
    M = min(2 * m, widest)
    k = np.arange(1, M + 1)
    weight = np.clip(2.0 * (1.0 - k / M), 0.0, 1.0)
    G = 2.0 * float((weight * k * covariance[1 : M + 1]).sum())
    g = float(covariance[0] + 2.0 * (weight * covariance[1 : M + 1]).sum())
    if g == 0.0:
        return 1.0
    b = (G * G / (g * g)) ** (1.0 / 3.0) * n ** (1.0 / 3.0)
    return float(np.clip(b, 1.0, np.ceil(min(3.0 * np.sqrt(n), n / 3.0))))


def stationary_bootstrap(n: int, block: float, resamples: int, seed: int = 0) -> Ints:
    """Return `[resamples, n]` row numbers: blocks of geometric length with mean `block`, wrapping round the end.

    Source: Politis and Romano (1994).

    Raises:
        UsageError: `block` below 1.
    """
    if block < 1.0:
        raise UsageError(f"The mean block length must be 1 or more; got {block}.")
    rng = np.random.default_rng(seed)
    begins = rng.random((resamples, n), dtype=np.float32) < 1.0 / block
    begins[:, 0] = True
    place = np.arange(n, dtype=np.int64)
    start = np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    drawn = rng.integers(0, n, size=(resamples, n))
    rows: Ints = (np.take_along_axis(drawn, start, axis=1) + place - start) % n
    return rows


def bootstrap_interval(
    values: Array, *, block: float | None = None, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Return the percentile interval of the mean under the stationary bootstrap; NaN for fewer than three values."""
    x = _present(values)
    if x.size < 3:
        return float("nan"), float("nan")
    means, _ = _bootstrap(x, optimal_block_length(x) if block is None else block, resamples, seed)
    return _interval(means, level)


def _bootstrap(x: Doubles, block: float, resamples: int, seed: int) -> tuple[Doubles, Doubles]:
    drawn = x[stationary_bootstrap(x.size, block, resamples, seed)]
    means = drawn.mean(axis=1)
    spread = drawn.std(axis=1, ddof=1)
    ratios = np.divide(means, spread, out=np.full(means.size, np.nan), where=spread > 0)
    return means, ratios


def _interval(draws: Doubles, level: float) -> tuple[float, float]:
    tail = (1.0 - level) / 2.0
    low, high = np.nanquantile(draws, [tail, 1.0 - tail])
    return float(low), float(high)


def _present(values: Array) -> Doubles:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1:
        raise UsageError(f"A series must have one axis; got shape {x.shape}.")
    return x[~np.isnan(x)]
