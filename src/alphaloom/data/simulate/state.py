"""State of the simulated market at one close."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from alphaloom.data.simulate.population import Population
from alphaloom.typing import Bools, Doubles, Ints

NEVER = 1 << 40
"""Day index of what does not happen."""
MOMENTUM_LAG = 21
_MOMENTUM_FADE = 0.5 ** (1 / 126)
_TRAITS = {"beta": (250, 0.5), "volatility": (120, 0.2), "liquidity": (120, 0.25)}
"""Half-life in days and deviation of each latent trait around the stock's own level."""
_LEVERAGE_FADE, _LEVERAGE_BOUND = 0.98, 1.2
_LEVERAGE_GAIN = 1.8
"""1 would keep the specific part of a price change symmetric over days; the rest answers the compounding of the common
part and the fading, so that the RankIC of volatility against returns of 5 days is 0 (measured over 40 markets)."""
_CLUSTER_FADE, _CLUSTER_GAIN = 0.93, 0.10


@dataclass
class State:
    """Everything that changes from day to day, arrays `[N]`; the engine alone writes to it.

    `pending` is a return still owed: the part of a move that a limit blocked, the run of a new listing, the common
    return missed while suspended. `leverage` is the faded sum of recent specific log returns: volatility is
    proportional to exp(-leverage), so that a price change over days is as symmetric as on one day. `cluster` raises
    volatility after large moves of either sign.
    """

    listed: Bools
    listed_day: Ints
    is_st: Bools
    st_reviews: Ints
    delist_at: Ints
    suspended_left: Ints
    suspended_days: Ints
    since_suspension: Ints
    low_price_days: Ints
    industry: Ints
    close: Doubles
    adj_factor: Doubles
    total_shares: Doubles
    float_fraction: Doubles
    pending: Doubles
    leverage: Doubles
    cluster: Doubles
    traits: dict[str, Doubles]
    turnover_noise: Doubles
    momentum: Doubles
    lagged: deque[Doubles]
    quarter_return: Doubles

    @classmethod
    def begin(cls, people: Population, listed: Bools, rng: np.random.Generator) -> "State":
        """Return the state before the first day; past returns are drawn for the momentum of the stocks listed."""
        N = people.symbols.size
        zeros = np.zeros(N)
        counts = np.zeros(N, dtype=np.int64)
        traits = {
            name: getattr(people, name) + spread * rng.standard_normal(N) for name, (_, spread) in _TRAITS.items()
        }
        return cls(
            listed=listed.copy(),
            listed_day=np.where(listed, 600, 0),
            is_st=np.zeros(N, dtype=bool),
            st_reviews=counts.copy(),
            delist_at=np.full(N, NEVER),
            suspended_left=counts.copy(),
            suspended_days=counts.copy(),
            since_suspension=np.full(N, 1000),
            low_price_days=counts.copy(),
            industry=people.industry.copy(),
            close=people.price.copy(),
            adj_factor=np.ones(N),
            total_shares=np.floor(np.exp(people.log_cap) / people.price),
            float_fraction=people.float_fraction.copy(),
            pending=zeros.copy(),
            leverage=zeros.copy(),
            cluster=zeros.copy(),
            traits=traits,
            turnover_noise=0.45 * rng.standard_normal(N),
            momentum=np.where(listed, 0.26 * rng.standard_normal(N), 0.0),
            lagged=deque(np.where(listed, 0.02 * rng.standard_normal((MOMENTUM_LAG, N)), 0.0), maxlen=MOMENTUM_LAG),
            quarter_return=zeros.copy(),
        )

    @property
    def cap(self) -> Doubles:
        """Total capitalisation at the close, in currency."""
        return self.close * self.total_shares

    @property
    def float_shares(self) -> Doubles:
        """Shares that may trade."""
        shares: Doubles = np.floor(self.total_shares * self.float_fraction)
        return shares

    def volatility(self, base: float, scale: float) -> Doubles:
        """Return the specific volatility of the next day, a fraction, kept between 0.3 % and 10 %."""
        level = base * scale * np.exp(self.traits["volatility"] + self.cluster - self.leverage)
        bounded: Doubles = np.clip(level, 0.003, 0.10)
        return bounded

    def drift_traits(self, people: Population, rng: np.random.Generator) -> None:
        """Move the latent traits by one day: autoregressions around each stock's own level."""
        for name, (half_life, spread) in _TRAITS.items():
            keep = 0.5 ** (1 / half_life)
            own = getattr(people, name)
            shock = spread * np.sqrt(1 - keep**2) * rng.standard_normal(own.size)
            self.traits[name] = own + keep * (self.traits[name] - own) + shock

    def absorb(self, returns: Doubles, specific: Doubles, usual: Doubles, trades: Bools) -> None:
        """Take in the day's returns: momentum, the leverage effect, volatility clusters, the quarter's sum.

        Args:
            returns: total return of the day.
            specific: its specific part.
            usual: specific volatility without leverage and clusters, by which surprise is measured.
            trades: who traded; the others keep their state.
        """
        log_return = np.where(trades, np.log1p(returns), 0.0)
        if trades.any():
            log_return = np.where(trades, log_return - log_return[trades].mean(), 0.0)
        self.momentum = _MOMENTUM_FADE * self.momentum + self.lagged[0]
        self.lagged.append(log_return)
        own = np.where(trades, np.log1p(np.maximum(specific, -0.9)), 0.0)
        faded = np.clip(_LEVERAGE_FADE * self.leverage + _LEVERAGE_GAIN * own, -_LEVERAGE_BOUND, _LEVERAGE_BOUND)
        self.leverage = np.where(trades, faded, self.leverage)
        surprise = np.clip(np.abs(specific) / usual, 0.0, 5.0) - 0.75
        moved = np.clip(_CLUSTER_FADE * self.cluster + _CLUSTER_GAIN * surprise, -0.4, 0.8)
        self.cluster = np.where(trades, moved, self.cluster)
        self.quarter_return += own
