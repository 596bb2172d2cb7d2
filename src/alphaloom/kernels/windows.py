"""Windows of several stocks at several dates, gathered from a feature block into one array."""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from alphaloom.kernels.rolling import compiled
from alphaloom.typing import Bools, Floats, Ints

SIZE = np.int32(0x7FFFFFFF)
"""All bits of a float32 but its sign: read as integers, sizes are ordered like the values."""
INFINITY = np.int32(0x7F800000)
"""Size of an infinite value; those of NaN are larger."""
EMPTY = np.int32(-1)
LINE = 16
"""Values in a cache line of 64 bytes."""
TOGETHER = 2
"""Windows gathered side by side, step by step; as many are read ahead."""


def _fetching(context: Any, array: Any, index: Any) -> Any:  # noqa: ARG001
    """Have the processor fetch `array[index]` into its cache; harmless outside the array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        form = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        fetch: Any = cgutils.get_or_insert_function(builder.module, form, "llvm.prefetch.p0")  # type: ignore[no-untyped-call]
        place = builder.bitcast(builder.gep(start, [arguments[1]]), pointer)
        builder.call(fetch, [place, number(0), number(3), number(1)])  # to read; into all levels; data
        return context.get_dummy_value()

    return types.void(array, index), generate


_prefetch: Any = intrinsic(_fetching)


@compiled
def gather_windows(block: Floats, rows: Ints, stocks: Ints, stride: int, present: Bools, out: Floats) -> bool:
    """Write the windows of n stocks into `out [n, L, F]`, NaN as 0; return whether a value met was infinite.

    Window i holds rows `rows[i] - (L - 1) * stride, ..., rows[i] - stride, rows[i]` of column `stocks[i]`, and zeros
    where `stocks[i] < 0`. A step at which the stock is not `present` takes the last step of its window at which it was,
    if there is one. Rows and columns are not checked: each must lie in the block.

    Values are read and written as integers, whose order tells NaN and infinity apart without a branch. Windows lie
    scattered over the block, where the processor does not foresee them, so each is fetched ahead, which makes whole
    days a quarter faster and rows in random order up to twice.

    Args:
        block: features `[T, N, F]`, C-contiguous.
        rows: panel row of each window's last step `[n]`.
        stocks: column of each window `[n]`; negative is padding.
        stride: rows between two steps.
        present: which stocks have a step of their own on each row `[T, N]`; `[0, 0]` takes all as they are.
        out: written whole, C-contiguous.
    """
    n, L, F = out.shape
    source, target = block.reshape(-1).view(np.int32), out.reshape(-1).view(np.int32)
    N, width, infinite = block.shape[1], np.uint64(F), False
    carry, begun = present.size > 0, np.zeros(TOGETHER, np.bool_)
    for first in range(0, n, TOGETHER):
        begun[:] = False
        for k in range(L):
            back = (L - 1 - k) * stride
            for i in range(first, min(first + TOGETHER, n)):
                later = min(i + TOGETHER, n - 1)
                ahead = ((rows[later] - back) * N + stocks[later]) * F
                for f in range(0, F, LINE):
                    _prefetch(source, ahead + f)
                if stocks[i] < 0:
                    out[i, k] = 0.0
                    continue
                read = np.uint64(((rows[i] - back) * N + stocks[i]) * F)
                write = np.uint64((i * L + k) * F)
                largest = EMPTY
                for f in range(width):
                    value = source[read + f]
                    size = value & SIZE
                    target[write + f] = value if size <= INFINITY else np.int32(0)
                    largest = max(largest, size if size <= INFINITY else EMPTY)
                infinite |= largest == INFINITY
                if carry and present[rows[i] - back, stocks[i]]:
                    begun[i - first] = True
                elif begun[i - first]:
                    out[i, k] = out[i, k - 1]
    return infinite
