"""Earnings yield: forecast and trailing earnings and cash flow by market capitalisation."""

from collections.abc import Mapping
from typing import ClassVar

from alphaloom.features.cne5 import Source, of_earnings
from alphaloom.risk.base import WrittenStyle, styles


@styles.register("earnings_yield")
class EarningsYield(WrittenStyle):
    """0.68 EPIBS + 0.21 CETOP + 0.11 ETOP: forecast earnings, trailing cash flow and earnings over capitalisation.

    EPIBS needs the item `earnings_forecast` among the fundamentals: analysts' mean forecast of the company's profit
    over the next twelve months. Source: CNE5 descriptor details, 2013.
    """

    weights: ClassVar[Mapping[str, float]] = {"epibs": 0.68, "cetop": 0.21, "etop": 0.11}
    sources: ClassVar[tuple[str, ...]] = ("fundamentals", "ratio")

    without: tuple[str, ...] = ("epibs",)
    """Descriptors left out; their weights are shared among the rest."""
    source: Source = "fundamentals"
    """Trailing figures as announced (`fund:earnings_ttm`, `fund:cash_flow_ttm`), or a vendor's `pe_ttm`, `pcf_ttm`."""

    def expressions(self) -> dict[str, str]:
        """Return `epibs`, `etop` and `cetop`."""
        return of_earnings(self.source)
