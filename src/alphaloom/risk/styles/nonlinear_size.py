"""Non-linear size: the cube of size, without what size explains."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from alphaloom.panel import Panel
from alphaloom.risk.base import Style, styles
from alphaloom.risk.cross_section import residual
from alphaloom.typing import Floats


@styles.register("nonlinear_size")
class NonlinearSize(Style):
    """NLSIZE, the cube of standardised size, orthogonal to size: high for mid caps with a minus, extremes with a plus.

    The cube is regressed on size with weights of the square root of capitalisation; then winsorised and standardised.
    Source: CNE5 descriptor details, 2013.
    """

    weights: ClassVar[Mapping[str, float]] = {"nlsize": 1.0}
    after: ClassVar[tuple[str, ...]] = ("size",)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Panel fields it reads."""
        return ("log_cap",)

    @property
    def lookback(self) -> int:
        """Only the row itself."""
        return 0

    def descriptors(self, panel: Panel, known: Mapping[str, Floats]) -> dict[str, Floats]:
        """Return `nlsize`."""
        size = known["size"]
        return {"nlsize": residual(size**3, [size], panel.universe, np.exp(panel["log_cap"]))}
