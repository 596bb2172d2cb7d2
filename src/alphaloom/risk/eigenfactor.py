"""Eigenfactor adjustment: variances of the portfolios that an optimiser finds are estimated too low, or too high."""

import numpy as np

from alphaloom.risk.moments import positive, windowed
from alphaloom.typing import Doubles

NOTHING = 1e-10
"""Eigenvalues below this share of the largest are left alone: rounding, not risk."""


def eigen_bias(
    covariance: Doubles,
    days: int,
    half_lives: tuple[float, float],
    lags: tuple[int, int],
    *,
    simulations: int,
    seed: int = 0,
) -> Doubles:
    """Return by how much the volatility of each eigenfactor is foreseen too low `[K]`, smallest eigenvalue first.

    Histories of `days` normal returns are drawn from the covariance and estimated in the way that it was itself:
    F_m = U_m D_m U_m'. The true variance of the m-th history's eigenfactor k is (U_m' F U_m)_kk, so
    v(k) = sqrt(mean_m (U_m' F U_m)_kk / D_m(k)). The same draws serve every call, so v moves with the covariance alone.

    Source: Menchero, Wang and Orr (2011), *Eigen-adjusted covariance matrices*; USE4 methodology, section 4.3.
    """
    values, vectors = positive(covariance)
    K = values.size
    real = values > NOTHING * values.max()
    root = vectors * np.sqrt(values)
    rng = np.random.default_rng(seed)
    total = np.zeros(K)
    for _ in range(simulations):
        drawn = rng.standard_normal((days, K)) @ root.T
        found, directions = positive(windowed(drawn, half_lives, lags))
        truth = ((directions.T @ root) ** 2).sum(axis=1)
        total += np.divide(truth, found, out=np.ones(K), where=found > 0)
    bias: Doubles = np.where(real, np.sqrt(total / simulations), 1.0)
    return bias


def adjusted(covariance: Doubles, bias: Doubles, scale: float) -> Doubles:
    """Return the covariance whose eigenfactor volatilities are multiplied by `scale * (bias - 1) + 1`."""
    values, vectors = positive(covariance)
    factor = np.maximum(scale * (bias - 1.0) + 1.0, 0.0)
    moved: Doubles = (vectors * (values * factor**2)) @ vectors.T
    return (moved + moved.T) / 2.0
