"""Three indices by size: members, weights and bars."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from alphaloom.data.simulate.intraday import Bar
from alphaloom.typing import Bools, Dates, Doubles, Symbols

INDICES: tuple[str, ...] = ("SH000300", "SH000905", "SH000852")
_SIZES = (300, 500, 1000)
_SHARES = (0.30, 0.35, 0.35)
LARGE_MARKET = 2000
"""Number of stocks from which the indices have their usual sizes; below, 30 %, 35 % and the rest of the eligible."""
BASE_POINTS = 1000.0


@dataclass
class IndexBook:
    """Members and levels of the three indices.

    Members are chosen by float capitalisation on the first trading day after the second Friday of June and December,
    from the closes before. Weights are float capitalisation at the previous close. Levels include dividends.
    """

    symbols: Symbols
    stocks: int

    def __post_init__(self) -> None:
        self.members: list[Bools] = [np.zeros(self.symbols.size, dtype=bool) for _ in INDICES]
        self.level = [BASE_POINTS] * len(INDICES)
        self.weight_frames: list[pl.DataFrame] = []
        self.bar_rows: list[dict[str, object]] = []

    def reconstitute(self, float_cap: Doubles, eligible: Bools) -> None:
        """Choose the members of each index among eligible stocks, largest first."""
        order = np.flatnonzero(eligible)
        order = order[np.argsort(-float_cap[order], kind="stable")]
        large = self.stocks >= LARGE_MARKET
        counts = _SIZES if large else tuple(round(share * order.size) for share in _SHARES)
        start = 0
        for k, count in enumerate(counts):
            stop = order.size if k == len(counts) - 1 and not large else start + count
            chosen = np.zeros(self.symbols.size, dtype=bool)
            chosen[order[start:stop]] = True
            self.members[k] = chosen
            start = stop

    def publish(self, day: np.datetime64, float_cap: Doubles, listed: Bools) -> None:
        """Record the full list of members in force from this day, weighted at the previous close."""
        for name, members in zip(INDICES, self.members, strict=True):
            present = np.flatnonzero(members & listed)
            weight = float_cap[present] / float_cap[present].sum()
            self.weight_frames.append(
                pl.DataFrame(
                    {
                        "index": [name] * present.size,
                        "date": np.full(present.size, day),
                        "symbol": self.symbols[present].tolist(),
                        "weight": weight.astype(np.float32),
                    }
                )
            )

    def step(self, day: np.datetime64, weights_base: Doubles, moves: Doubles, volume: Doubles, amount: Doubles) -> None:
        """Move the levels by one day.

        Args:
            day: the trading day.
            weights_base: `[N]` float capitalisation at the previous close, 0 for stocks not listed on both days.
            moves: `[5, N]` returns on the reference price at the open, three inner points and the close.
            volume: shares traded.
            amount: value traded.
        """
        for k, name in enumerate(INDICES):
            base = np.where(self.members[k], weights_base, 0.0)
            path = self.level[k] * (1 + moves @ base / base.sum())
            self.bar_rows.append(
                {
                    "index": name,
                    "date": day.item(),
                    "open": path[0],
                    "high": path.max(),
                    "low": path.min(),
                    "close": path[-1],
                    "volume": float(volume[self.members[k]].sum()),
                    "amount": float(amount[self.members[k]].sum()),
                }
            )
            self.level[k] = float(path[-1])

    def weights(self) -> pl.DataFrame:
        """Return the `index_weights` table."""
        return pl.concat(self.weight_frames).sort("index", "date", "symbol")

    def bars(self) -> pl.DataFrame:
        """Return the `index_bars` table."""
        return pl.DataFrame(self.bar_rows).sort("index", "date")


def point_moves(bar: Bar, reference: Doubles, trades: Bools) -> Doubles:
    """Return `[5, N]` returns of the bar's points on the reference; the last is the rounded close, 0 if not traded."""
    points = np.concatenate([bar.open[None], bar.points[1:-1], bar.close[None]])
    moves: Doubles = np.where(trades, points / reference - 1, 0.0)
    return moves


def reconstitution_days(days: Dates) -> Bools:
    """Return which trading days are the first after the second Friday of June or December."""
    months = np.unique(days.astype("datetime64[M]"))
    result = np.zeros(days.size, dtype=bool)
    for month in months[np.isin(months.astype(np.int64) % 12, (5, 11))]:
        friday = np.busday_offset(month.astype("datetime64[D]"), 1, roll="forward", weekmask="Fri")
        after = int(np.searchsorted(days, friday, side="right"))
        if after < days.size:
            result[after] = True
    return result
