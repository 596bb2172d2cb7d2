"""One call of a compiled time-series kernel, as the expression engine makes it."""

import numpy as np

from alphaloom.kernels.series_direct import direct
from alphaloom.kernels.series_extremes import extremes
from alphaloom.kernels.series_moments import moments
from alphaloom.kernels.series_pairs import pairs
from alphaloom.kernels.series_quantiles import quantiles
from alphaloom.kernels.series_ranks import ranks
from alphaloom.kernels.series_work import CODES, KERNELS, composition, make_work

LEAST = {"ts_skew": 3, "ts_kurt": 4} | dict.fromkeys(
    ["ts_var", "ts_std", "ts_slope", "ts_resid", "ts_rsquare", "ts_zscore", *CODES["pairs"]], 2
)


def call(asked: list[tuple[str, int, int, float]], *operands: np.ndarray, half_life: float = 0.0) -> np.ndarray:
    """Return the results `[K, T]` of requests (operator, window, min_periods or 0, parameter) of one kernel."""
    kernel = KERNELS[asked[0][0]]
    T, K = operands[0].size, len(asked)
    requests = np.array(
        [
            (CODES[kernel].index(name), window, least or LEAST.get(name, 1), 2 + k)
            for k, (name, window, least, _) in enumerate(asked)
        ],
        dtype=np.int64,
    )
    parameters = np.array([[float(value)] for *_, value in asked])
    regs = np.full((2 + K, T + 3), 7.0, dtype=np.float32)
    for k, operand in enumerate(operands):
        regs[k, :T] = operand
    work = make_work(composition(requests[:, 1]), T + 3)
    if kernel == "moments":
        moments(regs, T, 0, half_life, requests, parameters, work)
    elif kernel == "pairs":
        pairs(regs, T, 0, 1, half_life, requests, parameters, work)
    elif kernel == "extremes":
        extremes(regs, T, 0, requests, parameters, work)
    elif kernel == "ranks":
        ranks(regs, T, 0, requests, work)
    elif kernel == "direct":
        direct(regs, T, 0, requests)
    else:
        out = np.full((K, 1, T + 3), 7.0, dtype=np.float32)
        quantiles(regs[:1], np.array([T]), requests, parameters, out)
        regs[2:] = out[:, 0]
    assert (regs[2:, T:] == 7.0).all(), "cells behind the span must stay as they are"
    return regs[2:, :T].copy()
