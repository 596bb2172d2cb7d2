"""Linear map of all steps of each stock, trained as a network."""

import torch

from alphaloom.models.base import Network, Shape, models


@models.register("linear")
class Linear(Network):
    """A weight for each of the L x F inputs of a stock, and a constant. Stocks do not interact.

    What `ridge` solves at once for squared error, trained in the one loop instead and so on any loss of the scores: IC,
    weighted Pearson and the others. The weights start at random, as in the source: a constant score would give the
    correlations a first gradient thousands of times the next ones.

    Source: the linear baseline of seed 003, one layer on the last step (`steps: 1`).
    """

    def build(self, shape: Shape) -> torch.nn.Module:
        """Return a fresh module for F features and H labels."""
        return LinearScore(self.steps * shape.n_features, shape.outputs)


class LinearScore(torch.nn.Module):
    """`[B, N, L, F]` to `[B, N]`: one linear layer."""

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.head = torch.nn.Linear(n_inputs, n_outputs)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the scores; each stock is scored by its own inputs alone, so the mask is not needed."""
        score: torch.Tensor = self.head(x.flatten(start_dim=2))
        return score.squeeze(-1)
