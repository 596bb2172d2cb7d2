"""Exact medians of many columns of one date: compiled selection by counting, without sorting.

Floats are compared as integers of the same order (`key`): counting how many keys are at most `v` and taking minima then
run on whole vector registers. A bracket around the answer, started from the previous date's, is narrowed until one
order statistic is left; the start decides the time, never the result.
"""

from typing import Any

import numpy as np
from numba import njit

from alphaloom.typing import Array, Bools, Doubles, Floats

MISSING = np.int32(0x7F800000)
"""Key of +inf; every key at or above it (non-finite values are stored so) counts as missing."""
STRIP = 32
"""Columns gathered together: the columns of a large market then fit the second-level cache."""
SAMPLE = 128
"""Members whose median tells where to look on the first date."""
_LOWEST = np.int32(-0x7F800000 - 1)


def plain(array: Array) -> Array:
    """Return the array contiguous and read-only: kernels then meet one type of it and are compiled once."""
    out = np.ascontiguousarray(array).view()
    out.flags.writeable = False
    return out


@njit(cache=True, error_model="numpy", nogil=True, inline="always")
def key(x: Any) -> Any:
    """Return an int32 that orders as the float32 does."""
    bits = np.float32(x).view(np.int32)
    return np.int32(bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@njit(cache=True, error_model="numpy", nogil=True, inline="always")
def value(k: Any) -> Any:
    """Return the float32 whose key is `k`."""
    k = np.int32(k)
    return np.int32(k ^ ((k >> np.int32(31)) & np.int32(0x7FFFFFFF))).view(np.float32)


@njit(cache=True, error_model="numpy", nogil=True)
def count_to(keys: Array, limit: Any) -> Any:
    """Return how many keys are at most `limit`."""
    n = np.int32(0)
    for i in range(keys.size):
        # Narrowed at every step: a sum of two int32 is an int64 here, which fills twice the registers.
        n = np.int32(n + (np.int32(1) if keys[i] <= limit else np.int32(0)))
    return n


@njit(cache=True, error_model="numpy", nogil=True)
def _largest_to(keys: Array, limit: Any) -> Any:
    below = _LOWEST
    for i in range(keys.size):
        low = keys[i] if keys[i] <= limit else _LOWEST
        below = low if low > below else below
    return below


@njit(cache=True, error_model="numpy", nogil=True)
def _smallest_above(keys: Array, limit: Any) -> Any:
    above = MISSING
    for i in range(keys.size):
        high = MISSING if keys[i] <= limit else keys[i]
        above = high if high < above else above
    return above


@njit(cache=True, error_model="numpy", nogil=True)
def _probe(low: Any, high: Any, below: float, above: float) -> Any:
    """Return a key between two others where the count is likely to be just past what is sought, seen from the far end.

    `below` and `above` are how many values the sought one is away from the ends. Where values spread evenly, its
    place by interpolation is off by some sqrt(below * above / (below + above)) values.
    """
    size = below + above
    reach = 0.6 * np.sqrt(below * above / size)
    to = below + reach if below < above else below - reach
    a, b = np.float64(value(low)), np.float64(value(high))
    guess = key(a + (b - a) * (to / size))
    return guess if low < guess < high else np.int32((np.int64(low) + np.int64(high)) // 2)


@njit(cache=True, error_model="numpy", nogil=True)
def median_of(keys: Array, n: Any, centre: float, width: float) -> Any:
    """Return the median of the `n` finite values behind `keys`; NaN when there is none.

    `centre` and `width > 0` say where to look first.
    """
    if n == 0:
        return np.float32(np.nan)
    rank = np.int32((n - 1) // 2)
    # Invariant of the bracket: count(<= low) <= rank < count(<= high).
    # Its ends may run out to the infinities, whose counts keep it true.
    low, high = key(centre - width), key(centre + width)
    n_low, n_high = count_to(keys, low), count_to(keys, high)
    step = width
    while n_low > rank:
        high, n_high = low, n_low
        step *= 4.0
        low = key(np.float64(value(low)) - step)
        n_low = count_to(keys, low)
    while n_high <= rank:
        low, n_low = high, n_high
        step *= 4.0
        high = key(np.float64(value(high)) + step)
        n_high = count_to(keys, high)
    turn = 0
    while n_high != rank + 1 and np.int64(high) - np.int64(low) > 1:
        turn += 1
        if turn % 4:
            middle = _probe(low, high, rank + 0.5 - n_low, n_high - rank - 0.5)
        else:  # halving ends soon whatever the values
            middle = np.int32((np.int64(low) + np.int64(high)) // 2)
        n_middle = count_to(keys, middle)
        if n_middle <= rank:
            low, n_low = middle, n_middle
        else:
            high, n_high = middle, n_middle
    lower = _largest_to(keys, high)
    upper = lower if n % 2 or n_high >= rank + 2 else _smallest_above(keys, high)
    return np.float32(0.5 * (np.float64(value(lower)) + np.float64(value(upper))))


@njit(cache=True, error_model="numpy", nogil=True)
def gather(day: Array, members: Array, first: int, columns: Array) -> None:
    """Copy the members' values of some columns of `day [N, F]`, from `first` on, into `columns [C, M]`.

    Non-finite values become +inf.
    """
    C = columns.shape[0]
    inf = np.float32(np.inf)
    tile = np.empty((16, C), np.float32)  # a cache line of each column
    whole = members.size - members.size % 16
    for start in range(0, whole, 16):
        for i in range(16):
            row = day[members[start + i], first : first + C]
            for c in range(C):
                tile[i, c] = row[c] if abs(row[c]) < inf else inf
        for c in range(C):
            for i in range(16):
                columns[c, start + i] = tile[i, c]
    for i in range(whole, members.size):
        row = day[members[i], first : first + C]
        for c in range(C):
            columns[c, i] = row[c] if abs(row[c]) < inf else inf


@njit(cache=True, error_model="numpy", nogil=True)
def median_and_mad(column: Array, keys: Array, bits: Array, start: Array) -> tuple[Any, Any]:
    """Return the median of a gathered column and the median distance from it; `start` = (median, mad) to begin at."""
    raw = column.view(np.int32)
    for i in range(column.size):
        b = raw[i]
        keys[i] = b ^ ((b >> np.int32(31)) & np.int32(0x7FFFFFFF))
    n = count_to(keys, MISSING - np.int32(1))
    width = 0.15 * start[1] + 1e-6
    centre = median_of(keys, n, start[0], width)
    if n == 0:
        return centre, centre
    distance = bits.view(np.float32)  # not negative: the bits themselves are in order
    for i in range(column.size):
        distance[i] = abs(column[i] - centre)
    return centre, median_of(bits, n, start[1], width)


@njit(cache=True, error_model="numpy", nogil=True)
def _into_cache(day: Array, touched: Array) -> None:
    """Read one value of every cache line in the order of memory, so that strips of columns are found in the cache."""
    for i in range(day.shape[0]):
        for f in range(0, day.shape[1], 16):
            touched[0] = max(touched[0], day[i, f])


@njit(cache=True, error_model="numpy", nogil=True)
def _medians(block: Array, universe: Array, centre: Array, spread: Array) -> None:
    T, N, F = block.shape
    start, known = np.zeros((F, 2)), np.zeros(F, np.bool_)
    members = np.empty(N, np.int64)
    keys, bits = np.empty(N, np.int32), np.empty(N, np.int32)
    columns, touched = np.empty((min(STRIP, F), N), np.float32), np.zeros(1, np.float32)
    for t in range(T):
        m = 0
        for i in range(N):
            if universe[t, i]:
                members[m] = i
                m += 1
        some = min(m, SAMPLE)
        _into_cache(block[t], touched)
        for f in range(F):
            c = f % STRIP
            if c == 0:
                gather(block[t], members[:m], f, columns[: min(STRIP, F - f)])
            if not known[f]:
                a, b = median_and_mad(columns[c, :some], keys[:some], bits[:some], start[f])
                start[f, 0], start[f, 1] = (a, b) if not np.isnan(a) else (0.0, 0.0)
            a, b = median_and_mad(columns[c, :m], keys[:m], bits[:m], start[f])
            centre[t, f] = a
            spread[t, f] = b
            if not np.isnan(a):
                start[f, 0] = a
                start[f, 1] = b
                known[f] = True


def medians(block: Floats, universe: Bools) -> tuple[Floats, Floats]:
    """Return the members' median and MAD of each date and column, both `[T, F]`; NaN where no member has a value.

    MAD is the raw median of |x - median|, without the 1.4826 of the normal distribution. Infinities are left out.
    """
    T, _, F = block.shape
    centre, spread = np.empty((T, F), np.float32), np.empty((T, F), np.float32)
    _medians(block, plain(universe), centre, spread)
    return centre, spread


@njit(cache=True, error_model="numpy", nogil=True)
def _pooled(columns: Array, centre: Array, spread: Array) -> None:
    keys, bits = np.empty(columns.shape[1], np.int32), np.empty(columns.shape[1], np.int32)
    for f in range(columns.shape[0]):
        start = np.array([0.0, 1.0])
        centre[f], spread[f] = median_and_mad(columns[f], keys, bits, start)


@njit(cache=True, error_model="numpy", nogil=True)
def _gather_window(block: Array, rows: Array, stocks: Array, first: int, columns: Array) -> None:
    inf = np.float32(np.inf)
    for i in range(rows.size):
        row = block[rows[i], stocks[i]]
        for f in range(columns.shape[0]):
            x = row[first + f]
            columns[f, i] = x if abs(x) < inf else inf


def pooled_medians(block: Floats, universe: Bools) -> tuple[Floats, Floats]:
    """Return median and MAD of each column over all members of all dates, both `[F]`; infinities are left out."""
    F = block.shape[2]
    centre, spread = np.empty(F, np.float32), np.empty(F, np.float32)
    rows, stocks = np.nonzero(universe)
    for first in range(0, F, 16):
        columns = np.empty((min(16, F - first), rows.size), np.float32)
        _gather_window(block, rows, stocks, first, columns)
        _pooled(columns, centre[first : first + 16], spread[first : first + 16])
    return centre, spread


@njit(cache=True, error_model="numpy", nogil=True)
def _moments(block: Array, universe: Array, ddof: int, centre: Array, spread: Array) -> None:
    T, N, F = block.shape
    inf = np.float32(np.inf)
    total, squares, count = np.empty(F), np.empty(F), np.empty(F)
    for t in range(T):
        total[:] = 0.0
        squares[:] = 0.0
        count[:] = 0.0
        for i in range(N):
            if universe[t, i]:
                for f in range(F):
                    x = block[t, i, f]
                    known = abs(x) < inf
                    total[f] += np.float64(x) if known else 0.0
                    count[f] += 1.0 if known else 0.0
        for f in range(F):
            total[f] /= count[f]
        for i in range(N):
            if universe[t, i]:
                for f in range(F):
                    x = block[t, i, f]
                    d = np.float64(x) - total[f] if abs(x) < inf else 0.0
                    squares[f] += d * d
        for f in range(F):
            centre[t, f] = total[f]
            spread[t, f] = np.sqrt(squares[f] / (count[f] - ddof)) if count[f] > ddof else np.nan


def moments(block: Floats, universe: Bools, ddof: int = 1) -> tuple[Doubles, Doubles]:
    """Return the members' mean and standard deviation of each date and column, both `[T, F]`.

    NaN where no member has a value (mean) or not more than `ddof` have one (deviation). Infinities are left out. Two
    passes in float64, so a constant column has deviation exactly 0.
    """
    T, _, F = block.shape
    centre, spread = np.empty((T, F)), np.empty((T, F))
    _moments(block, plain(universe), ddof, centre, spread)
    return centre, spread


def pooled_moments(block: Floats, universe: Bools, ddof: int = 1) -> tuple[Doubles, Doubles]:
    """Return mean and standard deviation of each column over all members of all dates, both `[F]`."""
    T, N, F = block.shape
    flat: Array = block.reshape(1, T * N, F)
    centre, spread = moments(flat, plain(universe).reshape(1, T * N), ddof)
    return centre[0], spread[0]
