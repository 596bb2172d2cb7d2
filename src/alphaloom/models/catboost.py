"""Boosted trees by CatBoost."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field

from alphaloom.errors import RunError
from alphaloom.losses.validation import MIN_MEMBERS
from alphaloom.models.base import FitContext, FittedEstimator, Record, Rows, models
from alphaloom.models.boosting import Boosted, Measure, boost, graded, mse_of, ndcg_loss, optional_library
from alphaloom.typing import Array, Doubles, Floats, Ints

MODEL_FILE = "catboost.cbm"


@models.register("catboost")
class CatBoost(Boosted):
    """Gradient boosting of symmetric trees: all nodes of a level split alike; missing values count as the lowest.

    CatBoost cannot be stopped by another program's measure: all trees are grown, then those up to the best validation
    measure are kept, so that early stopping saves no time. Equal seed, data and number of threads give equal trees.
    Needs the extra `catboost`.

    Source: Prokhorenkova et al. 2018; Gulin, Kuralenok and Pavlov 2011 (YetiRank). Defaults are CatBoost's, but for
    number of trees, learning rate, `rsm` and `subsample`, which are those of the other tree models.
    """

    objective: Literal["mse", "demeaned_mse", "ndcg"] = "mse"
    """What the trees minimise: the squared error; that of differences within a day (`demeaned_mse`, QueryRMSE); minus
    the NDCG of each day's order (`ndcg`, YetiRank). The scores of the last two have no level, those of the last no
    scale; days of fewer than ten labelled stocks then teach no order."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.03
    """Shrinkage of each tree."""
    depth: Annotated[int, Field(ge=1, le=16)] = 6
    """Levels of a tree, which has 2^depth leaves."""
    l2_leaf_reg: Annotated[float, Field(ge=0)] = 3.0
    """L2 penalty on leaf values."""
    rsm: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the features that each split may use."""
    subsample: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Share of the rows each tree learns from, drawn anew for every tree."""
    random_strength: Annotated[float, Field(ge=0)] = 1.0
    """Size of the noise added to the scores of candidate splits."""
    border_count: Annotated[int, Field(ge=1, le=65535)] = 254
    """Most borders between the bins of a feature."""

    def fit(self, train: Rows, valid: Rows, context: FitContext) -> "FittedCatBoost":
        """Return the trees up to the best validation measure; without validation rows, all `n_estimators`.

        Raises:
            MissingLibraryError: CatBoost is not installed.
            DataError: `ndcg` without a day of ten labelled stocks.
            RunError: CatBoost refuses the data, for example when no feature varies.
        """
        library = _library()
        losses = self._measure(train), self._measure(valid)
        booster = library.CatBoost(self._parameters(context))
        try:
            booster.fit(self._pool(library, train))
        except library.CatBoostError as error:
            raise RunError(f"CatBoost could not be fitted: {error}") from error
        inside, outside = _stages(booster, train, context.threads), _stages(booster, valid, context.threads)
        best, history = boost(
            self,
            add_tree=lambda k: k + 1 == booster.tree_count_,
            scores=lambda: (next(inside), next(outside)),
            losses=losses,
            valid=valid,
        )
        booster.shrink(ntree_end=best)
        return FittedCatBoost(_bytes(booster), tuple(history))

    def fitted_class(self) -> "type[FittedCatBoost]":
        """Return `FittedCatBoost`."""
        return FittedCatBoost

    def _measure(self, rows: Rows) -> Measure:
        if self.objective == "mse":
            return mse_of(rows)
        return ndcg_loss(rows, self.grades, self.truncation) if self.objective == "ndcg" else _demeaned_mse(rows)

    def _pool(self, library: Any, rows: Rows) -> Any:
        """Return the rows as CatBoost takes them: with their days as groups, without days that teach nothing."""
        if self.objective == "mse":
            return library.Pool(rows.x, rows.y)
        day, size = _days(rows)
        label: Array = graded(rows, self.grades) if self.objective == "ndcg" else rows.y
        keep = size >= (MIN_MEMBERS if self.objective == "ndcg" else 1)
        return library.Pool(rows.x[keep], label[keep], group_id=day[keep])

    def _parameters(self, context: FitContext) -> dict[str, Any]:
        loss = {
            "mse": "RMSE",
            "demeaned_mse": "QueryRMSE",
            "ndcg": f"YetiRank:mode=NDCG;top={self.truncation};dcg_type=Exp",
        }
        return {
            "loss_function": loss[self.objective],
            "iterations": self.n_estimators,
            "learning_rate": self.learning_rate,
            "depth": self.depth,
            "l2_leaf_reg": self.l2_leaf_reg,
            "rsm": self.rsm,
            "bootstrap_type": "Bernoulli",
            "subsample": self.subsample,
            "random_strength": self.random_strength,
            "border_count": self.border_count,
            "boosting_type": "Plain",
            "random_seed": context.seed % 2**31,
            "thread_count": context.threads,
            "allow_writing_files": False,
            "logging_level": "Silent",
        }


@dataclass(frozen=True, eq=False)
class FittedCatBoost(FittedEstimator):
    """Fitted trees, held as CatBoost's own binary form: what is saved is what predicts."""

    raw: bytes
    records: tuple[Record, ...] = ()

    def __post_init__(self) -> None:
        booster = _library().CatBoost()
        booster.load_model(blob=self.raw)
        object.__setattr__(self, "_booster", booster)

    def predict(self, x: Floats) -> Doubles:
        """Return the score `[n]` of each row of `x [n, F]`; one thread, for a day's rows are few."""
        if not len(x):
            return np.empty(0)
        booster: Any = self.__dict__["_booster"]
        return np.asarray(booster.predict(x, thread_count=1), dtype=np.float64)

    def save(self, folder: Path) -> None:
        """Write `catboost.cbm`."""
        (folder / MODEL_FILE).write_bytes(self.raw)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the saved trees."""
        return cls((folder / MODEL_FILE).read_bytes())

    def importance(self) -> Doubles:
        """Return how much the scores change with each feature, in percent of all `[F]`."""
        booster: Any = self.__dict__["_booster"]
        return np.asarray(booster.get_feature_importance(type="PredictionValuesChange"), dtype=np.float64)

    def history(self) -> list[Record]:
        """Return one record a tree up to where early stopping ended; empty after `load`."""
        return list(self.records)

    def best_iteration(self) -> int:
        """Return the number of trees."""
        booster: Any = self.__dict__["_booster"]
        return int(booster.tree_count_)


def _stages(booster: Any, rows: Rows, threads: int) -> Iterator[Doubles]:
    """Yield the scores after each tree."""
    return booster.staged_predict(rows.x, thread_count=threads) if rows.y.size else repeat(np.empty(0))


def _days(rows: Rows) -> tuple[Ints, Ints]:
    """Return for each row its day and how many rows that day has `[n]`."""
    sizes = np.diff(rows.offsets)
    return np.repeat(np.arange(rows.days), sizes), np.repeat(sizes, sizes)


def _demeaned_mse(rows: Rows) -> Measure:
    """Return the mean squared difference of scores from labels, less its mean on each day."""
    day, size = _days(rows)

    def measure(score: Doubles | Floats) -> float:
        error = np.asarray(score, dtype=np.float64) - rows.y
        return float(np.mean((error - np.bincount(day, error)[day] / size) ** 2))

    return measure


def _bytes(booster: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / MODEL_FILE
        booster.save_model(str(file))
        return file.read_bytes()


def _library() -> Any:
    return optional_library("catboost", "catboost", "pip install 'alphaloom[catboost]'")
