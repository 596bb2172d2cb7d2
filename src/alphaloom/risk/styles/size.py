"""Size: log of market capitalisation."""

from collections.abc import Mapping
from typing import ClassVar

from alphaloom.panel import Panel
from alphaloom.risk.base import Style, styles
from alphaloom.typing import Floats


@styles.register("size")
class Size(Style):
    """LNCAP, the log of market capitalisation. Source: CNE5 descriptor details, 2013."""

    weights: ClassVar[Mapping[str, float]] = {"lncap": 1.0}

    @property
    def inputs(self) -> tuple[str, ...]:
        """Panel fields it reads."""
        return ("log_cap",)

    @property
    def lookback(self) -> int:
        """Only the row itself."""
        return 0

    def descriptors(self, panel: Panel, known: Mapping[str, Floats]) -> dict[str, Floats]:
        """Return `lncap`."""
        return {"lncap": panel["log_cap"]}
