"""Gaussian likelihood, for networks that give a variance beside the score."""

import math
from typing import Annotated, ClassVar

import torch
from pydantic import Field

from alphaloom.losses.base import Extras, Loss, losses, mean


@losses.register("gaussian")
class Gaussian(Loss):
    """Mean over the day's labelled stocks of `(log(2 pi v) + (y - s)^2 / v) / 2`: the negative log likelihood.

    The score s is the mean of the label's normal distribution and v its variance, which the network gives. A variance
    below `floor`, or an unknown one, counts as `floor`.
    """

    is_row_wise: ClassVar[bool] = True
    from_network: ClassVar[tuple[str, ...]] = ("variance",)
    floor: Annotated[float, Field(gt=0)] = 1e-6
    """Smallest variance, in squared units of the label."""

    def per_day(self, score: torch.Tensor, label: torch.Tensor, mask: torch.Tensor, extras: Extras) -> torch.Tensor:
        """Return the mean negative log likelihood of each day `[B]`."""
        variance = extras["variance"].nan_to_num(nan=0.0).clamp_min(self.floor)
        surprise = (2 * math.pi * variance).log() + (label - score).square() / variance
        return mean(0.5 * surprise, mask.to(score.dtype))


def normal_kl(
    center: torch.Tensor, deviation: torch.Tensor, prior_center: torch.Tensor, prior_deviation: torch.Tensor
) -> torch.Tensor:
    """Return the Kullback-Leibler divergence of one normal distribution from another, entry by entry.

    `log(p / d) + (d^2 + (m - m_p)^2) / (2 p^2) - 1/2`, with standard deviations d and p > 0: the price that a network
    with a latent distribution pays for telling it from the prior.

    >>> one = torch.ones(1)
    >>> normal_kl(one, one, 0 * one, one).item()
    0.5
    """
    ratio = deviation / prior_deviation
    distance = (center - prior_center) / prior_deviation
    return 0.5 * (ratio.square() + distance.square() - 1) - ratio.log()
