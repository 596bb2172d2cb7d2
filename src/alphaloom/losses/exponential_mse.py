"""Squared error that weighs a stock by the exponential of its label."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field

from alphaloom.losses.base import Extras, Loss, losses, mean


@losses.register("exponential_mse")
class ExponentialMSE(Loss):
    """Mean over the day's labelled stocks of `exp(y) (s - y)^2`, the label y clipped to `clip` on both sides.

    Meant for labels standardised by date: at a clip of 3 the best stock weighs `e^6`, about 400 times, as much as the
    worst. The weights are not scaled to mean 1.

    Source: seed 000, "Writing new loss function". Differs: labels are clipped, so that no single stock rules a day.
    """

    is_row_wise: ClassVar[bool] = True
    clip: Annotated[float, Field(gt=0, le=20)] = 3.0
    """Labels are clipped to plus and minus this value, in the weight and in the error."""

    def per_day(self, score: torch.Tensor, label: torch.Tensor, mask: torch.Tensor, extras: Extras) -> torch.Tensor:
        """Return the weighted squared error of each day `[B]`."""
        label = label.clamp(-self.clip, self.clip)
        return mean(label.exp() * (score - label).square(), mask.to(score.dtype))
