"""Standardise each date by median and MAD of its members."""

from typing import Annotated

from pydantic import Field

from alphaloom.kernels.cross_block import standardise
from alphaloom.kernels.cross_order import medians
from alphaloom.panel import Panel
from alphaloom.transforms.base import State, Transform, transforms
from alphaloom.typing import Floats


@transforms.register("cs_robust_zscore")
class CsRobustZscore(Transform):
    """(x - median) / (scale * MAD) of the date's members, bounded by +-clip.

    Where the MAD is 0, the median becomes 0 and every other value the bound (NaN without one).
    """

    scale: Annotated[float, Field(gt=0)] = 1.4826
    """Factor on the MAD; 1.4826 makes it the standard deviation of a normal distribution."""
    clip: Annotated[float, Field(gt=0)] | None = 3.0
    """Bound on the result; none with null."""

    def apply(self, block: Floats, panel: Panel, state: State) -> None:
        """Standardise each date and column."""
        centre, spread = medians(block, panel.universe)
        standardise(block, centre, self.scale * spread, self.clip)
