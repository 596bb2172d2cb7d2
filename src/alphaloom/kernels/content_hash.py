"""64-bit hashes of columns: one a stock and stretch of rows, to tell which stocks' data changed and when."""

import numpy as np

from alphaloom.kernels.rolling import compiled
from alphaloom.typing import Array

SEED = np.uint64(0x243F6A8885A308D3)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


@compiled
def chunk_hashes(bits: Array, rows: int, out: Array) -> None:
    """Write the hash of each column over every `rows` rows of `bits [T, N]` (uint32) to `out [C, N]` (uint64).

    The last chunk holds the rows that are left. A step multiplies by an odd number and folds the upper half down, both
    of which can be undone: columns that differ in one value never have equal hashes, others with odds of 2 ** -64.
    """
    T = bits.shape[0]
    for c in range(out.shape[0]):
        state = out[c]
        state[:] = SEED
        for t in range(c * rows, min(T, (c + 1) * rows)):
            row = bits[t]
            for n in range(row.size):
                x = (state[n] ^ np.uint64(row[n])) * _MULTIPLIER
                state[n] = x ^ (x >> _HALF)


@compiled
def mix(state: Array, values: Array) -> None:
    """Take the hashes `values [C, N]` into `state [N]`, one row after the other."""
    for c in range(values.shape[0]):
        row = values[c]
        for n in range(row.size):
            x = (state[n] ^ row[n]) * _MULTIPLIER
            state[n] = x ^ (x >> _HALF)
