"""Squared error of what is left of the scores beside industries and styles."""

from typing import Self

import torch
from pydantic import model_validator

from alphaloom.losses.base import Extras, Loss, losses, mean


@losses.register("neutral_mse")
class NeutralMSE(Loss):
    """Mean over the day's labelled stocks of `(s_res - y)^2`, s_res the residual of the scores on the exposures.

    Each day the scores are regressed by ordinary least squares on industry dummies and the regressors; what the
    exposures explain is invisible to the loss, so the network has nothing to gain from it. The label is taken as it is:
    the transform `neutralise` takes the same out of it. The scores themselves keep their exposures, which the loss
    leaves free; neutralise them, or limit them in the portfolio, before trading.

    A stock of unknown industry belongs to an industry of its own kind, one of an unknown regressor has its mean of the
    day. Collinear exposures do no harm.

    Source: seed 004, formula 3-3 (there the ten CNE5 styles).
    """

    industry: bool = True
    """Whether dummies of the field `industry` are among the exposures; without them an intercept stands for them."""
    regressors: tuple[str, ...] = ("log_cap",)
    """Panel fields among the exposures, for example `log_cap`."""

    @model_validator(mode="after")
    def _something_to_do(self) -> Self:
        if not self.industry and not self.regressors:
            raise ValueError("neutral_mse needs `industry: true`, at least one field in `regressors`, or both")
        if len({"industry", *self.regressors}) <= len(self.regressors):
            raise ValueError(
                "`regressors` names each panel field once, `industry` not among them; given: "
                + ", ".join(self.regressors)
            )
        return self

    @property
    def required(self) -> tuple[str, ...]:
        """The industry field if it is used, then the regressors."""
        return (*(("industry",) if self.industry else ()), *self.regressors)

    @property
    def min_members(self) -> int:
        """Fewer than ten stocks leave hardly a residual: such days are skipped."""
        return 10

    def per_day(self, score: torch.Tensor, label: torch.Tensor, mask: torch.Tensor, extras: Extras) -> torch.Tensor:
        """Return the mean squared error of the residuals of each day `[B]`."""
        weight = mask.to(score.dtype)
        group = extras["industry"] if self.industry else torch.zeros_like(score)
        columns = [
            _dummies(group, mask),
            *(_standardised(extras[name], weight)[:, :, None] for name in self.regressors),
        ]
        return mean((_residual(score, torch.cat(columns, dim=2)) - label).square(), weight)


def _dummies(group: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return one column a group `[B, N, G]`, the first for those whose group is unknown; zeros outside the mask."""
    codes = group.nan_to_num(nan=-1.0).long() + 1
    return (codes[:, :, None] == torch.arange(int(codes.max()) + 1, device=codes.device)) & mask[:, :, None]


def _standardised(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return values with mean 0 and deviation 1 by day; 0 where unknown, outside the mask, or where all are equal."""
    known = weight * ~values.isnan()
    values = values.nan_to_num(nan=0.0)
    centred = (values - mean(values, known)[:, None]) * known
    deviation = mean(centred.square(), known).sqrt()[:, None]
    return centred / torch.where(deviation > 0, deviation, 1.0)


def _residual(score: torch.Tensor, exposures: torch.Tensor) -> torch.Tensor:
    """Return the scores less their least-squares fit on the exposures `[B, N, P]`, solved in float64."""
    x, s = exposures.detach().double(), score.double()[:, :, None]
    inverse = torch.linalg.pinv(x.mT @ x, rtol=1e-10, hermitian=True)
    residual: torch.Tensor = s - x @ (inverse @ (x.mT @ s))
    return residual[:, :, 0].to(score.dtype)
