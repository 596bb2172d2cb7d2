"""Elementwise operators where values are missing, infinite or zero; ordinary values are tested with plans."""

import numpy as np
import pytest

from alphaloom.kernels import cells

NAN, INF = np.nan, np.inf
CASES = [
    (cells.less, ([1, NAN, 1, INF], [2, 1, NAN, INF]), [1, 0, 0, 0]),
    (cells.not_equal, ([1, NAN, 1, 1], [2, 1, NAN, 1]), [1, 0, 0, 0]),
    (cells.both, ([1, 1, NAN, 0], [1, NAN, 1, 1]), [1, 0, 0, 0]),
    (cells.either, ([1, NAN, NAN, 0], [NAN, 1, NAN, 0]), [1, 1, 0, 0]),
    (cells.no, ([1, 0, NAN],), [0, 1, 1]),
    (cells.where, ([1, 0, NAN], [1, 2, 3], [4, 5, 6]), [1, 5, 6]),
    (cells.smaller, ([1, NAN, 1, -INF], [2, 1, NAN, 0]), [1, NAN, NAN, -INF]),
    (cells.larger, ([1, NAN, 1, INF], [2, 1, NAN, 0]), [2, NAN, NAN, INF]),
    (cells.sign, ([-3, 0, 2, NAN, -INF],), [-1, 0, 1, NAN, -1]),
    (cells.sign_power, ([-4, 4, 0, NAN, 0], [0.5, 0.5, 2, 1, -1]), [-2, 2, 0, NAN, NAN]),
    (cells.sign_power, ([1, -1, NAN, 0, 0, INF], [NAN, NAN, 0, NAN, 0, 0]), [NAN, NAN, NAN, NAN, 0, 1]),
    (cells.power, ([-4, 4, -2], [0.5, 0.5, 3]), [NAN, 2, -8]),
    (cells.power, ([1, NAN, 1, 0, INF, -1], [NAN, 0, 0, 0, 0, INF]), [NAN, NAN, 1, 1, 1, 1]),
    (cells.clip, ([5, 5, 5, NAN], [6, NAN, 0, 0], [9, 4, NAN, 1]), [6, 4, 5, NAN]),
    (cells.coalesce, ([1, NAN, NAN], [2, 2, NAN]), [1, 2, NAN]),
    (cells.is_missing, ([1, NAN, INF],), [0, 1, 0]),
    (cells.divide, ([1, 0, -1], [0, 0, 0]), [INF, NAN, -INF]),
    (cells.log, ([1, 0, -1],), [0, -INF, NAN]),
    (cells.sqrt, ([4, -1],), [2, NAN]),
]


@pytest.mark.parametrize(("cell", "inputs", "wanted"), CASES, ids=lambda item: getattr(item, "__name__", ""))
def test_edges(cell: object, inputs: tuple[list[float], ...], wanted: list[float]) -> None:
    """Missing, infinite and zero operands give what the catalogue of operators says."""
    out = np.empty(len(wanted), np.float32)
    cell(*(np.array(item, np.float32) for item in inputs), out)
    np.testing.assert_array_equal(out, np.array(wanted, np.float32))


@pytest.mark.parametrize("rows", [0, 1, 3, 4, 9, -1, -3, -4, -9])
def test_shifts(rows: int) -> None:
    """Shifts reach back or ahead, and are missing beyond either end."""
    x = np.array([1, 2, 4, 8], np.float32)
    moved = np.array([x[t - rows] if 0 <= t - rows < 4 else NAN for t in range(4)], np.float32)
    for cell, wanted in ((cells.shift, moved), (cells.change, x - moved), (cells.growth, x / moved - 1)):
        out = np.empty(4, np.float32)
        cell(x, rows, out)
        np.testing.assert_array_equal(out, wanted)
