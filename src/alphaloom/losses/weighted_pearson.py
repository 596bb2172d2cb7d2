"""Negative correlation in which the better half of the labels counts more."""

from typing import Annotated, Literal

import torch
from pydantic import Field

from alphaloom.losses.base import VARIANCE_FLOOR, Extras, Loss, correlation, losses, mean, ranks


@losses.register("weighted_pearson")
class WeightedPearson(Loss):
    """Minus the weighted Pearson correlation (WPCC) of score and label over the day's labelled stocks.

    The stock with the j-th highest of N labels has weight `decay^((j - 1) / (N - 1))`, from 1 down to `decay`; j of
    tied labels is averaged. Like the IC it fixes neither level nor scale of the scores: keep some weight decay.

    Source: seed 002, section 2 and its code. Differs: the code centres the deviations in both standard deviations on
    unweighted means, so what it divides by does not belong to its covariance; `center: code` gives that value.
    """

    decay: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Weight of the lowest label, that of the highest being 1; at 1 it is the IC."""
    center: Literal["weighted", "code"] = "weighted"
    """Means that deviations are taken from: `weighted` makes it a correlation, `code` is seed 002's snippet."""

    @property
    def min_members(self) -> int:
        """A correlation of fewer than ten stocks is noise: such days are skipped."""
        return 10

    def per_day(self, score: torch.Tensor, label: torch.Tensor, mask: torch.Tensor, extras: Extras) -> torch.Tensor:
        """Return minus the weighted correlation of each day `[B]`."""
        size = mask.sum(dim=1, keepdim=True)
        place = (size - ranks(label, mask)) / (size - 1).clamp_min(1)
        weight = torch.where(mask, self.decay**place, 0.0)
        if self.center == "weighted":
            return -correlation(score, label, weight)
        equal = mask.to(score.dtype)
        score, label = score - mean(score, equal)[:, None], label - mean(label, equal)[:, None]
        covariance = mean(score * label, weight) - mean(score, weight) * mean(label, weight)
        deviation_s = (mean(score.square(), weight) + VARIANCE_FLOOR).sqrt()
        deviation_y = (mean(label.square(), weight) + VARIANCE_FLOOR).sqrt()
        return -covariance / (deviation_s * deviation_y)
