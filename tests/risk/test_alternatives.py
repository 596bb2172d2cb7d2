"""PCA and Ledoit-Wolf forecasts against plain numpy and scikit-learn."""

import numpy as np
import pytest
from panels import random_panel

from alphaloom.errors import DataError, SettingError
from alphaloom.risk.estimator import risk_models


@pytest.fixture(scope="module")
def panel():
    """A market without gaps."""
    return random_panel(150, 30, seed=7, gaps=False)


def returns_of(panel, row, window):
    """Plain daily returns of the window."""
    close = panel["adj_close"].astype(float)
    return (close[1:] / close[:-1] - 1)[row - window : row]


def test_ledoit_wolf_is_scikit_learns(panel):
    """The dense covariance that the factor form stands for."""
    sklearn = pytest.importorskip("sklearn.covariance", reason="scikit-learn is not installed")
    forecast = risk_models.parse({"name": "ledoit_wolf", "window": 100}).fit(panel).forecast(140)
    dense = forecast.exposures.T @ forecast.covariance @ forecast.exposures + np.diag(forecast.specific)
    expected, _ = sklearn.ledoit_wolf(returns_of(panel, 140, 100), assume_centered=True)
    np.testing.assert_allclose(dense, expected, rtol=1e-6, atol=1e-10)


def test_pca_keeps_the_first_components(panel):
    """Factor part: the best approximation of rank K of the weighted second moment; the diagonal is the whole one."""
    item = risk_models.parse({"name": "pca", "window": 100, "factors": 3, "half_life": 40})
    forecast = item.fit(panel).forecast(140)
    w = 0.5 ** (np.arange(99, -1, -1) / 40)
    R = returns_of(panel, 140, 100) * np.sqrt(w / w.sum())[:, None]
    values, vectors = np.linalg.eigh(R.T @ R)
    best = (vectors[:, -3:] * values[-3:]) @ vectors[:, -3:].T
    common = forecast.exposures.T @ forecast.covariance @ forecast.exposures
    np.testing.assert_allclose(common, best, rtol=1e-7, atol=1e-12)
    rest = (np.diag(R.T @ R) - np.diag(best)) * 100 / 97
    np.testing.assert_allclose(forecast.specific, rest, rtol=1e-7)


def test_stocks_that_traded_too_seldom_are_not_covered(panel):
    """Half of the window's days by default."""
    close = panel["adj_close"].copy()
    close[60:130, 4] = np.nan
    seldom = panel.with_fields({"adj_close": close})
    forecast = risk_models.parse({"name": "pca", "window": 100, "factors": 3}).fit(seldom).forecast(140)
    assert np.isnan(forecast.specific[4])
    assert np.isfinite(np.delete(forecast.specific, 4)).all()


def test_mistakes_are_named(panel):
    """Too many factors, too short a window."""
    with pytest.raises(SettingError, match="a window of 50 days has fewer components"):
        risk_models.parse({"name": "pca", "window": 50, "factors": 60})
    with pytest.raises(DataError, match="30 stocks have enough returns at .*; 40 factors need more"):
        risk_models.parse({"name": "pca", "window": 60, "factors": 40}).fit(panel).forecast(100)
    with pytest.raises(DataError, match="needs 100 days of returns; 90 lie before it"):
        risk_models.parse({"name": "ledoit_wolf", "window": 100}).fit(panel).forecast(90)
