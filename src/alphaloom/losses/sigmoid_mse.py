"""Squared error that weighs a stock by a sigmoid of its label's percentile rank."""

from typing import Literal

import torch

from alphaloom.losses.base import Extras, Loss, losses, mean, ranks


@losses.register("sigmoid_mse")
class SigmoidMSE(Loss):
    """Mean over the day's labelled stocks of `w(x) (s - y)^2`, x the percentile rank of the label that day.

    x is the rank from the lowest, ties averaged, over the number of labelled stocks: in (0, 1]. With the logistic
    function S, version 1 has `w = 0.1 + 0.9 S(40 (x - 0.8))`, about the best fifth alone, and version 2
    `w = 0.5 + 0.5 S(15 (x - 0.5))`, the better half twice as much as the worse. The weights are not scaled to mean 1.

    Source: seed 000, "Writing new loss function", which leaves open what x is.
    """

    version: Literal[1, 2] = 2
    """Which of the two weightings; seed 000 found the second better."""

    def per_day(self, score: torch.Tensor, label: torch.Tensor, mask: torch.Tensor, extras: Extras) -> torch.Tensor:
        """Return the weighted squared error of each day `[B]`."""
        x = ranks(label, mask) / mask.sum(dim=1, keepdim=True).clamp_min(1)
        if self.version == 1:
            weight = 0.1 + 0.9 * torch.sigmoid(40 * (x - 0.8))
        else:
            weight = 0.5 + 0.5 * torch.sigmoid(15 * (x - 0.5))
        return mean(weight * (score - label).square(), mask.to(score.dtype))
