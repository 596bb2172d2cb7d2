"""Ridge against independent solutions of the same normal equations."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from alphaloom.errors import RunError
from alphaloom.models import ridge as module
from alphaloom.models.base import FitContext, Rows, models


def rows_of(x, y, sizes):
    """Return rows of days of these sizes."""
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return Rows(np.asarray(x, np.float32), np.asarray(y, np.float32), offsets)


def context(F):
    """Return a fit context for F features."""
    return FitContext(seed=0, threads=1, features=tuple(f"f{k}" for k in range(F)))


@pytest.fixture
def data():
    """Return features on different scales, labels, and the sizes of the days (one is empty)."""
    rng = np.random.default_rng(0)
    sizes = [40, 0, 60, 25]
    x = rng.standard_normal((125, 5)) * [1, 10, 0.1, 1, 1] + [0, 3, 0, 0, 5]
    return x.astype(np.float32), (x[:, 0] + 0.2 * x[:, 1] + rng.standard_normal(125)).astype(np.float32), sizes


NOTHING = rows_of(np.empty((0, 5)), np.empty(0), [])


def test_weights_equal_augmented_least_squares(data):
    """The closed form equals numpy's least squares with sqrt(n penalty) I appended to the standardised features."""
    x, y, sizes = data
    fitted = models.parse({"name": "ridge", "penalty": 0.3, "demean": False}).fit(
        rows_of(x, y, sizes), NOTHING, context(5)
    )
    z = (x.astype(float) - x.mean(axis=0, dtype=float)) / x.std(axis=0, dtype=float)
    n = len(y)
    stacked = np.vstack([z, np.sqrt(0.3 * n) * np.eye(5)])
    target = np.concatenate([y - y.mean(dtype=float), np.zeros(5)])
    expected = np.linalg.lstsq(stacked, target, rcond=None)[0]
    assert_allclose(fitted.weights, expected, rtol=1e-10)
    assert_allclose(fitted.predict(x), z @ expected + y.mean(dtype=float), rtol=1e-9, atol=1e-9)
    assert_allclose(fitted.importance(), np.abs(expected), rtol=1e-10)


def test_demeaned_weights_equal_least_squares_on_daily_deviations(data):
    """With `demean` each day's mean is taken from features and label first, in a loop here."""
    x, y, sizes = data
    fitted = models.parse({"name": "ridge", "penalty": 0.05}).fit(rows_of(x, y, sizes), NOTHING, context(5))
    z, target, start = x.astype(float).copy(), y.astype(float).copy(), 0
    for size in sizes:
        if size:
            z[start : start + size] -= z[start : start + size].mean(axis=0)
            target[start : start + size] -= target[start : start + size].mean()
        start += size
    z /= np.sqrt((z**2).mean(axis=0))
    expected = np.linalg.solve(z.T @ z / len(y) + 0.05 * np.eye(5), z.T @ target / len(y))
    assert_allclose(fitted.weights, expected, rtol=1e-9)


def test_blocks_do_not_change_the_solution(data, monkeypatch):
    """Normal equations grown a few days at a time give the weights of one piece."""
    x, y, sizes = data
    x[::7, 2] = np.nan
    model = models.parse("ridge")
    whole = model.fit(rows_of(x, y, sizes), NOTHING, context(5))
    monkeypatch.setattr(module, "BLOCK_ROWS", 30)
    assert_allclose(model.fit(rows_of(x, y, sizes), NOTHING, context(5)).weights, whole.weights, rtol=1e-12)


def test_missing_counts_as_the_mean(data):
    """A missing feature scores like the feature's training mean."""
    x, y, sizes = data
    fitted = models.parse("ridge").fit(rows_of(x, y, sizes), NOTHING, context(5))
    one = x[:1].copy()
    one[0, 1] = np.nan
    filled = x[:1].astype(float)
    filled[0, 1] = fitted.mean[1]
    assert_allclose(fitted.predict(one), fitted.predict(filled))


def test_constant_and_market_wide_features_get_no_weight(data):
    """A feature that never varies, or with `demean` varies only between days, has weight 0 and breaks nothing."""
    x, y, sizes = data
    x[:, 3] = 0.1
    x[:, 4] = np.repeat([1.0, 2.0, 3.0, 4.0], sizes)
    x[:, 2] = np.nan
    fitted = models.parse("ridge").fit(rows_of(x, y, sizes), NOTHING, context(5))
    assert_allclose(fitted.weights[2:], 0)
    assert np.isfinite(fitted.predict(x)).all()


def test_more_penalty_means_smaller_weights(data):
    """The norm of the weights falls as the penalty grows."""
    x, y, sizes = data
    norms = [
        np.linalg.norm(
            models.parse({"name": "ridge", "penalty": p}).fit(rows_of(x, y, sizes), NOTHING, context(5)).weights
        )
        for p in (1e-6, 0.1, 10.0)
    ]
    assert norms[0] > norms[1] > norms[2]


def test_infinite_value_is_named(data):
    """An infinite value stops the fit and names its feature."""
    x, y, sizes = data
    x[3, 1] = np.inf
    with pytest.raises(RunError, match="feature 'f1' has an infinite value"):
        models.parse("ridge").fit(rows_of(x, y, sizes), NOTHING, context(5))
