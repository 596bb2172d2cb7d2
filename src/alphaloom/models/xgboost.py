"""Boosted trees by XGBoost."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field

from alphaloom.models.base import FitContext, FittedEstimator, Record, Rows, models
from alphaloom.models.boosting import DailyBoosted, boost, mse_of, optional_library
from alphaloom.typing import Doubles, Floats

MODEL_FILE = "xgboost.ubj"


@models.register("xgboost")
class XGBoost(DailyBoosted):
    """Gradient boosting of depth-wise trees; missing values choose their own side of a split.

    The ranges under the settings are those that seed 001 (Table 1) searches. Equal seed, data and number of threads
    give equal trees. Needs one of the extras `xgb-cpu` and `xgb`.
    """

    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.03
    """Shrinkage of each tree (searched: up to 0.01)."""
    max_depth: Annotated[int, Field(ge=1, le=16)] = 5
    """Most levels of a tree (searched: 1 to 6)."""
    min_child_weight: Annotated[float, Field(ge=0)] = 100.0
    """Fewest training rows in a leaf, each counted by its Hessian."""
    subsample: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Share of the rows each tree learns from, drawn anew for every tree."""
    colsample_bytree: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the features each tree may use (searched: 0.2 to 0.6)."""
    colsample_bylevel: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of those that each level may use (searched: up to 1)."""
    reg_alpha: Annotated[float, Field(ge=0)] = 0.0
    """L1 penalty on leaf values."""
    reg_lambda: Annotated[float, Field(ge=0)] = 1.0
    """L2 penalty on leaf values."""
    max_bin: Annotated[int, Field(ge=2, le=1024)] = 128
    """Most bins of a feature."""

    def fit(self, train: Rows, valid: Rows, context: FitContext) -> "FittedXGBoost":
        """Return the trees up to the best validation measure; without validation rows, all `n_estimators`.

        Raises:
            MissingLibraryError: XGBoost is not installed.
            DataError: a loss of a day's cross-section without a day of ten labelled stocks.
        """
        xgboost = _library()
        threads = context.threads
        data = train.form(
            ("xgboost", self.max_bin),
            lambda: xgboost.QuantileDMatrix(train.x, train.y, nthread=threads, max_bin=self.max_bin),
        )
        check = (
            valid.form("xgboost", lambda: xgboost.DMatrix(valid.x, valid.y, nthread=threads)) if valid.y.size else None
        )
        booster = xgboost.Booster(self._parameters(context), [data] if check is None else [data, check])

        daily = self.daily_loss(train)

        def add_tree(iteration: int) -> bool:
            if daily is None:
                booster.update(data, iteration)
            else:
                booster.boost(data, iteration, grad=daily.gradient, hess=daily.hessian)
            return False

        def scores() -> tuple[Doubles, Doubles]:
            return booster.predict(data), np.empty(0) if check is None else booster.predict(check)

        if daily is not None:
            daily(np.zeros(train.y.size))
        losses = daily or mse_of(train), self.daily_loss(valid) or mse_of(valid)
        best, history = boost(self, add_tree=add_tree, scores=scores, losses=losses, valid=valid)
        return FittedXGBoost(bytes(booster[:best].save_raw("ubj")), train.x.shape[1], tuple(history))

    def fitted_class(self) -> "type[FittedXGBoost]":
        """Return `FittedXGBoost`."""
        return FittedXGBoost

    def _parameters(self, context: FitContext) -> dict[str, Any]:
        return {
            "objective": "reg:squarederror",
            **({} if self.objective == "mse" else {"base_score": 0.0}),
            "booster": "gbtree",
            "tree_method": "hist",
            "device": "cpu",
            "learning_rate": self.learning_rate,
            "max_depth": self.max_depth,
            "min_child_weight": self.min_child_weight,
            "subsample": self.subsample,
            "colsample_bytree": self.colsample_bytree,
            "colsample_bylevel": self.colsample_bylevel,
            "reg_alpha": self.reg_alpha,
            "reg_lambda": self.reg_lambda,
            "max_bin": self.max_bin,
            "seed": context.seed % 2**31,
            "nthread": context.threads,
            "verbosity": 1,
        }


@dataclass(frozen=True, eq=False)
class FittedXGBoost(FittedEstimator):
    """Fitted trees, held as XGBoost's binary JSON: what is saved is what predicts."""

    raw: bytes
    n_features: int
    records: tuple[Record, ...] = ()

    def __post_init__(self) -> None:
        booster = _library().Booster({"nthread": 1})
        booster.load_model(bytearray(self.raw))
        object.__setattr__(self, "_booster", booster)

    def predict(self, x: Floats) -> Doubles:
        """Return the score `[n]` of each row of `x [n, F]`; one thread, for a day's rows are few."""
        if not len(x):
            return np.empty(0)
        booster: Any = self.__dict__["_booster"]
        return np.asarray(booster.inplace_predict(x), dtype=np.float64)

    def save(self, folder: Path) -> None:
        """Write `xgboost.ubj`."""
        (folder / MODEL_FILE).write_bytes(self.raw)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the saved trees."""
        raw = (folder / MODEL_FILE).read_bytes()
        booster = _library().Booster()
        booster.load_model(bytearray(raw))
        return cls(raw, int(booster.num_features()))

    def importance(self) -> Doubles:
        """Return the total gain of each feature's splits `[F]`."""
        booster: Any = self.__dict__["_booster"]
        gains = np.zeros(self.n_features)
        for name, gain in booster.get_score(importance_type="total_gain").items():
            gains[int(name.removeprefix("f"))] = gain
        return gains

    def history(self) -> list[Record]:
        """Return one record a tree; empty after `load`."""
        return list(self.records)

    def best_iteration(self) -> int:
        """Return the number of trees."""
        booster: Any = self.__dict__["_booster"]
        return int(booster.num_boosted_rounds())


def _library() -> Any:
    install = "pip install 'alphaloom[xgb-cpu]' (or 'alphaloom[xgb]' for the build with CUDA)"
    return optional_library("xgboost", "xgboost", install)
