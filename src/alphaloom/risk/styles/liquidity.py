"""Liquidity: how much of a company's shares change hands."""

from collections.abc import Mapping
from typing import ClassVar

from alphaloom.features.cne5 import DESCRIPTORS
from alphaloom.risk.base import WrittenStyle, styles


@styles.register("liquidity")
class Liquidity(WrittenStyle):
    """0.35 STOM + 0.35 STOQ + 0.30 STOA, logs of share turnover.

    STOM: log of the sum of 21 days' turnover. STOQ and STOA: log of the mean monthly turnover over 3 and 12 months. At
    least half of each window's days must be known; a day without trading counts as 0. No turnover at all is NaN.
    Source: CNE5 descriptor details, 2013.
    """

    weights: ClassVar[Mapping[str, float]] = {"stom": 0.35, "stoq": 0.35, "stoa": 0.30}

    def expressions(self) -> dict[str, str]:
        """Return `stom`, `stoq` and `stoa`."""
        return DESCRIPTORS["liquidity"]
