"""What a model is: settings that make a fitted object. Two forms: an estimator on rows, a network on day batches."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeVar

import numpy as np
import torch
from pydantic import Field, model_validator

from alphaloom.losses.base import Loss, losses
from alphaloom.losses.validation import SelectOn, selection_extras
from alphaloom.registry import Registry
from alphaloom.spec import Component, Spec
from alphaloom.typing import Doubles, Floats, Ints

Form = TypeVar("Form")
Record = dict[str, Any]
"""One line of a training curve: `epoch` (from 1), `train_loss`, `valid_loss`, `valid_rank_ic` (None without
validation), and `valid_` with the measure that early stopping follows if it is another; networks add `lr` and
`seconds`."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Labelled rows of some days, date-major: `x [n, F]`, `y [n]`, and where each day starts, `offsets [D + 1]`."""

    x: Floats
    y: Floats
    offsets: Ints
    extras: Mapping[str, Floats] = field(default_factory=dict)
    """What the model asks for in `Model.extras`, `[n]` each."""
    shared: "SharedRows | None" = None
    """What these are a part of; None when they stand alone."""
    start: int = 0
    """Row of `shared` at which they begin."""
    forms: dict[Hashable, Any] = field(default_factory=dict, repr=False)
    """What libraries made of them."""

    @property
    def days(self) -> int:
        """D, the number of days, empty ones included."""
        return self.offsets.size - 1

    def form(self, key: Hashable, make: Callable[[], Form]) -> Form:
        """Return a library's form of these rows: made at the first call, shared by later fits on the same rows."""
        if key not in self.forms:
            self.forms[key] = make()
        form: Form = self.forms[key]
        return form


@dataclass(frozen=True, eq=False)
class SharedRows:
    """Rows of all dates of a run, memory-mapped, of which many fits take parts."""

    rows: Rows
    dates: Ints
    """Panel row of each of their D days, increasing."""
    edges: int
    """The first so many rows are known before any of the run's test dates: whatever a library derives from the values
    of features, such as the edges of bins, is derived from these."""
    folder: Path
    """Of this machine, where libraries may keep their forms of the rows."""

    def part(self, dates: Ints) -> Rows:
        """Return the rows of neighbouring days, given by panel rows; nothing is copied.

        Raises:
            ValueError: days between them are left out.
        """
        if dates.size == 0:
            return Rows(self.rows.x[:0], self.rows.y[:0], self.rows.offsets[:1] * 0, self._cut(0, 0), self, 0)
        first, last = np.searchsorted(self.dates, (dates[0], dates[-1]))
        if not np.array_equal(self.dates[first : last + 1], dates):
            raise ValueError(f"{dates.size} days that are no neighbours: rows {dates[0]} to {dates[-1]}")
        offsets = self.rows.offsets[first : last + 2]
        a, b = int(offsets[0]), int(offsets[-1])
        return Rows(self.rows.x[a:b], self.rows.y[a:b], offsets - a, self._cut(a, b), self, a)

    def file(self, name: str, make: Callable[[Path], None]) -> Path:
        """Return a file in `folder`, written by `make` into a path aside when this machine does not have it."""
        file = self.folder / name
        with self.lock(self.folder):
            if not file.is_file():
                aside = file.with_name(f".{name}.partial")
                aside.unlink(missing_ok=True)
                make(aside)
                aside.replace(file)
        return file

    @staticmethod
    def lock(folder: Path) -> AbstractContextManager[Any]:
        """Return the lock under which one process of the machine writes into a folder while the others wait."""
        from filelock import FileLock

        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / "lock")

    def _cut(self, start: int, stop: int) -> dict[str, Floats]:
        return {name: values[start:stop] for name, values in self.rows.extras.items()}


@dataclass(frozen=True, eq=False)
class Batch:
    """B days, padded to their largest number of stocks N'; or rows of many days as one, B = 1. Valid until the next.

    `x [B, N', L, F]` has zeros for missing values; `y [B, N']` has zeros where `label_mask` is false. `score_mask` is
    true for the stocks that are really there, `label_mask` for those of them with a label.
    """

    x: torch.Tensor
    y: torch.Tensor
    score_mask: torch.Tensor
    label_mask: torch.Tensor
    days: Ints
    """Which sample dates, as positions in `Samples.rows`: `[B]`, or `[N']` for rows of many days."""
    stocks: Ints
    """Which column of the panel each place holds `[B, N']`; -1 is padding."""
    extras: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """What the loss reads beside score and label `[B, N']`; NaN is unknown, and 0 stands at padding."""
    step_mask: torch.Tensor | None = None
    """Which steps of each window hold any feature `[B, N', L]`, for a network with `gaps: mask`; else None."""
    further: torch.Tensor | None = None
    """Labels learned beside y `[B, N', H - 1]`, NaN where there is none; None when y is the only one."""


@dataclass(frozen=True)
class Shape:
    """What a module is built for: the F features, how many labels it predicts, and what `Network.settle` fixed."""

    features: tuple[str, ...]
    """Names of the F features, in the order of the columns of `x`."""
    outputs: int = 1
    """H, the number of labels."""
    settled: Mapping[str, Any] = field(default_factory=dict)
    """What `Network.settle` returned before the first step of training."""

    @classmethod
    def of(cls, n_features: int, outputs: int = 1) -> Self:
        """Return the shape for features without names of their own."""
        return cls(tuple(f"f{k}" for k in range(n_features)), outputs)

    @property
    def n_features(self) -> int:
        """F, the number of features."""
        return len(self.features)


@dataclass(frozen=True)
class FitContext:
    """What a fit may know besides the data: the seed, how many threads it may use, the features' names."""

    seed: int
    threads: int
    features: tuple[str, ...]


class FittedEstimator(ABC):
    """A fitted estimator: scores rows, and goes to disk and back."""

    @abstractmethod
    def predict(self, x: Floats) -> Doubles:
        """Return a score `[n]` for each row of `x [n, F]`."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write everything `load` needs into an existing folder; no pickle."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Self:
        """Return the saved object; its predictions are equal bit for bit."""

    def importance(self) -> Doubles | None:
        """Return one non-negative importance a feature `[F]`, or None when the model has no own measure."""
        return None

    def history(self) -> list[Record]:
        """Return the training curve, one record an iteration; empty for a model that is solved at once."""
        return []

    def best_iteration(self) -> int | None:
        """Return how many iterations were kept, or None for a model that is solved at once."""
        return None


class Model(Component, ABC):
    """Settings of a model. `steps` rows, `stride` rows apart and the last at t, make one input."""

    if TYPE_CHECKING:
        # Every model has the two: an estimator is fixed at 1, in a network they are settings. A property here would
        # forbid a setting of that name below.
        @property
        def steps(self) -> int:
            """L, the number of look-back steps in one input."""

        @property
        def stride(self) -> int:
            """Rows between two steps."""

    @property
    def extras(self) -> tuple[str, ...]:
        """What its fit reads per stock beside features and label: panel fields, and `RETURN` for the raw return."""
        return ()


class Estimator(Model):
    """A model that learns from the rows of the sample dates: linear models and trees."""

    @property
    def steps(self) -> int:
        """L, the number of look-back steps in one input: the last row alone."""
        return 1

    @property
    def stride(self) -> int:
        """Rows between two steps."""
        return 1

    @abstractmethod
    def fit(self, train: Rows, valid: Rows, context: FitContext) -> FittedEstimator:
        """Return the fitted estimator; `valid` serves early stopping alone and may be empty."""

    @abstractmethod
    def fitted_class(self) -> type[FittedEstimator]:
        """Return the class whose `load` reads what the fitted object saved."""


class Optimisation(Spec):
    """How the one training loop trains a network."""

    lr: Annotated[float, Field(gt=0, le=1)] = 5e-4
    """Learning rate of Adam."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-3
    """Weight decay: decoupled from the gradient in `adamw`, added to it in `adam`."""
    optimiser: Literal["adamw", "adam"] = "adamw"
    """AdamW (Loshchilov and Hutter 2019) or Adam (Kingma and Ba 2015)."""
    epochs: Annotated[int, Field(ge=1)] = 20
    """Most epochs; one epoch sees every training day once."""
    patience: Annotated[int, Field(ge=1)] = 5
    """Epochs without a better validation score before stopping."""
    days_per_step: Annotated[int, Field(ge=1)] = 1
    """Trading days in one batch; days of like numbers of stocks share one, so that little of it is padding."""
    rows_per_step: Annotated[int, Field(ge=2)] | None = None
    """Labelled rows (stock and day) in one batch, from all training days; None takes whole days. Losses of a day's
    cross-section then need `pooled`."""
    order: Literal["random", "time", "stock"] = "random"
    """Order of an epoch's days or rows: drawn anew each epoch, by date, or (rows alone) stock by stock (the comparison
    of seed 001 section 3.2.4)."""
    clip: Literal["value", "norm", "none"] = "value"
    """Whether gradients are clipped entry by entry or by their norm over all weights."""
    clip_value: Annotated[float, Field(gt=0)] = 3.0
    """Size that an entry, or the norm, is clipped to (seed 001 section 3.2.4)."""
    schedule: Literal["constant", "cosine", "decay"] = "constant"
    """Learning rate over the epochs; from `lr` to `lr_end` at the last of `epochs`, along a half cosine or by the same
    factor each epoch (`decay`)."""
    lr_end: Annotated[float, Field(gt=0, le=1)] | None = None
    """Learning rate of the last epoch; None is `lr` / 1000 with `decay`, and with `cosine` the half cosine towards 0
    one epoch later."""
    precision: Literal["float32", "bfloat16", "float16", "auto"] = "float32"
    """Type of the products in a network (weights, optimiser, normalisation, softmax and losses stay in float32). `auto`
    times a few steps in float32 and in half precision, and takes the latter where it is faster; the curve says which.
    On a CPU without bfloat16 arithmetic half precision is two times slower; float16 needs a GPU."""
    compiled: bool = False
    """Compile the network by `torch.compile`: 1 to 4 minutes once a fit, slower steps for small Transformers on a CPU,
    faster ones for large networks on a GPU. Dropout then draws other units than without."""
    select_on: SelectOn = "rank_ic"
    """Validation measure that early stopping and the best weights follow."""

    @model_validator(mode="after")
    def _batches_and_order(self) -> Self:
        if self.rows_per_step is None and self.order == "stock":
            raise ValueError("`order: stock` goes row by row: set rows_per_step, or take `random` or `time`")
        if self.rows_per_step is not None and self.days_per_step != 1:
            raise ValueError("rows_per_step and days_per_step exclude each other: a batch holds rows or whole days")
        if self.lr_end is not None and self.schedule == "constant":
            raise ValueError("lr_end is where a schedule ends, but `schedule` is constant: take cosine or decay")
        if self.lr_end is not None and self.lr_end > self.lr:
            raise ValueError(f"lr_end ({self.lr_end:g}) is above lr ({self.lr:g}); schedules go down")
        return self


class Network(Model):
    """A neural model: settings and a module, never a loop; `alphaloom.training.loop` trains every one of them."""

    gives: ClassVar[tuple[str, ...]] = ()
    """What `objective` hands to the loss beside the scores, for example `variance`."""
    mixes_stocks: ClassVar[bool] = False
    """Whether a stock's score depends on the other stocks of its day: such a network takes whole days alone."""
    several_outputs: ClassVar[bool] = True
    """Whether its module can predict more than one label."""
    masks_steps: ClassVar[bool] = False
    """Whether its module takes a third argument, the step mask `[B, N, L]`, so that `gaps: mask` is possible."""
    settle_rows: ClassVar[int] = 0
    """How many rows of the training days `settle` is given."""
    steps: Annotated[int, Field(ge=1, le=1000)] = 1
    """L, the number of look-back steps in one input; 1 sees the last row alone."""
    stride: Annotated[int, Field(ge=1, le=250)] = 1
    """Rows between two steps: 1 takes consecutive trading days, 5 about one a week."""
    short_history: Literal["exclude", "zero"] = "exclude"
    """A stock without any feature at its oldest step (listed too late): left out, or its empty steps are zero."""
    gaps: Literal["zero", "exclude", "carry_forward", "mask"] = "zero"
    """A stock with an empty step later on (suspended): its empty steps are zero, or it is left out, or they take the
    step before them, or (where the network attends to steps) nothing attends to them. Each fit records how many
    windows that concerns."""
    loss: Annotated[Loss, losses] = Field(default_factory=lambda: losses.parse("mse"), validate_default=True)
    """What training minimises, a day at a time."""
    optimisation: Optimisation = Optimisation()
    """How it is trained."""

    @model_validator(mode="after")
    def _fits_the_loss(self) -> Self:
        absent = [name for name in self.loss.from_network if name not in self.gives]
        if absent:
            raise ValueError(
                f"the loss {self.loss.name} needs a network that gives {' and '.join(absent)} beside its scores, which "
                "this one does not"
            )
        steps = self.optimisation
        if steps.rows_per_step is not None and self.mixes_stocks:
            raise ValueError("it scores the stocks of a day together and needs whole days: leave rows_per_step out")
        if steps.rows_per_step is not None and not (self.loss.pooled or self.loss.is_row_wise):
            raise ValueError(
                f"the loss {self.loss.name} compares the stocks of a day, but optimisation.rows_per_step takes rows of "
                "many days for one: give the loss `pooled: true` if that is meant, or train on whole days"
            )
        if steps.rows_per_step is not None and steps.rows_per_step < 2 * self.loss.min_members:
            raise ValueError(
                f"optimisation.rows_per_step is {steps.rows_per_step}, but the loss {self.loss.name} needs "
                f"{self.loss.min_members} rows in every batch, the smallest of an epoch included: take at least "
                f"{2 * self.loss.min_members}"
            )
        if steps.compiled and type(self).objective is not Network.objective:
            raise ValueError("optimisation.compiled: this network is trained past its `forward`, which alone compiles")
        if self.loss.pooled and steps.days_per_step == 1 and steps.rows_per_step is None:
            raise ValueError(
                "`pooled` takes the days of a batch for one, but optimisation.days_per_step is 1: raise it, set "
                "rows_per_step, or leave `pooled` out"
            )
        if self.gaps == "mask" and not self.masks_steps:
            raise ValueError("`gaps: mask` needs a network that attends to its steps; take another treatment of gaps")
        return self

    @property
    def extras(self) -> tuple[str, ...]:
        """What the loss and early stopping read per stock, each name once."""
        return tuple(dict.fromkeys((*self.loss.extras, *selection_extras(self.optimisation.select_on))))

    @classmethod
    def example_features(cls) -> tuple[str, ...]:
        """Return six names of features that it can be tried on; a network that reads names says which."""
        return Shape.of(6).features

    def settle(self, rows: Floats, features: tuple[str, ...]) -> dict[str, Any]:
        """Return what the module's form depends on beside the settings, as plain JSON: by default nothing.

        Called once before the first step with up to `settle_rows` rows `[R, F]` (a stock on a day each, labelled) drawn
        from the training days by the seed, zeros for missing values. The result reaches `build` as `Shape.settled` and
        is stored with the fit.
        """
        return {}

    def forecast(self, module: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Return what the module predicts for a batch: `[B, N']`, or `[B, N', H]` for H > 1 labels."""
        if batch.step_mask is None:
            forecast: torch.Tensor = module(batch.x, batch.score_mask)
        else:
            forecast = module(batch.x, batch.score_mask, batch.step_mask)
        return forecast

    def objective(self, module: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the scores `[B, N']` of a batch, and what training minimises: a mean over its days.

        By default that is the loss of the scores that `forward` gives; with several labels the mean of their losses,
        and the score is the forecast of the first. A network that learns from more overrides it: a variance goes to the
        loss by `extras`, a term of its own (a divergence, a penalty) is added. In evaluation mode the scores must be
        those of `forward`; the number is then the validation loss. Scores of a day may not depend on labels in that
        mode, the number may.
        """
        forecast = self.forecast(module, batch)
        if batch.further is None:
            return forecast, self.loss(forecast, batch.y, batch.label_mask, batch.extras)
        score, *others = forecast.unbind(dim=-1)
        terms = [self.loss(score, batch.y, batch.label_mask, batch.extras)]
        for other, label in zip(others, batch.further.unbind(dim=-1), strict=True):
            known = batch.score_mask & ~label.isnan()
            terms.append(self.loss(other, label, known, batch.extras))
        return score, torch.stack(terms).mean()

    @abstractmethod
    def build(self, shape: Shape) -> torch.nn.Module:
        """Return a fresh module: `forward(x [B, N, L, F], mask bool [B, N]) -> score [B, N]`.

        For `shape.outputs` H > 1 it gives `[B, N, H]` (where `several_outputs`); with `masks_steps` it takes the step
        mask as a third argument, None by default. NaN is already zero in `x`. Scores outside the mask are undefined but
        finite; no score depends on a stock outside the mask, nor on the order of the stocks (unless the model's
        docstring says so).
        """


models: Registry[Model] = Registry("model", Model, "alphaloom.models")
