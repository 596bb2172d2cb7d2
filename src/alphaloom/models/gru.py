"""Gated recurrent network over the last steps of each stock."""

from typing import Annotated

import torch
from pydantic import Field

from alphaloom.models.base import Network, Shape, models

TOGETHER = 512
"""Windows that a CPU's core takes through the recurrence at a time, so that its states stay in the cache."""


@models.register("gru")
class GRU(Network):
    """GRU over L steps of the features; the last state of the last layer gives the score. Stocks do not interact.

    Source: Cho et al. 2014; two layers and the sizes searched as in seed 001 (Table 8).
    """

    steps: Annotated[int, Field(ge=1, le=1000)] = 5
    """L, the number of look-back steps in one input (5 as in seed 001, Table 8)."""
    hidden: Annotated[int, Field(ge=1, le=4096)] = 64
    """Size of each layer's state (seed 001 searches 32 to 320)."""
    layers: Annotated[int, Field(ge=1, le=8)] = 2
    """Number of stacked layers."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Share of each layer's output dropped on its way to the next, and of the last state (seed 001: 0.1 to 0.3)."""

    def build(self, shape: Shape) -> torch.nn.Module:
        """Return a fresh module for F features and H labels."""
        return GRUScore(shape, self)


class GRUScore(torch.nn.Module):
    """`[B, N, L, F]` to `[B, N]`: GRU, dropout, linear."""

    def __init__(self, shape: Shape, settings: GRU) -> None:
        super().__init__()
        between = settings.dropout if settings.layers > 1 else 0.0  # a single layer has no next one
        self.gru = torch.nn.GRU(shape.n_features, settings.hidden, settings.layers, batch_first=True, dropout=between)
        self.dropout = torch.nn.Dropout(settings.dropout)
        self.head = torch.nn.Linear(settings.hidden, shape.outputs)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the scores; each stock is scored by its own inputs alone, so the mask is not needed."""
        B, N, L, F = x.shape
        windows = x.reshape(B * N, L, F)
        together = TOGETHER * torch.get_num_threads() if x.device.type == "cpu" else max(B * N, 1)
        parts = torch.split(windows, together)
        last = torch.cat([self.gru(part)[0][:, -1] for part in parts])
        score: torch.Tensor = self.head(self.dropout(last))
        return score.view(B, N, -1).squeeze(-1)
