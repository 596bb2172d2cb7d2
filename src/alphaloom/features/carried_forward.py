"""Carried forward: another family's features, with missing values replaced by the last known ones for a few days."""

from typing import Annotated

import numpy as np
from pydantic import Field

from alphaloom.features.base import FeatureFamily, features
from alphaloom.kernels.rolling import compiled
from alphaloom.panel import Panel
from alphaloom.typing import Array, Floats


@features.register("carried_forward")
class CarriedForward(FeatureFamily):
    """The features of a family; where one is missing, its last known value of at most `limit` rows before.

    A value is carried over a suspension or a gap, never into rows on which the stock is not listed. A value older than
    `limit` rows is forgotten: the feature stays NaN. The names are the family's own. Knowable at the row's close, as
    the values carried were known before.
    """

    of: Annotated[FeatureFamily, features] = Field(default="alpha158", validate_default=True)
    """The family whose values are carried."""
    limit: Annotated[int, Field(ge=1, le=2520)] = 20
    """Age in rows up to which a value is carried."""

    @property
    def required(self) -> tuple[str, ...]:
        """Panel fields that it reads: those of the family, and `is_listed`."""
        return tuple(dict.fromkeys((*self.of.required, "is_listed")))

    @property
    def is_local(self) -> bool:
        """As the family's."""
        return self.of.is_local

    @property
    def lookback(self) -> int:
        """The family's, and the rows over which a value may be carried."""
        return self.of.lookback + self.limit

    def columns(self) -> list[str]:
        """Return the names of the family's features."""
        return self.of.columns()

    def compute(self, panel: Panel) -> Floats:
        """Return the features `[T, N, F]`; NaN where a stock is not listed or nothing younger than the limit is known.

        Rows less than the limit after the panel's first carry what its own rows give.
        """
        block = np.array(self.of.compute(panel), dtype=np.float32, order="C", copy=True)
        carry_forward(block, np.ascontiguousarray(panel["is_listed"]), self.limit)
        return block


@compiled
def carry_forward(block: Floats, listed: Array, limit: int) -> None:
    """Replace NaN in `block [T, N, F]` by the column's last value at most `limit` rows older, where `listed` is 1.

    Rows on which a stock is not listed become NaN.
    """
    T, N, F = block.shape
    last, age = np.empty((N, F), np.float32), np.empty((N, F), np.int64)
    age[:] = limit
    for t in range(T):
        for n in range(N):
            row, known, rows = block[t, n], last[n], age[n]
            is_listed = listed[t, n] == 1.0
            for f in range(F):
                x = row[f]
                if np.isnan(x) or not is_listed:
                    rows[f] = min(rows[f] + 1, limit + 1)
                    row[f] = known[f] if rows[f] <= limit and is_listed else np.nan
                else:
                    known[f] = x
                    rows[f] = 0
