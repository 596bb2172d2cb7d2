"""Missing indicators: another family's features, and for each a column that says where it is missing."""

from typing import Annotated

import numpy as np
from pydantic import Field

from alphaloom.features.base import FeatureFamily, features
from alphaloom.panel import Panel
from alphaloom.typing import Floats

SUFFIX = "_missing"


@features.register("missing_indicators")
class MissingIndicators(FeatureFamily):
    """The features of a family, then as many columns `NAME_missing`: 1 where NAME is missing, 0 where it is known.

    A transform may then fill the values, and a model still tell a filled one from a known one. Missing features stay
    NaN here; where a stock is not listed the indicators are NaN too. Knowable at the row's close.
    """

    of: Annotated[FeatureFamily, features] = Field(default="alpha158", validate_default=True)
    """The family that is marked."""

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
        """The family's."""
        return self.of.lookback

    def columns(self) -> list[str]:
        """Return A, B, ..., A_missing, B_missing, ..."""
        inner = self.of.columns()
        return [*inner, *(f"{name}{SUFFIX}" for name in inner)]

    def compute(self, panel: Panel) -> Floats:
        """Return the features and their indicators `[T, N, 2 F]`."""
        block = self.of.compute(panel)
        F = block.shape[2]
        out = np.empty((*panel.shape, 2 * F), dtype=np.float32)
        out[:, :, :F] = block
        np.isnan(block, out=out[:, :, F:], casting="unsafe")
        out[panel["is_listed"] != 1, F:] = np.nan
        return out
