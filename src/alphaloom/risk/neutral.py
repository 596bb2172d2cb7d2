"""What is left of scores or returns once exposures are taken out of them."""

import numpy as np

from alphaloom.kernels.constrained_wls import regress
from alphaloom.risk.regression import Cells, weights_of
from alphaloom.typing import Doubles, Floats


def neutral(values: Floats | Doubles, cells: Cells, industries: int) -> Floats:
    """Return what is left of values `[T, N]` after each date's regression on country, industries and styles.

    Weighted by the square root of capitalisation over the members that have a value; the fit is taken off every stock
    whose exposures are known. Over the members, the rest has no weighted product with any exposure. NaN where a value
    or an exposure is unknown, on dates with fewer members than factors, and for an industry without such a member.
    Reads each row alone.
    """
    T, N = values.shape
    Q = cells.styles.shape[2]
    K = 1 + industries + Q
    weights = weights_of(cells)
    residual = np.full((T, N), np.nan, np.float32)
    regress(
        np.ascontiguousarray(values, dtype=np.float64), cells.styles, np.ascontiguousarray(cells.industry), weights,
        np.where(weights > 0, cells.cap, 0.0), industries, 1, 0.0,
        np.full((T, K), np.nan), np.full((T, K), np.nan), residual, np.empty((T, Q)), np.empty((T, 2)),
        np.empty((T, industries), np.int64), np.empty((0, 0, 0)),
    )  # fmt: skip
    return residual
