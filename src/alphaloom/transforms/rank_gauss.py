"""Normal scores of the ranks of each date."""

from alphaloom.kernels.cross_rank import rank_gauss
from alphaloom.panel import Panel
from alphaloom.transforms.base import State, Transform, transforms
from alphaloom.typing import Floats


@transforms.register("rank_gauss")
class RankGauss(Transform):
    """Inverse normal distribution of (rank - 1/2) / n among the n members of the date that have a value; ties averaged.

    A stock outside the universe gets the score of the place at which it would stand among the members, within their
    range. NaN stays.
    """

    def apply(self, block: Floats, panel: Panel, state: State) -> None:
        """Replace each date and column by normal scores."""
        rank_gauss(block, panel.universe)
