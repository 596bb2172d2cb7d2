"""Non-linear size: the cube of size, without what size explains."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from alphaloom.panel import Panel
from alphaloom.risk.base import Style, styles
from alphaloom.risk.cross_section import capitalisation, plain_mean, residual
from alphaloom.typing import Floats


@styles.register("nonlinear_size")
class NonlinearSize(Style):
    """NLSIZE, the cube of standardised size, orthogonal to size.

    Standardised size has a cap-weighted mean of 0, far above the typical stock, so the cube bends: middling companies
    have high exposures, the largest and the smallest low ones. With `centre: equal` the cube is taken about the plain
    mean: the large are high, the small low, beyond what size itself says.

    The cube is regressed on size with weights of the square root of capitalisation; then winsorised and standardised.
    Source: CNE5 descriptor details, 2013.
    """

    weights: ClassVar[Mapping[str, float]] = {"nlsize": 1.0}
    after: ClassVar[tuple[str, ...]] = ("size",)

    centre: Literal["cap", "equal"] = "cap"
    """Whether the size that is cubed has a cap-weighted mean of 0, as published, or an equal-weighted one."""

    def reads(self) -> dict[str, tuple[str, ...]]:
        """Return that `nlsize` reads capitalisation alone."""
        return {"nlsize": ("log_cap",)}

    @property
    def lookback(self) -> int:
        """None beyond size's."""
        return 0

    def descriptors(self, panel: Panel, known: Mapping[str, Floats]) -> dict[str, Floats]:
        """Return `nlsize`."""
        size = known["size"]
        base = size - plain_mean(size, panel.universe)[:, None] if self.centre == "equal" else size
        return {"nlsize": residual(base**3, [size], panel.universe, capitalisation(panel))}
