"""Book-to-price: last reported book value by market capitalisation."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np

from alphaloom.panel import Panel
from alphaloom.risk.base import Style, styles
from alphaloom.typing import Floats


@styles.register("book_to_price")
class BookToPrice(Style):
    """BTOP, last announced book value over market capitalisation. Source: CNE5 descriptor details, 2013."""

    weights: ClassVar[Mapping[str, float]] = {"btop": 1.0}

    source: Literal["fundamentals", "ratio"] = "fundamentals"
    """From announced book value (`fund:book`), or the inverse of a vendor's price-to-book (`pb_mrq`)."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Panel fields it reads."""
        return ("fund:book", "total_cap") if self.source == "fundamentals" else ("pb_mrq",)

    @property
    def lookback(self) -> int:
        """Only the row itself."""
        return 0

    def descriptors(self, panel: Panel, known: Mapping[str, Floats]) -> dict[str, Floats]:
        """Return `btop`."""
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.source == "fundamentals":
                value = panel["fund:book"] / panel["total_cap"]
            else:
                value = np.float32(1.0) / panel["pb_mrq"]
        return {"btop": np.where(np.isfinite(value), value, np.nan).astype(np.float32)}
