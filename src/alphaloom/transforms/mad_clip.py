"""Pull outliers of each date in to a number of median absolute deviations."""

from typing import Annotated

from pydantic import Field

from alphaloom.kernels.cross_block import clip
from alphaloom.kernels.cross_order import medians
from alphaloom.panel import Panel
from alphaloom.transforms.base import State, Transform, transforms
from alphaloom.typing import Floats


@transforms.register("mad_clip")
class MadClip(Transform):
    """Values beyond median +- k * scale * MAD of the date's members are set to that bound.

    MAD = median |x - median|, raw by default (seed 001 section 2.2 a); `scale: 1.4826` makes it a standard deviation
    under the normal distribution. NaN stays; an infinity becomes the bound.

    Differs: where the MAD is 0 (more than half the members share one value) there is no measure of spread and the
    date is left as it is; the formula to the letter would set every stock to the median.
    """

    k: Annotated[float, Field(gt=0)] = 5.0
    """Distance from the median at which values are held, in scaled MADs."""
    scale: Annotated[float, Field(gt=0)] = 1.0
    """Factor on the MAD."""

    def apply(self, block: Floats, panel: Panel, state: State) -> None:
        """Bound each date and column by its members' median and MAD."""
        centre, spread = medians(block, panel.universe)
        reach = self.k * self.scale * spread
        reach[spread == 0] = float("nan")
        clip(block, centre - reach, centre + reach)
