"""What the versions of AlphaNet share: columns by name and rank, normalisation in a mask, initial weights."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl
import torch
from scipy.stats import rankdata

from alphaloom.errors import SettingError
from alphaloom.features.alphanet import INPUTS
from alphaloom.kernels.alphanet_layout import OPERATORS, PAIRED
from alphaloom.typing import Floats

COLUMN = re.compile(rf"({'|'.join(OPERATORS)})_(.+)_(\d+)")
CONSTANT = 1e-12
"""Share of the squared mean up to which a variance is taken for rounding: a spread of a millionth of the level."""
ROUNDING = 1e-12
"""What a rank correlation may exceed its limit by."""
MOMENTUM = 0.01
"""Weight of a batch in the running moments once there are many (0.99 is kept, as in Keras)."""
INITIAL_SPREAD = 0.05
"""Standard deviation of initial weights before they are cut at twice of it (Keras's truncated normal)."""


@dataclass(frozen=True)
class Column:
    """One column of the feature family `alphanet`: an operator over a window of one input, or of two."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    window: int

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """Return the column of that name, `std_close_10` or `corr_close_volume_10`; None for any other feature."""
        found = COLUMN.fullmatch(name)
        if found is None:
            return None
        operator, operands, window = found.groups()
        if operator not in PAIRED:
            return cls(name, operator, (operands,), int(window)) if operands in INPUTS else None
        cuts = (place.start() for place in re.finditer("_", operands))
        pairs = ((operands[:cut], operands[cut + 1 :]) for cut in cuts)
        pair = next((pair for pair in pairs if pair[0] in INPUTS and pair[1] in INPUTS), None)
        return None if pair is None else cls(name, operator, pair, int(window))


def columns_over(
    features: Sequence[str], windows: Sequence[int], model: str, preset: str
) -> Mapping[int, tuple[Column, ...]]:
    """Return AlphaNet's columns over each of the windows, in the order of the features; other features are left out.

    A recipe lists one set of features for all its models, so what the family `alphanet` did not make, and windows that
    this version does not read, may stand beside.

    Raises:
        SettingError: no column over one of the windows.
    """
    known = [column for name in features if (column := Column.parse(name)) is not None]
    found = {window: tuple(column for column in known if column.window == window) for window in windows}
    if absent := [window for window in windows if not found[window]]:
        there = ", ".join(str(window) for window in sorted({column.window for column in known})) or "none"
        raise SettingError(
            f"{model} reads columns of the feature family alphanet over windows of "
            f"{', '.join(str(window) for window in windows)} rows; the {len(features)} features hold none over "
            f"{', '.join(str(window) for window in absent)} (windows found: {there}). List {{name: alphanet, preset: "
            f"{preset}}} among the features, with the windows that {model} is set to."
        )
    return found


class FeatureNorm(torch.nn.Module):
    """Batch normalisation of each feature over the places inside a mask; outside it a feature stands at its mean.

    `y = gamma (x - m) / sqrt(v + eps) + beta`. In training m and v are the batch's, over all its rows and steps inside
    the mask; a batch with fewer than two such places has no variance and is taken as in scoring. In scoring m and v are
    averages over the batches so far: plain ones of the first 1 / MOMENTUM, exponential ones from then on, so that the
    initial values never count.

    `eps` None is for raw inputs: covariances reach from 1e-9 (of returns) to 1e18 (of volumes), where a constant eps
    drowns the one end and float32 squares overflow at the other. Moments are therefore taken in float64, v is used as
    it is, and a feature that does not vary gives 0.
    """

    is_over_batch = True  # several processes would take moments of their own parts: refused there

    def __init__(self, size: int, *, eps: float | None = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight, self.bias = torch.nn.Parameter(torch.ones(size)), torch.nn.Parameter(torch.zeros(size))
        self.mean: torch.Tensor
        self.variance: torch.Tensor
        self.batches: torch.Tensor
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(size, dtype=torch.float64))
        self.register_buffer("batches", torch.zeros((), dtype=torch.float64))

    def forward(self, x: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        """Return `x [..., F]` normalised, in the type of the weights; `inside [...]` is the mask."""
        rows, there = x.flatten(0, -2).double(), inside.flatten()
        mean, variance = self._batch_moments(rows, there) if self.training else (self.mean, self.variance)
        if self.eps is None:
            varies = variance > CONSTANT * mean.square()
            rate = torch.where(varies, variance, 1.0).rsqrt() * varies
        else:
            rate = (variance + self.eps).rsqrt()
        normal = ((rows - mean) * rate).masked_fill(~there[:, None], 0.0).to(self.weight.dtype)
        return torch.addcmul(self.bias, normal, self.weight).view(x.shape)

    def _batch_moments(self, rows: torch.Tensor, there: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and variance (over n) of the rows there, and let the running moments follow."""
        count = there.sum()
        share = there.double() / count.clamp(min=1)
        mean = share @ rows
        variance = share @ (rows - mean).square()
        enough = count > 1
        with torch.no_grad():
            weight = (1.0 / (self.batches + 1.0)).clamp(min=MOMENTUM) * enough
            self.batches += enough
            self.mean.lerp_(mean, weight)
            self.variance.lerp_(variance, weight)
        return torch.where(enough, mean, self.mean), torch.where(enough, variance, self.variance)


class Scale(torch.nn.Module):
    """The columns of one window, picked and normalised: `x [B, N, L, F]` to `[B, N, L, K]`."""

    def __init__(self, features: Sequence[str], columns: Sequence[Column]) -> None:
        super().__init__()
        self.columns = tuple(columns)
        self.norm = FeatureNorm(len(self.columns), eps=None)
        place = {name: k for k, name in enumerate(features)}
        self.places: torch.Tensor
        self.register_buffer("places", torch.tensor([place[c.name] for c in self.columns]), persistent=False)

    def forward(self, x: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        """Return the window's columns, normalised over the stocks and steps of `inside [B, N, L]`."""
        normal: torch.Tensor = self.norm(x.index_select(-1, self.places), inside)
        return normal


class AlphaNetScore(torch.nn.Module, ABC):
    """A module of one of the versions: `[B, N, L, F]` to `[B, N]`."""

    @abstractmethod
    def entries(self) -> list[tuple[Scale, torch.Tensor]]:
        """Return its scales, the main one first, each with the weights that the K columns enter by `[*, K]`."""

    def column_significance(self) -> pl.DataFrame:
        """Return one row a column that the module reads, the most significant first.

        Columns of the frame: `feature`, `operator`, `window`, `inputs` (a list of one or two), and `significance`, the
        mean of `|gamma_k W_jk|` over the parameters `W_jk` by which column k enters: gamma is the weight of its
        normalisation, W the first linear map behind it (of the LSTM, GRU, hidden layer or Transformer branch). The
        columns are standardised there, so that their parameters compare; those of different windows go into different
        layers and compare less well, for which `share` divides by the sum over the column's window.

        Source: Wu, "Alphanetv4: Alpha Mining Model", section 5.4, which ranks features by the absolute value of the
        network's parameters and names no layer.
        """
        frames = [_significance(scale, weight) for scale, weight in self.entries()]
        return pl.concat(frames).sort("significance", descending=True, maintain_order=True)

    def parameter_significance(self) -> list[dict[str, Any]]:
        """Return the mean significance of each operator, window and input: records of `of`, `name`, numbers."""
        columns, records = self.column_significance(), []
        for of in ("operator", "window", "inputs"):
            for row in significance_by(columns, of).iter_rows(named=True):
                name = str(row.pop(of))
                records.append({"of": of, "name": name, **row})
        return records


def significance_by(table: pl.DataFrame, key: str) -> pl.DataFrame:
    """Return the mean significance of each `operator`, `window` or of the `inputs`, highest first, and its columns.

    A column of two inputs counts for both. `share` is the group's mean over the sum of all groups' means.
    """
    each = table.explode("inputs") if key == "inputs" else table
    found = each.group_by(key, maintain_order=True).agg(pl.col("significance").mean(), pl.len().alias("columns"))
    return found.with_columns(share=pl.col("significance") / pl.col("significance").sum()).sort(
        "significance", descending=True, maintain_order=True
    )


def _significance(scale: Scale, weight: torch.Tensor) -> pl.DataFrame:
    with torch.no_grad():
        significance = (scale.norm.weight * weight).abs().mean(dim=0).double().cpu().numpy()
    return pl.DataFrame(
        {
            "feature": [column.name for column in scale.columns],
            "operator": [column.operator for column in scale.columns],
            "window": [column.window for column in scale.columns],
            "inputs": [list(column.inputs) for column in scale.columns],
            "significance": significance,
            "share": significance / significance.sum(),
        }
    )


def uncorrelated(rows: Floats, limit: float) -> list[int]:
    """Return which columns of `rows [R, K]` are kept: each that varies and whose |rho| with all kept before is small.

    rho is Spearman's: the correlation of ranks, ties averaged, of all pairs in one matrix product.
    """
    ranks = rankdata(rows, axis=0) - (len(rows) + 1) / 2
    length = np.sqrt(np.square(ranks).sum(axis=0))
    unit = ranks / np.where(length > 0, length, 1.0)
    rho = np.abs(unit.T @ unit)
    kept: list[int] = []
    for k in np.flatnonzero(length > 0).tolist():
        if (rho[k, kept] <= limit + ROUNDING).all():
            kept.append(k)
    return kept


def steps_inside(mask: torch.Tensor, x: torch.Tensor, steps: torch.Tensor | None = None) -> torch.Tensor:
    """Return which steps of `x [B, N, L, F]` are there `[B, N, L]`: those of the stocks in the mask, and of `steps`."""
    inside = mask[:, :, None].expand(x.shape[:3])
    return inside if steps is None else inside & steps


def truncated_normal(layer: torch.nn.Linear) -> torch.nn.Linear:
    """Return the layer with weights drawn from a normal cut at two standard deviations, and biases of 0."""
    bound = 2 * INITIAL_SPREAD
    torch.nn.init.trunc_normal_(layer.weight, std=INITIAL_SPREAD, a=-bound, b=bound)
    torch.nn.init.zeros_(layer.bias)
    return layer
