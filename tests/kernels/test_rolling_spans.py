"""Listed spans and work on them in blocks."""

import numpy as np
import pytest

from alphaloom.errors import SettingError
from alphaloom.kernels import rolling_spans as spans


def test_listed_spans() -> None:
    """Each unbroken listed run is a span, by stock, then by date; a stock that is never listed has none."""
    nan = np.nan
    is_listed = np.array([[1, nan, nan, 1], [1, nan, 1, 0], [nan, nan, 1, 1], [1, nan, 1, 1]], np.float32)
    column, start, stop = spans.listed_spans(is_listed)
    assert column.tolist() == [0, 0, 2, 3, 3]
    assert start.tolist() == [0, 3, 1, 0, 2]
    assert stop.tolist() == [2, 4, 4, 1, 4]


def test_gather() -> None:
    """Spans are rows of their own, from their first row on, with NaN behind their end."""
    rng = np.random.default_rng(3)
    field = spans.contiguous(rng.random((300, 3)).astype(np.float32))
    column, start, stop = np.array([0, 2, 2]), np.array([5, 0, 140]), np.array([300, 133, 150])
    rows = np.empty((3, 295), np.float32)
    spans.gather(field, column, start, stop, rows)
    for b in range(3):
        length = stop[b] - start[b]
        np.testing.assert_array_equal(rows[b, :length], field[start[b] : stop[b], column[b]])
        assert np.isnan(rows[b, length:]).all()


def test_unlisted_cells_are_blanked() -> None:
    """Only cells outside the listing become NaN."""
    listed = np.array([[True, False], [False, True]])
    block = np.ones((2, 2, 3), np.float32)
    spans.blank_unlisted(listed, block)
    np.testing.assert_array_equal(np.isnan(block).all(axis=2), ~listed)
    assert (block[listed] == 1).all()


@pytest.mark.parametrize("threads", [1, 3])
def test_blocks_cover_everything_once(threads: int) -> None:
    """Work is cut into blocks that meet without overlap, whatever the number of threads."""
    seen: list[tuple[int, int]] = []
    spans.in_blocks(lambda a, b: seen.append((a, b)), 10, 4, threads)
    assert sorted(seen) == [(0, 4), (4, 8), (8, 10)]


def test_failure_in_a_block_is_raised() -> None:
    """An error in one thread reaches the caller."""

    def fail(first: int, stop: int) -> None:
        raise ValueError(f"block {first}")

    with pytest.raises(ValueError, match="block"):
        spans.in_blocks(fail, 10, 2, 2)
    with pytest.raises(SettingError, match="threads is 0"):
        spans.in_blocks(fail, 10, 2, 0)
