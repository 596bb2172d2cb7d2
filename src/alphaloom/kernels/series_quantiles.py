"""Quantiles of windows for up to LANES stocks side by side: conventions as in `series_work`.

The window of each stock is kept in order, one stock a lane. A new row deletes the value that leaves and inserts the one
that comes, without a branch and in one pass: place k then holds min(u[k], max(u[k-1], new)), u being what is left of
the window s after the deletion, u[k] = s[k] if s[k] < old else s[k+1]. Missing values are +infinity and stand last.
"""

import numpy as np

from alphaloom.kernels.rolling import compiled
from alphaloom.kernels.streams import LINE, turn
from alphaloom.typing import Doubles, Floats, Ints

LANES = 32
"""Stocks side by side: two windows of 60 rows then fit into the first-level cache."""


@compiled
def _renew(below: Floats, here: Floats, above: Floats, old: Floats, new: Floats, d: int, out: Floats) -> None:
    """Write the ordered windows `[d, LANES]` that end at a row, given those before it and their neighbours."""
    for k in range(d):
        for b in range(LANES):
            left = below[k, b] if below[k, b] < old[b] else here[k, b]
            stays = here[k, b] if here[k, b] < old[b] else above[k, b]
            larger = left if left > new[b] else new[b]
            out[k, b] = stays if stays < larger else larger


@compiled
def _count_values(held: Floats, row: int, d: int, n: Ints, lanes: Ints) -> int:
    """Bring the numbers of values up to date; write the lanes with incomplete windows and return how many they are."""
    gone = row - d
    for b in range(LANES):
        n[b] += np.int64(held[row, b] < np.inf) - np.int64(held[gone, b] < np.inf)
    short = 0
    for b in range(LANES):
        short += n[b] < d
    if short > 0:
        short = 0
        for b in range(LANES):
            lanes[short] = b
            short += n[b] < d
    return short


@compiled
def _read(
    s: Floats, n: Ints, lanes: Ints, short: int, d: int, least: int, q: float, k: int, t: int, found: Floats
) -> None:
    """Write quantile k of row t, `found[k, t]`, from ordered windows `s [d + ..., LANES]`."""
    place = q * (d - 1)
    i = int(place)
    j = min(i + 1, d - 1)
    part = place - i
    for b in range(LANES):
        low = np.float64(s[i, b])
        found[k, t, b] = np.float32(low + part * (np.float64(s[j, b]) - low))
    for a in range(short):
        b = lanes[a]
        found[k, t, b] = np.float32(_quantile_of_short(s, b, n[b], q)) if n[b] >= least else np.float32(np.nan)


@compiled
def _quantile_of_short(s: Floats, b: int, n: int, q: float) -> float:
    place = q * (n - 1)
    i = int(place)
    low = np.float64(s[i, b])
    return low + (place - i) * (np.float64(s[min(i + 1, n - 1), b]) - low)


@compiled
def _read_all(
    s: Floats,
    n: Ints,
    lanes: Ints,
    short: int,
    d: int,
    first: int,
    t: int,
    requests: Ints,
    parameters: Doubles,
    found: Floats,
) -> None:
    for k in range(first, requests.shape[0]):
        if requests[k, 1] == d:
            _read(s, n, lanes, short, d, requests[k, 2], parameters[k, 0], k, t, found)


@compiled
def _turn(found: Floats, lengths: Ints, out: Floats) -> None:
    """Write `found [T, LANES]`, finite or NaN, to the rows of `out [B, R]`."""
    for t0 in range(0, found.shape[0], LINE):
        for b0 in range(0, lengths.size, LINE):
            last = min(b0 + LINE, lengths.size)
            if last == b0 + LINE and t0 + LINE <= lengths[b0:last].min():
                turn(found, t0, b0, out, b0, t0)
                continue
            for b in range(b0, last):
                for t in range(t0, min(t0 + LINE, lengths[b])):
                    out[b, t] = found[t, b]


@compiled
def _load(X: Floats, lengths: Ints, front: int, held: Floats) -> None:
    held[:] = np.inf
    for b in range(lengths.size):
        for t in range(lengths[b]):
            if np.abs(X[b, t]) < np.inf:
                held[front + t, b] = X[b, t] + np.float32(0.0)  # -0 becomes 0: equal values are the same bits


@compiled
def quantiles(X: Floats, lengths: Ints, requests: Ints, parameters: Doubles, out: Floats) -> None:
    """Write the requested quantiles of up to LANES spans `X [B, R]` of given `lengths [B]` to `out [K, B, R]`.

    `CODES["quantiles"]` both take q from the parameters, 0.5 for the median. Cells behind the end of a span are left
    as they are.
    """
    T, longest, K = lengths.max(), requests[:, 1].max(), requests.shape[0]
    held = np.empty((T + longest, LANES), np.float32)
    _load(X, lengths, longest, held)
    a, b = np.empty((longest + 2, LANES), np.float32), np.empty((longest + 2, LANES), np.float32)
    a0, a1, a2, b0, b1, b2 = a[0:], a[1:], a[2:], b[0:], b[1:], b[2:]
    n, lanes = np.empty(LANES, np.int64), np.empty(LANES + 1, np.int64)
    found = np.empty((K, T, LANES), np.float32)
    for first in range(K):
        d = requests[first, 1]
        if (requests[:first, 1] == d).any():
            continue
        a[:] = np.inf
        b[:] = np.inf
        a[0] = -np.inf
        b[0] = -np.inf
        n[:] = 0
        for t in range(T):
            short = _count_values(held, longest + t, d, n, lanes)
            if t % 2 == 0:
                _renew(a0, a1, a2, held[longest + t - d], held[longest + t], d, b1)
                _read_all(b1, n, lanes, short, d, first, t, requests, parameters, found)
            else:
                _renew(b0, b1, b2, held[longest + t - d], held[longest + t], d, a1)
                _read_all(a1, n, lanes, short, d, first, t, requests, parameters, found)
    for k in range(K):
        _turn(found[k], lengths, out[k])
