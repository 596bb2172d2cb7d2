"""Growth: of sales and earnings over five years, and as analysts foresee it."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from alphaloom.features.cne5 import Source, of_growth
from alphaloom.risk.base import WrittenStyle, styles


@styles.register("growth")
class Growth(WrittenStyle):
    """0.47 SGRO + 0.24 EGRO + 0.18 EGIBS + 0.11 EGIBS_S: growth of sales and earnings, and forecasts of growth.

    SGRO and EGRO: slope of a least-squares line through the figures of `years` years, over the mean of their sizes;
    with fewer years known, through those there are, two at least. EGIBS and EGIBS_S need the items
    `growth_forecast_long` and `growth_forecast_short` among the fundamentals.

    Source: CNE5 descriptor details, 2013. Differs: figures are of trailing twelve months, a year of 243 rows apart, and
    of the company, not of a share.
    """

    weights: ClassVar[Mapping[str, float]] = {"sgro": 0.47, "egro": 0.24, "egibs": 0.18, "egibs_s": 0.11}
    sources: ClassVar[tuple[str, ...]] = ("fundamentals", "ratio")

    without: tuple[str, ...] = ("egibs", "egibs_s")
    """Descriptors left out; their weights are shared among the rest."""
    source: Source = "fundamentals"
    """Figures as announced (`fund:sales_ttm`, `fund:earnings_ttm`), or price over a vendor's `ps_ttm` and `pe_ttm`."""
    years: Annotated[int, Field(ge=2, le=10)] = 5
    """Figures in the line, a year apart; 2 is the growth of the last year."""

    def expressions(self) -> dict[str, str]:
        """Return `sgro`, `egro`, `egibs` and `egibs_s`."""
        return of_growth(self.source, self.years)
