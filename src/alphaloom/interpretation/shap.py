"""What each feature adds to each score of a tree model, by exact TreeSHAP."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Protocol, TypeAlias, runtime_checkable

import numpy as np
import polars as pl
from pydantic import Field

from alphaloom.errors import UsageError
from alphaloom.interpretation.base import Frames, Method, Subject, Tell, by_size, date_column, methods
from alphaloom.kernels.cross_rank import rank
from alphaloom.models.base import FittedEstimator
from alphaloom.models.catboost import FittedCatBoost
from alphaloom.models.lightgbm import FittedLightGBM
from alphaloom.models.xgboost import FittedXGBoost
from alphaloom.training.fit import Fitted
from alphaloom.typing import Doubles, Floats, Ints

_Body: TypeAlias = tuple[FittedEstimator, Callable[[Floats], Doubles]]


@runtime_checkable
class Explained(Protocol):
    """A fitted estimator that knows its own SHAP values."""

    def contributions(self, x: Floats) -> Doubles:
        """Return what each feature adds to each row's score, `x [n, F]`, and the base value last `[n, F + 1]`."""


@methods.register("shap")
class Shap(Method):
    """SHAP values of boosted trees: what each feature adds to the score of each stock, above the trees' mean score.

    The values are exact (path-dependent TreeSHAP, computed by LightGBM or XGBoost itself): with the base value they
    sum to the score, and the largest difference is kept (`residual`). Reported for each test date: the mean over stocks
    of |value|, and the correlation of the value with the feature's rank among the stocks (the sign of its effect). Any
    estimator with a method `contributions` is explained in the same way.

    Source: Lundberg et al. (2020), From local explanations to global understanding with explainable AI for trees.
    """

    tables: ClassVar[tuple[str, ...]] = ("shap", "shap_points")
    days: Annotated[int, Field(ge=1)] | None = 60
    """Most test dates of a window, evenly spaced; null takes all of them."""
    stocks: Annotated[int, Field(ge=2)] | None = 100
    """Most stocks of a day, drawn at random; null takes all of them. A row takes 1 to 2 ms with 300 trees."""
    points: Annotated[int, Field(ge=1, le=10_000)] = 300
    """Stock-days of a window whose single values are kept."""

    def lacking(self, fitted: Fitted) -> str:
        """Return why there are no SHAP values, or an empty string."""
        if isinstance(fitted.body, FittedLightGBM | FittedXGBoost | Explained):
            return ""
        if isinstance(fitted.body, FittedCatBoost):
            return "SHAP values of catboost are not computed here"
        return "it is no tree model (lightgbm, xgboost)"

    def explain(self, subject: Subject, tell: Tell) -> dict[str, pl.DataFrame]:
        """Return each feature's daily strength and direction, and single values of a sample of stock-days."""
        subject = subject.thinned(self.days)
        samples, F = subject.samples, len(subject.features)
        bodies = [fit.body for fit in subject.fits if isinstance(fit.body, FittedEstimator)]
        explained = [(body, contributor(body, subject.threads)) for body in bodies]
        keep = samples.scorable()
        days = np.flatnonzero(keep.any(axis=1))
        drawn = self._drawn(subject.seed, days)
        strength, direction = np.full((days.size, F), np.nan), np.full((days.size, F), np.nan)
        residual, points = np.zeros(days.size), []
        for k, d in enumerate(days):
            tell(int(d), samples.rows.size)
            stocks = np.flatnonzero(keep[d])
            stocks = stocks[subject.chosen(int(d), stocks.size, self.stocks)]
            x = np.ascontiguousarray(samples.block[samples.rows[d], stocks])
            values, residual[k] = _mean_contributions(explained, x)
            places = _places(x)
            strength[k], direction[k] = np.abs(values).mean(axis=0), _correlations(values, places)
            shown = np.random.default_rng((subject.seed, int(d))).permutation(stocks.size)[: drawn[k]]
            points.append((subject.dates[d], values[shown], places[shown]))
        names = pl.Series("feature", list(subject.features) * days.size, dtype=pl.String)
        daily = pl.DataFrame(
            {
                "date": date_column(subject.dates[days], F),
                "feature": names,
                "mean_abs": strength.ravel(),
                "direction": direction.ravel(),
                "residual": np.repeat(residual, F),
            }
        ).with_columns(pl.col("direction").fill_nan(None))
        return {"shap": daily, "shap_points": pl.concat([self._points(subject, *item) for item in points])}

    def _drawn(self, seed: int, days: Ints) -> Ints:
        """Return how many points come from each day: as equal as can be, `points` in all."""
        share, more = divmod(self.points, max(1, days.size))
        counts = np.full(days.size, share)
        counts[np.random.default_rng(seed).permutation(days.size)[:more]] += 1
        return counts

    @staticmethod
    def _points(subject: Subject, date: np.datetime64, values: Doubles, places: Doubles) -> pl.DataFrame:
        n, F = values.shape
        return pl.DataFrame(
            {
                "date": date_column([date], n * F),
                "feature": pl.Series(list(subject.features) * n, dtype=pl.String),
                "value": values.ravel().astype(np.float32),
                "place": places.ravel().astype(np.float32),
            }
        ).with_columns(pl.col("place").fill_nan(None))

    def summary(self, frames: Frames) -> pl.DataFrame:
        """Return the mean strength and direction of every feature over the test dates, the strongest first."""
        frame = (
            frames["shap"]
            .group_by("model", "feature", maintain_order=True)
            .agg(
                pl.col("mean_abs").mean(),
                pl.col("direction").mean(),
                pl.len().alias("days"),
                pl.col("residual").max(),
            )
            .with_columns((pl.col("mean_abs") / pl.col("mean_abs").sum().over("model")).alias("share"))
        )
        return by_size(
            frame.select("model", "feature", "mean_abs", "share", "direction", "days", "residual"), "mean_abs"
        )


def contributor(body: FittedEstimator, threads: int = 1) -> Callable[[Floats], Doubles]:
    """Return the function from `x [n, F]` to what each feature adds to each row's score, the base last `[n, F + 1]`.

    Exact; LightGBM computes in float64, XGBoost in float32.

    Raises:
        UsageError: the estimator has no SHAP values.
    """
    if isinstance(body, Explained):
        return body.contributions
    if isinstance(body, FittedLightGBM):
        import lightgbm

        trees: Any = lightgbm.Booster(model_str=body.text)
        return lambda x: np.asarray(trees.predict(x, pred_contrib=True, num_threads=threads), dtype=np.float64)
    if isinstance(body, FittedXGBoost):
        import xgboost

        booster = xgboost.Booster({"nthread": threads})
        booster.load_model(bytearray(body.raw))

        def contributions(x: Floats) -> Doubles:
            rows = xgboost.DMatrix(x, nthread=threads)
            return np.asarray(booster.predict(rows, pred_contribs=True), dtype=np.float64)

        return contributions
    raise UsageError(f"{type(body).__name__} has no SHAP values here: they are computed for lightgbm and xgboost.")


def _mean_contributions(explained: Sequence[_Body], x: Floats) -> tuple[Doubles, float]:
    """Return the mean over the fits of the SHAP values `[n, F]`, and the largest |sum + base - score| of any fit."""
    total, residual = np.zeros(x.shape), 0.0
    for body, contributions in explained:
        found = contributions(x)
        residual = max(residual, float(np.abs(found.sum(axis=1) - body.predict(x)).max(initial=0.0)))
        total += found[:, :-1]
    return total / len(explained), residual


def _places(x: Floats) -> Doubles:
    """Return the rank of each value among the stocks, scaled to 0 to 1 `[n, F]`; NaN where it is missing."""
    ranks = x[None].copy()
    counts = rank(ranks, np.ones((1, len(x)), dtype=np.bool_))
    return np.asarray((ranks[0] - 1.0) / np.maximum(counts - 1, 1), dtype=np.float64)


def _correlations(values: Doubles, places: Doubles) -> Doubles:
    """Return each column's correlation of values and places over the stocks with both `[F]`; NaN without variation."""
    known = ~np.isnan(places)
    n = np.maximum(known.sum(axis=0), 1)
    v, p = np.where(known, values, 0.0), np.where(known, places, 0.0)
    v, p = np.where(known, v - v.sum(axis=0) / n, 0.0), np.where(known, p - p.sum(axis=0) / n, 0.0)
    spread = np.sqrt((v * v).sum(axis=0) * (p * p).sum(axis=0))
    found = np.divide((v * p).sum(axis=0), spread, out=np.full(spread.size, np.nan), where=spread > 1e-12 * n)
    return np.asarray(found, dtype=np.float64)
