"""Book-to-price: last reported book value by market capitalisation."""

from collections.abc import Mapping
from typing import ClassVar

from alphaloom.features.cne5 import Source, of_book
from alphaloom.risk.base import WrittenStyle, styles


@styles.register("book_to_price")
class BookToPrice(WrittenStyle):
    """BTOP, last announced book value over market capitalisation. Source: CNE5 descriptor details, 2013."""

    weights: ClassVar[Mapping[str, float]] = {"btop": 1.0}

    sources: ClassVar[tuple[str, ...]] = ("fundamentals", "ratio")

    source: Source = "fundamentals"
    """From announced book value (`fund:book`), or the inverse of a vendor's price-to-book (`pb_mrq`)."""

    def expressions(self) -> dict[str, str]:
        """Return `btop`."""
        return of_book(self.source)
