"""Quantiles of stocks side by side against numpy, a window at a time."""

import numpy as np
import pytest

from alphaloom.kernels.series_quantiles import LANES, quantiles


@pytest.mark.parametrize("B", [1, 17, LANES])
@pytest.mark.parametrize("missing", [0.0, 0.02, 0.6])
@pytest.mark.parametrize("equal", [True, False], ids=["equal lengths", "any lengths"])
def test_quantiles_of_stocks_side_by_side(B: int, missing: float, equal: bool) -> None:
    """Spans of any length, missing and infinite values, several requests a window; cells behind a span stay."""
    rng = np.random.default_rng(B)
    R = 70
    X = np.round(rng.normal(size=(B, R)), 1).astype(np.float32)
    X[rng.random(X.shape) < missing] = np.nan
    X[rng.random(X.shape) < missing / 4] = np.inf
    lengths = np.full(B, R - 3) if equal else rng.integers(1, R + 1, B)
    asked = [(5, 1, 0.8), (20, 20, 0.2), (20, 3, 0.5), (1, 1, 0.3), (30, 2, 1.0), (20, 15, 0.0), (90, 40, 0.7)]
    requests = np.array([[0, d, least, 0] for d, least, _ in asked])
    out = np.full((len(asked), B, R), 7.0, np.float32)
    quantiles(X, lengths, requests, np.array([[q] for *_, q in asked]), out)
    for k, (d, least, q) in enumerate(asked):
        expected = np.full((B, R), 7.0)
        for b in range(B):
            for t in range(lengths[b]):
                window = X[b, max(0, t - d + 1) : t + 1].astype(np.float64)
                window = window[np.isfinite(window)]
                expected[b, t] = np.quantile(window, q) if window.size >= least else np.nan
        np.testing.assert_allclose(out[k], expected, rtol=1e-6, atol=1e-7)
