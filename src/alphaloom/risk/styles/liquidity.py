"""Liquidity: how much of a company's shares change hands."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from alphaloom.panel import Panel
from alphaloom.risk.base import Style, styles
from alphaloom.risk.decay import window_sum
from alphaloom.typing import Doubles, Floats

MONTH = 21


@styles.register("liquidity")
class Liquidity(Style):
    """0.35 STOM + 0.35 STOQ + 0.30 STOA, logs of share turnover.

    STOM: log of the sum of 21 days' turnover. STOQ and STOA: log of the mean monthly turnover over 3 and 12 months. At
    least half of each window's days must be known; a day without trading counts as 0. No turnover at all is NaN.
    Source: CNE5 descriptor details, 2013.
    """

    weights: ClassVar[Mapping[str, float]] = {"stom": 0.35, "stoq": 0.35, "stoa": 0.30}

    @property
    def inputs(self) -> tuple[str, ...]:
        """Panel fields it reads."""
        return ("turnover",)

    @property
    def lookback(self) -> int:
        """Twelve months of 21 days."""
        return 12 * MONTH

    def descriptors(self, panel: Panel, known: Mapping[str, Floats]) -> dict[str, Floats]:
        """Return `stom`, `stoq` and `stoa`."""
        turnover = np.ascontiguousarray(panel["turnover"])
        return {
            name: _log(window_sum(turnover, MONTH * months, (MONTH * months + 1) // 2) / months)
            for name, months in (("stom", 1), ("stoq", 3), ("stoa", 12))
        }


def _log(total: Doubles) -> Floats:
    # Sums of turnover below this come from rounding, not from trading.
    return np.log(np.where(total > 1e-9, total, np.nan)).astype(np.float32)
