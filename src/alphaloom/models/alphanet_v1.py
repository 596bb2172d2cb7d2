"""AlphaNet V1: operators over one window, pooled over the steps, one hidden layer."""

from typing import Annotated, Self

import torch
from pydantic import Field, model_validator

from alphaloom.models.alphanet_parts import AlphaNetScore, Scale, columns_over, steps_inside, truncated_normal
from alphaloom.models.base import Network, Shape, models


@models.register("alphanet_v1")
class AlphaNetV1(Network):
    """The first AlphaNet on the columns of the feature family `alphanet` (preset `v1`) over one window.

    L steps `stride` rows apart hold the K columns of the window. They are batch-normalised; max, mean and min over each
    `pool` steps are taken beside; all of it in one row (L K + 3 K L / pool numbers: 702 for 117 columns, 3 steps) goes
    through a linear map, ReLU, dropout and a linear map. Stocks interact only in the moments of a training batch.

    Source: Huatai Securities, AlphaNet (2020), after published replications: RMSprop 1e-4, squared error of the 10-day
    return standardised per day.
    Differs: the loop's Adam instead of RMSprop. The normalisation has no eps (see `alphanet_parts.FeatureNorm`).
    Features of other families and of other windows are left out.
    """

    steps: Annotated[int, Field(ge=1, le=1000)] = 3
    """L, the number of look-back steps in one input: 3 windows of 10 rows are the published 30 days."""
    stride: Annotated[int, Field(ge=1, le=250)] = 10
    """Rows between two steps: 10 for windows that do not overlap."""
    window: Annotated[int, Field(ge=2, le=1000)] = 10
    """Length of the window whose columns are read."""
    pool: Annotated[int, Field(ge=1, le=1000)] = 3
    """How many steps are pooled to one; divides `steps`."""
    hidden: Annotated[int, Field(ge=1, le=4096)] = 30
    """Width of the hidden layer."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of the hidden layer dropped."""

    @model_validator(mode="after")
    def _pools_are_whole(self) -> Self:
        if self.steps % self.pool:
            raise ValueError(f"steps must be a multiple of pool; given steps {self.steps}, pool {self.pool}.")
        return self

    @classmethod
    def example_features(cls) -> tuple[str, ...]:
        """Return six columns over the default window."""
        return (
            "std_close_10", "std_volume_10", "corr_close_volume_10", "cov_close_volume_10", "return_close_10",
            "mean_volume_10",
        )  # fmt: skip

    def build(self, shape: Shape) -> torch.nn.Module:
        """Return a fresh module for the window's columns and H labels.

        Raises:
            SettingError: the features hold no column over the window.
        """
        return AlphaNetV1Score(shape, self)


class AlphaNetV1Score(AlphaNetScore):
    """`[B, N, L, F]` to `[B, N]`: normalisation, pools beside the steps, linear, ReLU, dropout, linear."""

    def __init__(self, shape: Shape, settings: AlphaNetV1) -> None:
        super().__init__()
        columns = columns_over(shape.features, [settings.window], "alphanet_v1", "v1")[settings.window]
        self.pool, self.pieces = settings.pool, settings.steps + 3 * settings.steps // settings.pool
        self.scale = Scale(shape.features, columns)
        self.hidden = truncated_normal(torch.nn.Linear(self.pieces * len(columns), settings.hidden))
        self.dropout = torch.nn.Dropout(settings.dropout)
        self.head = truncated_normal(torch.nn.Linear(settings.hidden, shape.outputs))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the scores."""
        normal = self.scale(x, steps_inside(mask, x))
        pools = normal.unflatten(2, (-1, self.pool))
        pieces = torch.cat([normal, pools.amax(dim=3), pools.mean(dim=3), pools.amin(dim=3)], dim=2)
        score: torch.Tensor = self.head(self.dropout(torch.relu(self.hidden(pieces.flatten(start_dim=2)))))
        return score.squeeze(-1)

    def entries(self) -> list[tuple[Scale, torch.Tensor]]:
        """Return the scale with the weights that its K columns enter by `[*, K]`."""
        return [(self.scale, self.hidden.weight.view(-1, len(self.scale.columns)))]
