"""Recurrent network with attention over its own states."""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field

from alphaloom.models.base import Network, Shape, models


@models.register("alstm")
class ALSTM(Network):
    """Recurrent states weighed by attention over the L steps, next to the last state. Stocks do not interact.

    With the states `h_1, ..., h_L` of a recurrent network on `tanh(A x_t + a)`:
    `w = softmax over t of (u' tanh(V h_t + v))`, and the score is linear in `[h_L, sum_t w_t h_t]`.

    Source: Qin et al. 2017 (DA-RNN) and Feng et al. 2019, in the form of qlib's ALSTM, whose cell is a GRU unless told
    otherwise; two layers of 64, no dropout.
    """

    masks_steps: ClassVar[bool] = True
    steps: Annotated[int, Field(ge=1, le=1000)] = 5
    """L, the number of look-back steps in one input (20 in qlib's examples on Alpha158)."""
    cell: Literal["gru", "lstm"] = "gru"
    """Kind of the recurrent layers."""
    hidden: Annotated[int, Field(ge=2, le=4096)] = 64
    """H, the size of the mapped features and of each layer's state; attention works in H / 2, rounded down."""
    layers: Annotated[int, Field(ge=1, le=8)] = 2
    """Number of stacked layers."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share dropped between recurrent layers, and of `V h_t + v`."""

    def build(self, shape: Shape) -> torch.nn.Module:
        """Return a fresh module for F features and H labels."""
        return ALSTMScore(shape, self)


class ALSTMScore(torch.nn.Module):
    """`[B, N, L, F]` to `[B, N]`: linear and tanh, recurrent layers, attention over steps, linear."""

    def __init__(self, shape: Shape, settings: ALSTM) -> None:
        super().__init__()
        H = settings.hidden
        recurrent = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[settings.cell]
        between = settings.dropout if settings.layers > 1 else 0.0  # a single layer has no next one
        self.inward = torch.nn.Sequential(torch.nn.Linear(shape.n_features, H), torch.nn.Tanh())
        self.recurrent = recurrent(H, H, settings.layers, batch_first=True, dropout=between)
        self.attention = torch.nn.Sequential(
            torch.nn.Linear(H, H // 2),
            torch.nn.Dropout(settings.dropout),
            torch.nn.Tanh(),
            torch.nn.Linear(H // 2, 1, bias=False),
        )
        self.head = torch.nn.Linear(2 * H, shape.outputs)

    def forward(self, x: torch.Tensor, mask: torch.Tensor, steps: torch.Tensor | None = None) -> torch.Tensor:
        """Return the scores; each stock is scored by its own inputs alone, so the mask is not needed.

        With `steps [B, N, L]` the attention passes over the steps outside it; the recurrence sees their zeros.
        """
        states, weights = self._states_and_weights(x, steps)
        context = (weights.transpose(1, 2) @ states).squeeze(1)
        score: torch.Tensor = self.head(torch.cat([states[:, -1], context], dim=1))
        return score.view(*x.shape[:2], -1).squeeze(-1)

    def step_weights(self, x: torch.Tensor, mask: torch.Tensor, steps: torch.Tensor | None = None) -> torch.Tensor:
        """Return the attention that each stock pays to its steps `[B, N, L]`; it sums to 1 over the steps."""
        return self._states_and_weights(x, steps)[1].view(x.shape[:3])

    def _states_and_weights(self, x: torch.Tensor, steps: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the states `[B N, L, H]` and their weights `[B N, L, 1]`."""
        B, N, L, F = x.shape
        states, _ = self.recurrent(self.inward(x.reshape(B * N, L, F)))
        energy = self.attention(states)
        if steps is not None:
            unseen = ~(steps | ~steps.any(dim=-1, keepdim=True)).view(B * N, L, 1)
            energy = energy.masked_fill(unseen, -torch.inf)
        return states, torch.softmax(energy, dim=1)
