"""Earnings yield: trailing earnings and cash flow by market capitalisation."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np

from alphaloom.panel import Panel
from alphaloom.risk.base import Style, styles
from alphaloom.typing import Floats


@styles.register("earnings_yield")
class EarningsYield(Style):
    """0.11 ETOP + 0.21 CETOP: trailing twelve months' earnings and cash flow over market capitalisation.

    Source: CNE5 descriptor details, 2013. Differs: analysts' forecasts (weight 0.68) are left out and the other weights
    shared.
    """

    weights: ClassVar[Mapping[str, float]] = {"etop": 0.11, "cetop": 0.21}

    source: Literal["fundamentals", "ratio"] = "fundamentals"
    """From announced figures (`fund:earnings_ttm`, `fund:cash_flow_ttm`), or a vendor's `pe_ttm` and `pcf_ttm`."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Panel fields it reads."""
        if self.source == "fundamentals":
            return ("fund:earnings_ttm", "fund:cash_flow_ttm", "total_cap")
        return ("pe_ttm", "pcf_ttm")

    @property
    def lookback(self) -> int:
        """Only the row itself."""
        return 0

    def descriptors(self, panel: Panel, known: Mapping[str, Floats]) -> dict[str, Floats]:
        """Return `etop` and `cetop`."""
        one = np.float32(1.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.source == "fundamentals":
                etop = panel["fund:earnings_ttm"] / panel["total_cap"]
                cetop = panel["fund:cash_flow_ttm"] / panel["total_cap"]
            else:
                etop, cetop = one / panel["pe_ttm"], one / panel["pcf_ttm"]
        return {"etop": _finite(etop), "cetop": _finite(cetop)}


def _finite(array: Floats) -> Floats:
    return np.where(np.isfinite(array), array, np.nan).astype(np.float32)
