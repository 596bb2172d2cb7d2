"""Values of one date in ascending order with their positions: packed into integers and sorted without comparing.

A float32 turned into an integer of the same order fills the upper half of a uint64, the stock's position the lower
half; a radix sort orders such entries, and equal values are neighbours afterwards.
"""

from typing import Any

import numpy as np

from alphaloom.kernels.cross_order import key, value
from alphaloom.kernels.rolling import compiled
from alphaloom.typing import Array

_POSITION = np.uint64(0xFFFFFFFF)
_DIGIT = np.uint64(2047)
_SIGN = np.uint32(0x80000000)
DIGITS = (2, 2048)
"""Shape of the int32 counts that `sort_packed` works with."""


@compiled
def position(packed: Any) -> Any:
    """Return the position half of a packed entry."""
    return np.int64(packed & _POSITION)


@compiled
def same_value(packed: Any, other: Any) -> Any:
    """Return whether two packed entries hold the same value."""
    return (packed ^ other) <= _POSITION


@compiled
def packed_value(packed: Any) -> Any:
    """Return the float32 of a packed entry; -0 comes back as 0."""
    return value(np.int32(np.uint32(packed >> np.uint64(32)) ^ _SIGN))


@compiled
def pack_one(x: Any, i: int) -> Any:
    """Return value and position as one uint64 that orders as the value does; -0 and 0 are equal."""
    # Adding 0 turns -0 into +0; the xor makes the signed key unsigned.
    high = np.uint64(np.uint32(key(x + np.float32(0.0))) ^ _SIGN)
    return (high << np.uint64(32)) | np.uint64(i)


@compiled
def pack(x: Array, packed: Array) -> int:
    """Write every entry of `x [N]` that is not NaN into `packed`; return how many there are."""
    n = 0
    for i in range(x.size):
        packed[n] = pack_one(x[i], i)
        n += not np.isnan(x[i])
    return n


@compiled
def _bits(width: Any) -> int:
    n = 0
    while width > 0:
        width >>= np.uint64(1)
        n += 1
    return n


@compiled
def _scatter(source: Array, low: Any, shift: Any, counts: Array, target: Array) -> None:
    """Copy entries to where `counts` (first places of the digits, moved on) puts the digit at bit `shift`."""
    for i in range(source.size):
        x = source[i]
        digit = ((x - low) >> shift) & _DIGIT
        place = np.uint32(counts[digit])
        counts[digit] = place + 1
        target[place] = x


@compiled
def _two_passes(packed: Array, spare: Array, low: Any, shift: Any, counts: Array) -> None:
    """Order entries by the 22 bits of (entry - low) from bit `shift` on, equal ones as they stand."""
    upper = shift + np.uint64(11)
    counts[:] = 0
    for i in range(packed.size):
        x = packed[i] - low
        counts[0, (x >> shift) & _DIGIT] += 1
        counts[1, (x >> upper) & _DIGIT] += 1
    for p in range(2):
        before = np.int32(0)
        for j in range(2048):
            size = counts[p, j]
            counts[p, j] = before
            before += size
    _scatter(packed, low, shift, counts[0], spare)
    _scatter(spare, low, upper, counts[1], packed)


@compiled
def _settle(packed: Array, moves: int) -> bool:
    """Order nearly sorted entries by insertion; return False when more than `moves` are needed."""
    for i in range(1, packed.size):
        x = packed[i]
        if packed[i - 1] < x:
            continue
        j = i
        while j > 0 and packed[j - 1] > x:
            packed[j] = packed[j - 1]
            j -= 1
        packed[j] = x
        moves -= i - j
        if moves < 0:
            return False
    return True


@compiled
def sort_packed(packed: Array, spare: Array, counts: Array) -> None:
    """Order packed entries by value, equal values by position; `spare` is as long, `counts` is int32 `DIGITS`.

    Two passes order the leading 22 bits of the range that the values span, which leaves few pairs to exchange, or none.
    Where it leaves many, the lower bits are ordered first and the passes done again; the result is the same.
    """
    if packed.size < 2:
        return
    low, high = packed[0], packed[0]
    for i in range(packed.size):
        low = min(low, packed[i])
    for i in range(packed.size):
        high = max(high, packed[i])
    low &= ~_POSITION
    rest = max(_bits((high - low) >> np.uint64(32)) - 22, 0)
    shift = np.uint64(32 + rest)
    _two_passes(packed, spare, low, shift, counts)
    if rest > 0 and not _settle(packed, packed.size):
        _two_passes(packed, spare, low, np.uint64(32), counts)
        _two_passes(packed, spare, low, shift, counts)


@compiled
def sort_slots(packed: Array, spare: Array, slot: Array, first: Array) -> None:
    """Bring sorted entries into the order of their slots, keeping the order within each.

    `slot [N]` is the slot of every position. Afterwards the entries of slot s are `packed[first[s] : first[s + 1]]`.
    """
    first[:] = 0
    for i in range(packed.size):
        first[slot[position(packed[i])] + 1] += 1
    for s in range(1, first.size):
        first[s] += first[s - 1]
    for i in range(packed.size):
        spare[i] = packed[i]
    for i in range(packed.size):
        s = slot[position(spare[i])]
        packed[first[s]] = spare[i]
        first[s] += 1
    for s in range(first.size - 1, 0, -1):
        first[s] = first[s - 1]
    first[0] = 0
