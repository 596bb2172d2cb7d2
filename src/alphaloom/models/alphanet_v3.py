"""AlphaNet V3: operators over a long and a short window, each read by a GRU."""

from typing import Annotated, Self

import torch
from pydantic import Field, model_validator

from alphaloom.models.alphanet_parts import (
    AlphaNetScore,
    Column,
    FeatureNorm,
    Scale,
    columns_over,
    steps_inside,
    truncated_normal,
)
from alphaloom.models.base import Network, Shape, models


@models.register("alphanet_v3")
class AlphaNetV3(Network):
    """The third AlphaNet on the columns of the feature family `alphanet` (preset `v3`) over two windows.

    The columns of each window are batch-normalised and read by a GRU of its own; the two last states are
    batch-normalised, joined and mapped to the score. Stocks interact only in the moments of a training batch.

    The published scales have strides of their own: windows of 10 rows every 10, windows of 5 rows every 5. One input
    holds L steps `stride` rows apart, so the short window reads all of them and the long one every `every`-th,
    counted back from the last: by default 6 steps and 3 in the published 30 days.

    Source: Huatai Securities, "Revisiting AlphaNet" (2020) and "AlphaNet Improvement" (2021), after published
    replications: Adam 1e-4, label and loss of V1.
    Differs: the normalisation of the inputs has no eps (see `alphanet_parts.FeatureNorm`). Features of other families
    and of other windows are left out.
    """

    steps: Annotated[int, Field(ge=1, le=1000)] = 6
    """L, the number of look-back steps that the short window reads."""
    stride: Annotated[int, Field(ge=1, le=250)] = 5
    """Rows between two steps: 5 for short windows that do not overlap."""
    windows: tuple[Annotated[int, Field(ge=2, le=1000)], Annotated[int, Field(ge=2, le=1000)]] = (10, 5)
    """Lengths of the long and the short window whose columns are read."""
    every: Annotated[int, Field(ge=1, le=1000)] = 2
    """The long window reads every `every`-th step, the last one included."""
    hidden: Annotated[int, Field(ge=1, le=4096)] = 30
    """Size of each GRU's state."""

    @model_validator(mode="after")
    def _two_windows(self) -> Self:
        if self.windows[0] <= self.windows[1]:
            raise ValueError(f"windows are the long one, then the short one; given {list(self.windows)}.")
        return self

    @classmethod
    def example_features(cls) -> tuple[str, ...]:
        """Return three columns over each of the default windows."""
        return tuple(f"{name}_{window}" for window in (10, 5) for name in ("std_close", "std_volume", "return_close"))

    def build(self, shape: Shape) -> torch.nn.Module:
        """Return a fresh module for the columns of the two windows and H labels.

        Raises:
            SettingError: the features hold no column over one of the windows.
        """
        return AlphaNetV3Score(shape, self)


class AlphaNetV3Score(AlphaNetScore):
    """`[B, N, L, F]` to `[B, N]`: for each window normalisation, GRU, normalisation of its last state; linear."""

    def __init__(self, shape: Shape, settings: AlphaNetV3) -> None:
        super().__init__()
        columns = columns_over(shape.features, settings.windows, "alphanet_v3", "v3")
        self.long = Branch(shape, settings, columns[settings.windows[0]], settings.every)
        self.short = Branch(shape, settings, columns[settings.windows[1]], 1)
        self.head = truncated_normal(torch.nn.Linear(2 * settings.hidden, shape.outputs))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the scores."""
        score: torch.Tensor = self.head(torch.cat([self.long(x, mask), self.short(x, mask)], dim=-1))
        return score.squeeze(-1)

    def entries(self) -> list[tuple[Scale, torch.Tensor]]:
        """Return the scales, each with the weights that its K columns enter by `[*, K]`."""
        return [(branch.scale, branch.recurrent.get_parameter("weight_ih_l0")) for branch in (self.long, self.short)]


class Branch(torch.nn.Module):
    """One window: `x [B, N, L, F]` to `[B, N, H]`."""

    def __init__(self, shape: Shape, settings: AlphaNetV3, columns: tuple[Column, ...], every: int) -> None:
        super().__init__()
        self.first, self.every = (settings.steps - 1) % every, every
        self.scale = Scale(shape.features, columns)
        self.recurrent = torch.nn.GRU(len(columns), settings.hidden, batch_first=True)
        self.norm = FeatureNorm(settings.hidden)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the normalised last state."""
        read = x[:, :, self.first :: self.every]
        states, _ = self.recurrent(self.scale(read, steps_inside(mask, read)).flatten(0, 1))
        normal: torch.Tensor = self.norm(states[:, -1].unflatten(0, mask.shape), mask)
        return normal
