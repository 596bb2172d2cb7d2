"""Which operators, windows and inputs a fitted AlphaNet rests on: the absolute values of its parameters."""

from typing import Literal

import polars as pl
import torch

from alphaloom.errors import UsageError
from alphaloom.models.alphanet_parts import AlphaNetScore, Scale


def parameter_significance(module: torch.nn.Module) -> pl.DataFrame:
    """Return one row a column that the module of an AlphaNet reads, the most significant first.

    Columns of the frame: `feature`, `operator`, `window`, `inputs` (a list of one or two), and `significance`, the mean
    of `|gamma_k W_jk|` over the parameters `W_jk` by which column k enters: gamma is the weight of its normalisation, W
    the first linear map behind it (of the LSTM, GRU, hidden layer or Transformer branch). The columns are standardised
    there, so that their parameters compare; those of different windows go into different layers and compare less well,
    for which `share` divides by the sum over the column's window.

    Source: Wu, "Alphanetv4: Alpha Mining Model", section 5.4, which ranks features by the absolute value of the
    network's parameters and names no layer.

    Raises:
        UsageError: the module is not one of an AlphaNet.
    """
    if not isinstance(module, AlphaNetScore):
        raise UsageError(f"{type(module).__name__} is no module of an AlphaNet: its parameters belong to no columns.")
    frames = [_scale_significance(scale, weight) for scale, weight in module.entries()]
    return pl.concat(frames).sort("significance", descending=True, maintain_order=True)


def significance_by(table: pl.DataFrame, key: Literal["operator", "window", "inputs"]) -> pl.DataFrame:
    """Return the mean significance of each operator, window or input, the highest first, and its number of columns.

    A column of two inputs counts for both. `share` is the group's mean over the sum of all groups' means.
    """
    each = table.explode("inputs") if key == "inputs" else table
    found = each.group_by(key, maintain_order=True).agg(pl.col("significance").mean(), pl.len().alias("columns"))
    return found.with_columns(share=pl.col("significance") / pl.col("significance").sum()).sort(
        "significance", descending=True, maintain_order=True
    )


def _scale_significance(scale: Scale, weight: torch.Tensor) -> pl.DataFrame:
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
