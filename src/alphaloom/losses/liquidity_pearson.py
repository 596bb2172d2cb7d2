"""Negative correlation in which liquid winners count more."""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field

from alphaloom.losses.base import RETURN, Extras, Loss, correlation, losses


@losses.register("liquidity_pearson")
class LiquidityPearson(Loss):
    """Minus the weighted Pearson correlation of score and label, weighted by liquidity and raw return (LIQ-WPCC).

    l is the logarithm of the liquidity field, scaled to 0 for the lowest and 1 for the highest of the day's labelled
    stocks; r is the raw return; S the logistic function. `published` has `w = 0.5 + 0.5 S(alpha l r)`, `product` has
    `w = 0.5 + 0.5 l S(alpha r)`.

    A stock whose liquidity is unknown or not positive has l = 0, like the least liquid one; where all are equally
    liquid l is 0 for all. An unknown return counts as 0.

    Source: seed 002, section "LIQ-WPCC". The published form gives a stock with l = 0 a weight of 0.75 and an illiquid
    loser more than a liquid one, against what the text says of it; `product` behaves as the text says.
    """

    uses_return: ClassVar[bool] = True
    alpha: Annotated[float, Field(gt=0, le=1000)] = 40.0
    """Slope of the sigmoid; 40 stretches returns of plus and minus 10 % to plus and minus 4."""
    form: Literal["published", "product"] = "published"
    """How liquidity and return make the weight."""
    liquidity: str = "amount"
    """Panel field that measures liquidity, positive where known: the traded value by default."""

    @property
    def required(self) -> tuple[str, ...]:
        """The liquidity field."""
        return (self.liquidity,)

    @property
    def min_members(self) -> int:
        """A correlation of fewer than ten stocks is noise: such days are skipped."""
        return 10

    def per_day(self, score: torch.Tensor, label: torch.Tensor, mask: torch.Tensor, extras: Extras) -> torch.Tensor:
        """Return minus the weighted correlation of each day `[B]`."""
        level = _log_min_max(extras[self.liquidity])
        slope = self.alpha * extras[RETURN].nan_to_num(nan=0.0)
        if self.form == "published":
            weight = 0.5 + 0.5 * torch.sigmoid(level * slope)
        else:
            weight = 0.5 + 0.5 * level * torch.sigmoid(slope)
        return -correlation(score, label, torch.where(mask, weight, 0.0))


def _log_min_max(values: torch.Tensor) -> torch.Tensor:
    """Return the logarithms scaled to 0 to 1 by day `[B, N]`; 0 where a value is unknown or not positive."""
    known = values > 0
    log = torch.where(known, values, 1.0).log()
    low = torch.where(known, log, torch.inf).amin(dim=1, keepdim=True)
    high = torch.where(known, log, -torch.inf).amax(dim=1, keepdim=True)
    span = high - low
    return torch.where(known & (span > 0), (log - low) / torch.where(span > 0, span, 1.0), 0.0)
