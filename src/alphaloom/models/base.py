"""What a model is: settings that make a fitted object. Two forms: an estimator on rows, a network on day batches."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator

from alphaloom.errors import DataError, RunError
from alphaloom.losses.base import Loss, losses
from alphaloom.losses.validation import MIN_MEMBERS, SelectOn, Watch, selection_extras
from alphaloom.registry import Registry
from alphaloom.spec import Component, Spec
from alphaloom.typing import Doubles, Floats, Ints

Record = dict[str, Any]
"""One line of a training curve: `epoch` (from 1), `train_loss`, `valid_loss`, `valid_rank_ic` (None without
validation), and `valid_` with the measure that early stopping follows if it is another; networks add `lr` and
`seconds`."""


@dataclass(frozen=True)
class Rows:
    """Labelled rows of some days, date-major: `x [n, F]`, `y [n]`, and where each day starts, `offsets [D + 1]`."""

    x: Floats
    y: Floats
    offsets: Ints
    extras: Mapping[str, Floats] = field(default_factory=dict)
    """What the model asks for in `Model.extras`, `[n]` each."""

    @property
    def days(self) -> int:
        """D, the number of days, empty ones included."""
        return self.offsets.size - 1


@dataclass(frozen=True, eq=False)
class DayBatch:
    """B days, padded to their largest number of stocks N'. Valid until the next batch is asked for.

    `x [B, N', L, F]` has zeros for missing values; `y [B, N']` has zeros where `label_mask` is false. `score_mask` is
    true for the stocks that are really there, `label_mask` for those of them with a label.
    """

    x: torch.Tensor
    y: torch.Tensor
    score_mask: torch.Tensor
    label_mask: torch.Tensor
    days: Ints
    """Which sample dates, as positions in `Samples.rows` `[B]`."""
    stocks: Ints
    """Which column of the panel each place holds `[B, N']`; -1 is padding."""
    extras: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """What the loss reads beside score and label `[B, N']`; NaN is unknown, and 0 stands at padding."""


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
    """Decoupled weight decay (AdamW)."""
    epochs: Annotated[int, Field(ge=1)] = 20
    """Most epochs; one epoch sees every training day once."""
    patience: Annotated[int, Field(ge=1)] = 5
    """Epochs without a better validation score before stopping."""
    days_per_step: Annotated[int, Field(ge=1)] = 1
    """Trading days in one batch."""
    clip_value: Annotated[float, Field(gt=0)] = 3.0
    """Each gradient entry is clipped to this size (seed 001 section 3.2.4)."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Learning rate over the epochs; `cosine` falls from `lr` towards zero at the last of `epochs`."""
    select_on: SelectOn = "rank_ic"
    """Validation measure that early stopping and the best weights follow."""


class Network(Model):
    """A neural model: settings and a module, never a loop; `alphaloom.training.loop` trains every one of them."""

    gives: ClassVar[tuple[str, ...]] = ()
    """What `objective` hands to the loss beside the scores, for example `variance`."""
    steps: Annotated[int, Field(ge=1, le=1000)] = 1
    """L, the number of look-back steps in one input; 1 sees the last row alone."""
    stride: Annotated[int, Field(ge=1, le=250)] = 1
    """Rows between two steps: 1 takes consecutive trading days, 5 about one a week."""
    short_history: Literal["exclude", "zero"] = "exclude"
    """A stock without any feature at its oldest step (listed too late): left out, or its empty steps are zero."""
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
        if self.loss.pooled and self.optimisation.days_per_step == 1:
            raise ValueError(
                "`pooled` takes the days of a batch for one, but optimisation.days_per_step is 1: raise it, or leave "
                "`pooled` out"
            )
        return self

    @property
    def extras(self) -> tuple[str, ...]:
        """What the loss and early stopping read per stock, each name once."""
        return tuple(dict.fromkeys((*self.loss.extras, *selection_extras(self.optimisation.select_on))))

    def objective(self, module: torch.nn.Module, batch: DayBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the scores `[B, N']` of a batch, and what training minimises: a mean over its days.

        By default that is the loss of the scores that `forward` gives. A network that learns from more overrides it: a
        variance goes to the loss by `extras`, a term of its own (a divergence, a penalty) is added. In evaluation mode
        the scores must be those of `forward`; the number is then the validation loss. Scores of a day may not depend on
        labels in that mode, the number may.
        """
        score = module(batch.x, batch.score_mask)
        return score, self.loss(score, batch.y, batch.label_mask, batch.extras)

    @abstractmethod
    def build(self, n_features: int) -> torch.nn.Module:
        """Return a fresh module: `forward(x [B, N, L, F], mask bool [B, N]) -> score [B, N]`.

        NaN is already zero in `x`. Scores outside the mask are undefined but finite; no score depends on a stock
        outside the mask, nor on the order of the stocks (unless the model's docstring says so).
        """


models: Registry[Model] = Registry("model", Model, "alphaloom.models")


def boost(
    rounds: int,
    patience: int,
    select_on: SelectOn,
    *,
    add_tree: Callable[[int], bool],
    scores: Callable[[], tuple[Doubles, Doubles]],
    train: Rows,
    valid: Rows,
) -> tuple[int, list[Record]]:
    """Return how many boosting iterations to keep, and the curve: the one loop with early stopping for tree libraries.

    Args:
        rounds: most iterations.
        patience: iterations without a better validation measure before stopping; 0 never stops early.
        select_on: measure that early stopping follows; `loss` is the mean squared error.
        add_tree: adds the tree of the iteration (from 0); True when the library can add no more.
        scores: present scores of the training and the validation rows.
        train: training rows.
        valid: validation rows; without any, all iterations are kept.

    Raises:
        DataError: too few validation days have `MIN_MEMBERS` labelled stocks for the measure.
        RunError: the scores are no longer finite.
    """
    watch = Watch(select_on, valid.y, valid.offsets, valid.extras) if valid.y.size else None
    if watch is not None and patience and not watch.is_possible:
        measure = "RankIC" if select_on == "rank_ic" else select_on
        raise DataError(
            f"No validation day has {MIN_MEMBERS} labelled stocks, so there is no {measure} to stop on (icir and "
            "sharpe need two such days): lengthen the validation window, widen the universe, or set select_on to loss."
        )
    history: list[Record] = []
    best, best_value = 0, -np.inf
    for k in range(rounds):
        exhausted = add_tree(k)
        inside, outside = scores()
        record: Record = {"epoch": k + 1, "train_loss": mse(inside, train.y), "valid_loss": None, "valid_rank_ic": None}
        value = float(k)  # without validation the last iteration is the best
        valid_loss = mse(outside, valid.y) if watch is not None else 0.0
        if not np.isfinite([record["train_loss"], valid_loss]).all():
            raise RunError(f"Boosting diverged at iteration {k + 1}: the loss is not finite. Lower the learning rate.")
        if watch is not None:
            record |= watch.record(outside, valid_loss)
            if patience:
                value = watch.value(record)
        history.append(record)
        if value > best_value:
            best, best_value = k + 1, value
        if exhausted or (watch is not None and patience and k + 1 - best >= patience):
            break
    return best, history


def mse(score: Floats | Doubles, label: Floats | Doubles) -> float:
    """Return the mean squared difference, in float64."""
    return float(np.mean(np.square(np.asarray(score, dtype=np.float64) - label)))
