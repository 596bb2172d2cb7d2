"""Windows gathered from a block, against plain slices of it."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaloom.kernels.windows import gather_windows


@st.composite
def requests(draw):
    """Return a block with missing values and empty steps, and the windows asked of it."""
    steps, stride = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    reach = (steps - 1) * stride
    T, N, F = reach + draw(st.integers(1, 8)), draw(st.integers(1, 7)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    block = rng.normal(size=(T, N, F)).astype(np.float32)
    block[rng.random(block.shape) < 0.2] = np.nan
    block[rng.random((T, N)) < draw(st.sampled_from([0.0, 0.4, 1.0]))] = np.nan
    n = draw(st.integers(0, 9))
    return block, rng.integers(reach, T, n), rng.integers(-1, N, n), steps, stride


NOBODY = np.empty((0, 0), np.bool_)


def by_slices(block, rows, stocks, steps, stride, present=NOBODY):
    """Return the windows `[n, L, F]`, each a slice of the block; where not present, the last step that was."""
    out = np.zeros((rows.size, steps, block.shape[2]), np.float32)
    for window, row, stock in zip(out, rows, stocks, strict=True):
        if stock < 0:
            continue
        window[:] = block[row - (steps - 1) * stride : row + 1 : stride, stock]
        held = None
        for k in range(steps if present.size else 0):
            if present[row - (steps - 1 - k) * stride, stock]:
                held = window[k].copy()
            elif held is not None:
                window[k] = held
    return np.nan_to_num(out, nan=0.0, posinf=np.inf, neginf=-np.inf)


@settings(max_examples=200, deadline=None)
@given(requests(), st.booleans())
def test_windows_are_slices(request_, carry):
    """Every window is the strided slice of its stock, NaN as 0, padding all zeros, whatever `out` held before."""
    block, rows, stocks, steps, stride = request_
    block.flags.writeable = False
    out = np.full((rows.size, steps, block.shape[2]), 7, np.float32)
    present = np.random.default_rng(len(rows)).random(block.shape[:2]) < 0.6 if carry else NOBODY
    assert not gather_windows(block, rows, stocks, stride, present, out)
    np.testing.assert_array_equal(out, by_slices(block, rows, stocks, steps, stride, present))


@settings(max_examples=100, deadline=None)
@given(requests(), st.sampled_from([np.inf, -np.inf]), st.data())
def test_an_infinite_value_is_found_in_the_windows_alone(request_, infinite, data):
    """The answer is whether a window holds an infinite value, wherever it stands; outside the windows it is ignored."""
    block, rows, stocks, steps, stride = request_
    place = tuple(data.draw(st.integers(0, size - 1)) for size in block.shape)
    block[place] = infinite
    out = np.empty((rows.size, steps, block.shape[2]), np.float32)
    expected = by_slices(block, rows, stocks, steps, stride)
    assert gather_windows(block, rows, stocks, stride, NOBODY, out) == np.isinf(expected).any()
    np.testing.assert_array_equal(out, expected)


def test_extreme_values_stay():
    """The largest and smallest finite values, signed zeros and NaN of either sign are told apart from infinity."""
    tiny, huge = np.finfo(np.float32).smallest_subnormal, np.finfo(np.float32).max
    block = np.array([[[huge, -huge, tiny, -tiny, 0.0, -0.0, np.nan, -np.nan]]], np.float32)
    out = np.empty((1, 1, 8), np.float32)
    assert not gather_windows(block, np.array([0]), np.array([0]), 1, NOBODY, out)
    np.testing.assert_array_equal(out[0, 0], np.array([huge, -huge, tiny, -tiny, 0.0, -0.0, 0.0, 0.0], np.float32))
    assert np.signbit(out[0, 0]).tolist() == [False, True, False, True, False, True, False, False]


def test_carried_steps_are_carried_on():
    """Empty steps in a row all take the last step that is not; those before the first stay zero."""
    block = np.full((5, 1, 2), np.nan, np.float32)
    block[1, 0] = [3, np.nan]
    out = np.empty((1, 5, 2), np.float32)
    assert not gather_windows(block, np.array([4]), np.array([0]), 1, np.isfinite(block).any(axis=2), out)
    np.testing.assert_array_equal(out[0], [[0, 0], [3, 0], [3, 0], [3, 0], [3, 0]])
