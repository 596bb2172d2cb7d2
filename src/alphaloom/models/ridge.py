"""Ridge regression in closed form."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

import numpy as np
import scipy.linalg
from pydantic import Field
from safetensors.numpy import load_file, save_file

from alphaloom.errors import RunError
from alphaloom.models.base import Estimator, FitContext, FittedEstimator, Rows, models
from alphaloom.typing import Doubles, Floats

BLOCK_ROWS = 16_384
"""Rows turned to float64 at a time: the normal equations grow block by block, so memory does not grow with the data."""


@models.register("ridge")
class Ridge(Estimator):
    """Linear model with an L2 penalty, solved exactly in float64.

    With features z standardised over the training rows (missing = 0, the mean) and n rows, the weights solve
    `(Z'Z / n + penalty I) w = Z'y / n`. The penalty is thus in units of feature variance and does not depend on n.
    A feature that never varies gets weight 0. The validation rows are not used.
    """

    penalty: Annotated[float, Field(gt=0, le=1e6)] = 0.1
    """L2 penalty, in units of feature variance."""
    demean: bool = True
    """Subtract each day's mean from features and label first: only differences between stocks are learned."""

    def fit(self, train: Rows, valid: Rows, context: FitContext) -> "FittedRidge":
        """Return the fitted weights.

        Raises:
            RunError: a feature or the label holds an infinite value.
        """
        n, features = train.x.shape
        with np.errstate(invalid="ignore"):
            mean, scale = self._moments(train)
        wrong = np.flatnonzero(~np.isfinite(mean))
        if wrong.size or not np.isfinite(train.y).all():
            what = f"feature {context.features[wrong[0]]!r}" if wrong.size else "the label"
            raise RunError(f"Ridge cannot be solved: {what} has an infinite value in the training rows. Clip it first.")
        label_mean = 0.0 if self.demean else float(train.y.mean(dtype=np.float64))
        shift = np.zeros(features) if self.demean else mean
        gram, moment = np.zeros((features, features)), np.zeros(features)
        for x, y in _blocks(train, self.demean):
            z = _standardised(x, shift, scale)
            gram += z.T @ z
            moment += z.T @ (y - label_mean)
        penalised = gram / n + self.penalty * np.eye(features)
        weights = scipy.linalg.solve(penalised, moment / n, assume_a="pos")
        return FittedRidge(np.asarray(weights, dtype=np.float64), mean, scale, label_mean)

    def fitted_class(self) -> "type[FittedRidge]":
        """Return `FittedRidge`."""
        return FittedRidge

    def _moments(self, rows: Rows) -> tuple[Doubles, Doubles]:
        """Return each feature's mean and its standard deviation `[F]` over its values; infinite if it never varies."""
        features = rows.x.shape[1]
        count, total, square = np.zeros(features), np.zeros(features), np.zeros(features)
        for x, _ in _blocks(rows, demean=False):
            count += (~np.isnan(x)).sum(axis=0)
            total += np.nansum(x, axis=0)
        count = np.maximum(count, 1)
        mean = total / count
        shift = np.zeros(features) if self.demean else mean
        for x, _ in _blocks(rows, self.demean):
            square += np.nansum((x - shift) ** 2, axis=0)
        scale = np.sqrt(square / count)
        return mean, np.where(scale > 1e-7 * np.abs(mean), scale, np.inf)  # float32 keeps seven digits


@dataclass(frozen=True, eq=False)
class FittedRidge(FittedEstimator):
    """Weights on standardised features; `score = z @ weights + intercept` with `z = (x - mean) / scale`, missing 0."""

    weights: Doubles
    mean: Doubles
    scale: Doubles
    intercept: float

    def predict(self, x: Floats) -> Doubles:
        """Return the score `[n]` of each row of `x [n, F]`; a missing feature counts as its training mean."""
        z = _standardised(x.astype(np.float64), self.mean, self.scale)
        return np.asarray(z @ self.weights + self.intercept, dtype=np.float64)

    def save(self, folder: Path) -> None:
        """Write `ridge.safetensors`."""
        intercept = np.array([self.intercept])
        arrays = {"weights": self.weights, "mean": self.mean, "scale": self.scale, "intercept": intercept}
        save_file(arrays, folder / "ridge.safetensors")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the saved weights."""
        arrays = load_file(folder / "ridge.safetensors")
        return cls(arrays["weights"], arrays["mean"], arrays["scale"], float(arrays["intercept"][0]))

    def importance(self) -> Doubles:
        """Return the size of each weight on the standardised feature `[F]`, in label units per standard deviation."""
        return np.abs(self.weights)


def _standardised(x: Doubles, mean: Doubles, scale: Doubles) -> Doubles:
    z = (x - mean) / scale
    z[np.isnan(x)] = 0.0
    return z


def _blocks(rows: Rows, demean: bool) -> Iterator[tuple[Doubles, Doubles]]:
    """Yield `x [m, F]` and `y [m]` of whole days in float64, about `BLOCK_ROWS` rows at a time."""
    first = 0
    while first < rows.days:
        last = int(np.searchsorted(rows.offsets, rows.offsets[first] + BLOCK_ROWS, side="right")) - 1
        last = min(max(last, first + 1), rows.days)
        a, b = rows.offsets[first], rows.offsets[last]
        x, y = rows.x[a:b].astype(np.float64), rows.y[a:b].astype(np.float64)
        if demean:
            for day in range(first, last):
                part = slice(rows.offsets[day] - a, rows.offsets[day + 1] - a)
                if part.stop > part.start:
                    x[part] -= _mean(x[part])
                    y[part] -= y[part].mean()
        if b > a:
            yield x, y
        first = last


def _mean(x: Doubles) -> Doubles:
    """Return the mean of each column over its values, 0 for a column without any."""
    count = (~np.isnan(x)).sum(axis=0)
    return np.asarray(np.nansum(x, axis=0) / np.maximum(count, 1), dtype=np.float64)
