"""Sampled days of features: distribution, persistence and correlation between features, from some dates alone.

Quantiles need all values at once and rank correlations a sort each: evenly spaced dates tell them well enough at a
small part of the cost. Coverage, moments and IC are taken from every date (`alphaloom.feature_study.summary`).
"""

from dataclasses import dataclass

import numpy as np

from alphaloom.feature_study.blocks import MIN_NAMES, FeatureBlock, Judged, sample_rows
from alphaloom.kernels.cross_rank import rank
from alphaloom.typing import Array, Bools, Doubles, Floats

LAGS = (1, 5, 20)
"""Trading days over which persistence is measured."""
TURNOVER_LAG = 5
TOP = 0.8
"""Rank above which a stock is in the top fifth."""
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
BINS = 24
"""Bars of a histogram; values beyond the 1 % and 99 % quantiles stand in the outermost ones."""
FAR = 5.0
"""An outlier lies more than this many 1.4826 x MAD from the median."""
SAMPLE_VALUES = 40_000_000
MOST_DAYS = 96


@dataclass(frozen=True, eq=False)
class SampledDays:
    """What the sampled dates say of F features.

    Attributes:
        days: how many dates were sampled.
        quantiles: `[7, F]` at `QUANTILES`; infinities are left out here and below.
        outliers: share of values more than `FAR` scaled MADs from the median `[F]`.
        histograms: `[F, BINS]`, shares of values between the 1 % and the 99 % quantile.
        persistence: mean Spearman correlation of stocks' values with those `LAGS` days before `[3, F]`.
        turnover: mean share of the top fifth that was not in it `TURNOVER_LAG` days before `[F]`.
        correlation: mean cross-sectional rank correlation of every two features `[F, F]`, over dates on which
            `MIN_NAMES` stocks have both; NaN without any.
        varies: whether the values of a date ever differed between stocks `[F]`.
        duplicates: places of features whose sampled values are equal bit for bit, each group ascending.
    """

    days: int
    quantiles: Doubles
    outliers: Doubles
    histograms: Doubles
    persistence: Doubles
    turnover: Doubles
    correlation: Doubles
    varies: Bools
    duplicates: tuple[tuple[int, ...], ...]


class DaySampler:
    """Takes blocks of features in order of time and keeps what `SampledDays` needs."""

    def __init__(self, data: Judged, n_features: int) -> None:
        N = data.panel.shape[1]
        most = int(np.clip(SAMPLE_VALUES // max(1, N * n_features), 12, MOST_DAYS))
        later = min(data.first + LAGS[-1], data.stop - 1)
        self.rows = {int(row) for row in sample_rows(later, data.stop, most)}
        self.needed = {row - lag for row in self.rows for lag in (0, *LAGS)}
        self.listed = data.panel.universe
        self.kept: dict[int, Floats] = {}
        self.values: list[Floats] = []
        self.overlap = np.zeros((n_features, n_features))
        self.product = np.zeros((n_features, n_features))
        self.persistence = [[np.empty((0, n_features))] for _ in LAGS]
        self.turnover = [np.empty((0, n_features))]
        self.varies = np.zeros(n_features, dtype=np.bool_)

    def feed(self, block: FeatureBlock) -> None:
        """Take the next block."""
        for row in range(block.start, block.stop):
            if row in self.needed:
                day = block.values[row - block.start].copy()
                day[~self.listed[row]] = np.nan
                self.kept[row] = day
            if row in self.rows:
                self._day(row)
                self.kept = {k: day for k, day in self.kept.items() if k > row - LAGS[-1]}

    def result(self) -> SampledDays:
        """Return what the dates fed so far say."""
        values = np.concatenate(self.values)
        quantiles, outliers, histograms = _distribution(values)
        with np.errstate(divide="ignore", invalid="ignore"):
            correlation = np.where(self.overlap > 0, self.product / self.overlap, np.nan)
        persistence = np.stack([_mean(np.concatenate(found)) for found in self.persistence])
        turnover = _mean(np.concatenate(self.turnover))
        equal = _duplicates(values)
        days = len(self.values)
        return SampledDays(
            days, quantiles, outliers, histograms, persistence, turnover, correlation, self.varies, equal
        )

    def _day(self, row: int) -> None:
        today, listed = self.kept[row], self.listed[row]
        self.values.append(today[listed])
        ranks = _centred_ranks(today[None])[0][0]
        self.varies |= (np.abs(ranks) > 0).any(axis=0)
        self._correlate(ranks)
        for k, lag in enumerate(LAGS):
            before = self.kept.get(row - lag)
            if before is not None:
                self._compare(k, today, before)

    def _correlate(self, ranks: Floats) -> None:
        known = (~np.isnan(ranks)).astype(np.float32)
        z = np.nan_to_num(ranks)
        norm = (z * z).T @ known
        spread = np.sqrt(norm.astype(np.float64) * norm.T)
        defined = (spread > 0) & (known.T @ known >= MIN_NAMES)
        self.overlap += defined
        self.product += np.divide(z.T @ z, spread, out=np.zeros_like(spread), where=defined)

    def _compare(self, k: int, today: Floats, before: Floats) -> None:
        pair = np.stack([today, before])
        pair[:, np.isnan(today) | np.isnan(before)] = np.nan
        ranks, counts = _centred_ranks(pair)
        a, b = np.nan_to_num(ranks[0]).astype(np.float64), np.nan_to_num(ranks[1]).astype(np.float64)
        spread = np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
        defined = (spread > 0) & (counts >= MIN_NAMES)
        correlation = np.divide((a * b).sum(axis=0), spread, out=np.full(spread.size, np.nan), where=defined)
        self.persistence[k].append(correlation[None])
        if LAGS[k] == TURNOVER_LAG:
            bound = (TOP - 0.5) * counts
            top = a > bound
            stayed = (top & (b > bound)).sum(axis=0)
            size = top.sum(axis=0)
            gone = 1.0 - np.divide(stayed, size, out=np.full(size.size, np.nan), where=defined & (size > 0))
            self.turnover.append(gone[None])


def _centred_ranks(block: Floats) -> tuple[Floats, Array]:
    """Return ranks of each date less their mean, NaN where there is no value, and the counts `[F]` of the first."""
    ranks = block.copy()
    counts = rank(ranks, np.ones(block.shape[:2], dtype=np.bool_))
    ranks -= (counts[:, None, :].astype(np.float32) + 1) / 2
    return ranks, counts[0]


def _distribution(values: Floats) -> tuple[Doubles, Doubles, Doubles]:
    """Return quantiles `[7, F]`, outlier shares `[F]` and histograms `[F, BINS]` of `values [cells, F]`."""
    F = values.shape[1]
    quantiles, outliers = np.full((len(QUANTILES), F), np.nan), np.full(F, np.nan)
    histograms = np.zeros((F, BINS))
    for f in range(F):
        x = values[:, f]
        x = x[np.isfinite(x)].astype(np.float64)
        if x.size == 0:
            continue
        quantiles[:, f] = np.quantile(x, QUANTILES)
        low, middle, high = quantiles[0, f], quantiles[3, f], quantiles[-1, f]
        deviation = 1.4826 * np.median(np.abs(x - middle))
        outliers[f] = (np.abs(x - middle) > FAR * deviation).mean() if deviation > 0 else np.nan
        if high > low:
            place = np.clip((x - low) / (high - low) * BINS, 0, BINS - 1).astype(np.int64)
            histograms[f] = np.bincount(place, minlength=BINS) / x.size
        else:
            histograms[f, BINS // 2] = 1.0
    return quantiles, outliers, histograms


def _duplicates(values: Floats) -> tuple[tuple[int, ...], ...]:
    groups: dict[bytes, list[int]] = {}
    for f in range(values.shape[1]):
        groups.setdefault(np.ascontiguousarray(values[:, f]).tobytes(), []).append(f)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _mean(rows: Doubles) -> Doubles:
    """Return the mean of each column over the rows where it is known; NaN without any."""
    known = ~np.isnan(rows)
    count = known.sum(axis=0)
    total = np.where(known, rows, 0.0).sum(axis=0)
    return np.asarray(np.divide(total, count, out=np.full(count.size, np.nan), where=count > 0), dtype=np.float64)
