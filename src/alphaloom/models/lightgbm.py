"""Boosted trees by LightGBM."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field

from alphaloom.models.base import FitContext, FittedEstimator, Record, Rows, SharedRows, models
from alphaloom.models.boosting import DailyBoosted, boost, mse_of
from alphaloom.typing import Doubles, Floats

MODEL_FILE = "lightgbm.txt"


@models.register("lightgbm")
class LightGBM(DailyBoosted):
    """Gradient boosting of leaf-wise trees; missing values choose their own side of a split.

    The ranges under the settings are those that seed 001 (Table 1) searches. Equal seed, data and number of threads
    give equal trees.
    """

    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.03
    """Shrinkage of each tree (searched: 0.001 to 0.1)."""
    num_leaves: Annotated[int, Field(ge=2, le=4096)] = 31
    """Most leaves of a tree."""
    max_depth: Annotated[int, Field(ge=1, le=64)] = 8
    """Most levels of a tree (searched: 1 to 64)."""
    min_data_in_leaf: Annotated[int, Field(ge=1)] = 200
    """Fewest training rows in a leaf (searched: 2 to 512), each counted by its Hessian."""
    feature_fraction: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the features each tree may use (searched: 0.1 to 1)."""
    bagging_fraction: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Share of the rows each tree learns from, drawn anew for every tree (searched: 0.1 to 1)."""
    lambda_l1: Annotated[float, Field(ge=0)] = 0.0
    """L1 penalty on leaf values."""
    lambda_l2: Annotated[float, Field(ge=0)] = 1.0
    """L2 penalty on leaf values."""
    max_bin: Annotated[int, Field(ge=3, le=255)] = 127
    """Most bins of a feature."""

    def fit(self, train: Rows, valid: Rows, context: FitContext) -> "FittedLightGBM":
        """Return the trees up to the best validation measure; without validation rows, all `n_estimators`.

        Raises:
            DataError: a loss of a day's cross-section without a day of ten labelled stocks.
        """
        import lightgbm

        daily = self.daily_loss(train)
        if daily is not None:
            daily(np.zeros(train.y.size))
        # Of its own squared error LightGBM adds up one number a row, of given gradients and Hessians two. Where all
        # Hessians are 1, a loss is squared error on labels that move: the present score less the gradient.
        moves = daily is not None and self.objective == "ic" and bool((daily.hessian == 1).all())
        parameters = self._parameters(context)
        if moves:
            parameters |= {"objective": "regression", "boost_from_average": False}
        data = self._binned(train, parameters)
        booster = lightgbm.Booster(params=parameters, train_set=data)
        if valid.y.size:
            booster.add_valid(self._binned(valid, parameters, like=data), "valid")
        if moves:
            booster.reset_parameter({"objective": "regression"})  # as handing gradients does: draws are then the same
        present: dict[bool, Doubles] = {True: np.zeros(train.y.size)}

        def add_tree(_: int) -> bool:
            if daily is not None and not moves:
                return bool(booster.update(fobj=lambda *_: (daily.gradient, daily.hessian)))
            if daily is not None:
                data.set_label((present[True] - daily.gradient).astype(np.float32))
                booster.train_set_version = data.version  # else every tree would begin the draws of rows anew
            return bool(booster.update())

        def keep(score: Doubles, rows: Any) -> list[tuple[str, float, bool]]:
            present[rows is data] = score
            return []

        def scores() -> tuple[Doubles, Doubles]:
            booster.eval_train(feval=keep)
            booster.eval_valid(feval=keep)
            return present[True], present.get(False, np.empty(0))

        losses = daily or mse_of(train), self.daily_loss(valid) or mse_of(valid)
        try:
            best, history = boost(self, add_tree=add_tree, scores=scores, losses=losses, valid=valid)
        finally:
            if moves:
                data.set_label(train.y)  # other fits share the data
        return FittedLightGBM(booster.model_to_string(num_iteration=best), tuple(history))

    def _binned(self, rows: Rows, parameters: dict[str, Any], like: Any = None) -> Any:
        """Return LightGBM's form of the rows: binned by themselves or like others, or a part of shared bins."""
        import lightgbm

        if rows.shared is None:
            return lightgbm.Dataset(rows.x, rows.y, reference=like, params=parameters)
        every = rows.shared
        key = ("lightgbm", self.max_bin)
        whole = every.rows.form(key, lambda: self._shared_bins(every, parameters))
        places = np.arange(rows.start, rows.start + rows.y.size)
        return rows.form(key, lambda: whole.subset(places, params=parameters).construct())

    def _shared_bins(self, every: SharedRows, parameters: dict[str, Any]) -> Any:
        """Return the bins of all rows, their edges from the first ones, made once on a machine."""
        import lightgbm

        def make(file: Path) -> None:
            first = lightgbm.Dataset(every.rows.x[: every.edges], every.rows.y[: every.edges], params=parameters)
            data = lightgbm.Dataset(every.rows.x, every.rows.y, reference=first, params=parameters)
            data.construct().save_binary(file)

        file = every.file(f"lightgbm-{self.max_bin}.bin", make)
        return lightgbm.Dataset(str(file), params=parameters).construct()

    def fitted_class(self) -> "type[FittedLightGBM]":
        """Return `FittedLightGBM`."""
        return FittedLightGBM

    def _parameters(self, context: FitContext) -> dict[str, Any]:
        return {
            "objective": "regression" if self.objective == "mse" else "none",
            "metric": "None",
            "boosting": "gbdt",
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "max_depth": self.max_depth,
            "min_data_in_leaf": self.min_data_in_leaf,
            "feature_fraction": self.feature_fraction,
            "bagging_fraction": self.bagging_fraction,
            "bagging_freq": 1,
            "lambda_l1": self.lambda_l1,
            "lambda_l2": self.lambda_l2,
            "max_bin": self.max_bin,
            "feature_pre_filter": False,
            "seed": context.seed % 2**31,
            "data_random_seed": 1,  # of the rows that bins are made from: those of shared rows serve every seed
            "num_threads": context.threads,
            "deterministic": True,
            "force_col_wise": True,
            "verbosity": -1,
        }


@dataclass(frozen=True, eq=False)
class FittedLightGBM(FittedEstimator):
    """Fitted trees, held as LightGBM's text form: what is saved is what predicts."""

    text: str
    records: tuple[Record, ...] = ()

    def __post_init__(self) -> None:
        import lightgbm

        object.__setattr__(self, "_booster", lightgbm.Booster(model_str=self.text))

    def predict(self, x: Floats) -> Doubles:
        """Return the score `[n]` of each row of `x [n, F]`; one thread, for a day's rows are few."""
        if not len(x):
            return np.empty(0)
        booster: Any = self.__dict__["_booster"]
        return np.asarray(booster.predict(x, num_threads=1), dtype=np.float64)

    def save(self, folder: Path) -> None:
        """Write `lightgbm.txt`."""
        (folder / MODEL_FILE).write_text(self.text)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the saved trees."""
        return cls((folder / MODEL_FILE).read_text())

    def importance(self) -> Doubles:
        """Return the total gain of each feature's splits `[F]`."""
        booster: Any = self.__dict__["_booster"]
        return np.asarray(booster.feature_importance("gain"), dtype=np.float64)

    def history(self) -> list[Record]:
        """Return one record a tree; empty after `load`."""
        return list(self.records)

    def best_iteration(self) -> int:
        """Return the number of trees."""
        booster: Any = self.__dict__["_booster"]
        return int(booster.num_trees())
