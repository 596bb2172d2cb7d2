"""Streamed rows stand where ordinary stores would have put them."""

import numpy as np
import pytest

from alphaloom.kernels.streams import LINE, NONE, finish, stream


@pytest.mark.parametrize("F", [1, 15, 16, 17, 31, 48, 158])
@pytest.mark.parametrize("shift", [0, 1, 7, 15])
def test_stream_writes_every_span(F: int, shift: int) -> None:
    """Spans of any length, stocks left out, any alignment; cells of other stocks stay, infinite values become NaN."""
    rng = np.random.default_rng(F + 100 * shift)
    T, N = 50, 9
    room = np.full(T * N * F + shift, 7.0, np.float32)
    out = room[shift:].reshape(T, N, F)
    expected = out.copy()
    ends, waiting = np.full(T, NONE, np.int64), np.empty((T, LINE), np.float32)
    for n in (0, 1, 2, 4, 5, 7, 8):
        columns = rng.normal(size=(F + 3, T + 5)).astype(np.float32)
        columns[rng.random(columns.shape) < 0.1] = np.inf
        columns[rng.random(columns.shape) < 0.1] = np.nan
        start, offset = int(rng.integers(0, 10)), int(rng.integers(0, 5))
        length = int(rng.integers(1, T - start + 1)) if n % 2 else T - start
        stream(columns, F, offset, length, start, n, out, ends, waiting)
        values = columns[:F, offset : offset + length].T
        expected[start : start + length, n] = np.where(np.isinf(values), np.nan, values)
    finish(out, ends, waiting)
    np.testing.assert_array_equal(out, expected)
    assert (ends == NONE).all()
    assert (room[:shift] == 7.0).all()
