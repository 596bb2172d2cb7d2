"""Ranks of one date across stocks, and correlations per date, for the columns of a block `[T, N, F]`."""

from typing import Any

import numpy as np
from scipy.special import ndtri

from alphaloom.kernels.cross_distinct import MOST, SLOTS, order_slots, sum_by_value
from alphaloom.kernels.cross_order import plain
from alphaloom.kernels.cross_sort import DIGITS, pack, pack_one, position, same_value, sort_packed
from alphaloom.kernels.rolling import compiled
from alphaloom.typing import Array, Bools, Doubles, Floats

_CONSTANT = 1e-24
ROWS = 16
"""Stocks that are transposed together: a cache line of each column."""


@compiled
def _rank_column(x: Array, keys: Array, universe: Array) -> Any:
    """Write into `x` the average ranks among the members, from its sorted keys; return how many members there are."""
    members = 0
    for i in range(keys.size):
        members += universe[position(keys[i])]
    below, i = 0, 0
    while i < keys.size:
        j, equal = i, 0
        while j < keys.size and same_value(keys[i], keys[j]):
            equal += universe[position(keys[j])]
            j += 1
        # A stock outside the universe takes the place between the members that it lies between.
        r = min(max(below + 0.5 * (equal + 1), 1.0), np.float64(members))
        for k in range(i, j):
            x[position(keys[k])] = r if members > 0 else np.nan
        below += equal
        i = j
    return members


@compiled
def _to_columns(day: Array, columns: Array, tile: Array) -> None:
    """Copy `day [N, F]` into `columns [F, N]`, through a tile `[ROWS, F]` that stays in the cache."""
    N, F = day.shape
    whole = N - N % ROWS
    for start in range(0, whole, ROWS):
        for i in range(ROWS):
            for f in range(F):
                tile[i, f] = day[start + i, f]
        for f in range(F):
            for i in range(ROWS):
                columns[f, start + i] = tile[i, f]
    for i in range(whole, N):
        for f in range(F):
            columns[f, i] = day[i, f]


@compiled
def _from_columns(columns: Array, day: Array, tile: Array) -> None:
    """Copy `columns [F, N]` back into `day [N, F]`."""
    N, F = day.shape
    whole = N - N % ROWS
    for start in range(0, whole, ROWS):
        for f in range(F):
            for i in range(ROWS):
                tile[i, f] = columns[f, start + i]
        for i in range(ROWS):
            for f in range(F):
                day[start + i, f] = tile[i, f]
    for i in range(whole, N):
        for f in range(F):
            day[i, f] = columns[f, i]


@compiled
def _ranks(block: Array, universe: Array, counts: Array) -> None:
    T, N, F = block.shape
    columns, tile = np.empty((F, N), np.float32), np.empty((ROWS, F), np.float32)
    keys, spare, digits = np.empty(N, np.uint64), np.empty(N, np.uint64), np.empty(DIGITS, np.int32)
    for t in range(T):
        _to_columns(block[t], columns, tile)
        for f in range(F):
            n = pack(columns[f], keys)
            sort_packed(keys[:n], spare[:n], digits)
            counts[t, f] = _rank_column(columns[f], keys[:n], universe[t])
        _from_columns(columns, block[t], tile)


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


@compiled
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


@compiled
def _label_order(
    label: Array, packed: Array, spare: Array, digits: Array, order: Array, ties: Array
) -> tuple[int, int]:
    """Write the stocks that have a label to `order`, by its size; return their number and that of the tied runs.

    `ties [R, 2]` takes where each run of equal labels starts and stops.
    """
    m = pack(label, packed)
    sort_packed(packed[:m], spare[:m], digits)
    runs, i = 0, 0
    while i < m:
        j = i + 1
        while j < m and same_value(packed[i], packed[j]):
            j += 1
        if j > i + 1:
            ties[runs, 0], ties[runs, 1] = i, j
            runs += 1
        i = j
    for i in range(m):
        order[i] = np.uint32(position(packed[i]))
    return m, runs


@compiled
def _pack_in_order(x: Array, order: Array, packed: Array, place: Array) -> int:
    """Pack the values of `x[order]` that are not NaN, each with the number of those before it: `place [M + 1]`."""
    n = 0
    for i in range(order.size):
        y = x[order[i]]
        place[i] = n
        packed[n] = pack_one(y, n)
        n += not np.isnan(y)
    place[order.size] = n
    return n


@compiled
def _cubes(n: Any) -> Any:
    """Return the sum of squares of 2 r - n - 1 over the ranks r = 1 .. n."""
    return (n * n * n - n) // 3


@compiled
def _label_ranks(n: int, place: Array, ties: Array, ranks: Array) -> int:
    """Write twice the centred ranks, 2 r - n - 1, of `n` labels in order; return the sum of their squares."""
    for k in range(n):
        ranks[k] = 2 * k + 1 - n
    yy: int = _cubes(n)
    for j in range(ties.shape[0]):
        start, stop = np.int64(place[ties[j, 0]]), np.int64(place[ties[j, 1]])
        for k in range(start, stop):
            ranks[k] = start + stop - n
        yy -= _cubes(stop - start)
    return yy


@compiled
def _products_sorted(packed: Array, spare: Array, digits: Array, ranks: Array) -> tuple[int, int]:
    """Return the sums of x y and x x, twice centred ranks both, x those of the packed values; `packed` is sorted."""
    n = packed.size
    sort_packed(packed, spare, digits)
    xy = 0
    for i in range(n):
        xy += (2 * i + 1 - n) * ranks[position(packed[i])]
    xx, i = _cubes(n), 1
    while i < n:
        if same_value(packed[i - 1], packed[i]):
            first = i - 1
            while i < n and same_value(packed[first], packed[i]):
                i += 1
            for k in range(first, i):  # the average rank of the run in the place of its own
                xy += (first + i - 2 * k - 1) * ranks[position(packed[k])]
            xx -= _cubes(i - first)
        i += 1
    return xy, xx


@compiled
def _products_distinct(n: int, distinct: int, used: Array, sums: Array) -> tuple[int, int]:
    """Return what `_products_sorted` does, from the number and the summed ranks of each value in ascending order."""
    xy, xx, before = 0, _cubes(n), 0
    for j in range(distinct):
        size = sums[used[j], 0]
        xy += (2 * before + size - n) * sums[used[j], 1]
        xx -= _cubes(size)
        before += size
    return xy, xx


@compiled
def _rank_correlations(block: Array, label: Array, out: Array, counts: Array) -> None:
    D, N, F = block.shape
    columns, tile = np.empty((F, N), np.float32), np.empty((ROWS, F), np.float32)
    ranks = np.empty(N, np.int32)
    packed, spare, order = np.empty(N, np.uint64), np.empty(N, np.uint64), np.empty(N, np.uint32)
    digits, place, ties = np.empty(DIGITS, np.int32), np.empty(N + 1, np.int32), np.empty((N, 2), np.int64)
    held, sums, used = np.empty(SLOTS, np.uint64), np.empty((SLOTS, 2), np.int64), np.empty(MOST, np.int64)
    for d in range(D):
        m, runs = _label_order(label[d], packed, spare, digits, order, ties)
        _to_columns(block[d], columns, tile)
        for f in range(F):
            n = _pack_in_order(columns[f], order[:m], packed, place)
            counts[d, f] = n
            # With twice the centred ranks every sum is of integers, and exact.
            yy = _label_ranks(n, place, ties[:runs], ranks)
            distinct = sum_by_value(packed[:n], ranks, held, sums, used)
            if distinct >= 0:
                order_slots(distinct, held, used, packed, spare, digits)
                xy, xx = _products_distinct(n, distinct, used, sums)
            else:
                xy, xx = _products_sorted(packed[:n], spare[:n], digits, ranks)
            out[d, f] = xy / np.sqrt(np.float64(xx) * np.float64(yy)) if xx > 0 and yy > 0 else np.nan


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


@compiled
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
