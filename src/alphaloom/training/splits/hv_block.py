"""Hv-blocked cross-validation: short test blocks with a gap on both sides."""

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from alphaloom.training.splits.base import Split, Window, folds_of, splits, window_around
from alphaloom.typing import Dates, Ints


@splits.register("hv_block")
class HvBlock(Split):
    """Blocks of 2v + 1 dates, each tested by a fit on all dates more than h days away on either side.

    h is the labels' own span and, on top, the embargo, here on both sides: give it the days that features look back.
    The share of tested dates should be large if models are to be told apart (Racine 2000, section 4).

    Source: Racine (2000); seed 002, which chooses models by it.
    Differs: blocks follow each other instead of one around every date, so that each date is tested once.
    """

    trains_on_future: ClassVar[bool] = True

    v: Annotated[int, Field(ge=0)] = 60
    """Sample dates tested on each side of a block's middle."""

    def windows(self, dates: Dates, rows: Ints, ends: Ints) -> list[Window]:
        """Return one window a block, `block-001` the oldest (see `Split.windows`); blocks differ by a date at most."""
        blocks = folds_of(rows, max(2, round(rows.size / (2 * self.v + 1))))
        digits = int(np.ceil(np.log10(len(blocks) + 1)))
        return [
            window_around(f"block-{k:0{digits}d}", rows, test, ends, self, before=self.embargo, after=self.embargo)
            for k, test in enumerate(blocks, start=1)
        ]
