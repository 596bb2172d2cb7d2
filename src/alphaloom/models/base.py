"""What a model is: settings that make a fitted object. Two forms: an estimator on rows, a network on day batches."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

import torch
from pydantic import Field

from alphaloom.losses.base import Loss, losses
from alphaloom.registry import Registry
from alphaloom.spec import Component, Spec
from alphaloom.typing import Doubles, Floats, Ints


@dataclass(frozen=True)
class Rows:
    """Labelled rows of some days, date-major: `x [n, F]`, `y [n]`, and where each day starts, `offsets [D + 1]`."""

    x: Floats
    y: Floats
    offsets: Ints


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


class Model(Component, ABC):
    """Settings of a model. `steps` sample dates, `stride` rows apart and the last at t, make one input."""

    @property
    def steps(self) -> int:
        """L, the number of look-back steps in one input; 1 sees the last row alone."""
        return 1

    @property
    def stride(self) -> int:
        """Rows between two steps."""
        return 1


class Estimator(Model):
    """A model that learns from the rows of the sample dates: linear models and trees."""

    @abstractmethod
    def fit(self, train: Rows, valid: Rows, context: FitContext) -> FittedEstimator:
        """Return the fitted estimator; `valid` serves early stopping alone and may be empty."""

    @abstractmethod
    def fitted_class(self) -> type[FittedEstimator]:
        """Return the class whose `load` reads what the fitted object saved."""


class Optimisation(Spec):
    """How the one training loop trains a network."""

    lr: Annotated[float, Field(gt=0, le=1)] = 1e-3
    """Learning rate of Adam."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled weight decay (AdamW)."""
    epochs: Annotated[int, Field(ge=1)] = 30
    """Most epochs; one epoch sees every training day once."""
    patience: Annotated[int, Field(ge=1)] = 8
    """Epochs without a better validation score before stopping."""
    days_per_step: Annotated[int, Field(ge=1)] = 1
    """Trading days in one batch."""
    clip_value: Annotated[float, Field(gt=0)] = 3.0
    """Each gradient entry is clipped to this size (seed 001 section 3.2.4)."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Learning rate over the epochs."""
    select_on: Literal["rank_ic", "loss"] = "rank_ic"
    """Validation measure that early stopping and the best weights follow."""


class Network(Model):
    """A neural model: settings and a module, never a loop; `alphaloom.training.loop` trains every one of them."""

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
