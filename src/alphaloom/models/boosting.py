"""What the tree libraries share: the settings of boosting, the losses of a day, the one loop with early stopping."""

import importlib
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from types import ModuleType
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from scipy.stats import rankdata

from alphaloom.errors import DataError, MissingLibraryError, RunError
from alphaloom.kernels.daily_gradients import ic_gradient, ndcg_gradient, rank_ic_gradient
from alphaloom.losses.validation import MIN_MEMBERS, SelectOn, Watch, selection_extras
from alphaloom.models.base import Estimator, Record, Rows
from alphaloom.typing import Doubles, Floats, Ints

Measure = Callable[[Doubles | Floats], float]
"""The loss of present scores of one set of rows."""


class Boosted(Estimator):
    """Gradient boosting: trees are added until the validation measure no longer improves."""

    n_estimators: Annotated[int, Field(ge=1, le=100_000)] = 300
    """Most trees."""
    grades: Annotated[int, Field(ge=2, le=31)] = 5
    """With `ndcg`: each day's labels are cut by rank into this many grades of equal size; grade g is worth 2^g - 1."""
    truncation: Annotated[int, Field(ge=1, le=100_000)] = 100
    """With `ndcg`: how many of a day's highest scores count."""
    early_stopping_rounds: Annotated[int, Field(ge=0)] = 10
    """Trees without a better validation measure before stopping; 0 grows all of them."""
    select_on: SelectOn = "loss"
    """Validation measure that early stopping follows; `loss` is the loss of the objective."""

    @property
    def extras(self) -> tuple[str, ...]:
        """What early stopping reads per stock."""
        return selection_extras(self.select_on)


class DailyBoosted(Boosted):
    """Gradient boosting on squared error or on a loss of each day's cross-section.

    The losses of a day see no level: their scores start from zero and order the stocks of a day, they are no returns.
    Their gradients are residuals and their Hessians average 1 over a day's rows (see
    `alphaloom.kernels.daily_gradients`), so that the learning rate, the penalties and the smallest leaf mean what they
    mean with squared error on labels of variance 1. A leaf's size is counted in Hessians by both libraries: that is
    rows with `mse` and `ic`, and rows weighed by how much their place matters with `rank_ic` and `ndcg`. On the curve,
    and for early stopping, the loss is minus IC, RankIC or NDCG itself, the mean over days weighed by their rows.
    """

    objective: Literal["mse", "ic", "rank_ic", "ndcg"] = "mse"
    """What the trees minimise: the squared error; or, a day at a time, minus the Pearson correlation of scores and
    labels (`ic`) or of their ranks (`rank_ic`), or minus the NDCG of the order (`ndcg`, by LambdaRank). Days of fewer
    than ten labelled stocks then teach nothing."""
    softness: Annotated[float, Field(ge=1e-6, le=100)] = 1.0
    """With `ic` and `rank_ic`: how far apart a day's scores may lie, in standard deviations of the label or of its
    ranks, before the loss sees them as ordered; until then trees add up as with squared error. Small ones make it the
    bare correlation, in which shrinkage has no say."""

    def daily_loss(self, rows: Rows) -> "DailyLoss | None":
        """Return the loss of these rows, or None with squared error."""
        if self.objective == "ic":
            return DailyLoss(rows, partial(_ic, target=standardised(rows, np.array), softness=self.softness))
        if self.objective == "rank_ic":
            return DailyLoss(rows, partial(_rank_ic, target=standardised(rows, rankdata), softness=self.softness))
        return ndcg_loss(rows, self.grades, self.truncation) if self.objective == "ndcg" else None


class DailyLoss:
    """A loss of each day's cross-section: a call returns it, and leaves gradient and Hessian `[n]` behind.

    Raises:
        DataError: no day has `MIN_MEMBERS` labelled stocks with labels that differ.
    """

    def __init__(self, rows: Rows, kernel: Callable[[Doubles, Ints, Floats, Floats], float]) -> None:
        if rows.y.size and not any(np.ptp(rows.y[a:b]) > 0 for a, b in pairwise(rows.offsets) if b - a >= MIN_MEMBERS):
            raise DataError(
                f"None of {rows.days} training or validation days has {MIN_MEMBERS} stocks with labels that differ, so "
                "there is no loss of a day's cross-section: widen the universe, lengthen the windows, or set objective "
                "to mse."
            )
        self.gradient = np.zeros(rows.y.size, dtype=np.float32)
        self.hessian = np.zeros(rows.y.size, dtype=np.float32)
        self._offsets, self._kernel = rows.offsets, kernel

    def __call__(self, score: Doubles | Floats) -> float:
        """Return the loss of the scores `[n]`."""
        score = np.asarray(score, dtype=np.float64)
        return float(self._kernel(score, self._offsets, self.gradient, self.hessian))


def ndcg_loss(rows: Rows, grades: int, truncation: int) -> DailyLoss:
    """Return minus the NDCG of each day's order, the mean over days weighed by their rows."""
    gains: Doubles = np.exp2(np.arange(grades, dtype=np.float64)) - 1
    return DailyLoss(rows, partial(_ndcg, grade=graded(rows, grades), truncation=truncation, gains=gains))


def _ic(score: Doubles, offsets: Ints, gradient: Floats, hessian: Floats, *, target: Doubles, softness: float) -> float:
    return ic_gradient(score, target, offsets, MIN_MEMBERS, softness, gradient, hessian)


def _rank_ic(
    score: Doubles, offsets: Ints, gradient: Floats, hessian: Floats, *, target: Doubles, softness: float
) -> float:
    return rank_ic_gradient(score, target, offsets, MIN_MEMBERS, softness, gradient, hessian)


def _ndcg(
    score: Doubles, offsets: Ints, gradient: Floats, hessian: Floats, *, grade: Ints, truncation: int, gains: Doubles
) -> float:
    return ndcg_gradient(score, grade, offsets, MIN_MEMBERS, truncation, gains, gradient, hessian)


def standardised(rows: Rows, values: Callable[[Doubles], Doubles]) -> Doubles:
    """Return `values` of each day's labels with mean 0 and population variance 1 `[n]`; zeros where all are equal."""
    out = np.zeros(rows.y.size)
    for a, b in pairwise(rows.offsets):
        label = rows.y[a:b].astype(np.float64)
        if label.size and np.ptp(label) > 0:
            day = values(label)
            out[a:b] = (day - day.mean()) / day.std()
    return out


def graded(rows: Rows, grades: int) -> Ints:
    """Return each day's labels cut by rank, ties averaged, into grades 0, 1, ... of equal size `[n]`."""
    out = np.zeros(rows.y.size, dtype=np.int64)
    for a, b in pairwise(rows.offsets):
        if b > a:
            out[a:b] = (rankdata(rows.y[a:b]) - 0.5) * grades / (b - a)
    return out


def mse_of(rows: Rows) -> Measure:
    """Return the mean squared difference of scores from these rows' labels, in float64."""
    return lambda score: float(np.mean(np.square(np.asarray(score, dtype=np.float64) - rows.y)))


def boost(
    settings: Boosted,
    *,
    add_tree: Callable[[int], bool],
    scores: Callable[[], tuple[Doubles, Doubles]],
    losses: tuple[Measure, Measure],
    valid: Rows,
) -> tuple[int, list[Record]]:
    """Return how many boosting iterations to keep, and the curve: the one loop with early stopping for tree libraries.

    Args:
        settings: most trees, patience and the measure of early stopping.
        add_tree: adds the tree of the iteration (from 0); True when the library can add no more.
        scores: present scores of the training and the validation rows.
        losses: loss of the former and of the latter; called once an iteration, in this order, after the tree.
        valid: validation rows; without any, all iterations are kept.

    Raises:
        DataError: too few validation days have `MIN_MEMBERS` labelled stocks for the measure.
        RunError: the scores are no longer finite.
    """
    patience, select_on = settings.early_stopping_rounds, settings.select_on
    watch = Watch(select_on, valid.y, valid.offsets, valid.extras) if valid.y.size else None
    if watch is not None and patience and not watch.is_possible:
        measure = "RankIC" if select_on == "rank_ic" else select_on
        raise DataError(
            f"No validation day has {MIN_MEMBERS} labelled stocks, so there is no {measure} to stop on (icir and "
            "sharpe need two such days): lengthen the validation window, widen the universe, or set select_on to loss."
        )
    history: list[Record] = []
    best, best_value = 0, -np.inf
    for k in range(settings.n_estimators):
        exhausted = add_tree(k)
        inside, outside = scores()
        record: Record = {"epoch": k + 1, "train_loss": losses[0](inside), "valid_loss": None, "valid_rank_ic": None}
        value = float(k)  # without validation the last iteration is the best
        valid_loss = losses[1](outside) if watch is not None else 0.0
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


def optional_library(module: str, model: str, install: str) -> ModuleType:
    """Return the library behind a model.

    Raises:
        MissingLibraryError: it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingLibraryError(
            f"The model {model} needs a library that is not installed: {install}, or choose another model."
        ) from error
