"""Exponentially weighted, Newey-West corrected covariance of factor returns, one day after another."""

import numpy as np

from alphaloom.typing import Array, Bools, Doubles

LEAST_SHARE = 0.1
"""A variance after the Newey-West correction is at least this share of the one before."""


def bartlett(lags: int) -> Doubles:
    """Return the weights `1 - l / (lags + 1)` of lags 1 to `lags`."""
    return 1.0 - np.arange(1, lags + 1) / (lags + 1.0)


class Moments:
    """Weighted products of K series with themselves and their own past, kept up to date.

    A day s days old weighs `0.5 ** (s / half_life)`. Means are taken as 0: those of daily returns are far below their
    errors. A pair of values of which one is missing leaves its sums and their weights as they decay.
    """

    def __init__(self, width: int, half_life: float, lags: int, *, products: bool) -> None:
        shape = (lags + 1, width, width) if products else (lags + 1, width)
        self._keep = 0.5 ** (1.0 / half_life)
        self._products = products
        self._sums = np.zeros(shape)
        self._weights = np.zeros(shape)
        self._past: list[Doubles] = []

    def add(self, values: Doubles) -> None:
        """Take in one day's values `[K]`, NaN missing."""
        self._past = [values, *self._past[: self._sums.shape[0] - 1]]
        self._sums *= self._keep
        self._weights *= self._keep
        now, here = np.nan_to_num(values), np.isfinite(values).astype(np.float64)
        for lag, before in enumerate(self._past):
            then, there = np.nan_to_num(before), np.isfinite(before).astype(np.float64)
            if self._products:
                self._sums[lag] += now[:, None] * then
                self._weights[lag] += here[:, None] * there
            else:
                self._sums[lag] += now * then
                self._weights[lag] += here * there

    def corrected(self) -> Doubles:
        """Return variances `[K]`, or covariances `[K, K]`, with the Newey-West terms; NaN where nothing is known.

        `g0 + sum_l (1 - l / (L + 1)) (g_l + g_l')`. Variances are at least a tenth of g0.
        """
        with np.errstate(invalid="ignore"):
            g = self._sums / self._weights
        lagged = np.nan_to_num(g[1:])
        weights = bartlett(lagged.shape[0])
        if self._products:
            both = lagged + lagged.transpose(0, 2, 1)
            return np.asarray(g[0] + np.tensordot(weights, both, axes=1))
        return np.asarray(np.maximum(g[0] + 2.0 * weights @ lagged, LEAST_SHARE * g[0]))


def windowed(returns: Doubles, half_lives: tuple[float, float], lags: tuple[int, int]) -> Doubles:
    """Return the covariance `[K, K]` that `Moments` of volatility and correlation make of complete returns `[T, K]`."""
    variance = _weighted(returns, half_lives[0], lags[0], products=False)
    products = _weighted(returns, half_lives[1], lags[1], products=True)
    return joined(variance, products)


def _weighted(returns: Doubles, half_life: float, lags: int, *, products: bool) -> Doubles:
    T = returns.shape[0]
    w = 0.5 ** (np.arange(T - 1, -1, -1) / half_life)
    terms = []
    for lag in range(lags + 1):
        now, then, weight = returns[lag:], returns[: T - lag], w[lag:]
        total = (now * weight[:, None]).T @ then if products else np.einsum("tk,tk,t->k", now, then, weight)
        terms.append(total / weight.sum())
    scale = bartlett(lags)
    if products:
        return np.asarray(terms[0] + sum((a * (b + b.T) for a, b in zip(scale, terms[1:], strict=True)), 0.0))
    raw = terms[0] + 2.0 * sum((a * b for a, b in zip(scale, terms[1:], strict=True)), 0.0)
    return np.asarray(np.maximum(raw, LEAST_SHARE * terms[0]))


def joined(variance: Doubles, products: Doubles) -> Doubles:
    """Return the covariance `[K, K]` with these variances and the correlations of these products."""
    spread = np.sqrt(np.diag(products))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = products / np.outer(spread, spread)
    correlation = np.clip(correlation, -1.0, 1.0)
    np.fill_diagonal(correlation, 1.0)
    sigma = np.sqrt(variance)
    return np.asarray(correlation * np.outer(sigma, sigma))


def positive(matrix: Doubles) -> tuple[Doubles, Doubles]:
    """Return eigenvalues `[K]`, ascending and none below 0, and eigenvectors in columns `[K, K]`.

    Correlations and variances estimated with different half-lives, and the Newey-West terms, may leave a small
    eigenvalue negative; it becomes 0.
    """
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2.0)
    return np.maximum(values, 0.0), vectors


class Noise:
    """Weighted mean of the covariance of the errors in K series, kept up to date like `Moments`."""

    def __init__(self, width: int, half_life: float) -> None:
        self._keep = 0.5 ** (1.0 / half_life)
        self._sums = np.zeros((width, width))
        self._weights = np.zeros((width, width))

    def add(self, covariance: Doubles, known: Bools) -> None:
        """Take in one day's covariance of errors `[K, K]`, for the series known `[K]`."""
        both = np.outer(known, known)
        self._sums = self._keep * self._sums + np.where(both, covariance, 0.0)
        self._weights = self._keep * self._weights + both

    def mean(self) -> Doubles:
        """Return the mean `[K, K]`, 0 where nothing is known."""
        return np.divide(self._sums, self._weights, out=np.zeros_like(self._sums), where=self._weights > 0)


def without_noise(covariance: Doubles, noise: Doubles) -> Doubles:
    """Return the covariance less that of the errors, positive semi-definite.

    Errors take no more than nine tenths of a variance: where they would, all of that factor's are scaled down.
    """
    own, error = np.diag(covariance), np.diag(noise)
    most = (1.0 - LEAST_SHARE) * own
    scale = np.sqrt(np.divide(most, error, out=np.ones(own.size), where=error > most))
    values, vectors = positive(covariance - noise * np.outer(scale, scale))
    return np.asarray((vectors * values) @ vectors.T)


def complete(matrix: Array, known: Bools, size: int) -> Doubles:
    """Return a matrix `[size, size]` that holds the given one in the rows and columns `known`, NaN elsewhere."""
    out = np.full((size, size), np.nan)
    out[np.ix_(known, known)] = matrix
    return out
