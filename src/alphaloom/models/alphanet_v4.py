"""AlphaNet V4: operators over four windows; a bidirectional LSTM, Transformer branches beside it, attention."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator

from alphaloom.errors import DataError, SettingError
from alphaloom.models.alphanet_parts import (
    AlphaNetScore,
    Column,
    FeatureNorm,
    Scale,
    columns_over,
    steps_inside,
    truncated_normal,
    uncorrelated,
)
from alphaloom.models.base import Network, Shape, models
from alphaloom.typing import Floats

SLOPE = 0.01
"""Slope below zero of the leaky ReLU at the output."""


@models.register("alphanet_v4")
class AlphaNetV4(Network):
    """The fourth AlphaNet on the columns of the feature family `alphanet` (preset `v4`) over several windows.

    One input holds L consecutive steps. With `x_w` the columns over window w, filtered and batch-normalised:

    1. `s = dropout(BiLSTM(x_main))` `[L, 2H]`.
    2. For every other window `z_w = encoder(A_w x_w + a_w + P)` `[L, 2H]`: sinusoidal positions P, post-norm
       Transformer layers with a ReLU, own weights for each window and layer.
    3. `r = BN(s + sum_w z_w)`.
    4. `c = softmax over t of v' tanh(U s_t + V s_L)`, and the score is linear in `sum_t c_t r_t`.

    The filter replaces dropout of features: columns whose rank correlation with one that is kept already exceeds
    `spearman_limit` are dropped for good, chosen once on rows of the training days and stored with the fit; columns
    that do not vary there are dropped too. Stocks interact only in the moments of a training batch.

    Source: Wu, "Alphanetv4: Alpha Mining Model", sections 3.3 to 3.5, Table 3-4; attention as in its section 2. Trained
    there by Adam with a rate from 1e-3 to 1e-7 over 90 epochs, patience 10, on squared errors; dropout of the encoders
    as in Vaswani et al. 2017. `transformers`, `attention`, `spearman` and `steps` are its ablations.
    Differs: the source names no projection from its 103 columns to the BiLSTM's 206, here `A_w`, and 206 admits 1, 2,
    103 or 206 heads: H is the number of kept columns rounded up to a multiple of 4. The filter is fixed on a training
    sample, |rho| decides, not the first batch; it comes before the normalisation, which changes no rank. The output is
    the linear map itself, for labels centred on 0 (`output: leaky_relu` is the source's). Windows are 2, 5, 10 and 22
    as in its text (Table 3-4 has `windows: [5, 10, 20]`, preset `table34`). The normalisation of the inputs has no
    eps (see `alphanet_parts.FeatureNorm`). Features of other families and of other windows are left out.
    """

    masks_steps: ClassVar[bool] = True
    settle_rows: ClassVar[int] = 20_000
    steps: Annotated[int, Field(ge=1, le=1000)] = 20
    """L, the number of look-back steps in one input."""
    windows: Annotated[tuple[Annotated[int, Field(ge=2, le=1000)], ...], Field(min_length=1)] = (2, 5, 10, 22)
    """Lengths of the windows whose columns are read."""
    main_window: Annotated[int, Field(ge=2, le=1000)] = 10
    """The one of the `windows` that the LSTM reads; each other one has Transformer layers of its own."""
    spearman: Literal["main", "each", "none"] = "main"
    """Whose columns are compared by the filter: those of the main window, and the same operators and inputs are then
    kept over every window (Table 3-4, item 4); each window's own; or none."""
    spearman_limit: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Largest absolute rank correlation between two columns that are both kept."""
    hidden: Annotated[int, Field(ge=1, le=4096)] | None = None
    """H, the size of the LSTM's state in each direction; None for the number of columns kept over the main window,
    rounded up to a multiple of 4."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share dropped of the LSTM's states."""
    transformers: bool = True
    """Whether the other windows are read at all."""
    layers: Annotated[int, Field(ge=1, le=48)] = 2
    """Transformer layers of each other window."""
    heads: Annotated[int, Field(ge=1, le=64)] = 4
    """Heads of each layer; divides 2 H, and 8 where `hidden` is None."""
    ff: Annotated[int, Field(ge=1, le=16384)] | None = None
    """Width between the two linear maps of a layer; None for four times 2 H."""
    encoder_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share dropped in the Transformer layers: of attention weights, between the maps, before each residual sum."""
    attention: bool = True
    """Whether the steps are weighed by attention; otherwise the last step alone is read."""
    attention_hidden: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Length of v; None for H."""
    output: Literal["identity", "leaky_relu"] = "identity"
    """What follows the last linear map; the leaky ReLU has slope 0.01 below zero."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.windows)) < len(self.windows) or self.main_window not in self.windows:
            raise ValueError(
                f"windows must be different lengths, main_window one of them; given windows {list(self.windows)}, "
                f"main_window {self.main_window}."
            )
        width = 8 if self.hidden is None else 2 * self.hidden
        if self.transformers and width % self.heads:
            raise ValueError(
                f"heads must divide 2 * hidden, and 8 where hidden is not given; given heads {self.heads}, hidden "
                f"{self.hidden}."
            )
        return self

    @classmethod
    def example_features(cls) -> tuple[str, ...]:
        """Return three columns over the main window and one over each other of the default windows."""
        others = tuple(f"std_close_{window}" for window in (5, 2, 22))
        return ("std_close_10", "std_volume_10", "corr_close_volume_10", *others)

    @property
    def read(self) -> tuple[int, ...]:
        """The windows that are read, the main one first."""
        others = tuple(window for window in self.windows if window != self.main_window)
        return (self.main_window, *others) if self.transformers else (self.main_window,)

    def settle(self, rows: Floats, features: tuple[str, ...]) -> dict[str, Any]:
        """Return `{"kept": {window: names of the columns that the filter keeps}}`, or nothing without a filter.

        The `rows [R, F]` are compared with missing values as the zeros that they are.

        Raises:
            SettingError: the features hold no column over one of the windows.
            DataError: no column is left over one of the windows.
        """
        if self.spearman == "none":
            return {}
        scales = columns_over(features, self.read, "alphanet_v4", "v4")
        place = {name: k for k, name in enumerate(features)}

        def compared(columns: Sequence[Column]) -> list[Column]:
            values = rows[:, [place[column.name] for column in columns]]
            return [columns[k] for k in uncorrelated(values, self.spearman_limit)]

        kept = {self.main_window: compared(scales[self.main_window])}
        chosen = {(column.operator, column.inputs) for column in kept[self.main_window]}
        for window in self.read[1:]:
            same = [column for column in scales[window] if (column.operator, column.inputs) in chosen]
            kept[window] = same if self.spearman == "main" else compared(scales[window])
        if empty := [window for window in self.read if not kept[window]]:
            raise DataError(
                f"alphanet_v4.spearman: {self.spearman} leaves no column over windows of {empty[0]} rows: of "
                f"{len(rows)} training rows, none of its {len(scales[empty[0]])} columns varies or belongs to "
                "what is kept over the main window. Check the features, or set spearman to each or none."
            )
        return {"kept": {str(window): [column.name for column in columns] for window, columns in kept.items()}}

    def columns(self, shape: Shape) -> Mapping[int, tuple[Column, ...]]:
        """Return the columns that enter over each window that is read, those of the filter if there is one.

        Raises:
            SettingError: the features hold no column over one of the windows, or the filter has not been settled.
        """
        scales = columns_over(shape.features, self.read, "alphanet_v4", "v4")
        if self.spearman == "none":
            return scales
        if "kept" not in shape.settled:
            raise SettingError(
                f"alphanet_v4.spearman: {self.spearman} is built from the columns that its `settle` keeps of training "
                "rows; pass them as Shape.settled, or set spearman to none."
            )
        kept = {name for names in shape.settled["kept"].values() for name in names}
        return {w: tuple(column for column in columns if column.name in kept) for w, columns in scales.items()}

    def build(self, shape: Shape) -> torch.nn.Module:
        """Return a fresh module for the columns that are kept and H labels.

        Raises:
            SettingError: the features hold no column over one of the windows, or the filter has not been settled.
        """
        return AlphaNetV4Score(shape, self)


class AlphaNetV4Score(AlphaNetScore):
    """`[B, N, L, F]` to `[B, N]`: BiLSTM, Transformer branches, normalised sum, attention over the steps, linear."""

    def __init__(self, shape: Shape, settings: AlphaNetV4) -> None:
        super().__init__()
        columns = settings.columns(shape)
        main, *others = (Scale(shape.features, columns[window]) for window in settings.read)
        K = len(main.columns)
        H = settings.hidden or -(-K // 4) * 4
        self.main = main
        self.recurrent = torch.nn.LSTM(K, H, batch_first=True, bidirectional=True)
        self.dropout = torch.nn.Dropout(settings.dropout)
        self.branches = torch.nn.ModuleList(Branch(scale, 2 * H, settings) for scale in others)
        self.norm = FeatureNorm(2 * H)
        self.attention = Attention(2 * H, settings.attention_hidden or H) if settings.attention else None
        self.head = truncated_normal(torch.nn.Linear(2 * H, shape.outputs))
        self.output = torch.nn.LeakyReLU(SLOPE) if settings.output == "leaky_relu" else torch.nn.Identity()

    def forward(self, x: torch.Tensor, mask: torch.Tensor, steps: torch.Tensor | None = None) -> torch.Tensor:
        """Return the scores; nothing attends to a step outside `steps [B, N, L]`, and the LSTM sees means there."""
        inside = steps_inside(mask, x, steps)
        states = self._states(x, inside)
        total: torch.Tensor = states
        for branch in self.branches:
            total = total + branch(x, inside, None if steps is None else unseen(steps))
        values = self.norm(total.view(*x.shape[:3], -1), inside)
        if self.attention is None:
            read = values[:, :, -1]
        else:
            read = (self._weights(states, steps).view(x.shape[:3])[..., None] * values).sum(dim=2)
        score: torch.Tensor = self.output(self.head(read))
        return score.squeeze(-1)

    def step_weights(self, x: torch.Tensor, mask: torch.Tensor, steps: torch.Tensor | None = None) -> torch.Tensor:
        """Return the attention that each stock pays to its steps `[B, N, L]`; it sums to 1 over the steps."""
        if self.attention is None:
            return torch.eye(x.shape[2], dtype=x.dtype, device=x.device)[-1].expand(x.shape[:3])
        return self._weights(self._states(x, steps_inside(mask, x, steps)), steps).view(x.shape[:3])

    def entries(self) -> list[tuple[Scale, torch.Tensor]]:
        """Return the scales, each with the weights that its K columns enter by `[*, K]`; the main one first."""
        names = ("weight_ih_l0", "weight_ih_l0_reverse")
        lstm = torch.cat([self.recurrent.get_parameter(name) for name in names])
        others = (branch for branch in self.branches if isinstance(branch, Branch))
        return [(self.main, lstm), *((branch.scale, branch.inward.weight) for branch in others)]

    def _states(self, x: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        """Return the BiLSTM's states `[B N, L, 2H]`."""
        states, _ = self.recurrent(self.main(x, inside).flatten(0, 1))
        dropped: torch.Tensor = self.dropout(states)
        return dropped

    def _weights(self, states: torch.Tensor, steps: torch.Tensor | None) -> torch.Tensor:
        """Return the weights of the steps `[B N, L]`."""
        assert self.attention is not None
        energy = self.attention(states)
        if steps is not None:
            energy = energy.masked_fill(unseen(steps), -torch.inf)
        return torch.softmax(energy, dim=-1)


class Branch(torch.nn.Module):
    """One window beside the main one: `x [B, N, L, F]` to `[B N, L, D]`, in Transformer layers over the steps."""

    def __init__(self, scale: Scale, width: int, settings: AlphaNetV4) -> None:
        super().__init__()
        self.scale = scale
        self.inward = torch.nn.Linear(len(scale.columns), width)
        self.positions: torch.Tensor
        self.register_buffer("positions", sinusoids(settings.steps, width), persistent=False)
        self.layers = torch.nn.ModuleList(
            torch.nn.TransformerEncoderLayer(
                width, settings.heads, settings.ff or 4 * width, settings.encoder_dropout, batch_first=True
            )
            for _ in range(settings.layers)
        )

    def forward(self, x: torch.Tensor, inside: torch.Tensor, ignored: torch.Tensor | None) -> torch.Tensor:
        """Return the states of all steps; none attends to the steps of `ignored [B N, L]`."""
        h: torch.Tensor = self.inward(self.scale(x, inside)).flatten(0, 1)
        h = h + self.positions.to(h.dtype)
        for layer in self.layers:
            h = layer(h, src_key_padding_mask=ignored)
        return h


class Attention(torch.nn.Module):
    """`v' tanh(U s_t + V s_L)` of states `s [R, L, D]`: how much each step concerns the last one, `[R, L]`."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.each = torch.nn.Linear(width, hidden, bias=False)
        self.last = torch.nn.Linear(width, hidden, bias=False)
        self.energy = torch.nn.Linear(hidden, 1, bias=False)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Return the energies."""
        energy: torch.Tensor = self.energy(torch.tanh(self.each(states) + self.last(states[:, -1:])))
        return energy.squeeze(-1)


def unseen(steps: torch.Tensor) -> torch.Tensor:
    """Return which steps of each window nothing attends to `[B N, L]`, from `[B, N, L]`; none where none is there."""
    return ~(steps | ~steps.any(dim=-1, keepdim=True)).flatten(0, 1)


def sinusoids(steps: int, width: int) -> torch.Tensor:
    """Return `P [L, D]` in float64: `sin(t / 10000^(2i/D))` at column 2i and its cosine at 2i + 1, t from 0."""
    rate = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = torch.arange(steps, dtype=torch.float64)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(start_dim=1)
