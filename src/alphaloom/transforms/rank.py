"""Percentile rank of each date."""

from alphaloom.kernels.cross_rank import rank
from alphaloom.panel import Panel
from alphaloom.transforms.base import State, Transform, transforms
from alphaloom.typing import Floats


@transforms.register("rank")
class Rank(Transform):
    """rank / n among the n members of the date that have a value, in (0, 1], the largest value 1; ties averaged.

    A stock outside the universe gets the percentile at which it would stand among the members. NaN stays.
    """

    centred: bool = False
    """Gives (rank - 1/2) / n - 1/2 instead: symmetric around 0, inside (-1/2, 1/2)."""

    def apply(self, block: Floats, panel: Panel, state: State) -> None:
        """Rank each date and column."""
        counts = rank(block, panel.universe)[:, None, :].astype("float32")
        counts[counts == 0] = float("nan")
        if self.centred:
            block -= 0.5
        block /= counts
        if self.centred:
            block -= 0.5
