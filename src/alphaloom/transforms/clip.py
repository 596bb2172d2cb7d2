"""Bound values by two constants."""

import math

from pydantic import model_validator

from alphaloom.kernels.cross_block import clip
from alphaloom.panel import Panel
from alphaloom.transforms.base import State, Transform, transforms
from alphaloom.typing import Floats


@transforms.register("clip")
class Clip(Transform):
    """Values below `low` become `low`, values above `high` become `high`; NaN stays."""

    low: float | None = -3.0
    """Lower bound; none with null."""
    high: float | None = 3.0
    """Upper bound; none with null."""

    @model_validator(mode="after")
    def _ordered(self) -> "Clip":
        if self.low is None and self.high is None:
            raise ValueError("clip needs `low`, `high`, or both")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"`low` must be below `high`; given {self.low} and {self.high}")
        return self

    def apply(self, block: Floats, panel: Panel, state: State) -> None:
        """Bound every value."""
        low, high = (math.nan if bound is None else bound for bound in (self.low, self.high))
        clip(block, low, high)
