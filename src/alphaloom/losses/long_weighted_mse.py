"""Squared error that weighs a stock by its label's rank, so that the side that is bought counts more."""

from typing import Annotated

import torch
from pydantic import Field

from alphaloom.losses.base import Extras, Loss, losses, mean, ranks


@losses.register("long_weighted_mse")
class LongWeightedMSE(Loss):
    """Mean over the day's labelled stocks of `w (s - y)^2`, with `w = rank(y)^power`, scaled to mean 1 that day.

    Ranks begin at 1 for the lowest label, ties averaged. At power 1 the best of n stocks weighs n times as much as the
    worst, and twice the average one; at power 0 it is the mean squared error.

    Source: seed 004, formula 3-8. Differs: there `w = y / sum(y)`, which is negative for losers and without bound where
    the labels sum to zero, as standardised or neutralised ones do; ranks keep the order and are positive.
    """

    power: Annotated[float, Field(ge=0, le=8)] = 1.0
    """How steeply weights rise with the label's rank."""

    def per_day(self, score: torch.Tensor, label: torch.Tensor, mask: torch.Tensor, extras: Extras) -> torch.Tensor:
        """Return the weighted squared error of each day `[B]`."""
        share = ranks(label, mask) / mask.sum(dim=1, keepdim=True).clamp_min(1)
        weight = torch.where(mask, share**self.power, 0.0)
        return mean((score - label).square(), weight)
