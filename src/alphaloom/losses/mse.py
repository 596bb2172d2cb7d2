"""Mean squared error over the labelled stocks of a day."""

import torch

from alphaloom.losses.base import Loss, losses


@losses.register("mse")
class MSE(Loss):
    """Mean over the day's labelled stocks of `(score - label)^2`."""

    def per_day(self, score: torch.Tensor, label: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the mean squared error of each day `[B]`."""
        squared = torch.where(mask, (score - label).square(), torch.zeros_like(score))
        return squared.sum(dim=1) / mask.sum(dim=1).clamp_min(1)
