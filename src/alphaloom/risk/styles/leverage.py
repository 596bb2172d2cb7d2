"""Leverage: debt beside market value, assets and book value."""

from collections.abc import Mapping
from typing import ClassVar

from alphaloom.features.cne5 import DESCRIPTORS
from alphaloom.risk.base import WrittenStyle, styles


@styles.register("leverage")
class Leverage(WrittenStyle):
    """0.38 MLEV + 0.35 DTOA + 0.27 BLEV.

    MLEV: market value and debt over market value. DTOA: debt over total assets. BLEV: book value and debt over book
    value. From announced `fund:debt`, `fund:total_assets` and `fund:book`.

    Source: CNE5 descriptor details, 2013. Differs: all debt counts, not the long-term part alone, and no preferred
    equity.
    """

    weights: ClassVar[Mapping[str, float]] = {"mlev": 0.38, "dtoa": 0.35, "blev": 0.27}

    def expressions(self) -> dict[str, str]:
        """Return `mlev`, `dtoa` and `blev`."""
        return DESCRIPTORS["leverage"]
