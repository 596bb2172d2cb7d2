"""Quantiles of windows for up to LANES stocks side by side: conventions as in `series_work`.

The window of each stock is kept in order, one stock a lane. A new row deletes the value that leaves and inserts the one
that comes, without a branch and in one pass: place k then holds min(u[k], max(u[k-1], new)), u being what is left of
the window s after the deletion, u[k] = s[k] if s[k] < old else s[k+1]. Missing values are +infinity and stand last.

`_renew` and `_read` are written for the compiler directly, so that what one place of the window hands to the next stays
in the processor's registers. Nothing checks their bounds.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from alphaloom.kernels.rolling import compiled
from alphaloom.kernels.streams import COUNTS, LINE, VECTOR, cgutils, intrinsic, ir, line_at, spread, turn
from alphaloom.typing import Doubles, Floats, Ints

LANES = 32
"""Stocks side by side, two lines of memory: a window of 60 rows takes a quarter of the first-level cache."""
Counts = npt.NDArray[np.int32]
_DOUBLES = ir.VectorType(ir.DoubleType(), LINE)


@intrinsic
def _renew(_: Any, window: Any, held: Any, gone: Any, come: Any, d: Any) -> Any:
    """Have row `come` of `held [rows, LANES]` replace row `gone` in the ordered windows `window [d + 1, LANES]`.

    The last row of `window` is +infinity and stays it.
    """

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        window, held, gone, come, d = given

        def at(k: Any, half: int) -> Any:
            return line_at(context, builder, signature.args[0], window, [k, ir.Constant(d.type, half)])

        def of(row: Any, half: int) -> Any:
            place = line_at(context, builder, signature.args[1], held, [row, ir.Constant(d.type, half)])
            return builder.load(place, align=4)

        halves = range(0, LANES, LINE)
        old, new = {half: of(gone, half) for half in halves}, {half: of(come, half) for half in halves}
        here = {half: cgutils.alloca_once(builder, VECTOR) for half in halves}
        left = {half: cgutils.alloca_once(builder, VECTOR) for half in halves}
        for half in halves:
            builder.store(builder.load(at(ir.Constant(d.type, 0), half), align=4), here[half])
            builder.store(ir.Constant(VECTOR, [float("-inf")] * LINE), left[half])
        with cgutils.for_range(builder, d) as loop:
            above = builder.add(loop.index, ir.Constant(d.type, 1))
            for half in halves:
                this, last = builder.load(here[half]), builder.load(left[half])
                next_ = builder.load(at(above, half), align=4)
                stays = builder.select(builder.fcmp_ordered("<", this, old[half]), this, next_)
                larger = builder.select(builder.fcmp_ordered(">", last, new[half]), last, new[half])
                smaller = builder.select(builder.fcmp_ordered("<", stays, larger), stays, larger)
                builder.store(smaller, at(loop.index, half), align=4)
                builder.store(next_, here[half])
                builder.store(stays, left[half])
        return context.get_dummy_value()

    return types.void(window, held, gone, come, d), build


@intrinsic
def _read(
    _: Any, window: Any, counts: Any, row: Any, d: Any, fewest: Any, places: Any, parts: Any, a: Any, tile: Any, to: Any
) -> Any:
    """Write quantile a of each lane of `window` to row `to` of `tile [rows, LANES]`.

    A lane has `n = counts[row] - counts[row - d]` values, `counts [rows, LANES]`. Its quantile lies `parts[a, n]` of
    the way from place `places[a, n, 0]` to `places[a, n, 1]`, and is NaN where n is below `fewest`.
    """

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        row, d, fewest, a, tile, to = given[2], given[3], given[4], given[7], given[8], given[9]
        kinds = signature.args
        halves = [ir.Constant(d.type, half) for half in range(0, LANES, LINE)]

        def line(kind: int, row: Any, half: Any, vector: Any) -> Any:
            place = line_at(context, builder, kinds[kind], given[kind], [row, half])
            return builder.load(builder.bitcast(place, vector.as_pointer()), align=4)

        def entry(kind: int, index: list[Any]) -> Any:
            view = context.make_array(kinds[kind])(context, builder, given[kind])
            return builder.load(cgutils.get_item_pointer(context, builder, kinds[kind], view, index, wraparound=False))

        before = builder.sub(row, d)
        n = [builder.sub(line(1, row, half, COUNTS), line(1, before, half, COUNTS)) for half in halves]
        low, high, part = ([cgutils.alloca_once(builder, kind) for _ in halves] for kind in (VECTOR, VECTOR, _DOUBLES))
        for h in range(len(halves)):
            builder.store(ir.Constant(VECTOR, [0.0] * LINE), low[h])
            builder.store(ir.Constant(VECTOR, [0.0] * LINE), high[h])
            builder.store(ir.Constant(_DOUBLES, [float("nan")] * LINE), part[h])
        levels = builder.add(builder.sub(d, fewest), ir.Constant(d.type, 1))
        with cgutils.for_range(builder, levels) as loop:
            level = builder.sub(d, loop.index)
            share = spread(builder, entry(6, [a, level]))
            wanted = spread(builder, builder.trunc(level, ir.IntType(32)))
            ends = [entry(5, [a, level, ir.Constant(d.type, k)]) for k in (0, 1)]
            for h, half in enumerate(halves):
                here = builder.icmp_signed("==", n[h], wanted)
                for found, new in (
                    (low, line(0, ends[0], half, VECTOR)),
                    (high, line(0, ends[1], half, VECTOR)),
                    (part, share),
                ):
                    builder.store(builder.select(here, new, builder.load(found[h])), found[h])
        for h, half in enumerate(halves):
            lower, upper = (builder.fpext(builder.load(end[h]), _DOUBLES) for end in (low, high))
            value = builder.fadd(lower, builder.fmul(builder.load(part[h]), builder.fsub(upper, lower)))
            builder.store(
                builder.fptrunc(value, VECTOR), line_at(context, builder, kinds[8], tile, [to, half]), align=4
            )
        return context.get_dummy_value()

    return types.void(window, counts, row, d, fewest, places, parts, a, tile, to), build


@compiled
def _fewest(counts: Counts, row: int, d: int, least: int) -> int:
    """Return the fewest values, at least `least`, of any lane's window of d rows that ends at a row."""
    fewest = np.int32(d)
    for b in range(LANES):
        n = counts[row, b] - counts[row - d, b]
        fewest = min(fewest, n if n >= least else np.int32(d))
    return int(fewest)


@compiled
def _load(X: Floats, lengths: Ints, front: int, held: Floats, counts: Counts) -> None:
    """Write the values, rows from `front`, and how many of the rows so far have one; missing values are infinite."""
    held[:] = np.inf
    for b in range(lengths.size):
        for t in range(lengths[b]):
            if np.abs(X[b, t]) < np.inf:
                held[front + t, b] = X[b, t] + np.float32(0.0)  # -0 becomes 0: equal values are the same bits
    counts[:front] = 0
    for t in range(front, held.shape[0]):
        for b in range(LANES):
            counts[t, b] = counts[t - 1, b] + np.int32(held[t, b] < np.inf)


@compiled
def _places(d: int, least: int, q: float, places: Ints, parts: Doubles) -> None:
    """Write for each number of values n between which two places the quantile lies and where, NaN below `least`."""
    for n in range(d + 1):
        place = q * (n - 1)
        low = int(place) if n > 0 else 0
        places[n, 0], places[n, 1] = low, min(low + 1, max(n - 1, 0))
        parts[n] = place - low if n >= least else np.nan


@compiled
def _windows(
    held: Floats,
    counts: Counts,
    d: int,
    least: int,
    chosen: Ints,
    places: Ints,
    parts: Doubles,
    lengths: Ints,
    out: Floats,
) -> None:
    """Write `out[chosen]`, quantiles of every window of d rows, described by the first of `places` and `parts`."""
    T, front = lengths.max(), held.shape[0] - lengths.max()
    window, tile = np.full((d + 1, LANES), np.float32(np.inf)), np.empty((chosen.size * LINE, LANES), np.float32)
    for t0 in range(0, T, LINE):
        rows = min(LINE, T - t0)
        for r in range(rows):
            row = front + t0 + r
            _renew(window, held, row - d, row, d)
            fewest = _fewest(counts, row, d, least)
            for a in range(chosen.size):
                _read(window, counts, row, d, fewest, places, parts, a, tile, a * LINE + r)
        for a in range(chosen.size):
            _turn(tile, a * LINE, t0, rows, lengths, out, chosen[a])


@compiled
def _turn(tile: Floats, top: int, t0: int, rows: int, lengths: Ints, out: Floats, k: int) -> None:
    """Write rows of a tile, the quantiles of rows `t0`..., to the spans `out[k]`, infinite as NaN."""
    to = out[k]
    for b0 in range(0, lengths.size, LINE):
        last = min(b0 + LINE, lengths.size)
        if last == b0 + LINE and t0 + LINE <= lengths[b0:last].min():
            turn(tile, top, b0, to, b0, t0)
            continue
        for b in range(b0, last):
            for r in range(min(rows, lengths[b] - t0)):
                value = tile[top + r, b]
                to[b, t0 + r] = value if abs(value) < np.inf else np.float32(np.nan)


@compiled
def quantiles(X: Floats, lengths: Ints, requests: Ints, parameters: Doubles, out: Floats) -> None:
    """Write the requested quantiles of up to LANES spans `X [B, R]` of given `lengths [B]` to `out [K, B, R]`.

    `CODES["quantiles"]` both take q from the parameters, 0.5 for the median. Cells behind the end of a span are left
    as they are.
    """
    T, longest, K = lengths.max(), requests[:, 1].max(), requests.shape[0]
    held, counts = np.empty((longest + T, LANES), np.float32), np.empty((longest + T, LANES), np.int32)
    _load(X, lengths, longest, held, counts)
    places, parts = np.empty((K, longest + 1, 2), np.int64), np.empty((K, longest + 1), np.float64)
    for first in range(K):
        d = requests[first, 1]
        if (requests[:first, 1] == d).any():
            continue
        chosen = np.flatnonzero(requests[:, 1] == d)
        for a in range(chosen.size):
            _places(d, requests[chosen[a], 2], parameters[chosen[a], 0], places[a], parts[a])
        _windows(held, counts, d, requests[chosen, 2].min(), chosen, places, parts, lengths, out)
