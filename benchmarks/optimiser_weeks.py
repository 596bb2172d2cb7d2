"""Made-up weekly rebalancings of a large market, for measuring optimisers: styles, industries, an index, forecasts.

Exposures and scores persist from week to week, holdings are the last optimum moved by returns, a few stocks are
suspended or locked at a limit: what a warm start meets in a backtest. Everything follows from a seed.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from alphaloom.portfolio.base import Construction, Decision
from alphaloom.risk.forecast import RiskForecast

STYLES, INDUSTRIES = 10, 30
RETURN_SPREAD = 0.003
"""Standard deviation of expected weekly returns."""


class Market:
    """A universe of `N` stocks: capitalisation, industries, an index of the mid caps, factor and specific risk."""

    def __init__(self, N: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.N, self.rng = N, rng
        self.size = rng.normal(0, 1.1, N)
        cap = np.exp(self.size)
        members = np.argsort(-cap)[int(0.19 * N) : int(0.19 * N) + max(int(0.235 * N), 60)]
        self.benchmark = np.zeros(N)
        self.benchmark[members] = cap[members] / cap[members].sum()
        self.cap = cap
        self.industry = rng.choice(INDUSTRIES, N, p=rng.dirichlet(np.full(INDUSTRIES, 4.0)))
        annual = np.concatenate([[0.22], np.full(INDUSTRIES, 0.09), rng.uniform(0.02, 0.07, STYLES)])
        loose = rng.normal(size=(annual.size, 60))
        correlation = 0.25 * np.corrcoef(loose) + 0.75 * np.eye(annual.size)
        self.covariance = correlation * np.outer(annual, annual) / 252.0
        self.specific = np.exp(rng.normal(np.log(0.36), 0.25, N)) ** 2 / 252.0
        self.tilt = rng.normal(0, 0.35, (INDUSTRIES, STYLES))
        self.own = 0.8 * rng.standard_t(6, (N, STYLES))
        self.signal = rng.standard_t(5, N)
        self.frozen = np.zeros(N, dtype=bool)

    def week(self, number: int, current: np.ndarray) -> Decision:
        """Return the next week's decision from holdings."""
        rng, N = self.rng, self.N
        self.own = 0.97 * self.own + np.sqrt(1 - 0.97**2) * 0.8 * rng.standard_t(6, (N, STYLES))
        self.signal = 0.8 * self.signal + 0.6 * rng.standard_t(5, N)
        raw = self.own + self.tilt[self.industry]
        raw[:, 0] = self.size
        centred = raw - np.average(raw, axis=0, weights=self.cap)
        styles = np.clip(centred / centred.std(axis=0), -3.5, 3.5).T.copy()
        score = 0.9 * self.signal - 0.15 * styles[0] + 0.2 * styles[4]
        self.frozen = (self.frozen & (rng.random(N) < 0.8)) | (rng.random(N) < 0.003)
        dummies = np.array([self.industry == k for k in range(INDUSTRIES)], dtype=np.float64)
        date = np.datetime64("2020-01-03") + 7 * number
        names = ("country", *(f"industry {k}" for k in range(INDUSTRIES)), *(f"style {k}" for k in range(STYLES)))
        forecast = RiskForecast(date, names, np.vstack([np.ones(N), dummies, styles]), self.covariance, self.specific)
        return Decision(
            date=date,
            score=RETURN_SPREAD * score / score.std(),
            current=current,
            can_buy=~self.frozen & (rng.random(N) > 0.01),
            can_sell=~self.frozen & (rng.random(N) > 0.005),
            benchmark=self.benchmark,
            exposures=styles,
            styles=tuple(f"style {k}" for k in range(STYLES)),
            industry=self.industry.astype(np.float64),
            risk=forecast,
            capital=1e9,
        )

    def drifted(self, weights: np.ndarray) -> np.ndarray:
        """Return weights after a week's returns; frozen stocks keep their price."""
        moved = weights * (1.0 + np.where(self.frozen, 0.0, self.rng.normal(0, 0.045, self.N)))
        return moved / moved.sum()


def weeks(construction: Construction, N: int, count: int, seed: int = 0) -> Iterator[Decision]:
    """Yield `count` weekly decisions after a first one from cash, each from the construction's last optimum."""
    market = Market(N, seed)
    target = construction.weigh(market.week(0, np.zeros(N)))
    for number in range(1, count + 1):
        decision = replace(market.week(number, market.drifted(target.weights)), last=target.last)
        target = construction.weigh(decision)
        yield decision
