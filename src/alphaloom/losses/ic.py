"""Negative information coefficient of a day."""

import torch

from alphaloom.losses.base import Loss, losses

VARIANCE_FLOOR = 1e-8
"""Added to both variances, so that a constant score has a finite gradient."""


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

    def per_day(self, score: torch.Tensor, label: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return minus the correlation of each day `[B]`, between -1 and 1."""
        size = mask.sum(dim=1).clamp_min(1)
        score, label = _centred(score, mask, size), _centred(label, mask, size)
        variance_s = score.square().sum(dim=1) / size + VARIANCE_FLOOR
        variance_y = label.square().sum(dim=1) / size + VARIANCE_FLOOR
        return -(score * label).sum(dim=1) / size / (variance_s * variance_y).sqrt()


def _centred(values: torch.Tensor, mask: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
    values = torch.where(mask, values, torch.zeros_like(values))
    mean = values.sum(dim=1) / size
    return torch.where(mask, values - mean[:, None], torch.zeros_like(values))
