"""Multi-layer perceptron on all steps of each stock."""

from typing import Annotated

import torch
from pydantic import Field

from alphaloom.models.base import Network, Shape, models

SLOPE = 0.1
"""Slope of the leaky ReLU below zero."""


@models.register("mlp")
class MLP(Network):
    """Fully connected layers on the L x F inputs of a stock: dropout, hidden layers, dropout, linear.

    Each hidden layer is linear, batch normalisation and leaky ReLU with slope 0.1; the weights start as in He et al.
    2015. In training a batch is normalised by the moments of its own stocks, padding left out, so with one day a step
    each day is normalised by itself; in scoring the running moments are used and stocks do not interact.

    Source: qlib's DNN, which has one hidden layer of 256, on batches of 8,192 rows with Adam 2e-3 and weight decay
    2e-4. The default, two hidden layers and the output, is the three-layer baseline of seed 002.
    """

    hidden: Annotated[tuple[Annotated[int, Field(ge=1, le=8192)], ...], Field(min_length=1, max_length=16)] = (256, 256)
    """Width of each hidden layer."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the inputs dropped, and of the last hidden layer."""

    def build(self, shape: Shape) -> torch.nn.Module:
        """Return a fresh module for F features and H labels."""
        return MLPScore(self.steps * shape.n_features, shape.outputs, self)


class MLPScore(torch.nn.Module):
    """`[B, N, L, F]` to `[B, N]`: dropout, hidden layers, dropout, linear, on the rows inside the mask alone."""

    def __init__(self, n_inputs: int, n_outputs: int, settings: MLP) -> None:
        super().__init__()
        layers: list[torch.nn.Module] = [torch.nn.Dropout(settings.dropout)]
        width = n_inputs
        for size in settings.hidden:
            layers += [torch.nn.Linear(width, size), RowNorm(size), torch.nn.LeakyReLU(SLOPE)]
            width = size
        layers += [torch.nn.Dropout(settings.dropout), torch.nn.Linear(width, n_outputs)]
        self.layers = torch.nn.Sequential(*layers)
        for layer in layers:
            if isinstance(layer, torch.nn.Linear):
                torch.nn.init.kaiming_normal_(layer.weight, a=SLOPE, mode="fan_in", nonlinearity="leaky_relu")

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the scores, zero outside the mask."""
        inputs = x.flatten(start_dim=2)
        if mask.all():  # nothing to leave out: no copy in, none out
            whole: torch.Tensor = self.layers(inputs.flatten(0, 1)).to(x.dtype)
            return whole.view(*mask.shape, -1).squeeze(-1)
        found = self.layers(inputs[mask]).to(x.dtype)
        score = x.new_zeros(*mask.shape, found.shape[1]).masked_scatter(mask[:, :, None], found)
        return score.squeeze(-1)


class RowNorm(torch.nn.BatchNorm1d):
    """Batch normalisation of rows `[R, H]`; a batch of fewer than two rows has no variance and is taken as scored."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the normalised rows; in training the running moments follow."""
        if self.training and len(rows) > 1:
            return super().forward(rows)
        return torch.nn.functional.batch_norm(
            rows, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )
