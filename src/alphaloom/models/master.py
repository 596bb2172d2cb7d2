"""MASTER, the market-guided stock transformer: attention over time, then between stocks, at every step."""

from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch.nn.functional import scaled_dot_product_attention

from alphaloom.errors import SettingError
from alphaloom.models.base import Network, Shape, models


@models.register("master")
class MASTER(Network):
    """Attention over the steps of each stock, between the stocks of a day at each step, then over the steps again.

    Per day, with stock features `x [N, L, F]` and the market's state m at the last step:

    1. Gate (with `gate: market`): `a = F softmax((G m + g) / beta)`, and x becomes `a x`.
    2. `h = A x + a0 + P` with sinusoidal positions P.
    3. Over time, for each stock: `u = LN(h)`, `v = LN(u + attention(u))`, `h' = v + FFN(v)`; queries, keys and values
       without bias, no projection after the heads, FFN of two linear maps with a ReLU between, all of width D.
    4. Between stocks, for each step: the same; stocks outside the mask are not attended to.
    5. `w = softmax over t of (Q z_t)' (Q z_L)`; the score is linear in `sum_t w_t z_t`.

    All stocks of a day are scored together: a score depends on every stock inside the mask, on none outside it and not
    on their order. Without padding attention runs in one fused kernel that never holds the N x N weights; attention
    dropout on a CPU does hold them (1.2 GB a copy at 4,300 stocks and 8 steps), so set `attention_dropout` to 0 there
    for universes of thousands.

    Source: Li, Liu, Shen, Wang, Chen & Huang (2024), MASTER, section 3, and the authors' code, from which 5 is taken;
    published with 158 features and 63 of the market, Adam 1e-5, one day a step, up to 40 epochs.
    Differs: the published attention over time is not divided by the root of the head's size; `time_scale: none` is
    that. Stocks with extreme labels stay in the day's attention.
    """

    mixes_stocks: ClassVar[bool] = True
    masks_steps: ClassVar[bool] = True
    steps: Annotated[int, Field(ge=1, le=1000)] = 8
    """L, the number of look-back steps in one input."""
    d_model: Annotated[int, Field(ge=2, le=4096)] = 256
    """D, the width of a step's state; even and a multiple of both numbers of heads."""
    time_heads: Annotated[int, Field(ge=1, le=64)] = 4
    """Heads of the attention over time."""
    stock_heads: Annotated[int, Field(ge=1, le=64)] = 2
    """Heads of the attention between stocks."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share dropped in the FFN, after the ReLU and at its end."""
    attention_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of the attention weights dropped, over time and between stocks."""
    time_scale: Literal["sqrt", "none"] = "sqrt"
    """Whether scores over time are divided by the root of the head's size; the paper's code does not (`none`)."""
    gate: Literal["market", "none"] = "none"
    """Whether the market's state scales the features; `market` needs `market_features`."""
    market_features: Annotated[int, Field(ge=0, le=10000)] = 0
    """How many of the last feature columns are the market's state, the same for every stock (the family
    `market_state`, listed last). They guide the gate alone and never enter as features of a stock."""
    beta: Annotated[float, Field(gt=0, le=1000)] = 5.0
    """Temperature of the gate (the paper takes 5 for CSI300 and 2 for CSI800); higher treats features more alike."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, heads in (("time_heads", self.time_heads), ("stock_heads", self.stock_heads)):
            if self.d_model % 2 or self.d_model % heads:
                raise ValueError(
                    f"d_model must be even and a multiple of {name}; given d_model {self.d_model}, {name} {heads}."
                )
        if self.gate == "market" and not self.market_features:
            raise ValueError(
                "gate: market needs market_features, the number of last feature columns that hold the market's state "
                "(list the family market_state last); set it, or set gate to none."
            )
        return self

    def build(self, shape: Shape) -> torch.nn.Module:
        """Return a fresh module for F features, the market's among them.

        Raises:
            SettingError: no feature is left for the stocks.
        """
        F = shape.n_features
        if self.market_features >= F:
            raise SettingError(
                f"master.market_features: {self.market_features} of {F} features are set aside as the market's state, "
                f"so none is left for the stocks. At most {F - 1} are allowed."
            )
        return MASTERScore(F - self.market_features, shape.outputs, self)


class MASTERScore(torch.nn.Module):
    """`[B, N, L, F]` to `[B, N]`: gate, linear and positions, time block, stock block, aggregation over time."""

    def __init__(self, n_features: int, outputs: int, settings: MASTER) -> None:
        super().__init__()
        width = settings.d_model
        self.n_features, self.beta = n_features, settings.beta
        self.gate = torch.nn.Linear(settings.market_features, n_features) if settings.gate == "market" else None
        self.inward = torch.nn.Linear(n_features, width)
        self.register_buffer("positions", sinusoids(settings.steps, width), persistent=False)
        self.time = Block(settings, settings.time_heads, scale=1.0 if settings.time_scale == "none" else None)
        self.stock = Block(settings, settings.stock_heads)
        self.aggregate = torch.nn.Linear(width, width, bias=False)
        self.head = torch.nn.Linear(width, outputs)

    def forward(self, x: torch.Tensor, mask: torch.Tensor, steps: torch.Tensor | None = None) -> torch.Tensor:
        """Return the scores; nothing attends to a step outside `steps [B, N, L]`, nor to a stock that lacks it."""
        z, weights = self._states_and_weights(x, mask, steps)
        score: torch.Tensor = self.head((weights[..., None] * z).sum(dim=1))
        return score.squeeze(-1)

    def step_weights(self, x: torch.Tensor, mask: torch.Tensor, steps: torch.Tensor | None = None) -> torch.Tensor:
        """Return what each step counts for in a stock's score `[B, N, L]`; it sums to 1 over the steps."""
        return self._states_and_weights(x, mask, steps)[1].transpose(1, 2)

    def _states_and_weights(
        self, x: torch.Tensor, mask: torch.Tensor, steps: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the states z `[B, L, N, D]` and their weights over the steps `[B, L, N]`."""
        B, N, L, _ = x.shape
        h = self.inward(self._gated(x, mask))
        h = h + self.positions.to(h.dtype)
        h = self.time(h.flatten(0, 1), None if steps is None else attended_steps(steps)).view(B, N, L, -1)
        there = mask[:, None, :] if steps is None else mask[:, None, :] & steps.transpose(1, 2)
        z = self.stock(h.transpose(1, 2).flatten(0, 1), attended_stocks(there, L)).view(B, L, N, -1)
        # (Q z_t)' (Q z_L) = z_t' Q'Q z_L: mapping the last step twice saves mapping every step once.
        target = self.aggregate(z[:, -1:]) @ self.aggregate.weight
        energy = (z * target).sum(dim=-1)
        if steps is not None:
            seen = (steps | ~steps.any(dim=-1, keepdim=True)).transpose(1, 2)
            energy = energy.masked_fill(~seen, -torch.inf)
        return z, torch.softmax(energy, dim=1)

    def _gated(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the stock's features, scaled by the market's state on the last step as any stock of the day has it."""
        features = x[..., : self.n_features]
        if self.gate is None:
            return features
        stock = mask.int().argmax(dim=1)
        market = x[torch.arange(len(x), device=x.device), stock, -1, self.n_features :]
        weight = self.n_features * torch.softmax(self.gate(market) / self.beta, dim=-1)
        return features * weight[:, None, None, :]


class Block(torch.nn.Module):
    """Attention along S in `[R, S, D]`, and a feed-forward part, both added to the normalised input."""

    def __init__(self, settings: MASTER, heads: int, scale: float | None = None) -> None:
        super().__init__()
        width = settings.d_model
        self.heads, self.scale = heads, scale
        self.attention_dropout = settings.attention_dropout
        self.norm_in, self.norm_attended = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
        self.query_key_value = torch.nn.Linear(width, 3 * width, bias=False)
        self.feed_forward = torch.nn.Sequential(
            torch.nn.Linear(width, width),
            torch.nn.ReLU(),
            torch.nn.Dropout(settings.dropout),
            torch.nn.Linear(width, width),
            torch.nn.Dropout(settings.dropout),
        )

    def forward(self, h: torch.Tensor, attended: torch.Tensor | None = None) -> torch.Tensor:
        """Return `[R, S, D]`; `attended [R, 1, 1, S]` says which places along S may be attended to, None all."""
        u = self.norm_in(h)
        query, key, value = self.query_key_value(u).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        dropped = self.attention_dropout if self.training else 0.0
        found = scaled_dot_product_attention(query, key, value, attn_mask=attended, dropout_p=dropped, scale=self.scale)
        v = self.norm_attended(u + found.transpose(1, 2).flatten(start_dim=2))
        out: torch.Tensor = v + self.feed_forward(v)
        return out


def attended_stocks(there: torch.Tensor, steps: int) -> torch.Tensor | None:
    """Return who is attended to at each day and step `[B L, 1, 1, N]`, from `[B, 1 or L, N]`; None when all are.

    A step without any stock attends to all: what comes of it means nothing, but stays finite.
    """
    if there.all():  # one look at the device; any mask would rule out the fastest kernel
        return None
    keys = (there | ~there.any(dim=-1, keepdim=True)).expand(-1, steps, -1)
    return keys.flatten(0, 1)[:, None, None, :]


def attended_steps(steps: torch.Tensor) -> torch.Tensor:
    """Return which steps of each window `[B N, 1, 1, L]` may be attended to, from `[B, N, L]`; all where none is."""
    keys = steps | ~steps.any(dim=-1, keepdim=True)
    return keys.flatten(0, 1)[:, None, None, :]


def sinusoids(steps: int, width: int) -> torch.Tensor:
    """Return `P [L, D]` in float64: `sin(t / 10000^(2i/D))` at column 2i and its cosine at 2i + 1, t from 0."""
    rate = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = torch.arange(steps, dtype=torch.float64)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(start_dim=1)
