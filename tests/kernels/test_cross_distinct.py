"""Sums over distinct values, against NumPy."""

import numpy as np
import pytest

from alphaloom.kernels.cross_distinct import MOST, SLOTS, TRIAL, order_slots, sum_by_value
from alphaloom.kernels.cross_sort import DIGITS, pack


def by_value(x: np.ndarray, weights: np.ndarray) -> tuple[int, np.ndarray]:
    """Return how many distinct values there are, and their counts and sums in ascending order of the values."""
    packed, spare, held = (np.empty(n, np.uint64) for n in (x.size, x.size, SLOTS))
    sums, used = np.full((SLOTS, 2), -99, np.int64), np.full(MOST, -99, np.int64)
    n = pack(x, packed)
    distinct = sum_by_value(packed[:n], weights, held, sums, used)
    if distinct < 0:
        return distinct, np.empty((0, 2), np.int64)
    order_slots(distinct, held, used, packed, spare, np.empty(DIGITS, np.int32))
    return distinct, sums[used[:distinct]]


@pytest.mark.parametrize("values", [1, 2, 60, 900, MOST])
def test_counts_and_sums_of_each_value_in_order(values: int) -> None:
    """Every value, infinities and values that share a first slot included, is met with its own entries."""
    rng = np.random.default_rng(values)
    some = np.unique(rng.normal(size=2 * MOST).astype(np.float32))
    some = np.concatenate([[-np.inf, np.inf], rng.permutation(some)])[:values].astype(np.float32)
    x = np.concatenate([np.repeat(some[:100], 5)[:TRIAL], some, rng.choice(some, 5000)])
    weights = rng.integers(-4000, 4000, x.size).astype(np.int32)
    distinct, sums = by_value(x, weights)
    expected, where, counts = np.unique(x, return_inverse=True, return_counts=True)
    assert distinct == expected.size == values
    np.testing.assert_array_equal(sums[:, 0], counts)
    np.testing.assert_array_equal(sums[:, 1], np.bincount(where, weights).astype(np.int64))


def test_signed_zeros_are_one_value() -> None:
    """-0 and 0 are equal."""
    distinct, sums = by_value(np.float32([0.0, -1.0, -0.0]), np.int32([1, 2, 4]))
    assert distinct == 2
    np.testing.assert_array_equal(sums, [[1, 2], [2, 5]])


def test_nothing_has_no_values() -> None:
    """A column without an entry."""
    assert by_value(np.float32([np.nan]), np.int32([1]))[0] == 0


def test_many_values_are_given_up() -> None:
    """Mostly different values are given up after the trial, more than the table takes when it is full."""
    different = np.arange(5000, dtype=np.float32)
    assert by_value(different, np.ones(5000, np.int32))[0] == -1
    late = np.concatenate([np.zeros(TRIAL + 1, np.float32), different[1 : MOST + 1]])
    assert by_value(late, np.ones(late.size, np.int32))[0] == -1
    assert by_value(late[:-1], np.ones(late.size, np.int32))[0] == MOST
