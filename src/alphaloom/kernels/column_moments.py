"""Moments of each column of a block `[T, N, F]` over chosen cells, and Pearson's correlation of each with a label.

Two passes, sums in float64, rows run over F. A value that is NaN or infinite enters no moment.
"""

import numpy as np

from alphaloom.kernels.cross_order import plain
from alphaloom.kernels.rolling import compiled
from alphaloom.typing import Array, Bools, Doubles, Floats, Ints

_CONSTANT = 1e-24
"""Share of the squared mean below which a variance is what rounding leaves of a constant."""


@compiled
def _counts(block: Array, cells: Array, finite: Array, infinite: Array, zeros: Array, total: Array) -> None:
    T, N, F = block.shape
    for t in range(T):
        for i in range(N):
            if cells[t, i]:
                row = block[t, i]
                for f in range(F):
                    finite[f] += 1 if abs(row[f]) < np.inf else 0
                for f in range(F):
                    infinite[f] += 1 if abs(row[f]) == np.inf else 0
                for f in range(F):
                    zeros[f] += 1 if row[f] == 0.0 else 0
                for f in range(F):
                    total[f] += np.float64(row[f]) if abs(row[f]) < np.inf else 0.0


@compiled
def _powers(block: Array, cells: Array, mean: Array, second: Array, third: Array, fourth: Array) -> None:
    T, N, F = block.shape
    for t in range(T):
        for i in range(N):
            if cells[t, i]:
                row = block[t, i]
                for f in range(F):
                    d = np.float64(row[f]) - mean[f] if abs(row[f]) < np.inf else 0.0
                    second[f] += d * d
                    third[f] += d * d * d
                    fourth[f] += d * d * d * d


def column_moments(block: Floats, cells: Bools) -> tuple[Ints, Doubles]:
    """Return counts `[3, F]` (finite values, infinities, zeros) and moments `[4, F]` of the cells `[T, N]`.

    The moments are the mean and the sums of the second, third and fourth powers of the distances from it; the mean is
    0 where there is no value.
    """
    F = block.shape[2]
    counts, moments = np.zeros((3, F), np.int64), np.zeros((4, F))
    view, where = plain(block), plain(cells)
    _counts(view, where, counts[0], counts[1], counts[2], moments[0])
    moments[0] /= np.maximum(counts[0], 1)
    _powers(view, where, moments[0], moments[1], moments[2], moments[3])
    return counts, moments


def merged_moments(n_a: Array, a: Doubles, n_b: Array, b: Doubles) -> Doubles:
    """Return the moments `[4, F]` of two groups of cells together, from their moments and sizes `[F]`.

    Source: Pébay (2008), Formulas for robust, one-pass parallel computation of covariances and arbitrary-order
    statistical moments, section 2.
    """
    n = np.maximum(n_a + n_b, 1)
    d = b[0] - a[0]
    p, q = n_a / n, n_b / n
    weight = n_a * q
    mean = a[0] + q * d
    second = a[1] + b[1] + weight * d**2
    third = a[2] + b[2] + weight * (p - q) * d**3 + 3 * d * (p * b[1] - q * a[1])
    fourth = (
        a[3]
        + b[3]
        + weight * (p * p - p * q + q * q) * d**4
        + 6 * d**2 * (p * p * b[1] + q * q * a[1])
        + 4 * d * (p * b[2] - q * a[2])
    )
    return np.stack([mean, second, third, fourth])


@compiled
def _correlations(block: Array, label: Array, out: Array, counts: Array) -> None:
    D, N, F = block.shape
    n, sx, sy = np.empty(F), np.empty(F), np.empty(F)
    xx, yy, xy = np.empty(F), np.empty(F), np.empty(F)
    for d in range(D):
        for total in (n, sx, sy, xx, yy, xy):
            total[:] = 0.0
        for i in range(N):
            y = np.float64(label[d, i])
            if abs(y) < np.inf:
                row = block[d, i]
                for f in range(F):
                    known = abs(row[f]) < np.inf
                    n[f] += 1.0 if known else 0.0
                    sx[f] += np.float64(row[f]) if known else 0.0
                    sy[f] += y if known else 0.0
        for f in range(F):
            sx[f] /= n[f]
            sy[f] /= n[f]
        for i in range(N):
            y = np.float64(label[d, i])
            if abs(y) < np.inf:
                row = block[d, i]
                for f in range(F):
                    known = abs(row[f]) < np.inf
                    a = np.float64(row[f]) - sx[f] if known else 0.0
                    b = y - sy[f] if known else 0.0
                    xx[f] += a * a
                    yy[f] += b * b
                    xy[f] += a * b
        for f in range(F):
            counts[d, f] = np.int64(n[f])
            varies = xx[f] > _CONSTANT * n[f] * sx[f] * sx[f] and yy[f] > _CONSTANT * n[f] * sy[f] * sy[f]
            out[d, f] = xy[f] / np.sqrt(xx[f]) / np.sqrt(yy[f]) if n[f] >= 2.0 and varies else np.nan


def ic_block(block: Floats, label: Floats) -> tuple[Doubles, Ints]:
    """Return Pearson's correlation of every column with `label [D, N]` on each date, and the pairs, both `[D, F]`.

    Over the stocks where both are finite; NaN with fewer than two or when either side is constant.
    """
    D, _, F = block.shape
    out, counts = np.empty((D, F)), np.empty((D, F), np.int64)
    _correlations(plain(block), plain(label), out, counts)
    return out, counts
