"""Turning one stock's registers into rows of the result `[T, N, F]`, past the caches.

A result is far larger than the caches, and a stock's row of it is a few lines of memory of 64 bytes. An ordinary store
reads each line before it changes it; a streamed (non-temporal) one of a whole line does not, which halves the traffic.
Rows rarely begin at a line: the line that two neighbouring stocks share waits until the second of them is written, and
is streamed then.

`turn`, `copy_line`, `stream_line` and `stream_joined` are written for the compiler directly and work on LINE values:
numba knows neither the turning nor the streaming, and to cut a row out of an array costs it more than to copy the row.
"""

from typing import Any

import numba.core.cgutils
import numpy as np
from numba import extending, types

from alphaloom.kernels.rolling import compiled
from alphaloom.typing import Floats, Ints

cgutils: Any = numba.core.cgutils
ir: Any = cgutils.ir
intrinsic: Any = extending.intrinsic

LINE = 16
"""Values of float32 in a line of memory."""
NONE = -1
"""In `ends`: no value waits."""
VECTOR = ir.VectorType(ir.FloatType(), LINE)
"""A line of memory for the compiler."""
COUNTS = ir.VectorType(ir.IntType(32), LINE)
"""LINE values of int32."""


def line_at(context: Any, builder: Any, kind: Any, array: Any, index: list[Any]) -> Any:
    """Return the address of the LINE values of an array, of a type `kind`, from a place; nothing checks the bounds."""
    view = context.make_array(kind)(context, builder, array)
    item = cgutils.get_item_pointer(context, builder, kind, view, index, wraparound=False)
    return builder.bitcast(item, VECTOR.as_pointer())


def spread(builder: Any, value: Any) -> Any:
    """Return a vector of LINE times the value."""
    empty = ir.Constant(ir.VectorType(value.type, LINE), ir.Undefined)
    first = builder.insert_element(empty, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, empty, ir.Constant(COUNTS, [0] * LINE))


@intrinsic
def turn(_: Any, columns: Any, row: Any, column: Any, out: Any, to_row: Any, to_column: Any) -> Any:
    """Write the square of LINE x LINE values of `columns` at (row, column), turned, to `out` at (to_row, to_column).

    Infinite values become NaN. Both arrays are C-ordered float32; nothing checks the bounds.
    """

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        columns, row, column, out, to_row, to_column = given
        missing = ir.Constant(VECTOR, [float("nan")] * LINE)
        lines = []
        for k in range(LINE):
            at = [builder.add(row, ir.Constant(row.type, k)), column]
            line = builder.load(line_at(context, builder, signature.args[0], columns, at), align=4)
            rest = builder.fsub(line, line)  # 0, or NaN where the value is infinite or missing
            lines.append(builder.select(builder.fcmp_ordered("ord", rest, rest), line, missing))
        for k, line in enumerate(_turned(builder, lines)):
            at = [builder.add(to_row, ir.Constant(to_row.type, k)), to_column]
            builder.store(line, line_at(context, builder, signature.args[3], out, at), align=4)
        return context.get_dummy_value()

    return types.void(columns, row, column, out, to_row, to_column), build


def _turned(builder: Any, lines: list[Any]) -> list[Any]:
    """Return the transposed square of lines: blocks of 1, 2, 4 and 8 are exchanged across the diagonal."""
    step = 1
    while step < LINE:
        low = ir.Constant(COUNTS, [k if not k & step else k - step + LINE for k in range(LINE)])
        high = ir.Constant(COUNTS, [k + step if not k & step else k + LINE for k in range(LINE)])
        for k in range(LINE):
            if not k & step:
                a, b = lines[k], lines[k + step]
                lines[k], lines[k + step] = builder.shuffle_vector(a, b, low), builder.shuffle_vector(a, b, high)
        step *= 2
    return lines


@intrinsic
def stream_line(_: Any, tile: Any, k: Any, first: Any, out: Any, to: Any) -> Any:
    """Stream `tile[k, first : first + LINE]` to `out[to : to + LINE]`, which must be a whole line of memory."""

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        tile, k, first, out, to = given
        line = builder.load(line_at(context, builder, signature.args[0], tile, [k, first]), align=4)
        store = builder.store(line, line_at(context, builder, signature.args[3], out, [to]), align=4 * LINE)
        store.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        return context.get_dummy_value()

    return types.void(tile, k, first, out, to), build


@intrinsic
def stream_joined(_: Any, left: Any, row: Any, tile: Any, k: Any, first: Any, n: Any, out: Any, to: Any) -> Any:
    """Stream the line whose first n values are those of `left[row]` and the others those of `tile[k, first:]`."""

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        left, row, tile, k, first, n, out, to = given
        zero = ir.Constant(row.type, 0)
        a = builder.load(line_at(context, builder, signature.args[0], left, [row, zero]), align=4)
        b = builder.load(line_at(context, builder, signature.args[2], tile, [k, first]), align=4)
        kept = builder.icmp_signed(
            "<", ir.Constant(COUNTS, list(range(LINE))), spread(builder, builder.trunc(n, ir.IntType(32)))
        )
        place = line_at(context, builder, signature.args[6], out, [to])
        store = builder.store(builder.select(kept, a, b), place, align=4 * LINE)
        store.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        return context.get_dummy_value()

    return types.void(left, row, tile, k, first, n, out, to), build


@intrinsic
def copy_line(_: Any, tile: Any, k: Any, first: Any, out: Any, to: Any) -> Any:
    """Copy `tile[k, first : first + LINE]` to `out[to, :LINE]`."""

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        tile, k, first, out, to = given
        line = builder.load(line_at(context, builder, signature.args[0], tile, [k, first]), align=4)
        builder.store(line, line_at(context, builder, signature.args[3], out, [to, ir.Constant(to.type, 0)]), align=4)
        return context.get_dummy_value()

    return types.void(tile, k, first, out, to), build


@intrinsic
def _fence(_: Any) -> Any:
    """Have everything streamed before it seen by other threads before what is written after it."""

    def build(context: Any, builder: Any, *_: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), build


@compiled
def into_line(flat: Floats) -> int:
    """Return how many values before `flat[0]` its line of memory begins."""
    return (flat.ctypes.data // 4) % LINE


@compiled
def stream(
    columns: Floats, F: int, offset: int, length: int, start: int, n: int, out: Floats, ends: Ints, waiting: Floats
) -> None:
    """Write `columns[:F, offset : offset + length]` to `out [T, N, F]` at rows `start`..., stock n; infinity as NaN.

    Of each row of `out` up to LINE - 1 values may stay in `waiting [T, LINE]`: those before the place `ends [T]` in
    the flat `out`, NONE where there are none. `finish` writes them.
    """
    flat = out.reshape(out.size)
    if F < LINE or length < LINE:
        for t in range(length):
            for f in range(F):
                value = columns[f, offset + t]
                out[start + t, n, f] = value if abs(value) < np.inf else np.float32(np.nan)
        return
    into = into_line(flat)
    tile = np.empty((LINE, (F + 3 * LINE) // LINE * LINE), np.float32)  # the values that wait, then F
    for t0 in range(0, length, LINE):
        t = min(t0, length - LINE)
        for f0 in range(0, F, LINE):
            f = min(f0, F - LINE)
            turn(columns, f, offset + t, tile, 0, LINE + f)
        for k in range(t0 - t, LINE):
            r = start + t + k
            first = (r * out.shape[1] + n) * F
            before = (into + first) % LINE
            begin = first - before
            if before > 0 and ends[r] == first:
                stream_joined(waiting, r, tile, k, LINE - before, before, flat, begin)
                begin += LINE
            else:
                waits = (into + ends[r]) % LINE if ends[r] != NONE else 0
                for i in range(waits):  # written here, not by a function: to hand over arrays costs more than all this
                    flat[ends[r] - waits + i] = waiting[r, i]
                if before > 0:
                    begin += LINE
                    for i in range(first, begin):
                        flat[i] = tile[k, LINE + i - first]
            end = first + F
            after = (into + end) % LINE
            for i in range(begin, end - after, LINE):
                stream_line(tile, k, LINE + i - first, flat, i)
            copy_line(tile, k, LINE + F - after, waiting, r)
            ends[r] = end if after > 0 else NONE


@compiled
def finish(out: Floats, ends: Ints, waiting: Floats) -> None:
    """Write the values of `out` that wait, and have all of it seen by other threads."""
    flat = out.reshape(out.size)
    into = into_line(flat)
    for r in range(ends.size):
        waits = (into + ends[r]) % LINE if ends[r] != NONE else 0
        for i in range(waits):
            flat[ends[r] - waits + i] = waiting[r, i]
        ends[r] = NONE
    _fence()
