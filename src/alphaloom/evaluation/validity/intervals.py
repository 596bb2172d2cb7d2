"""Intervals of any headline number, and of the difference between two runs, by bootstrap of blocks of dates."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from alphaloom.errors import AlignmentError, DataError, UsageError
from alphaloom.evaluation.resampling import block_for, circular_bootstrap, interval_of, stationary_bootstrap, widening
from alphaloom.typing import Array, Doubles, Ints

Statistic = Callable[[Doubles], Doubles]
"""Values `[R, n]`, one series a row, to one number a row `[R]`."""

CHUNK = 2_000_000
"""Resampled values held at once."""


@dataclass(frozen=True)
class Interval:
    """A number with its interval.

    Attributes:
        value: of the series itself.
        low, high: bounds that cover the true number with probability `level`.
        p_value: two-sided, of the number being 0: the smallest 1 - level whose interval leaves 0 out; NaN for numbers
            that cannot have either sign.
        level: coverage.
        block: mean block length.
        n: dates.
    """

    value: float
    low: float
    high: float
    p_value: float
    level: float
    block: float
    n: int


def mean(values: Doubles) -> Doubles:
    """Return the mean of each row: of an IC, a RankIC, a spread, an excess return."""
    return np.asarray(values.mean(axis=1))


def ratio(values: Doubles) -> Doubles:
    """Return mean / standard deviation (n - 1) of each row: Sharpe, information ratio or ICIR a period."""
    spread = values.std(axis=1, ddof=1)
    return np.asarray(np.divide(values.mean(axis=1), spread, out=np.full(spread.size, np.nan), where=spread > 0))


def growth(values: Doubles) -> Doubles:
    """Return the compounded return a period of each row of returns above -1."""
    return np.asarray(np.expm1(np.log1p(values).mean(axis=1)))


def deepest_drawdown(values: Doubles) -> Doubles:
    """Return the deepest fall from a peak of each row of returns, 0 or negative; the start counts as a peak."""
    wealth = np.cumprod(1.0 + values, axis=1)
    peak = np.maximum(np.maximum.accumulate(wealth, axis=1), 1.0)
    return np.asarray((wealth / peak - 1.0).min(axis=1, initial=0.0))


STATISTICS: dict[str, Statistic] = {
    "mean": mean,
    "ratio": ratio,
    "growth": growth,
    "deepest_drawdown": deepest_drawdown,
}
"""The headline numbers by name; any function of the same form may be given instead."""

ONE_SIDED = {deepest_drawdown}
"""Numbers that cannot have either sign: their intervals are plain percentiles and they have no p."""


def bootstrap_interval(
    values: Array,
    statistic: Statistic,
    *,
    steps: int = 1,
    method: Literal["stationary", "circular"] = "stationary",
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return a number of one series with its block-bootstrap interval.

    Args:
        values: `[n]`, one a date, in order of time; NaN is dropped.
        statistic: what is computed, one of `STATISTICS` or another function of rows.
        steps: how many neighbouring values share data; blocks reach at least three times as far.
        method: blocks of geometric length (Politis and Romano 1994) or of fixed length, wrapping round the end.
        level: coverage.
        resamples: bootstrap samples.
        seed: of the bootstrap.

    Percentile interval, widened for the few blocks that it rests on (`resampling.widening`); that of a drawdown is not
    widened, and tells of paths made of the same blocks in another order.

    Raises:
        DataError: fewer than ten values.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1:
        raise UsageError(f"A series must have one axis; got shape {x.shape}.")
    x = x[~np.isnan(x)]
    block = _block(x, steps)
    rows = _rows(x.size, block, method, resamples, seed)
    draws = np.concatenate([statistic(x[part]) for part in _parts(rows)])
    return _interval(statistic, draws, float(statistic(x[None])[0]), x.size, block, level)


def paired_difference(
    first: Array,
    second: Array,
    statistic: Statistic,
    *,
    steps: int = 1,
    method: Literal["stationary", "circular"] = "stationary",
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return the first run's number less the second's, with the interval of the difference.

    Both runs are resampled by the same dates, so that what moves both alike cancels; the interval is much narrower than
    the two runs' own intervals suggest. Arguments as for `bootstrap_interval`; dates on which either is NaN are left
    out.

    Raises:
        AlignmentError: the series have different lengths; give both on the same dates.
        DataError: fewer than ten common values.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise AlignmentError(f"Two runs are compared on the same dates, one value each; got {a.shape} and {b.shape}.")
    both = ~(np.isnan(a) | np.isnan(b))
    a, b = a[both], b[both]
    block = max(_block(series, steps) for series in (a, b, a - b))
    rows = _rows(a.size, block, method, resamples, seed)
    draws = np.concatenate([statistic(a[part]) - statistic(b[part]) for part in _parts(rows)])
    value = float(statistic(a[None])[0] - statistic(b[None])[0])
    wider = widening(a.size, block, level)
    low, high = interval_of(draws, value, level, wider)
    return Interval(value, low, high, _p_value(draws, value, a.size, block), level, block, a.size)


def _interval(statistic: Statistic, draws: Doubles, value: float, n: int, block: float, level: float) -> Interval:
    if statistic in ONE_SIDED:
        low, high = interval_of(draws, value, level)
        return Interval(value, low, high, float("nan"), level, block, n)
    low, high = interval_of(draws, value, level, widening(n, block, level))
    return Interval(value, low, high, _p_value(draws, value, n, block), level, block, n)


def _p_value(draws: Doubles, value: float, n: int, block: float) -> float:
    """Return 1 - level of the interval that has 0 as one bound, by bisection over the level."""

    def leaves_out(level: float) -> bool:
        low, high = interval_of(draws, value, level, widening(n, block, level))
        return low > 0.0 or high < 0.0

    inside, outside = 1.0 - 1.0 / (draws.size + 1.0), 0.0
    if leaves_out(inside):
        return 1.0 - inside
    for _ in range(30):
        middle = (inside + outside) / 2.0
        if leaves_out(middle):
            outside = middle
        else:
            inside = middle
    return 1.0 - inside


def _block(values: Doubles, steps: int) -> float:
    n = values.shape[0]
    if n < 10:
        raise DataError(f"A bootstrap of dates needs ten values or more; got {n}.")
    if steps < 1:
        raise UsageError(f"steps must be 1 or more; got {steps}.")
    return block_for(values, 3.0 * steps if steps > 1 else 1.0)


def _rows(n: int, block: float, method: str, resamples: int, seed: int) -> Ints:
    if method == "stationary":
        return stationary_bootstrap(n, block, resamples, seed)
    if method == "circular":
        return circular_bootstrap(n, max(1, round(block)), resamples, seed)
    raise UsageError(f"The bootstrap must be stationary or circular; got {method!r}.")


def _parts(rows: Ints) -> list[Ints]:
    return np.array_split(rows, max(1, rows.size // CHUNK))
