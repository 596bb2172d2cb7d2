"""Fill what is missing with the mean of the stock's industry that day."""

from typing import Literal

from alphaloom.kernels.cross_block import fill, fill_groups, group_codes
from alphaloom.kernels.cross_order import moments
from alphaloom.panel import Panel
from alphaloom.transforms.base import State, Transform, transforms
from alphaloom.typing import Floats


@transforms.register("industry_fill")
class IndustryFill(Transform):
    """A member's missing value becomes the mean of the members of its industry that day (seed 001 section 2.2 b).

    A member whose industry is unknown, or has no value that day, stays missing unless `fallback` says otherwise. Stocks
    outside the universe are never filled.
    """

    inputs = ("industry",)
    fallback: Literal["none", "cross_section"] = "none"
    """What a member gets whose industry has no mean: nothing, or the mean of all members that day."""

    def apply(self, block: Floats, panel: Panel, state: State) -> None:
        """Fill the members' NaN date by date."""
        codes, n_groups = group_codes(panel["industry"])
        overall = moments(block, panel.universe, 0)[0] if self.fallback == "cross_section" else None
        fill_groups(block, panel.universe, codes, n_groups)
        if overall is not None:
            fill(block, panel.universe, overall)
