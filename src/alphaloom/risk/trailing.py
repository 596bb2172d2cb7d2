"""Returns of the days that end at a row, for risk models that need nothing else."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from alphaloom.errors import DataError
from alphaloom.panel import Panel
from alphaloom.risk.holdings import holding_returns
from alphaloom.typing import Bools, Dates, Doubles

FIELDS = ("adj_close", "is_listed")
"""Panel fields that it reads."""


@dataclass(frozen=True, eq=False)
class TrailingReturns:
    """Daily returns of a market `[T, N]`; those of suspended days are 0, and the day that ends it has all of it."""

    dates: Dates
    returns: Doubles
    traded: Bools
    listed: Bools

    @classmethod
    def of(cls, panel: Panel) -> Self:
        """Return the returns of a panel."""
        price = panel["adj_close"]
        return cls(panel.dates, holding_returns(price), np.isfinite(price), np.asarray(panel["is_listed"] == 1))

    def window(self, row: int, days: int, least_share: float) -> tuple[Doubles, Bools]:
        """Return the last days' returns `[days, n]` of the covered stocks, and which those are `[N]`.

        Covered are stocks listed at the row, that traded on `least_share` of the days and moved on one of them.

        Raises:
            DataError: fewer days before the row, or no stock is covered.
        """
        if row + 1 <= days:
            raise DataError(
                f"A forecast at {self.dates[row]} needs {days} days of returns; {row} lie before it. Load earlier data "
                "or lessen window."
            )
        part = slice(row - days + 1, row + 1)
        often = self.traded[part].mean(axis=0) >= least_share
        covered: Bools = self.listed[row] & often & (self.returns[part] != 0).any(axis=0)
        if not covered.any():
            raise DataError(f"No stock traded on {least_share:.0%} of the {days} days up to {self.dates[row]}.")
        return self.returns[part][:, covered], covered
