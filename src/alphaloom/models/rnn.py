"""Plain recurrent network over the last steps of each stock."""

from typing import Annotated, Literal

import torch
from pydantic import Field

from alphaloom.models.base import Network, Shape, models


@models.register("rnn")
class RNN(Network):
    """Elman RNN over L steps of the features; the last state of the last layer gives the score.

    In every layer `h_t = act(U x_t + W h_{t-1} + b)` with `h_0 = 0`; the score is linear in the last `h_L`. Stocks do
    not interact.

    Source: Elman 1990; two layers and five weekly steps (`stride: 5`) as in seed 001, which searches in every window
    `hidden` 32 to 320, `dropout` 0.1 to 0.3 and a learning rate of 1e-4 to 5e-2 (Table 8).
    """

    steps: Annotated[int, Field(ge=1, le=1000)] = 5
    """L, the number of look-back steps in one input."""
    hidden: Annotated[int, Field(ge=1, le=4096)] = 64
    """Size of each layer's state."""
    layers: Annotated[int, Field(ge=1, le=8)] = 2
    """Number of stacked layers."""
    activation: Literal["tanh", "relu"] = "tanh"
    """Function `act` of the recurrence."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Share of each layer's output dropped on its way to the next, and of the last state."""

    def build(self, shape: Shape) -> torch.nn.Module:
        """Return a fresh module for F features and H labels."""
        return RNNScore(shape, self)


class RNNScore(torch.nn.Module):
    """`[B, N, L, F]` to `[B, N]`: RNN, dropout, linear."""

    def __init__(self, shape: Shape, settings: RNN) -> None:
        super().__init__()
        self.rnn = torch.nn.RNN(
            shape.n_features,
            settings.hidden,
            settings.layers,
            nonlinearity=settings.activation,
            batch_first=True,
            dropout=settings.dropout if settings.layers > 1 else 0.0,  # a single layer has no next one
        )
        self.dropout = torch.nn.Dropout(settings.dropout)
        self.head = torch.nn.Linear(settings.hidden, shape.outputs)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the scores; each stock is scored by its own inputs alone, so the mask is not needed."""
        B, N, L, F = x.shape
        states, _ = self.rnn(x.reshape(B * N, L, F))
        score: torch.Tensor = self.head(self.dropout(states[:, -1]))
        return score.view(B, N, -1).squeeze(-1)
