"""Neutral scores: nothing of the exposures is left in them."""

import numpy as np
import statsmodels.api as sm

from alphaloom.risk.neutral import neutral
from alphaloom.risk.regression import Cells


def test_what_is_left_is_orthogonal_to_every_exposure():
    """Root-cap-weighted, over the members; others get the same fit taken off; a date alone matters."""
    rng = np.random.default_rng(0)
    T, N = 3, 50
    styles = rng.normal(size=(T, N, 2)).astype(np.float32)
    industry = rng.integers(0, 3, (T, N))
    cap, members = np.exp(rng.normal(size=(T, N))), rng.random((T, N)) < 0.8
    score = rng.normal(size=(T, N)).astype(np.float32)
    score[rng.random((T, N)) < 0.1] = np.nan
    industry[0, 3] = -1
    cells = Cells(styles, industry, cap, members)
    left = neutral(score, cells, 3)
    for t in range(T):
        known = np.isfinite(score[t]) & (industry[t] >= 0)
        use = known & members[t]
        X = np.column_stack([np.eye(3)[industry[t]], styles[t].astype(float)])
        w = np.sqrt(cap[t])
        np.testing.assert_allclose((w * left[t])[use] @ X[use], 0.0, atol=1e-5)
        fit = sm.WLS(score[t, use].astype(float), X[use], weights=w[use]).fit()
        np.testing.assert_allclose(left[t, known], score[t, known] - X[known] @ fit.params, rtol=1e-4, atol=1e-5)
        assert np.isnan(left[t, ~known]).all()
    np.testing.assert_array_equal(neutral(score[1:2], cells.rows(1, 2), 3)[0], left[1])
