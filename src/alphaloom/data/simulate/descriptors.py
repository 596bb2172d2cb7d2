"""Styles of the simulated market that past bars tell: the published descriptors of its own past."""

from typing import Self

import numpy as np

from alphaloom.data.simulate.factors import COUNTRY_VOL
from alphaloom.data.simulate.population import Population
from alphaloom.data.simulate.trading import MEDIAN_TURNOVER
from alphaloom.typing import Bools, Doubles, Ints

_YEAR, _MONTH, _TWO_YEARS = 252, 21, 504
_ROWS = _TWO_YEARS + _MONTH
_BETA_SPREAD, _TURNOVER_SPREAD = 0.2, 0.45
"""Deviations of market slopes, for a latent beta of one deviation, and of log turnover, in the past drawn before the
first day."""
_FEWEST_RETURNS, _FEWEST_LISTED = 126, 231


class Past:
    """The last 525 days of every stock, and the styles that they tell; arrays `[525, N]`, a ring of days.

    Styles and least histories are CNE5's: BETA; RSTR; .74 DASTD + .16 CMRA + .10 HSIGMA, orthogonal to beta;
    .35 STOM + .35 STOQ + .30 STOA. Each descriptor is winsorised at three deviations and standardised over the listed
    stocks that have it: cap-weighted mean 0, equal-weighted deviation 1. Source: CNE5 descriptor details, 2013.
    """

    def __init__(self, N: int) -> None:
        self._newest = 0
        self._market = np.zeros(_ROWS)
        self._return = np.zeros((_ROWS, N))
        self._has_return = np.zeros((_ROWS, N))
        self._listed = np.zeros((_ROWS, N))
        self._turnover = np.zeros((_ROWS, N))
        self._log_price = np.full((_ROWS, N), np.nan)
        self._traded = np.zeros(N, dtype=bool)

    @classmethod
    def begin(cls, people: Population, listed: Bools, specific_vol: float, rng: np.random.Generator) -> Self:
        """Return a past drawn for the stocks listed on the first day: market times slope, noise of the stock's own."""
        N = listed.size
        past = cls(N)
        past._traded = listed.copy()
        past._listed[:, listed] = past._has_return[:, listed] = 1.0
        past._market = COUNTRY_VOL * rng.standard_normal(_ROWS)
        slope = 1.0 + _BETA_SPREAD * people.beta / people.beta.std()
        noise = specific_vol * np.exp(people.volatility) * rng.standard_normal((_ROWS, N))
        returns = np.maximum(past._market[:, None] * slope + noise, -0.5)
        past._return = np.where(listed, returns, 0.0)
        past._log_price[:, listed] = np.cumsum(np.log1p(returns), axis=0)[:, listed]
        spread = _TURNOVER_SPREAD * rng.standard_normal((_ROWS, N))
        past._turnover = np.where(listed, MEDIAN_TURNOVER * np.exp(people.liquidity + spread), 0.0)
        past._newest = _ROWS - 1
        return past

    def add(self, returns: Doubles, turnover: Doubles, trades: Bools, known: Bools, cap: Doubles) -> None:
        """Take in one day.

        Args:
            returns: `[N]` of the day, since the last day traded.
            turnover: shares traded over those that may trade.
            trades: who trades; the others have no return.
            known: who was listed the day before; a new listing has no return on its first day.
            cap: capitalisation of the day before, by which the market's return is weighted.
        """
        has = trades & known
        both = has & self._traded
        before = self._log_price[self._newest]
        self._newest = now = (self._newest + 1) % _ROWS
        self._market[now] = (cap[both] @ returns[both]) / cap[both].sum()
        self._return[now] = np.where(has, returns, 0.0)
        self._has_return[now] = has
        self._listed[now] = known | trades
        self._turnover[now] = np.where(trades, turnover, 0.0)
        self._log_price[now] = np.where(has, before + np.log1p(self._return[now]), np.where(trades, 0.0, before))
        self._traded = trades.copy()

    def styles(self, listed: Bools, cap: Doubles) -> dict[str, Doubles]:
        """Return beta, momentum, residual volatility and liquidity `[n]` of the listed stocks; unknown ones are 0."""
        slope, spread, residual = self._regressed()
        weight = cap[listed]

        def ready(raw: Doubles) -> Doubles:
            return _standardised(raw[listed], weight)

        beta = ready(slope)
        volatility = _mean([(0.74, ready(spread)), (0.16, ready(self._range())), (0.10, ready(residual))])
        liquidity = _mean([(share, ready(self._turnover_over(months))) for share, months in _LIQUIDITY])
        found = {
            "beta": beta,
            "momentum": ready(self._strength()),
            "residual_volatility": _standardised(_without(volatility, beta, weight), weight),
            "liquidity": _standardised(liquidity, weight),
        }
        return {name: np.nan_to_num(values) for name, values in found.items()}

    def _age(self) -> Ints:
        """Return how many days ago each row of the ring was `[525]`."""
        age: Ints = (self._newest - np.arange(_ROWS)) % _ROWS
        return age

    def _decay(self, days: int, half_life: float, lag: int = 0) -> Doubles:
        """Return weights of the ring's rows, 0 outside the `days` that end `lag` days ago."""
        age = self._age() - lag
        return np.where((age >= 0) & (age < days), 0.5 ** (age / half_life), 0.0)

    def _regressed(self) -> tuple[Doubles, Doubles, Doubles]:
        """Return BETA, DASTD and HSIGMA `[N]`."""
        inside = self._age() < _YEAR
        seen, values, market = self._has_return[inside], self._return[inside], self._market[inside]
        few = seen.sum(axis=0) < _FEWEST_RETURNS
        w = self._decay(_YEAR, 63)[inside]
        n = np.where(few, np.nan, w @ seen)
        x, y = (w * market) @ seen / n, w @ values / n
        xx = (w * market**2) @ seen / n - x**2
        xy = (w * market) @ values / n - x * y
        yy = w @ values**2 / n - y**2
        w = self._decay(_YEAR, 42)[inside]
        n = np.where(few, np.nan, w @ seen)
        spread = np.sqrt(w @ values**2 / n - (w @ values / n) ** 2)
        return xy / xx, spread, np.sqrt(np.maximum(yy - xy**2 / xx, 0.0))

    def _strength(self) -> Doubles:
        """Return RSTR `[N]`: the mean over listed days, those without a return counting 0."""
        w = self._decay(_TWO_YEARS, 126, lag=_MONTH)
        inside = w > 0
        few = self._listed[inside].sum(axis=0) < _FEWEST_LISTED
        weight = np.where(few, np.nan, w[inside] @ self._listed[inside])
        strength: Doubles = w[inside] @ np.log1p(self._return[inside]) / weight
        return strength

    def _range(self) -> Doubles:
        """Return CMRA `[N]`: the range of the log prices 1, 2, ... 12 months ago."""
        rows = (self._newest - _MONTH * np.arange(1, 13)) % _ROWS
        spread: Doubles = np.ptp(self._log_price[rows], axis=0)
        return spread

    def _turnover_over(self, months: int) -> Doubles:
        """Return STOM, STOQ or STOA `[N]`: the log of the mean monthly turnover."""
        inside = self._age() < _MONTH * months
        few = self._listed[inside].sum(axis=0) < (_MONTH * months + 1) // 2
        total = self._turnover[inside].sum(axis=0)
        return np.log(np.where(few | (total <= 0), np.nan, total) / months)


_LIQUIDITY = ((0.35, 1), (0.35, 3), (0.30, 12))


def _standardised(raw: Doubles, cap: Doubles) -> Doubles:
    """Return `[n]` winsorised at three deviations, cap-weighted mean 0, deviation 1; NaN stays unknown."""
    known = np.isfinite(raw)
    if not known.any():
        return raw
    values = raw[known]
    centre, spread = values.mean(), max(values.std(), 1e-12)
    values = np.clip(values, centre - 3 * spread, centre + 3 * spread)
    out = np.full(raw.size, np.nan)
    out[known] = (values - cap[known] @ values / cap[known].sum()) / max(values.std(), 1e-12)
    return out


def _mean(parts: list[tuple[float, Doubles]]) -> Doubles:
    """Return the weighted mean `[n]` of descriptors, weights shared among those that a stock has."""
    total = sum(share * np.nan_to_num(part) for share, part in parts)
    weight = sum(share * np.isfinite(part) for share, part in parts)
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), np.nan)


def _without(y: Doubles, x: Doubles, cap: Doubles) -> Doubles:
    """Return what is left of y `[n]` after a regression on a constant and x, by the square root of capitalisation."""
    known = np.isfinite(x) & np.isfinite(y)
    w = np.where(known, np.sqrt(cap), 0.0)
    a, b = np.nan_to_num(x), np.nan_to_num(y)
    a, b = a - w @ a / w.sum(), b - w @ b / w.sum()
    return np.where(known, b - (w * a) @ b / ((w * a) @ a) * a, np.nan)
