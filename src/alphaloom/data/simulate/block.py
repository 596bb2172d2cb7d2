"""One calendar year of the simulated market as arrays, filled day by day."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from alphaloom.typing import Array, Bools, Dates, Doubles, Floats, Ints

PRICES: tuple[str, ...] = ("open", "high", "low", "close", "vwap", "limit_up", "limit_down")
BAR_FIELDS: tuple[str, ...] = (
    *PRICES,
    "volume",
    "amount",
    "adj_factor",
    "turnover",
    "free_turnover",
    "float_shares",
    "total_shares",
)


@dataclass
class Block:
    """Days `[D]` of one year; every field `[D, N]`, NaN where the stock is not listed.

    `expected` holds the truth at each close: `alpha` (expected specific return of the next day), `alpha_5` (what is
    known of the next five days), `event` (return owed to blocked moves, new listings, suspensions and delistings) and
    each component's part of `alpha` and of `alpha_5`. `exposures [D, N, 10]` and `industry [D, N]` are as of the
    close.
    """

    dates: Dates
    listed: Bools
    is_st: Bools
    is_suspended: Bools
    bars: dict[str, Floats]
    expected: dict[str, Floats]
    exposures: Floats
    industry: Array
    factors: Doubles
    regimes: Ints
    specific_vol: Floats

    @classmethod
    def empty(cls, dates: Dates, N: int, K: int, expected: tuple[str, ...], styles: int) -> "Block":
        """Return a block to be filled."""
        D = dates.size

        def blank() -> Floats:
            return np.full((D, N), np.nan, dtype=np.float32)

        return cls(
            dates=dates,
            listed=np.zeros((D, N), dtype=bool),
            is_st=np.zeros((D, N), dtype=bool),
            is_suspended=np.zeros((D, N), dtype=bool),
            bars={name: blank() for name in BAR_FIELDS},
            expected={name: blank() for name in expected},
            exposures=np.full((D, N, styles), np.nan, dtype=np.float32),
            industry=np.full((D, N), -1, dtype=np.int16),
            factors=np.empty((D, K)),
            regimes=np.empty(D, dtype=np.int64),
            specific_vol=blank(),
        )

    def record(self, row: int, on: Bools, bars: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
        """Write one day's bars and expected returns `[N]` for the stocks that are listed (`on`)."""
        self.listed[row] = on
        for name, values in bars.items():
            self.bars[name][row, on] = values[on]
        for name, values in expected.items():
            self.expected[name][row, on] = values[on]
