"""Negative information coefficient of a day."""

import torch

from alphaloom.losses.base import Extras, Loss, correlation, losses


@losses.register("ic")
class IC(Loss):
    """Minus the Pearson correlation of score and label over the day's labelled stocks.

    `-cov(s, y) / sqrt((var s + 1e-8) (var y + 1e-8))`, with the population variance, day by day: pooled over days the
    same formula would reward guessing the market's direction. It fixes neither level nor scale of the scores.
    """

    @property
    def min_members(self) -> int:
        """A correlation of fewer than ten stocks is noise: such days are skipped."""
        return 10

    def per_day(self, score: torch.Tensor, label: torch.Tensor, mask: torch.Tensor, extras: Extras) -> torch.Tensor:
        """Return minus the correlation of each day `[B]`, between -1 and 1."""
        return -correlation(score, label, mask.to(score.dtype))
