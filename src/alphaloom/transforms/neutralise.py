"""Take out of each column what industry and size explain."""

import numpy as np
from pydantic import model_validator

from alphaloom.kernels.cross_block import group_codes, neutralise
from alphaloom.panel import Panel
from alphaloom.transforms.base import State, Transform, transforms
from alphaloom.typing import Array, Floats


@transforms.register("neutralise")
class Neutralise(Transform):
    """Residual of each date's regression on industry dummies and log market value (seed 001 section 2.2 c).

    Ordinary least squares over the members with a value, an industry and all regressors; the fit is taken off every
    stock that has them, in the universe or not. A stock without one of them, or whose industry has no member with a
    value that day, becomes NaN. Without `industry` an intercept stands for the dummies.
    """

    inputs = ("industry", "log_cap")
    industry: bool = True
    """Whether dummies of the field `industry` are among the regressors."""
    regressors: tuple[str, ...] = ("log_cap",)
    """Panel fields used as regressors, for example `log_cap`."""

    @model_validator(mode="after")
    def _something_to_do(self) -> "Neutralise":
        if not self.industry and not self.regressors:
            raise ValueError("neutralise needs `industry: true`, at least one field in `regressors`, or both")
        if len(set(self.regressors)) < len(self.regressors):
            raise ValueError(f"a field stands twice in `regressors`: {', '.join(self.regressors)}")
        return self

    @property
    def required(self) -> tuple[str, ...]:
        """The industry field if it is used, then the regressors."""
        return (*(("industry",) if self.industry else ()), *self.regressors)

    def apply(self, block: Floats, panel: Panel, state: State) -> None:
        """Replace each date and column by its residual."""
        if self.industry:
            codes, n_groups = group_codes(panel["industry"])
        else:
            codes, n_groups = np.zeros(panel.shape, np.int32), 1
        fields: Array = np.empty((len(self.regressors), *panel.shape), np.float32)
        for k, name in enumerate(self.regressors):
            fields[k] = panel[name]
        neutralise(block, panel.universe, codes, n_groups, fields)
