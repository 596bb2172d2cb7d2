"""Ranks of today's value over any number of windows: conventions as in `series_work`."""

import numpy as np

from alphaloom.kernels.rolling import compiled
from alphaloom.kernels.series_sums import COUNT, MEAN, MEANS, blank_few, count, lengths_of
from alphaloom.kernels.series_work import Work
from alphaloom.typing import Doubles, Floats, Ints


@compiled
def _count_below(now: Floats, before: Floats, total: Floats) -> None:
    for t in range(total.size):
        less = np.float32(1.0) if before[t] < now[t] else np.float32(0.0)
        tied = np.float32(0.5) if before[t] == now[t] else np.float32(0.0)
        total[t] += less + tied


@compiled
def _shares(total: Floats, mean: Doubles, now: Floats, out: Floats) -> None:
    for t in range(out.size):
        share = np.float32(np.float64(total[t]) * mean[t])
        out[t] = share if now[t] < np.inf else np.float32(np.nan)


@compiled
def ranks(regs: Floats, n: int, x: int, requests: Ints, work: Work) -> None:
    """Write the rank of today's value of register x among those of each window: see `series_work`.

    Each lag adds the values that it finds below today's; the windows share the lags.
    """
    used = lengths_of(requests, work.steps)
    m = work.rows[0, :n]
    now, total = work.floats[0, 0, :n], work.floats[1, 0, :n]
    values = regs[x, :n]
    for t in range(n):
        m[t] = 1.0 if np.abs(values[t]) < np.inf else 0.0
    for t in range(n):
        now[t] = values[t] if np.abs(values[t]) < np.inf else np.float32(np.inf)
    total[:] = 1.0
    counts = count(m, used, 0.0, MEANS, work)
    lag = 1
    for c in range(used.size):
        if used[c] != 2:
            continue
        d = work.steps[c, 0]
        for k in range(lag, min(d, n)):
            _count_below(now[k:], now[: n - k], total[k:])
        lag = max(lag, min(d, n))
        for k in range(requests.shape[0]):
            if requests[k, 1] == d:
                out = regs[requests[k, 3], :n]
                _shares(total, counts[MEAN, c, :n], now, out)
                if requests[k, 2] > 1:
                    blank_few(counts[COUNT, c, :n], requests[k, 2], out)
