"""Standardise by median and MAD of the training window."""

from typing import Annotated, ClassVar

from pydantic import Field

from alphaloom.kernels.cross_block import standardise
from alphaloom.kernels.cross_order import pooled_medians
from alphaloom.panel import Panel
from alphaloom.transforms.base import State, Transform, transforms
from alphaloom.typing import Floats


@transforms.register("robust_zscore")
class RobustZscore(Transform):
    """(x - median) / (scale * MAD), both over all members of the training window, bounded by +-clip.

    The same as qlib's RobustZScoreNorm, whose 1e-12 in the denominator only matters where the MAD is 0: there the
    median becomes 0 and every other value the bound (NaN without one).
    """

    is_fitted: ClassVar[bool] = True
    scale: Annotated[float, Field(gt=0)] = 1.4826
    """Factor on the MAD; 1.4826 makes it the standard deviation of a normal distribution."""
    clip: Annotated[float, Field(gt=0)] | None = 3.0
    """Bound on the result; none with null."""

    def fit(self, block: Floats, panel: Panel) -> dict[str, Floats]:
        """Return `median` and `mad`, `[F]`, over the window's members."""
        centre, spread = pooled_medians(block, panel.universe)
        return {"median": centre, "mad": spread}

    def apply(self, block: Floats, panel: Panel, state: State) -> None:
        """Standardise every date with the window's numbers."""
        standardise(block, state["median"], self.scale * state["mad"].astype("float64"), self.clip)
