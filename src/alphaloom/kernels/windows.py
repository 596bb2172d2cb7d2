"""Windows of several stocks at several dates, gathered from a feature block into one array."""

import numpy as np

from alphaloom.kernels.rolling import compiled
from alphaloom.typing import Floats, Ints

SIZE = np.int32(0x7FFFFFFF)
"""All bits of a float32 but its sign: as integers, sizes are ordered like the values."""
INFINITY = np.int32(0x7F800000)
"""Size of an infinite value; those of NaN are larger."""
EMPTY = np.int32(-1)


@compiled
def gather_windows(block: Floats, rows: Ints, stocks: Ints, stride: int, carry: bool, out: Floats) -> bool:
    """Write the windows of n stocks into `out [n, L, F]`, NaN as 0; return whether a value met was infinite.

    Window i holds rows `rows[i] - (L - 1) * stride, ..., rows[i] - stride, rows[i]` of column `stocks[i]`, and zeros
    where `stocks[i] < 0`. With `carry` a step without any feature takes the step before it in its window, if there is
    one. Rows and columns are not checked: each must lie in the block.

    Values are read and written as integers, whose order tells NaN and infinity apart without a branch.

    Args:
        block: features `[T, N, F]`, C-contiguous.
        rows: panel row of each window's last step `[n]`.
        stocks: column of each window `[n]`; negative is padding.
        stride: rows between two steps.
        carry: whether empty steps are filled from the step before.
        out: written whole, C-contiguous.
    """
    n, L, F = out.shape
    source, target = block.reshape(-1).view(np.int32), out.reshape(-1).view(np.int32)
    N, width, infinite = block.shape[1], np.uint64(F), False
    for i in range(n):
        if stocks[i] < 0:
            out[i] = 0.0
            continue
        for k in range(L):
            read = np.uint64(((rows[i] - (L - 1 - k) * stride) * N + stocks[i]) * F)
            write = np.uint64((i * L + k) * F)
            largest = EMPTY
            for f in range(width):
                value = source[read + f]
                size = value & SIZE
                target[write + f] = value if size <= INFINITY else np.int32(0)
                largest = max(largest, size if size <= INFINITY else EMPTY)
            infinite |= largest == INFINITY
            if carry and largest == EMPTY and k > 0:
                out[i, k] = out[i, k - 1]
    return infinite
