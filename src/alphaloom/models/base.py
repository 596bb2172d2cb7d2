"""What a model is: settings that make a fitted object. Two forms: an estimator on rows, a network on day batches."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
import torch
from pydantic import Field

from alphaloom.errors import DataError, RunError
from alphaloom.losses.base import Loss, losses
from alphaloom.registry import Registry
from alphaloom.spec import Component, Spec
from alphaloom.typing import Doubles, Floats, Ints

MIN_MEMBERS = 10
"""Days with fewer labelled stocks give no RankIC."""

Record = dict[str, Any]
"""One line of a training curve: `epoch` (from 1), `train_loss`, `valid_loss`, `valid_rank_ic` (None without
validation); networks add `lr` and `seconds`."""

SelectOn = Literal["rank_ic", "loss"]
"""The validation measure that early stopping follows: mean RankIC over days (up) or the loss (down)."""


@dataclass(frozen=True)
class Rows:
    """Labelled rows of some days, date-major: `x [n, F]`, `y [n]`, and where each day starts, `offsets [D + 1]`."""

    x: Floats
    y: Floats
    offsets: Ints

    @property
    def days(self) -> int:
        """D, the number of days, empty ones included."""
        return self.offsets.size - 1


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

    @abstractmethod
    def build(self, n_features: int) -> torch.nn.Module:
        """Return a fresh module: `forward(x [B, N, L, F], mask bool [B, N]) -> score [B, N]`.

        NaN is already zero in `x`. Scores outside the mask are undefined but finite; no score depends on a stock
        outside the mask, nor on the order of the stocks (unless the model's docstring says so).
        """


models: Registry[Model] = Registry("model", Model, "alphaloom.models")


class DailyRankIC:
    """Mean over days of the Spearman correlation of scores with one fixed label, ties averaged.

    Days with fewer than `MIN_MEMBERS` rows do not count; on a day on which all scores or all labels are equal the
    correlation is taken as 0. The label's ranks are computed once, so each call sorts the scores alone.
    """

    def __init__(self, label: Floats, offsets: Ints) -> None:
        sizes = np.diff(offsets)
        self._day = np.repeat(np.arange(sizes.size), sizes)
        self._counts = sizes >= MIN_MEMBERS
        self._sizes = np.maximum(sizes, 1)
        self._label = self._centred_ranks(np.asarray(label, dtype=np.float64))
        self._label_norm = self._day_sum(self._label**2)

    @property
    def days(self) -> int:
        """Number of days that count."""
        return int(self._counts.sum())

    def daily(self, score: Floats | Doubles) -> Doubles:
        """Return the RankIC of each day `[D]`, NaN on days that do not count."""
        ranks = self._centred_ranks(np.asarray(score, dtype=np.float64))
        norm = np.sqrt(self._day_sum(ranks**2) * self._label_norm)
        with np.errstate(divide="ignore", invalid="ignore"):
            daily = np.where(norm > 0, self._day_sum(ranks * self._label) / norm, 0.0)
        return np.where(self._counts, daily, np.nan)

    def __call__(self, score: Floats | Doubles) -> float:
        """Return the mean over the days that count, NaN when there is none."""
        return float(self.daily(score)[self._counts].mean()) if self.days else float("nan")

    def _day_sum(self, values: Doubles) -> Doubles:
        return np.asarray(np.bincount(self._day, values, self._sizes.size), dtype=np.float64)

    def _centred_ranks(self, values: Doubles) -> Doubles:
        order = np.lexsort((values, self._day))
        day, value = self._day[order], values[order]
        fresh = np.ones(order.size, dtype=np.bool_)
        fresh[1:] = (day[1:] != day[:-1]) | (value[1:] != value[:-1])
        group = np.cumsum(fresh) - 1
        place = np.arange(order.size, dtype=np.float64)
        ranks = np.empty(order.size)
        ranks[order] = (np.bincount(group, weights=place) / np.maximum(np.bincount(group), 1))[group]
        return np.asarray(ranks - (self._day_sum(ranks) / self._sizes)[self._day], dtype=np.float64)


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
        select_on: `loss` is the mean squared error.
        add_tree: adds the tree of the iteration (from 0); True when the library can add no more.
        scores: present scores of the training and the validation rows.
        train: training rows.
        valid: validation rows; without any, all iterations are kept.

    Raises:
        DataError: `rank_ic` is asked for and no validation day has `MIN_MEMBERS` labelled stocks.
        RunError: the scores are no longer finite.
    """
    watch = DailyRankIC(valid.y, valid.offsets) if valid.y.size else None
    if watch is not None and patience and select_on == "rank_ic" and not watch.days:
        raise DataError(
            f"No validation day has {MIN_MEMBERS} labelled stocks, so there is no RankIC to stop on: "
            "lengthen the validation window, widen the universe, or set select_on to loss."
        )
    history: list[Record] = []
    best, best_value = 0, -np.inf
    for k in range(rounds):
        exhausted = add_tree(k)
        inside, outside = scores()
        record: Record = {"epoch": k + 1, "train_loss": mse(inside, train.y), "valid_loss": None, "valid_rank_ic": None}
        value = float(k)  # without validation the last iteration is the best
        if watch is not None:
            record["valid_loss"] = mse(outside, valid.y)
            record["valid_rank_ic"] = watch(outside) if watch.days else None
            if patience:
                value = record["valid_rank_ic"] if select_on == "rank_ic" else -record["valid_loss"]
        if not np.isfinite(value) or not np.isfinite(record["train_loss"]):
            raise RunError(f"Boosting diverged at iteration {k + 1}: the loss is not finite. Lower the learning rate.")
        history.append(record)
        if value > best_value:
            best, best_value = k + 1, value
        if exhausted or (watch is not None and patience and k + 1 - best >= patience):
            break
    return best, history


def mse(score: Floats | Doubles, label: Floats | Doubles) -> float:
    """Return the mean squared difference, in float64."""
    return float(np.mean(np.square(np.asarray(score, dtype=np.float64) - label)))
