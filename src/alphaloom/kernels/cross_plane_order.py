"""Ranks, buckets, medians and bounds of planes, date by date, in groups or over all members.

Slots are those of `cross_plane_moments`: 0 without a group, g + 1 for group g, 1 where there are no groups.
"""

from typing import Any

import numpy as np

from alphaloom.kernels.cross_order import median_and_mad
from alphaloom.kernels.cross_plane_moments import slots_of, spread_over
from alphaloom.kernels.cross_sort import DIGITS, pack_one, packed_value, position, same_value, sort_packed, sort_slots
from alphaloom.kernels.rolling import compiled
from alphaloom.typing import Array


@compiled
def _pack_known(x: Array, slot: Array, packed: Array) -> int:
    """Pack every finite value of a stock that has a slot; return how many there are."""
    inf = np.float32(np.inf)
    n = 0
    for i in range(x.size):
        packed[n] = pack_one(x[i], i)
        n += (abs(x[i]) < inf) & (slot[i] > 0)
    return n


@compiled
def _write_places(order: Array, universe: Array, buckets: int, out: Array) -> None:
    """Write the rank share, or the bucket if there are any, of sorted packed entries among the members in them."""
    members = 0
    for i in range(order.size):
        members += universe[position(order[i])]
    below, i = 0, 0
    while i < order.size:
        equal: Any = np.int64(universe[position(order[i])])
        j = i + 1
        while j < order.size and same_value(order[i], order[j]):
            equal += universe[position(order[j])]
            j += 1
        # Twice the average rank is whole. A stock outside the universe takes the place that it would stand at.
        twice: Any = min(max(2 * below + equal + 1, 2), 2 * members)
        if members == 0:
            place = np.nan
        elif buckets > 0:
            place = np.float64((twice - 1) * buckets // (2 * members))
        else:
            place = np.float64(twice) / (2 * members)
        for k in range(i, j):
            out[position(order[k])] = place
        below += equal
        i = j


@compiled
def rank_plane(x: Array, universe: Array, codes: Array, n_groups: int, buckets: int, out: Array) -> None:
    """Write rank / number, or the bucket 0 to `buckets` - 1, of every date of `x [T, N]`."""
    T, N = x.shape
    S = max(n_groups, 1) + 1
    slot, first = np.empty(N, np.uint32), np.empty(S + 1, np.int64)
    packed, spare, digits = np.empty(N, np.uint64), np.empty(N, np.uint64), np.empty(DIGITS, np.int32)
    for t in range(T):
        slots_of(codes, t, slot)
        n = _pack_known(x[t], slot, packed)
        order = packed[:n]
        sort_packed(order, spare[:n], digits)
        out[t] = np.nan
        if n_groups == 0:
            _write_places(order, universe[t], buckets, out[t])
            continue
        sort_slots(order, spare[:n], slot, first)
        for s in range(1, S):
            _write_places(order[first[s] : first[s + 1]], universe[t], buckets, out[t])


@compiled
def _slot_medians(
    x: Array, universe: Array, slot: Array, packed: Array, spare: Array, digits: Array, first: Array, out: Array
) -> None:
    """Write the median of the members' finite values in each slot; NaN where there is none."""
    n = 0
    for i in range(x.size):
        packed[n] = pack_one(x[i], i)
        n += (abs(x[i]) < np.float32(np.inf)) & universe[i]
    order = packed[:n]
    sort_packed(order, spare[:n], digits)
    sort_slots(order, spare[:n], slot, first)
    out[0] = np.nan
    for s in range(1, out.size):
        size = first[s + 1] - first[s]
        if size == 0:
            out[s] = np.nan
        else:
            low = packed_value(order[first[s] + (size - 1) // 2])
            high = packed_value(order[first[s] + size // 2])
            out[s] = np.float32(0.5 * (np.float64(low) + np.float64(high)))


@compiled
def _all_medians(
    x: Array, universe: Array, column: Array, keys: Array, bits: Array, centre: Array, spread: Array, start: Array
) -> None:
    """Write the members' median and MAD to slot 1; `start` is where to look for them, renewed for the next date."""
    inf = np.float32(np.inf)
    m = 0
    for i in range(x.size):
        column[m] = x[i]
        m += universe[i] & (abs(x[i]) < inf)
    a, b = median_and_mad(column[:m], keys[:m], bits[:m], start)
    centre[1], spread[1] = a, b
    if m > 0:
        start[0], start[1] = a, b


@compiled
def _bound(x: Array, slot: Array, centre: Array, spread: Array, k: float, out: Array) -> None:
    for i in range(x.size):
        s = slot[i]
        c = np.float64(centre[s])
        # Without a spread there is no measure of what lies far out.
        reach = k * np.float64(spread[s]) if spread[s] > 0.0 else np.inf
        y = min(max(np.float64(x[i]), c - reach), c + reach)
        out[i] = y if abs(x[i]) < np.float32(np.inf) and not np.isnan(c) else np.nan


@compiled
def median_plane(x: Array, universe: Array, codes: Array, n_groups: int, k: float, out: Array) -> None:
    """Write the median of every date of `x [T, N]`, or, with k >= 0, x bounded by median -+ k MAD."""
    T, N = x.shape
    S = max(n_groups, 1) + 1
    slot, first = np.empty(N, np.uint32), np.empty(S + 1, np.int64)
    packed, spare, digits = np.empty(N, np.uint64), np.empty(N, np.uint64), np.empty(DIGITS, np.int32)
    column, keys, bits = np.empty(N, np.float32), np.empty(N, np.int32), np.empty(N, np.int32)
    centre, spread = np.full(S, np.float32(np.nan)), np.full(S, np.float32(np.nan))
    distance, start = np.empty(N, np.float32), np.zeros(2)
    for t in range(T):
        slots_of(codes, t, slot)
        if n_groups == 0:
            _all_medians(x[t], universe[t], column, keys, bits, centre, spread, start)
        else:
            _slot_medians(x[t], universe[t], slot, packed, spare, digits, first, centre)
            if k >= 0.0:
                for i in range(N):
                    distance[i] = abs(x[t, i] - centre[slot[i]])
                _slot_medians(distance, universe[t], slot, packed, spare, digits, first, spread)
        if k >= 0.0:
            _bound(x[t], slot, centre, spread, k, out[t])
        else:
            spread_over(slot, centre, out[t])
