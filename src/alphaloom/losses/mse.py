"""Mean squared error over the labelled stocks of a day."""

from typing import ClassVar

import torch

from alphaloom.losses.base import Extras, Loss, losses, mean


@losses.register("mse")
class MSE(Loss):
    """Mean over the day's labelled stocks of `(score - label)^2`."""

    is_row_wise: ClassVar[bool] = True

    def per_day(self, score: torch.Tensor, label: torch.Tensor, mask: torch.Tensor, extras: Extras) -> torch.Tensor:
        """Return the mean squared error of each day `[B]`."""
        return mean((score - label).square(), mask.to(score.dtype))
