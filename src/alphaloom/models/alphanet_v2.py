"""AlphaNet V2: operators over one window, read by an LSTM."""

from typing import Annotated

import torch
from pydantic import Field

from alphaloom.models.alphanet_parts import (
    AlphaNetScore,
    FeatureNorm,
    Scale,
    columns_over,
    steps_inside,
    truncated_normal,
)
from alphaloom.models.base import Network, Shape, models


@models.register("alphanet_v2")
class AlphaNetV2(Network):
    """The second AlphaNet on the columns of the feature family `alphanet` (preset `v2`) over one window.

    L steps `stride` rows apart hold the K columns of the window. They are batch-normalised and read by an LSTM; its
    last state is batch-normalised and mapped to the score. Stocks interact only in the moments of a training batch.

    Source: Huatai Securities, "Revisiting AlphaNet: Structure and Feature Optimization" (2020), after published
    replications: Adam 1e-4, label and loss of V1. Wu's "Alphanetv4", section 4, tells of 5 steps 5 rows apart in the
    same 30 days (`steps: 5, stride: 5`).
    Differs: the normalisation of the inputs has no eps (see `alphanet_parts.FeatureNorm`). Features of other families
    and of other windows are left out.
    """

    steps: Annotated[int, Field(ge=1, le=1000)] = 3
    """L, the number of look-back steps in one input: 3 windows of 10 rows are the published 30 days."""
    stride: Annotated[int, Field(ge=1, le=250)] = 10
    """Rows between two steps: 10 for windows that do not overlap."""
    window: Annotated[int, Field(ge=2, le=1000)] = 10
    """Length of the window whose columns are read."""
    hidden: Annotated[int, Field(ge=1, le=4096)] = 30
    """Size of the LSTM's state."""

    @classmethod
    def example_features(cls) -> tuple[str, ...]:
        """Return six columns over the default window."""
        return (
            "std_close_10", "std_volume_10", "corr_close_volume_10", "cov_close_volume_10", "return_close_10",
            "zscore_div_low_high_10",
        )  # fmt: skip

    def build(self, shape: Shape) -> torch.nn.Module:
        """Return a fresh module for the window's columns and H labels.

        Raises:
            SettingError: the features hold no column over the window.
        """
        return AlphaNetV2Score(shape, self)


class AlphaNetV2Score(AlphaNetScore):
    """`[B, N, L, F]` to `[B, N]`: normalisation, LSTM, normalisation of its last state, linear."""

    def __init__(self, shape: Shape, settings: AlphaNetV2) -> None:
        super().__init__()
        columns = columns_over(shape.features, [settings.window], "alphanet_v2", "v2")[settings.window]
        self.scale = Scale(shape.features, columns)
        self.recurrent = torch.nn.LSTM(len(columns), settings.hidden, batch_first=True)
        self.norm = FeatureNorm(settings.hidden)
        self.head = truncated_normal(torch.nn.Linear(settings.hidden, shape.outputs))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the scores."""
        states, _ = self.recurrent(self.scale(x, steps_inside(mask, x)).flatten(0, 1))
        score: torch.Tensor = self.head(self.norm(states[:, -1].unflatten(0, mask.shape), mask))
        return score.squeeze(-1)

    def entries(self) -> list[tuple[Scale, torch.Tensor]]:
        """Return the scale with the weights that its K columns enter by `[*, K]`."""
        return [(self.scale, self.recurrent.get_parameter("weight_ih_l0"))]
