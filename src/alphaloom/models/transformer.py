"""Transformer encoder over the last steps of each stock."""

from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch.nn.functional import scaled_dot_product_attention

from alphaloom.models.base import Network, Shape, models

SIZES = {
    "small": {"d_model": 64, "heads": 2, "layers": 2, "ff": 256},
    "medium": {"d_model": 128, "heads": 4, "layers": 4, "ff": 512},
    "large": {"d_model": 256, "heads": 8, "layers": 6, "ff": 1024},
}
"""Widths of the three sizes: medium and large as in seed 000, small as in qlib with `ff` four times `d_model`."""


@models.register("transformer")
class Transformer(Network):
    """Transformer encoder over L steps of the features, read out at the last step. Stocks do not interact.

    `h = A x + a + P` with sinusoidal positions P; each layer is self-attention over the steps, then two linear maps
    with a ReLU between them, both with residuals, normalised after (`post`) or before (`pre`, with one more
    normalisation at the end) each of the two; the score is linear in the last step of the last layer.

    Source: Vaswani et al. 2017, as in qlib (post-norm, 2 layers of 64, 2 heads, `ff: 2048`, no dropout, 20 daily
    steps, Adam 1e-4 with weight decay 1e-3) and seed 000 (5 steps, the sizes medium and large).
    """

    masks_steps: ClassVar[bool] = True
    steps: Annotated[int, Field(ge=1, le=1000)] = 5
    """L, the number of look-back steps in one input (5 or 21 in seed 000)."""
    size: Literal["small", "medium", "large"] = "small"
    """Widths taken together: d_model, heads, layers and ff of 64, 2, 2, 256; 128, 4, 4, 512; or 256, 8, 6, 1024."""
    d_model: Annotated[int, Field(ge=2, le=4096)] | None = None
    """D, the width of a step's state, even and a multiple of `heads`; None takes it from `size`."""
    heads: Annotated[int, Field(ge=1, le=64)] | None = None
    """Number of attention heads; None takes it from `size`."""
    layers: Annotated[int, Field(ge=1, le=48)] | None = None
    """Number of layers; None takes it from `size`."""
    ff: Annotated[int, Field(ge=1, le=16384)] | None = None
    """Width between the two linear maps of a layer; None takes it from `size`."""
    norm: Literal["post", "pre"] = "post"
    """Where layer normalisation stands: after each residual sum, or before each attention and linear part."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share dropped of attention weights, between the two linear maps, and of what is added to the residual."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        width, heads = self.width("d_model"), self.width("heads")
        if width % 2 or width % heads:
            raise ValueError(f"d_model must be even and a multiple of heads; given d_model {width}, heads {heads}.")
        return self

    def width(self, setting: Literal["d_model", "heads", "layers", "ff"]) -> int:
        """Return the setting, or what `size` says when it is not given."""
        own: int | None = getattr(self, setting)
        return SIZES[self.size][setting] if own is None else own

    def build(self, shape: Shape) -> torch.nn.Module:
        """Return a fresh module for F features and H labels."""
        return TransformerScore(shape, self)


class TransformerScore(torch.nn.Module):
    """`[B, N, L, F]` to `[B, N]`: linear and positions, layers, last step, linear."""

    def __init__(self, shape: Shape, settings: Transformer) -> None:
        super().__init__()
        width = settings.width("d_model")
        self.inward = torch.nn.Linear(shape.n_features, width)
        self.register_buffer("positions", sinusoids(settings.steps, width), persistent=False)
        self.layers = torch.nn.ModuleList(Layer(settings) for _ in range(settings.width("layers")))
        self.norm = torch.nn.LayerNorm(width) if settings.norm == "pre" else torch.nn.Identity()
        self.head = torch.nn.Linear(width, shape.outputs)

    def forward(self, x: torch.Tensor, mask: torch.Tensor, steps: torch.Tensor | None = None) -> torch.Tensor:
        """Return the scores; each stock is scored by its own inputs alone, so the mask is not needed.

        Only the last step is read out, so the last layer computes that step alone. With `steps [B, N, L]` no step
        attends to one outside it; a window without any step attends to all of them.
        """
        B, N, L, F = x.shape
        attended = None if steps is None else attended_steps(steps)
        h = self.inward(x.reshape(B * N, L, F))
        h = h + self.positions.to(h.dtype)
        for layer in self.layers[:-1]:
            h = layer(h, attended)
        h = self.layers[-1](h, attended, last_only=True)
        score: torch.Tensor = self.head(self.norm(h))
        return score.view(B, N, -1).squeeze(-1)


class Layer(torch.nn.Module):
    """One encoder layer on the steps `[R, L, D]` of each row: attention, then two linear maps."""

    def __init__(self, settings: Transformer) -> None:
        super().__init__()
        width, ff = settings.width("d_model"), settings.width("ff")
        self.heads, self.pre = settings.width("heads"), settings.norm == "pre"
        self.query = torch.nn.Linear(width, width)
        self.key_value = torch.nn.Linear(width, 2 * width)
        self.joined = torch.nn.Linear(width, width)
        self.widen, self.narrow = torch.nn.Linear(width, ff), torch.nn.Linear(ff, width)
        self.norm_attention, self.norm_mapped = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
        self.dropout = torch.nn.Dropout(settings.dropout)

    def forward(
        self, h: torch.Tensor, attended: torch.Tensor | None = None, *, last_only: bool = False
    ) -> torch.Tensor:
        """Return the new `[R, L, D]`, or with `last_only` its last step `[R, 1, D]`; `attended [R, 1, 1, L]`."""
        steps = self.norm_attention(h) if self.pre else h
        asking, h = (steps[:, -1:], h[:, -1:]) if last_only else (steps, h)
        if self.pre:
            h = h + self.dropout(self._attended(asking, steps, attended))
            h = h + self.dropout(self._mapped(self.norm_mapped(h)))
        else:
            h = self.norm_attention(h + self.dropout(self._attended(asking, steps, attended)))
            h = self.norm_mapped(h + self.dropout(self._mapped(h)))
        return h

    def _attended(self, asking: torch.Tensor, steps: torch.Tensor, attended: torch.Tensor | None) -> torch.Tensor:
        query = self.query(asking).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        key, value = self.key_value(steps).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        dropped = self.dropout.p if self.training else 0.0
        device = query.device.type
        if device == "cpu":  # where the gradient of attention is six times slower in bfloat16
            query, key, value = (
                part.to(torch.promote_types(part.dtype, torch.float32)) for part in (query, key, value)
            )
        with torch.autocast(device, enabled=device != "cpu" and torch.is_autocast_enabled(device)):
            found = scaled_dot_product_attention(query, key, value, attn_mask=attended, dropout_p=dropped)
        joined: torch.Tensor = self.joined(found.transpose(1, 2).flatten(start_dim=2))
        return joined

    def _mapped(self, h: torch.Tensor) -> torch.Tensor:
        mapped: torch.Tensor = self.narrow(self.dropout(torch.relu(self.widen(h))))
        return mapped


def attended_steps(steps: torch.Tensor) -> torch.Tensor:
    """Return which steps of each window `[B N, 1, 1, L]` may be attended to, from `[B, N, L]`; all where none is."""
    keys = steps | ~steps.any(dim=-1, keepdim=True)
    return keys.flatten(0, 1)[:, None, None, :]


def sinusoids(steps: int, width: int) -> torch.Tensor:
    """Return `P [L, D]` in float64: `sin(t / 10000^(2i/D))` at column 2i and its cosine at 2i + 1, t from 0."""
    rate = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = torch.arange(steps, dtype=torch.float64)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(start_dim=1)
