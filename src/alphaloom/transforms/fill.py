"""Fill what is missing with a constant, or with the middle of the day."""

from typing import Literal

from alphaloom.kernels.cross_block import fill
from alphaloom.kernels.cross_order import medians, moments
from alphaloom.panel import Panel
from alphaloom.transforms.base import State, Transform, transforms
from alphaloom.typing import Array, Floats


@transforms.register("fill")
class Fill(Transform):
    """A member's missing value becomes a constant, or the mean or median of the date's members.

    Stocks outside the universe are never filled; nor is a date on which no member has a value, unless by a constant.
    """

    by: Literal["constant", "mean", "median"] = "constant"
    """Where the number comes from."""
    value: float = 0.0
    """The constant; read with `by: constant` alone."""

    def apply(self, block: Floats, panel: Panel, state: State) -> None:
        """Fill the members' NaN date by date."""
        number: Array | float = self.value
        if self.by == "mean":
            number = moments(block, panel.universe, 0)[0]
        elif self.by == "median":
            number = medians(block, panel.universe)[0]
        fill(block, panel.universe, number)
