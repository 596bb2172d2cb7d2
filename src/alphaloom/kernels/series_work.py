"""How the compiled time-series operators are called, and what they share: composition of windows, masks, scratch.

    regs        float32 [M, R], the registers of one stock; its listed span has n rows: `regs[k, :n]`. NaN and infinite
                values are missing.
    requests    int64 [K, 4]: code of the operator, window, fewest values (min_periods), register of the result
    parameters  float64 [K, 1]: min_std of ts_rsquare and ts_corr, q of ts_quantile, 1 for gap="first" of ts_argmin and
                ts_argmax, else unused
    work        scratch of one thread, from `make_work(composition(windows), R)` with the windows of all requests that
                will use it (those of `moments`, `pairs`, `extremes` and `ranks`; `direct` needs none)

    series_moments.moments(regs, n, x, half_life, requests, parameters, work)
    series_pairs.pairs(regs, n, a, b, half_life, requests, parameters, work)      operands in the operator's order
    series_extremes.extremes(regs, n, x, requests, parameters, work)
    series_ranks.ranks(regs, n, x, requests, work)
    series_direct.direct(regs, n, x, requests)
    series_quantiles.quantiles(X, lengths, requests, parameters, out)   X float32 [B, R], B <= LANES, lengths int64 [B];
                result k of span b in out[k, b, :lengths[b]], float32 [K, B, R]

`KERNELS` says which function computes an operator, `CODES` its code there. One call takes any number of requests on
the same input (and half-life), and their sums are shared. A result register may be any but the inputs.

Windows are composed: S_10[t] = S_5[t] + S_5[t-5]. A value is then a fixed tree over the rows of its own window: it
carries no state and does not drift, and it is the same bit for bit wherever the data begin or end and whatever else is
asked for in the same call. With a half-life, S_(a+b)[t] = S_a[t] + w**a S_b[t-a].
"""

from collections.abc import Iterable
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from alphaloom.typing import Doubles, Floats, Ints

CODES = MappingProxyType(
    {
        "moments": (
            "ts_sum", "ts_mean", "ts_count", "decay_linear", "ts_var", "ts_std", "ts_zscore", "ts_slope", "ts_resid",
            "ts_rsquare",
        ),
        "pairs": ("ts_cov", "ts_corr", "ts_beta", "ts_residual", "ts_rsquare_on", "ts_residual_std"),
        "extremes": ("ts_max", "ts_min", "ts_argmax", "ts_argmin"),
        "ranks": ("ts_rank",),
        "direct": ("ts_last", "ts_product", "ts_mean_deviation", "ts_skew", "ts_kurt", "ts_mad", "ts_ewm"),
        "quantiles": ("ts_quantile", "ts_median"),
    }
)  # fmt: skip
"""Operators of each function; the place is the code."""
KERNELS = MappingProxyType({name: kernel for kernel, names in CODES.items() for name in names})
"""Operator -> the function that computes it. `delay`, `delta` and `returns` need none."""

SLOTS = 4
"""Masks whose counts are kept: series of one stock mostly miss the same rows."""
SUMS = 5
"""Blocks of window sums: those of two series, of their squares and of their product."""


class Work(NamedTuple):
    """Scratch of one thread for spans of up to R rows and C composed lengths."""

    steps: Ints
    """`[C, 3]`: length, newer part, older part."""
    sums: Doubles
    """`[SUMS, C, R]`: window sums."""
    rows: Doubles
    """`[11, R]`: series and what is done for one window at a time."""
    floats: Floats
    """`[2, C, R]`: extremes and their rows."""
    masks: Doubles
    """`[SLOTS, R]`: 1 where the value is known, else 0."""
    counts: Doubles
    """`[SLOTS, 7, C, R]`: of each mask, by the names COUNT ... LAG_SPREAD of `series_sums`."""
    done: Ints
    """`[SLOTS, C]`: how much of `counts` is filled in, as bits."""
    keys: Doubles
    """`[SLOTS, 3]`: rows, half-life and last use."""


def composition(windows: Iterable[int]) -> Ints:
    """Return how window sums are composed: `[C, 3]` of length, newer part and older part, ascending, first (1, 1, 0).

    The parts of a length depend on that length alone: the largest of 1, 2, 4, 5, 10, 20, 30, 60, 120, 240, 480, ...
    below it, and the rest.

    >>> composition([5, 30]).tolist()
    [[1, 1, 0], [2, 1, 1], [4, 2, 2], [5, 4, 1], [10, 5, 5], [20, 10, 10], [30, 20, 10]]

    Raises:
        ValueError: a window below 1.
    """
    parts: dict[int, int] = {1: 1}
    wanted = [int(d) for d in windows]
    if any(d < 1 for d in wanted):
        raise ValueError(f"windows are {wanted}; each needs at least 1 row.")
    while wanted:
        d = wanted.pop()
        if d not in parts:
            parts[d] = _newer(d)
            wanted += [parts[d], d - parts[d]]
    return np.array([(d, parts[d], d - parts[d]) for d in sorted(parts)], dtype=np.int64)


def _newer(length: int) -> int:
    ladder = [1, 2, 4, 5, 10, 20, 30]
    while ladder[-1] * 2 < length:
        ladder.append(60 if ladder[-1] == 30 else ladder[-1] * 2)
    return max(step for step in ladder if step < length)


def make_work(steps: Ints, R: int) -> Work:
    """Return scratch for spans of up to R rows whose windows are composed by `steps [C, 3]`."""
    C = steps.shape[0]
    return Work(
        steps=np.ascontiguousarray(steps, dtype=np.int64),
        sums=np.empty((SUMS, C, R)),
        rows=np.empty((11, R)),
        floats=np.empty((2, C, R), dtype=np.float32),
        masks=np.empty((SLOTS, R)),
        counts=np.empty((SLOTS, 7, C, R)),
        done=np.zeros((SLOTS, C), dtype=np.int64),
        keys=np.full((SLOTS, 3), -1.0),
    )
