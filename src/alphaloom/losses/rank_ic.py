"""Negative rank correlation, made differentiable by soft ranks of the scores."""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch.autograd.function import once_differentiable

from alphaloom.losses.base import VARIANCE_FLOOR, Extras, Loss, correlation, losses, mean, ranks

CHUNK = 1 << 19
"""Most pairs of stocks held at a time: 2 MB in float32, which a processor's cache holds."""


@losses.register("rank_ic")
class RankIC(Loss):
    """Minus the Pearson correlation of the scores' soft ranks with the labels' ranks, day by day.

    With z the day's standardised scores and S the logistic function, stock i has the soft rank
    `1 + sum over j != i of S((z_i - z_j) / temperature)`; labels have their ordinary ranks, ties averaged. As the
    temperature falls the loss nears minus the RankIC, and its gradient that of a step function: nothing, nearly
    everywhere.

    Time grows with the square of the number of stocks, memory does not: pairs are worked off in pieces, and computed
    anew for the gradient.
    """

    temperature: Annotated[float, Field(gt=0, le=10)] = 0.1
    """Width of the sigmoid, in standard deviations of the day's scores."""

    @property
    def min_members(self) -> int:
        """A correlation of fewer than ten stocks is noise: such days are skipped."""
        return 10

    def per_day(self, score: torch.Tensor, label: torch.Tensor, mask: torch.Tensor, extras: Extras) -> torch.Tensor:
        """Return minus the correlation of the ranks of each day `[B]`."""
        weight = mask.to(score.dtype)
        centred = score - mean(score, weight)[:, None]
        deviation = (mean(centred.square(), weight) + VARIANCE_FLOOR).sqrt()
        soft: torch.Tensor = SoftRank.apply(  # type: ignore[no-untyped-call]
            centred / deviation[:, None], weight, self.temperature
        )
        return -correlation(soft, ranks(label, mask), weight)


class SoftRank(torch.autograd.Function):
    """Soft ranks `[B, N]` of scores among the stocks of weight 1: `1/2 + sum over j of w_j S((z_i - z_j) / tau)`.

    The sum holds S(0) = 1/2 of the stock itself, so a stock alone has rank 1.
    """

    @staticmethod
    def forward(ctx: Any, score: torch.Tensor, weight: torch.Tensor, tau: float) -> torch.Tensor:
        """Return the ranks; scores and weights alone are kept for the gradient."""
        ctx.save_for_backward(score, weight)
        ctx.tau = tau
        soft = torch.empty_like(score)
        for rows in _pieces(score):
            soft[:, rows] = (_steps(score, rows, tau) @ weight[:, :, None])[:, :, 0] + 0.5
        return soft

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """Return the gradient by score: `(g_i sum_j w_j S'_ij - w_i sum_j g_j S'_ij) / tau`."""
        score, weight = ctx.saved_tensors
        by_column = torch.stack([weight, gradient], dim=2)
        out = torch.empty_like(score)
        for rows in _pieces(score):
            step = _steps(score, rows, ctx.tau)
            own, others = (step.mul_(1 - step) @ by_column).unbind(2)
            out[:, rows] = (gradient[:, rows] * own - weight[:, rows] * others) / ctx.tau
        return out, None, None


def _pieces(score: torch.Tensor) -> list[slice]:
    """Return the rows of the matrix of pairs, cut so that a piece of it holds at most `CHUNK` pairs."""
    days, stocks = score.shape
    size = max(1, CHUNK // max(1, days * stocks))
    return [slice(first, first + size) for first in range(0, stocks, size)]


def _steps(score: torch.Tensor, rows: slice, tau: float) -> torch.Tensor:
    """Return `S((z_i - z_j) / tau)` for these rows i and all columns j `[B, rows, N]`."""
    return (score[:, rows, None] - score[:, None, :]).div_(tau).sigmoid_()
