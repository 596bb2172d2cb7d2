"""The packed sort: the order of NumPy's stable sort, on every kind of range."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from alphaloom.kernels.cross_sort import DIGITS, pack, packed_value, position, same_value, sort_packed, sort_slots

ANY_FLOAT = st.one_of(
    st.floats(width=32), st.sampled_from([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf]), st.floats(1.0, 1.0078125, width=32)
)


def sort(x: np.ndarray) -> np.ndarray:
    """Return the packed entries of x in order."""
    packed, spare = np.empty(x.size, np.uint64), np.empty(x.size, np.uint64)
    n = pack(x, packed)
    sort_packed(packed[:n], spare[:n], np.empty(DIGITS, np.int32))
    return packed[:n]


def expected(x: np.ndarray) -> np.ndarray:
    """Return the positions of the values that are not NaN in stable ascending order."""
    known = np.flatnonzero(~np.isnan(x))
    return known[np.argsort(x[known], kind="stable")]


@settings(max_examples=150, deadline=None)
@given(arrays(np.float32, st.integers(0, 200), elements=ANY_FLOAT))
def test_order_is_stable_and_leaves_nan_out(x: np.ndarray) -> None:
    """Positions come out as from a stable sort; values come back, -0 as 0; equal ones are known as such."""
    packed = sort(x)
    where = np.array([position(entry) for entry in packed], dtype=np.int64)
    np.testing.assert_array_equal(where, expected(x))
    np.testing.assert_array_equal([packed_value(entry) for entry in packed], x[where])
    for a, b in pairwise(packed):
        assert same_value(a, b) == (x[position(a)] == x[position(b)])


@pytest.mark.parametrize("kind", ["narrow", "narrow with an outlier", "levels", "equal", "heavy tails", "descending"])
def test_order_of_long_columns(kind: str) -> None:
    """Both the quick way and the one for many near-equal values give the stable order."""
    rng = np.random.default_rng(3)
    z = rng.normal(size=3000)
    x = {
        "narrow": 1 + 0.01 * z,
        "narrow with an outlier": np.where(np.arange(3000) == 7, -5.0, 1 + 0.001 * z),
        "levels": np.round(z),
        "equal": np.full(3000, 2.5),
        "heavy tails": rng.standard_t(1, 3000) ** 5,
        "descending": np.arange(3000, 0, -1) * 1e-3,
    }[kind].astype(np.float32)
    np.testing.assert_array_equal((sort(x) & np.uint64(0xFFFFFFFF)).astype(np.int64), expected(x))


def test_slots_keep_the_order_within() -> None:
    """Entries go to their slots without losing their order; empty slots are empty ranges."""
    rng = np.random.default_rng(4)
    x, slot = rng.normal(size=500).astype(np.float32), rng.integers(0, 6, 500).astype(np.uint32) * 2
    packed = sort(x)
    first = np.empty(13, np.int64)
    sort_slots(packed, np.empty_like(packed), slot, first)
    where = (packed & np.uint64(0xFFFFFFFF)).astype(np.int64)
    for s in range(12):
        mine = np.flatnonzero(slot == s)
        np.testing.assert_array_equal(where[first[s] : first[s + 1]], mine[np.argsort(x[mine], kind="stable")])
