"""Rows of the stationary bootstrap, and means and deviations of a series over them without the rows in memory."""

from typing import Any

import numpy as np

from alphaloom.kernels.rolling import compiled
from alphaloom.typing import Array, Doubles, Ints

_STEP, _MIX, _LAST = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)


@compiled
def _mixed(state: Any) -> Any:
    """Return 64 random bits of a counter that grows by `_STEP` (SplitMix64; Steele, Lea and Flood 2014)."""
    z = (state ^ (state >> _S30)) * _MIX
    z = (z ^ (z >> _S27)) * _LAST
    return z ^ (z >> _S31)


@compiled
def _next_row(row: Any, state: Any, n: Any, bound: Any) -> Any:
    """Return the row after `row`: the one that follows it round the end, or a random one that begins a block."""
    bits = _mixed(state)
    if (bits >> _S32) < bound:
        return np.int64(((bits & np.uint64(0xFFFFFFFF)) * np.uint64(n)) >> _S32)
    return row + 1 if row + 1 < n else 0


@compiled
def _rows(out: Array, bound: Any, seed: Any) -> None:
    R, n = out.shape
    state = seed
    for r in range(R):
        row = -1
        for t in range(n):
            state += _STEP
            row = _next_row(row, state, n, bound if t > 0 else np.uint64(1 << 32))
            out[r, t] = row


@compiled
def _moments(x: Array, out: Array, bound: Any, seed: Any) -> None:
    n, state = x.size, seed
    centre = x.mean()
    for r in range(out.shape[0]):
        row, total, squares = -1, 0.0, 0.0
        for t in range(n):
            state += _STEP
            row = _next_row(row, state, n, bound if t > 0 else np.uint64(1 << 32))
            e = x[row] - centre
            total += e
            squares += e * e
        out[r, 0] = centre + total / n
        out[r, 1] = np.sqrt(max(squares - total * total / n, 0.0) / (n - 1))


def stationary_rows(n: int, block: float, resamples: int, seed: int) -> Ints:
    """Return `[resamples, n]` row numbers below n: blocks of geometric length with mean `block` >= 1, round the end.

    The low 32 bits that choose a row are those of the draw that began its block: independent of the high ones.
    """
    out = np.empty((resamples, n), dtype=np.int64)
    _rows(out, _bound(block), _start(seed))
    return out


def stationary_moments(x: Doubles, block: float, resamples: int, seed: int) -> tuple[Doubles, Doubles]:
    """Return mean and standard deviation (n - 1), `[resamples]` each, of `x [n]` over the rows of `stationary_rows`."""
    out = np.empty((resamples, 2))
    _moments(np.ascontiguousarray(x), out, _bound(block), _start(seed))
    return out[:, 0], out[:, 1]


def _bound(block: float) -> np.uint64:
    return np.uint64(round(2.0**32 / block))


def _start(seed: int) -> np.uint64:
    return np.uint64(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])
