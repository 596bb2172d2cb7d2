"""Largest and smallest values and their places over any number of windows: conventions as in `series_work`.

Pairs (extreme, its row) are composed like sums; of equal ones the older wins. A missing value stands as -infinity, or
as +infinity where it counts as the extreme.
"""

import numpy as np

from alphaloom.kernels.rolling import compiled
from alphaloom.kernels.series_sums import COUNT, COUNTS, blank_few, count, lengths_of, place
from alphaloom.kernels.series_work import CODES, Work
from alphaloom.typing import Doubles, Floats, Ints

TS_MAX, TS_MIN, TS_ARGMAX, TS_ARGMIN = range(len(CODES["extremes"]))


@compiled
def _load(values: Floats, sign: float, missing: float, x: Floats) -> None:
    s, gap = np.float32(sign), np.float32(missing)
    for t in range(x.size):
        x[t] = s * values[t] if np.abs(values[t]) < np.inf else gap


@compiled
def _later_row(older: Floats, newer: Floats, at_older: Floats, at_newer: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = at_older[t] if older[t] >= newer[t] else at_newer[t]


@compiled
def _larger(older: Floats, newer: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = older[t] if older[t] >= newer[t] else newer[t]


@compiled
def _compose(used: Ints, n: int, places: bool, work: Work) -> None:
    """Write the maximum of each used window and, with `places`, its row to `work.floats`, from those of one row."""
    steps, V, at = work.steps, work.floats[0], work.floats[1]
    for c in range(1, used.size):
        if used[c] == 0:
            continue
        a, b = place(steps, steps[c, 1]), place(steps, steps[c, 2])
        shift = min(steps[c, 1], n)
        V[c, :shift] = V[a, :shift]
        if places:
            at[c, :shift] = at[a, :shift]
            _later_row(V[b, : n - shift], V[a, shift:n], at[b, : n - shift], at[a, shift:n], at[c, shift:n])
        _larger(V[b, : n - shift], V[a, shift:n], V[c, shift:n])


@compiled
def _value(v: Floats, sign: float, out: Floats) -> None:
    s = np.float32(sign)
    for t in range(out.size):
        out[t] = s * v[t] if v[t] != -np.inf else np.float32(np.nan)


@compiled
def _place(at: Floats, row: Floats, d: int, out: Floats) -> None:
    before = np.float32(d - 1)
    for t in range(out.size):
        first = row[t] - before
        out[t] = at[t] - (first if first > 0.0 else np.float32(0.0)) + np.float32(1.0)


@compiled
def extremes(regs: Floats, n: int, x: int, requests: Ints, parameters: Doubles, work: Work) -> None:
    """Write the requested operators (`CODES["extremes"]`) of register x: see `series_work`."""
    used = lengths_of(requests, work.steps)
    m = work.rows[0, :n]
    values, row = regs[x, :n], work.floats[1, 0, :n]
    for t in range(n):
        m[t] = 1.0 if np.abs(values[t]) < np.inf else 0.0
    for t in range(n):
        row[t] = np.float32(t)
    counts = count(m, used, 0.0, COUNTS, work)
    for lowest in range(2):
        sign = 1.0 - 2.0 * lowest
        for gap_first in range(2):
            wanted, places = 0, False
            for k in range(requests.shape[0]):
                if requests[k, 0] % 2 == lowest and (parameters[k, 0] > 0.0) == (gap_first > 0):
                    wanted += 1
                    places = places or requests[k, 0] >= TS_ARGMAX
            if wanted == 0:
                continue
            _load(values, sign, np.inf if gap_first else -np.inf, work.floats[0, 0, :n])
            _compose(used, n, places, work)
            for k in range(requests.shape[0]):
                if requests[k, 0] % 2 == lowest and (parameters[k, 0] > 0.0) == (gap_first > 0):
                    c = place(work.steps, requests[k, 1])
                    out = regs[requests[k, 3], :n]
                    if requests[k, 0] >= TS_ARGMAX:
                        _place(work.floats[1, c, :n], row, requests[k, 1], out)
                        blank_few(counts[COUNT, c, :n], requests[k, 2], out)
                    else:
                        _value(work.floats[0, c, :n], sign, out)
                        if requests[k, 2] > 1:
                            blank_few(counts[COUNT, c, :n], requests[k, 2], out)
