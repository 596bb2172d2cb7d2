"""Listed spans of a panel, and work on them in blocks over several threads.

A span is an unbroken run of rows on which a stock is listed. Rolling windows never reach across its start: to a
window a stock that comes back after a delisting is a new stock.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np

from alphaloom.errors import SettingError
from alphaloom.kernels.rolling import compiled
from alphaloom.typing import Bools, Floats, Ints

DEPTH = 128
"""Rows read at a time for stocks side by side, whose values share cache lines."""


def listed_spans(is_listed: Floats) -> tuple[Ints, Ints, Ints]:
    """Return column, first row and last row + 1 of every listed span, by column, then by row.

    Args:
        is_listed: `[T, N]`, 1 where listed; 0 or NaN elsewhere.
    """
    listed = np.zeros((is_listed.shape[1], is_listed.shape[0] + 2), dtype=np.int8)
    listed[:, 1:-1] = (is_listed > 0).T
    step = np.diff(listed, axis=1)
    column, start = np.nonzero(step == 1)
    _, stop = np.nonzero(step == -1)
    return column.astype(np.int64), start.astype(np.int64), stop.astype(np.int64)


def in_blocks(work: Callable[[int, int], None], count: int, size: int, threads: int | None = None) -> None:
    """Call `work(first, stop)` for blocks of `size` out of `count` items, on several threads.

    `work` must release the interpreter lock to gain from it. Threads default to numba's number.

    Raises:
        SettingError: fewer than one thread.
    """
    number = numba.get_num_threads() if threads is None else threads
    if number < 1:
        raise SettingError(f"threads is {number}; at least 1 is needed.")
    blocks = [(first, min(first + size, count)) for first in range(0, count, size)]
    if number == 1 or len(blocks) == 1:
        for first, stop in blocks:
            work(first, stop)
        return
    with ThreadPoolExecutor(max_workers=number) as pool:
        for done in [pool.submit(work, first, stop) for first, stop in blocks]:
            done.result()


@compiled
def gather(field: Floats, column: Ints, start: Ints, stop: Ints, out: Floats) -> None:
    """Write the spans of `field [T, N]` as rows of `out [B, R]`, each from its first column on; NaN after its end."""
    for t0 in range(0, (stop - start).max(), DEPTH):
        for b in range(column.size):
            n, first = column[b], start[b]
            for t in range(t0, min(t0 + DEPTH, stop[b] - first)):
                out[b, t] = field[first + t, n]
    for b in range(column.size):
        out[b, stop[b] - start[b] :] = np.nan


@compiled
def blank_unlisted(listed: Bools, out: Floats) -> None:
    """Set `out [T, N, F]` to NaN where `listed [T, N]` is false."""
    for t in range(listed.shape[0]):
        for n in range(listed.shape[1]):
            if not listed[t, n]:
                out[t, n, :] = np.nan


def contiguous(field: Floats) -> Floats:
    """Return the field as a read-only C-ordered array, copied only if it is not: one compiled form serves all."""
    view = np.ascontiguousarray(field, dtype=np.float32).view()
    view.flags.writeable = False
    return view
