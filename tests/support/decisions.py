"""Random dates for portfolio constructions."""

from dataclasses import replace

import numpy as np

from alphaloom.portfolio.base import Decision
from alphaloom.risk.forecast import RiskForecast


def random_forecast(rng, exposures, industry, zero=False):
    """A forecast whose factors are the market, the industries and the given exposures; volatilities of a day."""
    codes = np.unique(industry)
    values = np.vstack([np.ones(industry.size), *(industry[None] == c for c in codes), exposures]).astype(float)
    root = rng.normal(size=(values.shape[0], values.shape[0])) * 0.004
    covariance, specific = root @ root.T, rng.uniform(0.01, 0.03, industry.size) ** 2
    if zero:
        covariance, specific = 0.0 * covariance, 0.0 * specific
    names = tuple(f"f{k}" for k in range(values.shape[0]))
    return RiskForecast(np.datetime64("2024-03-01"), names, values, covariance, specific)


def random_decision(seed=0, N=60, K=3, G=5, *, held=20, cash=0.0, frictions=True, scale=1.0, measured=()):
    """A rebalancing of long holdings beside a benchmark; with frictions some stocks are frozen, locked or unscored."""
    rng = np.random.default_rng(seed)
    bench = np.where(rng.random(N) < 0.6, rng.random(N), 0.0)
    bench = bench / bench.sum() if bench.any() else np.full(N, 1.0 / N)
    current = np.zeros(N)
    names = rng.choice(N, held, replace=False)
    current[names] = rng.random(held) + 0.3
    current *= (1 - cash) / max(current.sum(), 1e-12)
    buy, sell = np.ones(N, bool), np.ones(N, bool)
    score = rng.normal(size=N) * scale
    if frictions:
        frozen = rng.random(N) < 0.06
        buy, sell = ~frozen & (rng.random(N) > 0.04), ~frozen & (rng.random(N) > 0.04)
        score[rng.random(N) < 0.08] = np.nan
    exposures, industry = rng.normal(size=(K, N)), rng.integers(0, G, N).astype(float)
    values = {name: np.exp(rng.normal(0, 0.3, N)) * _level(name) for name in measured}
    return Decision(
        date=np.datetime64("2024-03-01"),
        score=score,
        current=current,
        can_buy=buy,
        can_sell=sell,
        benchmark=bench,
        exposures=exposures,
        styles=tuple(f"s{k}" for k in range(K)),
        industry=industry,
        measured=values,
        risk=random_forecast(rng, exposures, industry),
        capital=1e8,
    )


def _level(expression):
    """The usual size of what an expression measures."""
    return 1e8 if "amount" in expression else 0.02 if "returns" in expression else 1.0


def permuted(d, order):
    """The same date with its stocks in another order."""
    arrays = ("score", "current", "can_buy", "can_sell", "benchmark", "industry")
    risk = d.risk and replace(d.risk, exposures=d.risk.exposures[:, order], specific=d.risk.specific[order])
    return replace(
        d,
        **{name: getattr(d, name)[order] for name in arrays},
        exposures=d.exposures[:, order],
        measured={name: values[order] for name, values in d.measured.items()},
        fields={name: values[order] for name, values in d.fields.items()},
        risk=risk,
    )
