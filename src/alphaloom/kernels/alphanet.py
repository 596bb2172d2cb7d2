"""AlphaNet's operators for many inputs and windows at once: correlations and covariances of all pairs, and moments.

Over a window of d rows, today's included, for every input x (and every pair of inputs x, y, in order):

    corr          c(x, y) / sqrt(c(x, x) c(y, y)), 0 where x or y does not vary
    cov           c(x, y) / (d - 1), where c(x, y) = sum (x - mean x)(y - mean y)
    std           sqrt(c(x, x) / (d - 1))
    zscore        mean / std, 0 where x does not vary
    return        x / delay(x, d) - 1, missing where the denominator is 0
    decay_linear  weighted mean with weights d (today), d - 1, ..., 1
    mean          sum x / d

A missing value makes every window that contains it missing, the d + 1 rows of `return` included: each value rests on
exactly the days that its definition names. Infinities and values beyond `HUGEST` count as missing.

Windows are joined from shorter ones. If window a (newer, m rows) and b (n rows) lie end to end, then

    c_ab(x, y) = c_a(x, y) + c_b(x, y) + u(x) u(y),    u(x) = (n sum_a x - m sum_b x) / sqrt(m n (m + n))

(Chan, Golub and LeVeque 1983). Nothing is subtracted from a larger number, so a covariance keeps its digits at any
level of price or volume, and a window of equal float32 values has a variance of exactly 0. Every value is a fixed tree
over its own window: the same bits wherever the data begin or end.

In a block, rows of several stocks lie as one series `[L]` with position (row * lanes + lane), so that yesterday is a
shift by `lanes` and every loop has unit stride (see `kernels.rolling` for the habits of the compiler).
"""

from typing import NamedTuple

import numpy as np

from alphaloom.errors import AlignmentError, SettingError
from alphaloom.kernels.alphanet_layout import CORR, COV, DECAY, MEAN, RETURN, STD, ZSCORE, OperatorLayout, Tables
from alphaloom.kernels.rolling import compiled, multiply
from alphaloom.kernels.rolling_spans import contiguous, in_blocks
from alphaloom.typing import Array, Bools, Doubles, Floats, Ints

HUGEST = 1e18
"""Larger values count as missing: the square of one would leave the range of float32."""
LARGEST = float(np.finfo(np.float32).max)
"""A quotient beyond it is missing."""
DEPTH = 64
"""Rows that are worked on at once, about; more if the longest window is longer than half of it."""
POSITIONS = 420
"""Rows times stocks that are worked on at once, past rows included: they and their results stay in the cache."""
STOCKS = 64
"""Stocks handed to a thread at once."""


class Room(NamedTuple):
    """Working space of a block of L positions, of which D are wanted; `parts` is the number of steps and one."""

    X: Doubles
    """Inputs `[n, L]`."""
    U: Doubles
    """Differences u `[n, steps, L]`."""
    S: Doubles
    """Sums of one input `[parts, L]`."""
    W: Doubles
    """Sums of one input with weights d, d - 1, ..., 1 `[parts, L]`."""
    C: Doubles
    """Centred sums of products of one pair `[parts, L]`."""
    inverse: Doubles
    """1 / sqrt(c(x, x)), 0 where it does not vary `[n, windows, D]`."""
    unit: Doubles
    """1 / today's value of scaled inputs `[n, D]`."""
    F: Array
    """Features `[width, D]`."""


@compiled
def _load(inputs: Floats, row: int, n0: int, lanes: int, x: Doubles) -> None:
    """Write rows `row`, ... of `inputs [T, N]`, stocks `n0`, ..., to `x [L]`; NaN before the first row."""
    for r in range(x.size // lanes):
        t = row + r
        for k in range(lanes):
            value = np.float64(inputs[t, n0 + k]) if t >= 0 else np.nan
            x[r * lanes + k] = value if abs(value) <= HUGEST else np.nan


@compiled
def _add(a: Doubles, b: Doubles, out: Doubles) -> None:
    for t in range(out.size):
        out[t] = a[t] + b[t]


@compiled
def _differ(a: Doubles, b: Doubles, m: int, n: int, out: Doubles) -> None:
    k = 1.0 / np.sqrt(np.float64(m * n * (m + n)))
    for t in range(out.size):
        out[t] = (n * a[t] - m * b[t]) * k


@compiled
def _add_weighted(a: Doubles, b: Doubles, s: Doubles, n: int, out: Doubles) -> None:
    for t in range(out.size):
        out[t] = a[t] + b[t] + n * s[t]


@compiled
def _add_product(a: Doubles, u: Doubles, v: Doubles, out: Doubles) -> None:
    for t in range(out.size):
        out[t] = a[t] + u[t] * v[t]


@compiled
def _join_products(a: Doubles, b: Doubles, u: Doubles, v: Doubles, out: Doubles) -> None:
    for t in range(out.size):
        out[t] = (a[t] + b[t]) + u[t] * v[t]


@compiled
def _inverse_root(c: Doubles, out: Doubles) -> None:
    for t in range(out.size):
        out[t] = 0.0 if c[t] == 0.0 else 1.0 / np.sqrt(c[t])


@compiled
def _write_product(c: Doubles, a: Doubles, b: Doubles, out: Array) -> None:
    for t in range(out.size):
        out[t] = c[t] * a[t] * b[t]


@compiled
def _write_multiple(c: Doubles, a: Doubles, k: float, out: Array) -> None:
    for t in range(out.size):
        out[t] = c[t] * a[t] * k


@compiled
def _write_scaled(c: Doubles, k: float, out: Array) -> None:
    for t in range(out.size):
        out[t] = c[t] * k


@compiled
def _write_return(x: Doubles, before: Doubles, s: Doubles, out: Array) -> None:
    for t in range(out.size):
        value = x[t] / before[t] - 1.0 + 0.0 * s[t]  # the sum is missing where a day between the two is
        out[t] = value if abs(value) <= LARGEST else np.nan


@compiled
def _write_unit(x: Doubles, out: Doubles) -> None:
    for t in range(out.size):
        out[t] = 1.0 / x[t] if x[t] != 0.0 else np.nan


@compiled
def _rescale(out: Array, unit: Doubles) -> None:
    for t in range(out.size):
        value = np.float64(out[t]) * unit[t]
        out[t] = value if abs(value) <= LARGEST else np.nan


@compiled
def _join_windows(x: Doubles, steps: Ints, lanes: int, S: Doubles, W: Doubles, u: Doubles) -> None:
    """Write, for one input `x [L]`, sums and weighted sums `S`, `W [1 + steps, L]` and differences `u [steps, L]`."""
    L = x.size
    S[0] = x
    W[0] = x
    for k in range(steps.shape[0]):
        a, b, m, n = steps[k]
        p = (m + n - 1) * lanes
        q, r = p - m * lanes, L - m * lanes
        _add(S[a, p:], S[b, q:r], S[k + 1, p:])
        _add_weighted(W[a, p:], W[b, q:r], S[a, p:], n, W[k + 1, p:])
        _differ(S[a, p:], S[b, q:r], m, n, u[k, p:])


@compiled
def _join_pair(u: Doubles, v: Doubles, steps: Ints, lanes: int, C: Doubles) -> None:
    """Write the centred sums of products of two inputs over all parts of more than one row to `C [1 + steps, L]`."""
    L = u.shape[1]
    for k in range(steps.shape[0]):
        a, b, m, n = steps[k]
        p = (m + n - 1) * lanes
        if m == 1:
            multiply(u[k, p:], v[k, p:], C[k + 1, p:])
        elif n == 1:
            _add_product(C[a, p:], u[k, p:], v[k, p:], C[k + 1, p:])
        else:
            _join_products(C[a, p:], C[b, p - m * lanes : L - m * lanes], u[k, p:], v[k, p:], C[k + 1, p:])


@compiled
def _write_moments(i: int, tables: Tables, lanes: int, skip: int, room: Room) -> None:
    """Write the columns of input `i` alone, from its parts `S`, `W` and `C`, and its `unit` and `inverse`."""
    x, F = room.X[i], room.F
    L = x.size
    if tables.scaled[i]:
        _write_unit(x[skip:], room.unit[i])
    for w in range(tables.windows.size):
        d, level, at = tables.windows[w], tables.levels[w], tables.places[w]
        s, c, inverse = room.S[level, skip:], room.C[level, skip:], room.inverse[i, w]
        _inverse_root(c, inverse)
        if at[STD] >= 0:
            _write_multiple(c, inverse, 1.0 / np.sqrt(d - 1.0), F[at[STD] + i])
        if at[ZSCORE] >= 0:
            _write_multiple(s, inverse, np.sqrt(d - 1.0) / d, F[at[ZSCORE] + i])
        if at[RETURN] >= 0:
            _write_return(x[skip:], x[skip - d * lanes : L - d * lanes], s, F[at[RETURN] + i])
        if at[DECAY] >= 0:
            _write_scaled(room.W[level, skip:], 2.0 / (d * (d + 1.0)), F[at[DECAY] + i])
        if at[MEAN] >= 0:
            _write_scaled(s, 1.0 / d, F[at[MEAN] + i])
        if tables.scaled[i]:
            for k in (STD, DECAY, MEAN):
                if at[k] >= 0:
                    _rescale(F[at[k] + i], room.unit[i])


@compiled
def _write_block(tables: Tables, lanes: int, skip: int, room: Room) -> None:
    """Write the features `F` of a loaded block, whose first `skip` positions are past."""
    X, U, C, F = room.X, room.U, room.C, room.F
    n = X.shape[0]
    for i in range(n):
        _join_windows(X[i], tables.steps, lanes, room.S, room.W, U[i])
        _join_pair(U[i], U[i], tables.steps, lanes, C)
        _write_moments(i, tables, lanes, skip, room)
    pair = 0
    for i in range(n):
        for j in range(i + 1, n):
            _join_pair(U[i], U[j], tables.steps, lanes, C)
            for w in range(tables.windows.size):
                at = tables.places[w]
                c = C[tables.levels[w], skip:]
                if at[CORR] >= 0:
                    _write_product(c, room.inverse[i, w], room.inverse[j, w], F[at[CORR] + pair])
                if at[COV] >= 0:
                    cov = F[at[COV] + pair]
                    _write_scaled(c, 1.0 / (tables.windows[w] - 1.0), cov)
                    if tables.scaled[i]:
                        _rescale(cov, room.unit[i])
                    if tables.scaled[j]:
                        _rescale(cov, room.unit[j])
            pair += 1


@compiled
def _spread(F: Array, lanes: int, t0: int, n0: int, out: Array) -> None:
    """Write `F [width, D]` to `out [R, N, width]`, position p to row `t0 + p // lanes`, stock `n0 + p % lanes`.

    Reads are contiguous and writes go to eight rows at once: no more, because rows of `out` may lie a multiple of 4096
    bytes apart and then share one set of the first cache.
    """
    width, D = F.shape
    N = out.shape[1]
    flat = out.reshape((out.shape[0] * N, width))
    row = np.empty(8, np.uint64)
    for p0 in range(0, D, 8):
        for k in range(8):
            p = min(p0 + k, D - 1)
            row[k] = (t0 + p // lanes) * N + n0 + p % lanes
        if p0 + 8 > D:
            for k in range(D - p0):
                for f in range(width):
                    flat[row[k], f] = F[f, p0 + k]
            continue
        a, b, c, d, e, g, h, i = row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7]
        for f in range(width):
            flat[a, f] = F[f, p0]
            flat[b, f] = F[f, p0 + 1]
            flat[c, f] = F[f, p0 + 2]
            flat[d, f] = F[f, p0 + 3]
            flat[e, f] = F[f, p0 + 4]
            flat[g, f] = F[f, p0 + 5]
            flat[h, f] = F[f, p0 + 6]
            flat[i, f] = F[f, p0 + 7]


@compiled
def _write_stocks(
    inputs: Floats, tables: Tables, first: int, start: int, stop: int, depth: int, lanes: int, out: Array
) -> None:
    """Write `out [R, N, F]` of stocks `start` to `stop - 1` in blocks of `depth` rows of `lanes` stocks.

    Row 0 of it is row `first` of `inputs [n, T, N]`.
    """
    n, K, parts = inputs.shape[0], tables.windows.size, tables.steps.shape[0] + 1
    R, _, width = out.shape
    reach = tables.windows.max()
    D, L = depth * lanes, (depth + reach) * lanes
    # A view of fewer columns would not be contiguous, so every block's arrays are cut from the front of these.
    X, U, S = np.empty(n * L), np.empty(n * (parts - 1) * L), np.empty(parts * L)
    W, C, inverse, unit = np.empty(parts * L), np.empty(parts * L), np.empty(n * K * D), np.empty(n * D)
    F = np.empty(width * D, out.dtype)
    for n0 in range(start, stop, lanes):
        k = min(lanes, stop - n0)
        skip = reach * k
        for t0 in range(0, R, depth):
            D = min(depth, R - t0) * k
            L = skip + D
            room = Room(
                X[: n * L].reshape((n, L)), U[: n * (parts - 1) * L].reshape((n, parts - 1, L)),
                S[: parts * L].reshape((parts, L)), W[: parts * L].reshape((parts, L)),
                C[: parts * L].reshape((parts, L)), inverse[: n * K * D].reshape((n, K, D)),
                unit[: n * D].reshape((n, D)), F[: width * D].reshape((width, D)),
            )  # fmt: skip
            for i in range(n):
                _load(inputs[i], first + t0 - reach, n0, k, room.X[i])
            _write_block(tables, k, skip, room)
            _spread(room.F, k, t0, n0, out)


def operator_rows(
    inputs: Floats, layout: OperatorLayout, first: int, stop: int, out: Array,
    *, scaled: Bools | None = None, threads: int | None = None,
) -> None:  # fmt: skip
    """Write the features of rows `first` to `stop - 1` to `out`, from those rows and the `layout.reach` before them.

    A row has the same bits whichever rows are asked for with it, in whichever blocks and on however many threads.

    Args:
        inputs: `[n, T, N]`, inputs x dates x symbols; NaN is missing, as are infinities. Rows before the first are
            missing. Best C-contiguous: else it is copied.
        layout: what to compute.
        first: first row wanted.
        stop: last row wanted + 1.
        out: `[stop - first, N, layout.width]`, C-contiguous float32 or float64. Reuse it: touching fresh memory costs
            as much as the values.
        scaled: `[n]`, inputs that are divided by their value on the window's last day: std, decay_linear, mean and cov
            then do not depend on the level of price or volume (missing where that value is 0; the other operators do
            not depend on it anyway). None scales nothing.
        threads: numba's number by default.

    Raises:
        AlignmentError: a shape that does not fit.
        SettingError: rows outside the inputs, or fewer than one thread.
    """
    if inputs.ndim != 3 or inputs.shape[0] != layout.n:
        raise AlignmentError(f"inputs has shape {inputs.shape}; {layout.n} inputs need [{layout.n}, T, N].")
    n, T, N = inputs.shape
    if not 0 <= first <= stop <= T:
        raise SettingError(f"Rows {first} to {stop} are asked for; the inputs have rows 0 to {T}.")
    if out.shape != (stop - first, N, layout.width) or not out.flags.c_contiguous:
        raise AlignmentError(
            f"out has shape {out.shape}; {stop - first} rows of {N} stocks need a C-contiguous array of "
            f"{(stop - first, N, layout.width)}."
        )
    units = np.zeros(n, dtype=np.bool_) if scaled is None else np.ascontiguousarray(scaled, dtype=np.bool_)
    if units.shape != (n,):
        raise AlignmentError(f"scaled has shape {units.shape}; {n} inputs need ({n},).")
    if out.size == 0:
        return
    tables = layout.tables(units)
    pieces = max(1, round((stop - first) / max(DEPTH, 2 * layout.reach)))
    depth = -(-(stop - first) // pieces)
    lanes = max(1, POSITIONS // (depth + layout.reach))
    values = contiguous(inputs)

    def work(a: int, b: int) -> None:
        _write_stocks(values, tables, first, a, b, depth, lanes, out)

    in_blocks(work, N, STOCKS, threads)
