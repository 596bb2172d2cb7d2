"""Sums over the distinct values of one date's column, where they are few: gathered in a hash table, without a sort.

Columns that count or rank days take some tens of values. Ordering those alone is several times faster than ordering
every stock; what is summed are integers, so that both ways give the same bits.
"""

from typing import Any

import numpy as np

from alphaloom.kernels.cross_sort import position, sort_packed
from alphaloom.kernels.rolling import compiled
from alphaloom.typing import Array

SLOTS = 2048
"""Places of the table, a power of two."""
MOST = 1024
"""Distinct values that it takes."""
TRIAL = 256
"""Entries after which a column of mostly different values is given up."""
_TRIAL_MOST = 224
_SPREAD = np.uint64(2654435761)  # Knuth, The Art of Computer Programming, volume 3, section 6.4
_LAST = np.uint64(SLOTS - 1)


@compiled
def _slot(high: Any) -> Any:
    return ((high * _SPREAD) >> np.uint64(21)) & _LAST


@compiled
def sum_by_value(packed: Array, weights: Array, held: Array, sums: Array, used: Array) -> int:
    """Count the entries of each distinct value and sum their weights; return how many values there are, -1 if many.

    Args:
        packed: Entries as `cross_sort.pack_one` makes them.
        weights: Integers, one for each entry.
        held: uint64 `[SLOTS]`, written: the value half of what each slot holds, 0 where it is empty.
        sums: int64 `[SLOTS, 2]`, written: number and sum of weights of each slot in use.
        used: int64 `[MOST]`, written: the slots in use.
    """
    held[:] = 0
    distinct = 0
    for k in range(packed.size):
        if k == TRIAL and distinct > _TRIAL_MOST:
            return -1
        high = packed[k] >> np.uint64(32)  # never 0: that would be a NaN
        s = _slot(high)
        while held[s] != high:
            if held[s] == 0:
                if distinct == MOST:
                    return -1
                held[s] = high
                sums[s, 0] = 0
                sums[s, 1] = 0
                used[distinct] = s
                distinct += 1
            else:
                s = (s + np.uint64(1)) & _LAST
        sums[s, 0] += 1
        sums[s, 1] += weights[k]
    return distinct


@compiled
def order_slots(distinct: int, held: Array, used: Array, entries: Array, spare: Array, digits: Array) -> None:
    """Write the slots in use to the position halves of `entries [distinct]`, by ascending value."""
    for j in range(distinct):
        entries[j] = (held[used[j]] << np.uint64(32)) | np.uint64(used[j])
    sort_packed(entries[:distinct], spare[:distinct], digits)
    for j in range(distinct):
        used[j] = position(entries[j])
