"""Size: log of market capitalisation."""

from collections.abc import Mapping
from typing import ClassVar

from alphaloom.features.cne5 import DESCRIPTORS
from alphaloom.risk.base import WrittenStyle, styles


@styles.register("size")
class Size(WrittenStyle):
    """LNCAP, the log of market capitalisation. Source: CNE5 descriptor details, 2013."""

    weights: ClassVar[Mapping[str, float]] = {"lncap": 1.0}

    def expressions(self) -> dict[str, str]:
        """Return `lncap`."""
        return DESCRIPTORS["size"]
