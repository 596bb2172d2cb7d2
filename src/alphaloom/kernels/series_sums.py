"""Window sums of one series and what is known about its mask: the common ground of the time-series kernels.

Long windows are composed of short ones by the `steps` of `series_work.composition`. `x[t - k]` might wrap around below
zero, which stops vectorisation, so shifted slices are passed; one output array a loop shows that arrays do not overlap.
"""

import numpy as np

from alphaloom.kernels.rolling import compiled
from alphaloom.kernels.series_work import SLOTS, Work
from alphaloom.typing import Doubles, Floats, Ints

COUNT, WEIGHT, MEAN, SAMPLE, LAG, LAG_SQUARE, LAG_SPREAD = range(7)
"""n; sum of weights W; 1/W; 1/(n-1), 1/W with a half-life; sum of lags; of squared lags; 1 / sum of squares around the
mean lag. 1/0 is infinite: a sum over no rows times 1/W is NaN, and so is the square of one row times 1/(n - 1)."""
COUNTS, MEANS, SAMPLES, LAGS = range(4)
"""What `count` fills in."""


@compiled
def load(values: Floats, x: Doubles, m: Doubles) -> None:
    """Write a series `[n]` as float64 and its mask: 0 and 0 where the value is missing or infinite."""
    for t in range(m.size):
        m[t] = 1.0 if np.abs(values[t]) < np.inf else 0.0
    for t in range(x.size):
        x[t] = np.float64(values[t]) if np.abs(values[t]) < np.inf else 0.0


@compiled
def multiply(a: Doubles, b: Doubles, out: Doubles) -> None:
    """Write a * b."""
    for t in range(out.size):
        out[t] = a[t] * b[t]


@compiled
def differ(a: Doubles, b: Doubles) -> bool:
    """Return whether two masks differ anywhere."""
    found = 0
    for t in range(a.size):
        found += a[t] != b[t]
    return found > 0


@compiled
def _join(newer: Doubles, older: Doubles, factor: float, out: Doubles) -> None:
    for t in range(out.size):
        out[t] = newer[t] + factor * older[t]


@compiled
def _copy(a: Doubles, out: Doubles) -> None:
    for t in range(out.size):
        out[t] = a[t]


@compiled
def place(steps: Ints, length: int) -> int:
    """Return the row of a length in `steps`.

    Raises:
        ValueError: it is not there.
    """
    for c in range(steps.shape[0]):
        if steps[c, 0] == length:
            return c
    raise ValueError("a window is missing from the composition")


@compiled
def lengths_of(requests: Ints, steps: Ints) -> Ints:
    """Return, for each length of `steps`, 2 where a request has it, 1 where it is a part of one, else 0."""
    found = np.zeros(steps.shape[0], np.int64)
    for k in range(requests.shape[0]):
        found[place(steps, requests[k, 1])] = 2
    for c in range(steps.shape[0] - 1, 0, -1):
        if found[c] > 0:
            for length in steps[c, 1:]:
                part = place(steps, length)
                found[part] = max(found[part], 1)
    return found


@compiled
def window_sums(x: Doubles, used: Ints, half_life: float, steps: Ints, S: Doubles) -> None:
    """Write the window sums of `x [n]` to `S [C, n...]` for the used lengths; rows before the first add nothing."""
    n = x.size
    decay = 1.0 if half_life == 0.0 else 0.5 ** (1.0 / half_life)
    if used[0] > 0:
        _copy(x, S[0, :n])
    for c in range(1, steps.shape[0]):
        if used[c] > 0:
            a = place(steps, steps[c, 1])
            b = place(steps, steps[c, 2])
            shift = min(steps[c, 1], n)
            _copy(S[a, :shift], S[c, :shift])
            _join(S[a, shift:n], S[b, : n - shift], decay**shift, S[c, shift:n])


@compiled
def _join_lags(newer: Doubles, older: Doubles, sums: Doubles, lag: float, out: Doubles) -> None:
    for t in range(out.size):
        out[t] = newer[t] + older[t] + lag * sums[t]


@compiled
def lag_sums(used: Ints, steps: Ints, n: int, S: Doubles, W: Doubles) -> None:
    """Write sums of k x[t-k] to `W [C, n...]`, k being the lag 0, 1, ..., from the plain sums `S` of a series `[n]`.

    Two windows a (newer) and b (older by a rows) join as W = W_a + W_b + a S_b.
    """
    W[0, :n] = 0.0
    for c in range(1, steps.shape[0]):
        if used[c] > 0:
            a = place(steps, steps[c, 1])
            b = place(steps, steps[c, 2])
            shift = min(steps[c, 1], n)
            _copy(W[a, :shift], W[c, :shift])
            _join_lags(W[a, shift:n], W[b, : n - shift], S[b, : n - shift], float(shift), W[c, shift:n])


@compiled
def _join_squares(newer: Doubles, older: Doubles, W: Doubles, S: Doubles, lag: float, out: Doubles) -> None:
    twice = 2.0 * lag
    square = lag * lag
    for t in range(out.size):
        out[t] = newer[t] + older[t] + twice * W[t] + square * S[t]


@compiled
def _square_lag_sums(used: Ints, steps: Ints, n: int, S: Doubles, W: Doubles, Q: Doubles) -> None:
    """Write sums of k^2 x[t-k] to `Q [C, n...]`, from the plain and lag-weighted sums of a series `[n]`."""
    Q[0, :n] = 0.0
    for c in range(1, steps.shape[0]):
        if used[c] > 0:
            a = place(steps, steps[c, 1])
            b = place(steps, steps[c, 2])
            shift = min(steps[c, 1], n)
            lag = float(shift)
            _copy(Q[a, :shift], Q[c, :shift])
            _join_squares(Q[a, shift:n], Q[b, : n - shift], W[b, : n - shift], S[b, : n - shift], lag, Q[c, shift:n])


@compiled
def _reciprocals(a: Doubles, less: float, out: Doubles) -> None:
    for t in range(out.size):
        out[t] = 1.0 / (a[t] - less)


@compiled
def _lag_spread(squares: Doubles, s: Doubles, mean: Doubles, out: Doubles) -> None:
    for t in range(out.size):
        out[t] = 1.0 / (squares[t] - s[t] * s[t] * mean[t])


@compiled
def _slot(m: Doubles, half_life: float, work: Work) -> int:
    """Return the slot that holds a mask, after it has been put there if need be in place of the least used one."""
    n = m.size
    latest = work.keys[:, 2].max() + 1.0
    slot = 0
    for s in range(SLOTS):
        if work.keys[s, 0] == n and work.keys[s, 1] == half_life and not differ(m, work.masks[s, :n]):
            work.keys[s, 2] = latest
            return s
        if work.keys[s, 2] < work.keys[slot, 2]:
            slot = s
    _copy(m, work.masks[slot, :n])
    work.done[slot] = 0
    work.keys[slot, 0] = n
    work.keys[slot, 1] = half_life
    work.keys[slot, 2] = latest
    return slot


@compiled
def count(m: Doubles, used: Ints, half_life: float, level: int, work: Work) -> Doubles:
    """Return the `counts [7, C, R]` of a mask `[n]`, filled in for the used lengths up to a level.

    Levels: `COUNTS` has COUNT and WEIGHT, `MEANS` MEAN too, `SAMPLES` SAMPLE too and `LAGS` everything.
    """
    n, steps = m.size, work.steps
    slot = _slot(m, half_life, work)
    out: Doubles = work.counts[slot]
    done = work.done[slot]
    missing = np.zeros(used.size, np.int64)
    for c in range(used.size):
        missing[c] = used[c] > 0 and done[c] & 1 == 0
        done[c] |= missing[c]
    if missing.max() > 0:
        window_sums(m, missing, 0.0, steps, out[COUNT])
        if half_life > 0.0:
            window_sums(m, missing, half_life, steps, out[WEIGHT])
    for c in range(used.size):
        if used[c] == 2 and level >= MEANS and done[c] & 2 == 0:
            _reciprocals(out[WEIGHT if half_life > 0.0 else COUNT, c, :n], 0.0, out[MEAN, c, :n])
            done[c] |= 2
        if used[c] == 2 and level >= SAMPLES and done[c] & 4 == 0:
            weighted = half_life > 0.0
            _reciprocals(out[WEIGHT if weighted else COUNT, c, :n], 0.0 if weighted else 1.0, out[SAMPLE, c, :n])
            done[c] |= 4
    if level >= LAGS:
        for c in range(used.size):
            missing[c] = used[c] > 0 and done[c] & 8 == 0
            done[c] |= 8 * missing[c]
        if missing.max() > 0:
            lag_sums(missing, steps, n, out[COUNT], out[LAG])
            _square_lag_sums(missing, steps, n, out[COUNT], out[LAG], out[LAG_SQUARE])
        for c in range(used.size):
            if used[c] == 2 and done[c] & 16 == 0:
                _lag_spread(out[LAG_SQUARE, c, :n], out[LAG, c, :n], out[MEAN, c, :n], out[LAG_SPREAD, c, :n])
                done[c] |= 16
    return out


@compiled
def blank_few(count_in_window: Doubles, least: int, out: Floats) -> None:
    """Set `out [n]` to NaN where fewer than `least` values are in the window."""
    for t in range(out.size):
        out[t] = out[t] if count_in_window[t] >= least else np.float32(np.nan)
