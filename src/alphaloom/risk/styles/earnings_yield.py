"""Earnings yield: trailing earnings and cash flow by market capitalisation."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from alphaloom.features.cne5 import DESCRIPTORS
from alphaloom.risk.base import WrittenStyle, styles


@styles.register("earnings_yield")
class EarningsYield(WrittenStyle):
    """0.11 ETOP + 0.21 CETOP: trailing twelve months' earnings and cash flow over market capitalisation.

    Source: CNE5 descriptor details, 2013. Differs: analysts' forecasts (weight 0.68) are left out and the other weights
    shared.
    """

    weights: ClassVar[Mapping[str, float]] = {"etop": 0.11, "cetop": 0.21}

    source: Literal["fundamentals", "ratio"] = "fundamentals"
    """From announced figures (`fund:earnings_ttm`, `fund:cash_flow_ttm`), or a vendor's `pe_ttm` and `pcf_ttm`."""

    def expressions(self) -> dict[str, str]:
        """Return `etop` and `cetop`."""
        if self.source == "fundamentals":
            return DESCRIPTORS["earnings_yield"]
        return {"etop": '1 / bar("pe_ttm")', "cetop": '1 / bar("pcf_ttm")'}
