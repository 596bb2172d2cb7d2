"""Factor model of the simulated market: regimes, the true covariance, and factor returns drawn from it."""

from dataclasses import dataclass

import numpy as np

from alphaloom.typing import Doubles, Ints

STYLES: tuple[str, ...] = (
    "beta",
    "momentum",
    "size",
    "earnings_yield",
    "residual_volatility",
    "growth",
    "book_to_price",
    "leverage",
    "liquidity",
    "nonlinear_size",
)
"""The ten CNE5 styles, in the order of every exposure array."""
STYLE_VOL = np.array([0.35, 0.30, 0.35, 0.15, 0.28, 0.12, 0.16, 0.12, 0.20, 0.18]) / 100
"""Daily volatility of the style factors, as fractions, before the regime's scale."""
STYLE_PREMIUM_ANNUAL = np.array([0.0, 2.0, -4.0, 2.0, -3.0, 1.0, 2.0, -0.5, -4.0, -1.0]) / 100
COUNTRY_VOL = 0.012
INDUSTRY_VOL = 0.007
OVERNIGHT = 0.25
"""Share of a day's variance that falls between the previous close and the open."""
ANNUAL_DAYS = 243

REGIMES: tuple[str, ...] = ("bull", "bear", "calm")
_DRIFT = np.array([0.0010, -0.0009, 0.0003])
_STAY_DAYS = np.array([80.0, 60.0, 110.0])
_NEXT = np.array([[0.0, 0.45, 0.55], [0.45, 0.0, 0.55], [0.55, 0.45, 0.0]])
_COUNTRY_SCALE = np.array([1.10, 1.50, 0.70])
_OTHER_SCALE = np.array([1.10, 1.25, 0.80])
SPECIFIC_SCALE = np.array([1.05, 1.20, 0.85])
"""Multiplies specific volatility in each regime."""


@dataclass(frozen=True)
class FactorModel:
    """The true factor distribution. Factors are ordered country, industries, styles (K in all).

    In regime s a day's factor returns are normal with mean `drift[s]` and covariance
    `scale[s, i] * covariance[i, j] * scale[s, j]`, a quarter of it overnight, independent over days. The engine then
    takes the cap-weighted mean of the industry returns out of them, the constraint of the CNE5 regression.
    """

    names: tuple[str, ...]
    covariance: Doubles
    scale: Doubles
    drift: Doubles
    industries: int

    def draw(self, rng: np.random.Generator, regimes: Ints) -> tuple[Doubles, Doubles]:
        """Return overnight and intraday factor returns `[T, K]`; a day's factor return is their sum."""
        root = np.linalg.cholesky(self.covariance)
        shocks = rng.standard_normal((2, regimes.size, len(self.names))) @ root.T * self.scale[regimes]
        mean = self.drift[regimes]
        night = OVERNIGHT * mean + np.sqrt(OVERNIGHT) * shocks[0]
        day = (1 - OVERNIGHT) * mean + np.sqrt(1 - OVERNIGHT) * shocks[1]
        return night, day

    def constrained(self, industry_weights: Doubles) -> Doubles:
        """Return the covariance `[S, K, K]` per regime once industry returns sum to zero under these cap weights."""
        K = len(self.names)
        project = np.eye(K)
        block = slice(1, 1 + self.industries)
        project[block, block] -= industry_weights[None, :]
        scaled = self.scale[:, :, None] * self.covariance[None] * self.scale[:, None, :]
        result: Doubles = project @ scaled @ project.T
        return result

    def cross_sectional_variance(self, regime: int) -> float:
        """Return the daily variance over stocks of industry and style returns, for exposures of deviation 1."""
        variance = np.diag(self.covariance) * self.scale[regime] ** 2
        block = slice(1, 1 + self.industries)
        return float(variance[block].mean() + variance[1 + self.industries :].sum())


def build_factor_model(industry_names: tuple[str, ...], premia: float, rng: np.random.Generator) -> FactorModel:
    """Return a factor model with a positive definite covariance of fixed volatilities and drawn correlations."""
    n = len(industry_names)
    K = 1 + n + len(STYLES)
    vol = np.concatenate([[COUNTRY_VOL], np.full(n, INDUSTRY_VOL) * np.exp(0.2 * rng.standard_normal(n)), STYLE_VOL])
    hidden = rng.normal(0, 0.45, (K, 4))  # a few common causes give moderate correlations of either sign
    correlation = hidden @ hidden.T + np.eye(K)
    spread = np.sqrt(np.diag(correlation))
    correlation /= np.outer(spread, spread)
    link = np.zeros(K)
    link[0] = 1.0
    link[1 + n + STYLES.index("beta")] = 0.6
    link[1 + n + STYLES.index("residual_volatility")] = 0.25
    link[1 + n + STYLES.index("size")] = -0.15
    # x = link * country + sqrt(1 - link^2) * own keeps unit variances and ties the chosen styles to the country factor.
    own = np.sqrt(1 - link**2)
    correlation = np.outer(link, link) + np.outer(own, own) * correlation
    drift = np.zeros((len(REGIMES), K))
    drift[:, 0] = _DRIFT
    drift[:, 1 + n :] = premia * STYLE_PREMIUM_ANNUAL / ANNUAL_DAYS
    scale = np.repeat(_OTHER_SCALE[:, None], K, axis=1)
    scale[:, 0] = _COUNTRY_SCALE
    return FactorModel(("country", *industry_names, *STYLES), np.outer(vol, vol) * correlation, scale, drift, n)


def regime_path(rng: np.random.Generator, T: int) -> Ints:
    """Return the regime's index on each of T days: a Markov chain with mean spells of 60 to 110 days."""
    uniform = rng.random((T, 2))
    path = np.empty(T, dtype=np.int64)
    now = int(rng.integers(len(REGIMES)))
    leave = 1 / _STAY_DAYS
    for t in range(T):
        if uniform[t, 0] < leave[now]:
            now = int(np.searchsorted(np.cumsum(_NEXT[now]), uniform[t, 1], side="right"))
        path[t] = now
    return path
