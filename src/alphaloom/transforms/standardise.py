"""Standardise by mean and deviation of the training window."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from alphaloom.kernels.cross_block import standardise
from alphaloom.kernels.cross_order import pooled_moments
from alphaloom.panel import Panel
from alphaloom.transforms.base import State, Transform, transforms
from alphaloom.typing import Floats


@transforms.register("standardise")
class Standardise(Transform):
    """(x - mean) / deviation, both over all members of the training window.

    A column that is constant in the window becomes 0 at that constant and NaN (or the bound) elsewhere.
    """

    is_fitted: ClassVar[bool] = True
    ddof: Literal[0, 1] = 1
    """1 divides the squares by n - 1, 0 by n."""
    clip: Annotated[float, Field(gt=0)] | None = None
    """Bound on the result, in deviations; none by default."""

    def fit(self, block: Floats, panel: Panel) -> dict[str, Floats]:
        """Return `mean` and `std`, `[F]`, over the window's members."""
        centre, spread = pooled_moments(block, panel.universe, self.ddof)
        return {"mean": centre.astype(np.float32), "std": spread.astype(np.float32)}

    def apply(self, block: Floats, panel: Panel, state: State) -> None:
        """Standardise every date with the window's numbers."""
        standardise(block, state["mean"], state["std"], self.clip)
