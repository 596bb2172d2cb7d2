"""K folds of dates, each tested by a fit on the others, purged and embargoed."""

from typing import Annotated, ClassVar

from pydantic import Field

from alphaloom.training.splits.base import Split, Window, folds_of, splits, window_around
from alphaloom.typing import Dates, Ints


@splits.register("purged_kfold")
class PurgedKFold(Split):
    """K runs of neighbouring dates; each is tested by a fit on all others whose labels share no day with those tested.

    The embargo lies after the last day that the tested labels read: features of those days still hold what was tested.

    Source: Lopez de Prado (2018), chapter 7.
    """

    trains_on_future: ClassVar[bool] = True

    folds: Annotated[int, Field(ge=2, le=100)] = 5
    """Number of folds."""

    def windows(self, dates: Dates, rows: Ints, ends: Ints) -> list[Window]:
        """Return one window a fold, `fold-01` the oldest (see `Split.windows`)."""
        return [
            window_around(f"fold-{k:02d}", rows, test, ends, self, after=self.embargo)
            for k, test in enumerate(folds_of(rows, self.folds), start=1)
        ]
