"""A dual simplex method for dense programmes of few rows and many columns, each between two bounds.

    minimise cost'x  subject to  A x = r,  low <= x <= high,  row_low <= r <= row_high

Variables are counted r first, 0 to m - 1, with columns -e_k, then x from m on. Where every column has two finite bounds
the basis of all r is a legal start, and so is any other that asks for no infinite bound of a row: variables outside it
go to the bound that the sign of their reduced cost d asks for. The inverse of the basis is kept in full, since m is
small; d and the values x are kept for all variables.

Source: dual simplex with the bound flipping ratio test (Fourer 1994, Notes on the dual simplex method; Maros 2003,
European Journal of Operational Research 149) and exact steepest edge weights (Forrest and Goldfarb 1992, Mathematical
Programming 57).
"""

import numpy as np

from alphaloom.kernels.rolling import compiled
from alphaloom.typing import Bools, Doubles, Ints

SOLVED, NO_SOLUTION, UNFINISHED = 0, 1, 2
FEASIBLE, DUAL = 1e-10, 1e-10
"""Largest distance from a bound, and largest reduced cost of the wrong sign."""
PIVOT, SINGULAR, TIE = 1e-9, 1e-9, 1e-13
"""Least entry to pivot on, least pivot of a column of the basis, difference of ratios that are alike."""
DISAGREE = 1e-7
"""Largest difference between an entry as seen by its row and by its column: beyond it the inverse is made anew."""
RENEW = 60
"""Pivots between two inverses made anew."""


@compiled
def dual_simplex(A: Doubles, cost: Doubles, low: Doubles, high: Doubles, basis: Ints, x: Doubles, y: Doubles) -> int:
    """Return `SOLVED`, or `NO_SOLUTION` as far as floating point tells, or `UNFINISHED`.

    Args:
        A: `[m, n]`.
        cost: `[n]`.
        low: `[m + n]`, bounds of the rows, then of the columns; one of the rows' two may be infinite.
        high: `[m + n]`.
        basis: `[m]`, variables of the basis to start from, any guess: one that is no legal start gives way to all r;
            those of the last one on return.
        x: `[m + n]`, values on return.
        y: `[m]`, the rows' multipliers on return: what one more unit of a row costs.
    """
    m, n = A.shape
    d, row = np.empty(m + n), np.empty(m + n)
    inverse, basic = np.empty((m, m)), np.empty(m + n, np.bool_)
    w, column = np.empty(m), np.empty(m)
    for j in range(m + n):
        x[j] = low[j] if np.isfinite(low[j]) else high[j]
    since, disagreed = 0, False
    if not _renew(A, cost, low, high, basis, basic, inverse, x, d, y):
        basis[:] = np.arange(m)
        if not _renew(A, cost, low, high, basis, basic, inverse, x, d, y):
            return UNFINISHED
    for _ in range(20 * m + 2 * n):
        if since > RENEW or disagreed:
            if not _renew(A, cost, low, high, basis, basic, inverse, x, d, y):
                return UNFINISHED
            since, disagreed = 0, False
        r = _leaving(low, high, basis, inverse, x)
        if r < 0:
            if since == 0:
                return SOLVED
            since = RENEW + 1
            continue
        out = basis[r]
        above = x[out] > high[out]
        bound = high[out] if above else low[out]
        _times(A, inverse[r], row)
        entering = _entering(A, low, high, basic, row, d, above, abs(x[out] - bound) - FEASIBLE, x, column)
        if entering < 0:
            if since == 0:
                return NO_SOLUTION
            since = RENEW + 1
            continue
        w[:] = np.dot(inverse, column)  # the flips' effect on the basis
        for i in range(m):
            x[basis[i]] -= w[i]
        column[:] = 0.0
        _add(A, entering, 1.0, column)
        w[:] = np.dot(inverse, column)
        if abs(w[r] - row[entering]) > DISAGREE * (1.0 + abs(w[r])):
            if since == 0:
                return UNFINISHED
            disagreed = True
            continue
        far = (x[out] - bound) / w[r]
        price = d[entering] / row[entering]
        for i in range(m):
            x[basis[i]] -= far * w[i]
        x[entering] += far
        x[out] = bound
        for j in range(m + n):
            d[j] -= price * row[j]
        d[entering], d[out] = 0.0, -price
        basis[r] = entering
        basic[out], basic[entering] = False, True
        _pivot(inverse, w, r)
        since += 1
    return UNFINISHED


@compiled
def _leaving(low: Doubles, high: Doubles, basis: Ints, inverse: Doubles, x: Doubles) -> int:
    """Return the place in the basis that is furthest from its bounds, by the length of its row; -1 for none."""
    best, at = 0.0, -1
    for i in range(basis.size):
        j = basis[i]
        off = max(low[j] - x[j], x[j] - high[j])
        if off > FEASIBLE:
            share = off * off / np.dot(inverse[i], inverse[i])
            if share > best:
                best, at = share, i
    return at


@compiled
def _entering(
    A: Doubles,
    low: Doubles,
    high: Doubles,
    basic: Bools,
    row: Doubles,
    d: Doubles,
    above: bool,
    slope: float,
    x: Doubles,
    moved: Doubles,
) -> int:
    """Return the variable to enter, -1 for none, after moving those passed on the way to their other bounds.

    `moved [m]` is what these flips add to the rows. As the step grows, variables reach a reduced cost of zero; one that
    can go to its other bound takes part of the slope away, and the step ends where the slope does. `slope` is how far
    the leaving variable is beyond what is feasible.
    """
    sign = 1.0 if above else -1.0
    heap, ratio, count = np.empty(row.size, np.int64), np.empty(row.size), 0
    for j in range(row.size):
        a = sign * row[j]
        if not basic[j] and high[j] > low[j] and ((x[j] == low[j] and a > PIVOT) or (x[j] == high[j] and a < -PIVOT)):
            heap[count], ratio[j] = j, max(d[j] / a, 0.0)
            count += 1
    for place in range(count // 2 - 1, -1, -1):
        _sift(heap, ratio, place, count)
    moved[:] = 0.0
    while count > 0:
        j = heap[0]
        slope -= abs(row[j]) * (high[j] - low[j])
        count = _pop(heap, ratio, count)
        if slope < 0.0:
            level = ratio[j] + TIE
            while count > 0 and ratio[heap[0]] <= level:  # of those that are alike, the largest entry
                if abs(row[heap[0]]) > abs(row[j]):
                    j = heap[0]
                count = _pop(heap, ratio, count)
            return int(j)
        before = x[j]
        x[j] = low[j] if before == high[j] else high[j]
        _add(A, j, x[j] - before, moved)
    return -1


@compiled
def _pop(heap: Ints, ratio: Doubles, count: int) -> int:
    """Take the least ratio off a heap of variables; return how many are left."""
    heap[0] = heap[count - 1]
    _sift(heap, ratio, 0, count - 1)
    return count - 1


@compiled
def _sift(heap: Ints, ratio: Doubles, place: int, count: int) -> None:
    """Move a variable down the heap until none below it has a smaller ratio."""
    j = heap[place]
    while 2 * place + 1 < count:
        child = 2 * place + 1
        if child + 1 < count and ratio[heap[child + 1]] < ratio[heap[child]]:
            child += 1
        if ratio[heap[child]] >= ratio[j]:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = j


@compiled
def _renew(
    A: Doubles,
    cost: Doubles,
    low: Doubles,
    high: Doubles,
    basis: Ints,
    basic: Bools,
    inverse: Doubles,
    x: Doubles,
    d: Doubles,
    y: Doubles,
) -> bool:
    """Make inverse, multipliers, reduced costs and values anew; return whether the basis is a legal start.

    Variables outside the basis move to the bound that their reduced cost asks for.
    """
    m, size = basis.size, x.size
    _invert(A, basis, inverse)
    basic[:] = False
    y[:] = 0.0
    for i in range(m):
        basic[basis[i]] = True
        if basis[i] >= m:
            for k in range(m):
                y[k] += cost[basis[i] - m] * inverse[i, k]
    _times(A, y, d)
    for j in range(size):
        d[j] = (cost[j - m] if j >= m else 0.0) - d[j]
    for j in range(size):
        if basic[j]:
            x[j] = 0.0
            continue
        if d[j] > DUAL or x[j] != high[j]:
            x[j] = low[j]
        if d[j] < -DUAL or not np.isfinite(x[j]):
            x[j] = high[j]
        if not np.isfinite(x[j]) or (d[j] > DUAL and x[j] != low[j]):
            return False
    for _ in range(2):  # the second time for the rounding of the first
        off = np.dot(inverse, np.dot(A, x[m:]) - x[:m])
        for i in range(m):
            x[basis[i]] -= off[i]
    return True


@compiled
def _invert(A: Doubles, basis: Ints, inverse: Doubles) -> None:
    """Write the inverse of the basis, reordered so that rows of r stand in their own places.

    It begins as that of all r, minus the identity, and takes in the columns of x one by one; a column that the others
    determine is left out of the basis.
    """
    m = basis.size
    taken, columns, count = np.zeros(m, np.bool_), np.empty(m, np.int64), 0
    for i in range(m):
        if basis[i] < m:
            taken[basis[i]] = True
        else:
            columns[count] = basis[i]
            count += 1
    inverse[:] = 0.0
    for i in range(m):
        inverse[i, i] = -1.0
        basis[i] = i
    column, w = np.empty(m), np.empty(m)
    for q in range(count):
        column[:] = 0.0
        _add(A, columns[q], 1.0, column)
        r = -1
        w[:] = np.dot(inverse, column)
        for i in range(m):
            if not taken[i] and (r < 0 or abs(w[i]) > abs(w[r])):
                r = i
        if r >= 0 and abs(w[r]) > SINGULAR:
            _pivot(inverse, w, r)
            taken[r], basis[r] = True, columns[q]


@compiled
def _pivot(inverse: Doubles, w: Doubles, r: int) -> None:
    """Exchange the basis's r-th column for the one whose product with the inverse is w."""
    m = w.size
    for k in range(m):
        inverse[r, k] /= w[r]
    for i in range(m):
        if i != r and w[i] != 0.0:
            for k in range(m):
                inverse[i, k] -= w[i] * inverse[r, k]


@compiled
def _add(A: Doubles, j: int, amount: float, sums: Doubles) -> None:
    """Add a multiple of a variable's column."""
    m = sums.size
    if j < m:
        sums[j] -= amount
    else:
        for k in range(m):
            sums[k] += amount * A[k, j - m]


@compiled
def _times(A: Doubles, z: Doubles, out: Doubles) -> None:
    """Write every variable's column's product with z `[m]`."""
    m, n = A.shape
    out[m:] = 0.0
    for k in range(m):
        out[k] = -z[k]
        if z[k] != 0.0:
            for j in range(n):
                out[m + j] += z[k] * A[k, j]
