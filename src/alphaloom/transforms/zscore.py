"""Standardise each date: mean 0, deviation 1 over its members."""

from typing import Annotated, Literal

from pydantic import Field

from alphaloom.kernels.cross_block import zscore
from alphaloom.panel import Panel
from alphaloom.transforms.base import State, Transform, transforms
from alphaloom.typing import Floats


@transforms.register("zscore")
class Zscore(Transform):
    """(x - mean) / deviation of the date's members (seed 001 section 2.2 d).

    A date on which all members share one value becomes 0; one with fewer than two values (`ddof: 1`) NaN.
    """

    ddof: Literal[0, 1] = 1
    """1 divides the squares by n - 1, 0 by n."""
    clip: Annotated[float, Field(gt=0)] | None = None
    """Bound on the result, in deviations; none by default."""

    def apply(self, block: Floats, panel: Panel, state: State) -> None:
        """Standardise each date and column."""
        zscore(block, panel.universe, self.ddof, self.clip)
