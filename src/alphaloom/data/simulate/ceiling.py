"""What a perfect forecaster would reach: RankIC of the true expected return on the returns that came."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from alphaloom.data.simulate.block import Block
from alphaloom.typing import Array, Bools

SEASONED_DAYS = 60
HORIZONS: dict[str, tuple[int, ...]] = {"close": (1, 5, 10), "vwap": (1, 5), "open": (1, 5)}
"""Horizons by entry price. `close`: from the close of t to t + h; the others from t + 1 to t + 1 + h."""
_WARM_UP_DAYS = 30
_FEWEST = 20


@dataclass
class CeilingTally:
    """Gathers prices and expected returns year by year, `[D, N]` each."""

    prices: dict[str, list[Array]] = field(default_factory=lambda: {name: [] for name in HORIZONS})
    expected: dict[str, list[Array]] = field(default_factory=dict)
    universe: list[Bools] = field(default_factory=list)

    def add(self, block: Block) -> None:
        """Take in one year."""
        traded = block.listed & ~block.is_suspended
        for name, parts in self.prices.items():
            adjusted = block.bars[name].astype(np.float64) * block.bars["adj_factor"]
            parts.append(np.where(traded, adjusted, np.nan).astype(np.float32))
        for name, values in block.expected.items():
            if name.endswith("_5") or name == "alpha":
                self.expected.setdefault(name, []).append(values)
        bars = block.bars
        at_limit = (bars["close"] == bars["limit_up"]) | (bars["close"] == bars["limit_down"])
        self.universe.append(traded & ~block.is_st & ~at_limit)

    def summary(self) -> dict[str, Any]:
        """Return mean RankIC, its deviation over dates and the number of dates, by entry price and horizon.

        The forecaster gives `alpha` for a horizon of 1 day and `alpha_5` for longer ones. Ranked are stocks that
        trade on the day of the forecast, listed 60 days, neither ST nor closed at a limit, and that trade at entry
        and exit. `components` has each planted alpha alone: its part of `alpha_5` against the next five days.
        """
        universe = np.concatenate(self.universe)
        seasoned = np.cumsum(universe, axis=0) + SEASONED_DAYS * universe[0] > SEASONED_DAYS
        universe &= seasoned
        universe[:_WARM_UP_DAYS] = False
        prices = {name: np.concatenate(parts) for name, parts in self.prices.items()}
        expected = {name: np.concatenate(parts) for name, parts in self.expected.items()}
        result: dict[str, Any] = {
            price: {
                str(h): _rank_ic(
                    expected["alpha" if h == 1 else "alpha_5"], prices[price], h, int(price != "close"), universe
                )
                for h in horizons
            }
            for price, horizons in HORIZONS.items()
        }
        result["components"] = {
            name.removesuffix("_5"): _rank_ic(values, prices["close"], 5, 0, universe)
            for name, values in expected.items()
            if name not in {"alpha", "alpha_5"}
        }
        return result


def _rank_ic(expected: Array, price: Array, horizon: int, lag: int, universe: Bools) -> dict[str, float | int | None]:
    values = []
    for t in range(price.shape[0] - lag - horizon):
        forward = price[t + lag + horizon] / price[t + lag] - 1
        rows = np.flatnonzero(universe[t] & np.isfinite(forward))
        forecast = expected[t, rows]
        if rows.size < _FEWEST or np.ptp(forecast) == 0:
            continue
        values.append(float(np.corrcoef(_ranks(forecast), _ranks(forward[rows]))[0, 1]))
    if not values:
        return {"rank_ic": None, "std": None, "dates": 0}
    return {"rank_ic": float(np.mean(values)), "std": float(np.std(values)), "dates": len(values)}


def _ranks(x: Array) -> Array:
    ranks = np.empty(x.size)
    ranks[np.argsort(x, kind="stable")] = np.arange(x.size)
    return ranks
