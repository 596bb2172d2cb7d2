"""Ranks of one date across stocks, and correlations per date.

A float32 turned into an integer of the same order fills the upper half of a uint64, the stock's position the lower
half; a radix sort of three passes orders such rows without comparing, and ties are neighbours afterwards.
"""

from typing import Any

import numpy as np
from numba import njit
from scipy.special import ndtri

from alphaloom.kernels.cross_order import key, plain
from alphaloom.typing import Array, Bools, Doubles, Floats

_POSITION = np.uint64(0xFFFFFFFF)
_DIGIT = np.uint64(2047)
_CONSTANT = 1e-24


@njit(cache=True, error_model="numpy", nogil=True)
def _pack(x: Array, keys: Array) -> int:
    """Write value and position of every entry of `x [N]` that is not NaN into `keys`; return how many there are."""
    n = 0
    for i in range(x.size):
        if not np.isnan(x[i]):
            # Adding 0 turns -0 into +0, which must tie; the xor makes the signed key unsigned.
            high = np.uint64(np.uint32(key(x[i] + np.float32(0.0))) ^ np.uint32(0x80000000))
            keys[n] = (high << np.uint64(32)) | np.uint64(i)
            n += 1
    return n


@njit(cache=True, error_model="numpy", nogil=True)
def _sort(keys: Array, spare: Array, counts: Array) -> None:
    """Order packed keys by value, equal values by position; `spare` is as long, `counts` is int32 `[3, 2048]`."""
    counts[:] = 0
    for i in range(keys.size):
        x = keys[i]
        counts[0, np.int64((x >> np.uint64(32)) & _DIGIT)] += 1
        counts[1, np.int64((x >> np.uint64(43)) & _DIGIT)] += 1
        counts[2, np.int64(x >> np.uint64(54))] += 1
    for p in range(3):
        before = np.int32(0)
        for j in range(2048):
            size = counts[p, j]
            counts[p, j] = before
            before += size
    for p in range(3):
        source, target = (spare, keys) if p == 1 else (keys, spare)
        shift = np.uint64(32 + 11 * p)
        for i in range(keys.size):
            x = source[i]
            digit = np.int64((x >> shift) & _DIGIT)
            place = counts[p, digit]
            counts[p, digit] = place + 1
            target[place] = x
    for i in range(keys.size):
        keys[i] = spare[i]


@njit(cache=True, error_model="numpy", nogil=True)
def _rank_column(x: Array, keys: Array, universe: Array) -> Any:
    """Write into `x` the average ranks among the members, from its sorted keys; return how many members there are."""
    members = 0
    for i in range(keys.size):
        members += universe[np.int64(keys[i] & _POSITION)]
    below, i = 0, 0
    while i < keys.size:
        high = keys[i] >> np.uint64(32)
        j, equal = i, 0
        while j < keys.size and (keys[j] >> np.uint64(32)) == high:
            equal += universe[np.int64(keys[j] & _POSITION)]
            j += 1
        # A stock outside the universe takes the place between the members that it lies between.
        r = min(max(below + 0.5 * (equal + 1), 1.0), np.float64(members))
        for k in range(i, j):
            x[np.int64(keys[k] & _POSITION)] = r if members > 0 else np.nan
        below += equal
        i = j
    return members


@njit(cache=True, error_model="numpy", nogil=True)
def _transpose(source: Array, target: Array) -> None:
    """Copy `source [A, B]` into `target [B, A]` in tiles that stay in the cache."""
    A, B = source.shape
    for i in range(0, A, 32):
        for j in range(0, B, 32):
            for a in range(i, min(i + 32, A)):
                for b in range(j, min(j + 32, B)):
                    target[b, a] = source[a, b]


@njit(cache=True, error_model="numpy", nogil=True)
def _ranks(block: Array, universe: Array, counts: Array) -> None:
    T, N, F = block.shape
    columns = np.empty((F, N), np.float32)
    keys, spare, digits = np.empty(N, np.uint64), np.empty(N, np.uint64), np.empty((3, 2048), np.int32)
    for t in range(T):
        _transpose(block[t], columns)
        for f in range(F):
            n = _pack(columns[f], keys)
            _sort(keys[:n], spare[:n], digits)
            counts[t, f] = _rank_column(columns[f], keys[:n], universe[t])
        _transpose(columns, block[t])


def rank(block: Floats, universe: Bools) -> Array:
    """Replace each value by its rank among the members of its date, 1 the lowest; return the counts int64 `[T, F]`.

    Ties share their average rank. A stock outside the universe gets the place at which it would stand among the
    members, between 1 and their number. NaN stays; infinities rank as the largest and smallest values. A date without
    a member's value becomes NaN.
    """
    T, _, F = block.shape
    counts = np.empty((T, F), np.int64)
    _ranks(block, plain(universe), counts)
    return counts


@njit(cache=True, error_model="numpy", nogil=True)
def _look_up(block: Array, place: Array, tables: Array) -> None:
    T, N, F = block.shape
    for t in range(T):
        for i in range(N):
            row = block[t, i]
            for f in range(F):
                if not np.isnan(row[f]):
                    row[f] = tables[place[t, f], np.int64(2.0 * row[f]) - 2]


def rank_gauss(block: Floats, universe: Bools) -> None:
    """Replace each value by the normal quantile of (rank - 1/2) / n, n members of the date having a value."""
    counts = rank(block, universe)
    sizes, place = np.unique(counts, return_inverse=True)
    # Ranks are whole or half: one table a count holds every quantile that can occur.
    tables = np.zeros((sizes.size, max(2 * int(sizes.max(initial=1)) - 1, 1)), np.float32)
    for k, n in enumerate(sizes):
        if n > 0:
            tables[k, : 2 * n - 1] = ndtri((np.arange(2, 2 * n + 1) / 2 - 0.5) / n)
    _look_up(block, place.reshape(counts.shape), tables)


@njit(cache=True, error_model="numpy", nogil=True)
def _pairs(x: Array, y: Array) -> int:
    """Return how many stocks have both values."""
    n = 0
    for i in range(x.size):
        n += 0 if np.isnan(x[i]) or np.isnan(y[i]) else 1
    return n


@njit(cache=True, error_model="numpy", nogil=True)
def _rank_label(order: Array, x: Array, n: Any, ranks: Array) -> Any:
    """Write the label's centred ranks among the `n` stocks whose `x` is known; return their sum of squares."""
    middle = 0.5 * (n + 1)
    below, i, squares = 0, 0, 0.0
    while i < order.size:
        high = order[i] >> np.uint64(32)
        j, equal = i, 0
        while j < order.size and (order[j] >> np.uint64(32)) == high:
            equal += 0 if np.isnan(x[np.int64(order[j] & _POSITION)]) else 1
            j += 1
        r = below + 0.5 * (equal + 1) - middle
        for k in range(i, j):
            ranks[np.int64(order[k] & _POSITION)] = r
        squares += r * r * equal
        below += equal
        i = j
    return squares


@njit(cache=True, error_model="numpy", nogil=True)
def _correlate(keys: Array, label: Array, ranks: Array, n: Any, yy: Any) -> Any:
    """Spearman's correlation from the sorted keys of x and the centred ranks of the label."""
    middle = 0.5 * (n + 1)
    below, i, xx, xy = 0, 0, 0.0, 0.0
    while i < keys.size:
        high = keys[i] >> np.uint64(32)
        equal, total = 0, 0.0
        while i < keys.size and (keys[i] >> np.uint64(32)) == high:
            s = np.int64(keys[i] & _POSITION)
            if not np.isnan(label[s]):
                equal += 1
                total += ranks[s]
            i += 1
        r = below + 0.5 * (equal + 1) - middle
        xx += r * r * equal
        xy += r * total
        below += equal
    return xy / np.sqrt(xx * yy) if xx > 0.0 and yy > 0.0 else np.nan


@njit(cache=True, error_model="numpy", nogil=True)
def _rank_correlations(block: Array, label: Array, out: Array, counts: Array) -> None:
    D, N, F = block.shape
    columns, ranks, some = np.empty((F, N), np.float32), np.empty(N), np.empty(N)
    keys, order = np.empty(N, np.uint64), np.empty(N, np.uint64)
    spare, digits = np.empty(N, np.uint64), np.empty((3, 2048), np.int32)
    for d in range(D):
        _transpose(block[d], columns)
        m = _pack(label[d], order)
        _sort(order[:m], spare[:m], digits)
        squares = _rank_label(order[:m], label[d], m, ranks)
        for f in range(F):
            size = _pack(columns[f], keys)
            _sort(keys[:size], spare[:size], digits)
            n = _pairs(columns[f], label[d])
            counts[d, f] = n
            if n == m:  # every labelled stock has the value: the ranks of the label alone serve
                out[d, f] = _correlate(keys[:size], label[d], ranks, n, squares)
            else:
                yy = _rank_label(order[:m], columns[f], n, some)
                out[d, f] = _correlate(keys[:size], label[d], some, n, yy)


def rank_ic_block(block: Floats, label: Floats) -> tuple[Doubles, Array]:
    """Return the RankIC of every column with the label on each date, and the number of pairs, both `[D, F]`.

    Spearman's correlation, ties at their average rank, over the stocks that have both values; NaN with fewer than two
    such stocks or when either side is constant. `block [D, N, F]`, `label [D, N]`, float32.
    """
    D, _, F = block.shape
    out, counts = np.empty((D, F)), np.empty((D, F), np.int64)
    _rank_correlations(plain(block), plain(label), out, counts)
    return out, counts


def rank_ic(score: Array, label: Array) -> tuple[Doubles, Array]:
    """Return the RankIC of `score [D, N]` with `label [D, N]` and the number of pairs, both `[D]`.

    As `rank_ic_block` for one column. Values are compared as float32.
    """
    block = np.asarray(score, dtype=np.float32)[:, :, None]
    values, counts = rank_ic_block(block, np.asarray(label, dtype=np.float32))
    return values[:, 0], counts[:, 0]


@njit(cache=True, error_model="numpy", nogil=True)
def _correlations(score: Array, label: Array, out: Array, counts: Array) -> None:
    D, N = score.shape
    for d in range(D):
        n, sx, sy = 0, 0.0, 0.0
        for i in range(N):
            x, y = np.float64(score[d, i]), np.float64(label[d, i])
            if abs(x) < np.inf and abs(y) < np.inf:
                n += 1
                sx += x
                sy += y
        counts[d] = n
        out[d] = np.nan
        if n < 2:
            continue
        sx /= n
        sy /= n
        xx, yy, xy = 0.0, 0.0, 0.0
        for i in range(N):
            x, y = np.float64(score[d, i]), np.float64(label[d, i])
            if abs(x) < np.inf and abs(y) < np.inf:
                x -= sx
                y -= sy
                xx += x * x
                yy += y * y
                xy += x * y
        # What rounding leaves of a constant is no variation.
        if xx > _CONSTANT * n * sx * sx and yy > _CONSTANT * n * sy * sy:
            out[d] = xy / np.sqrt(xx) / np.sqrt(yy)


def ic(score: Array, label: Array) -> tuple[Doubles, Array]:
    """Return Pearson's correlation of `score [D, N]` with `label [D, N]` and the number of pairs, both `[D]`.

    Over the stocks where both are finite; NaN with fewer than two or when either side is constant. Sums in float64.
    """
    D = score.shape[0]
    out, counts = np.empty(D), np.empty(D, np.int64)
    _correlations(plain(score), plain(label), out, counts)
    return out, counts
