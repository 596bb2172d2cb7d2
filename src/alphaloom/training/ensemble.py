"""Ensembles: scores of several models, and of fits on the last windows, made one. Seeds are averaged before."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from alphaloom.errors import DataError
from alphaloom.kernels.cross_rank import rank
from alphaloom.spec import Spec
from alphaloom.training.rolling import Experiment, RollingResult, window_scores
from alphaloom.training.splits import Window
from alphaloom.typing import Doubles, Floats

ENSEMBLE = "ensemble"
"""Name of the combination of several models."""


class EnsembleSettings(Spec):
    """How the scores of several models, and of fits on several windows, become the traded one."""

    method: Literal["rank_mean", "zscore_mean", "mean", "median"] = "rank_mean"
    """What is averaged on each date: percentile ranks, z-scores, or the scores as they are (`mean`, `median`), which
    then need the same units. A stock that one of them does not score has no score."""
    weights: Literal["equal", "icir"] | dict[str, Annotated[float, Field(ge=0)]] = "equal"
    """Weights of the models: `equal`; `icir`, in proportion to the ICIR (mean over deviation of the daily RankIC) that
    each one's fits have on the validation dates of the same window, negative ones as 0; or numbers by model name."""
    windows: Annotated[int, Field(ge=1, le=100)] = 1
    """How many windows' fits score a date: 1 takes the fits of the window that tests it, k also those of the k - 1
    windows before, with equal weights. None of them was fitted on later dates."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.method == "median" and self.weights != "equal":
            raise ValueError("a median takes no weights: set weights to equal, or take another method")
        if isinstance(self.weights, dict) and not any(self.weights.values()):
            raise ValueError("weights: at least one must be above 0")
        return self

    def check(self, models: Sequence[str], valid_share: float) -> None:
        """Refuse weights that the recipe's models and windows cannot have.

        Raises:
            ValueError: numbers for other names than the models', or `icir` without validation dates.
        """
        if isinstance(self.weights, dict) and set(self.weights) != set(models):
            raise ValueError(
                f"ensemble.weights must name every model and no other: given {', '.join(self.weights)}; the models are "
                f"{', '.join(models)}"
            )
        if self.weights == "icir" and len(models) > 1 and not valid_share:
            raise ValueError("ensemble.weights: icir needs validation dates; raise windows.valid_share or take equal")


def ensemble_scores(
    experiment: Experiment,
    windows: Sequence[Window],
    trained: RollingResult,
    folder: Path,
    settings: EnsembleSettings,
    *,
    threads: int,
) -> dict[str, Floats]:
    """Return scores `[T, N]` by model, led by `ensemble` when there are several: what is traded comes first.

    Each window's test dates are scored by its own fits and by those of the windows before, with the transforms that
    each of them was fitted with.

    Args:
        experiment: block, models and transforms.
        windows: in order of time.
        trained: the own windows' scores and the table of fits.
        folder: as given to `run_rolling`.
        settings: how scores are combined.
        threads: as given to `run_rolling`.
    """
    shape, names = experiment.inputs.panel.shape, list(experiment.models)
    out: dict[str, Floats] = {}
    for k, window in enumerate(windows):
        members = {name: [trained.scores[name][window.test]] for name in names}
        for earlier in reversed(windows[max(0, k - settings.windows + 1) : k]):
            for name, scores in _later_scores(experiment, window, folder / earlier.name, threads).items():
                members[name].append(scores)
        fits = trained.windows.filter(pl.col("window") == window.name)
        weights = model_weights(settings, names, fits.select("model", "valid_icir").to_dicts(), window.name)
        for name, scores in blend(settings, members, weights).items():
            out.setdefault(name, np.full(shape, np.nan, dtype=np.float32))[window.test] = scores
    return out


def _later_scores(experiment: Experiment, window: Window, home: Path, threads: int) -> dict[str, Floats]:
    """Return what the fits in `home` say of a later window's test dates `[D, N]`, by model."""
    first, stop = max(0, int(window.test[0]) - experiment.history), int(window.test[-1]) + 1
    return window_scores(
        experiment.inputs.panel.rows(first, stop),
        experiment.inputs.block[first:stop],
        window.test - first,
        experiment.inputs.transforms,
        home,
        list(experiment.models),
        experiment.repeats,
        threads,
    )


def model_weights(
    settings: EnsembleSettings, models: Sequence[str], fits: Sequence[Mapping[str, Any]], window: str
) -> dict[str, float]:
    """Return each model's weight on the test dates of one window; they sum to 1.

    Args:
        settings: how scores are combined.
        models: names of the models.
        fits: `model` and `valid_icir` of each fit of that window.
        window: its name.

    Raises:
        DataError: `icir` with a fit that has no ICIR, for want of two validation dates with a RankIC.
    """
    if isinstance(settings.weights, dict):
        weights = dict(settings.weights)
    elif settings.weights == "equal" or len(models) == 1:
        weights = dict.fromkeys(models, 1.0)
    else:
        found = {name: [fit["valid_icir"] for fit in fits if fit["model"] == name] for name in models}
        absent = [name for name, values in found.items() if None in values]
        if absent:
            raise DataError(
                f"Window {window}: {absent[0]} has no ICIR to be weighed by: fewer than two validation dates have a "
                "RankIC. Raise windows.valid_share, or set ensemble.weights to equal."
            )
        weights = {name: max(0.0, float(np.mean(values))) for name, values in found.items()}
        if not any(weights.values()):
            weights = dict.fromkeys(models, 1.0)
    total = sum(weights.values())
    return {name: weights[name] / total for name in models}


def blend(
    settings: EnsembleSettings, members: Mapping[str, Sequence[Floats]], weights: Mapping[str, float]
) -> dict[str, Floats]:
    """Return the scores `[D, N]` of each model over its windows, led by `ensemble` when there are several models.

    Args:
        settings: how scores are combined.
        members: for each model the scores `[D, N]` of its fits on the last windows.
        weights: of the models, summing to 1.
    """
    single = {name: combine(fits, settings.method) if len(fits) > 1 else fits[0] for name, fits in members.items()}
    if len(single) == 1:
        return single
    return {ENSEMBLE: combine(list(single.values()), settings.method, [weights[name] for name in single]), **single}


def combine(scores: Sequence[Floats], method: str = "rank_mean", weights: Sequence[float] | None = None) -> Floats:
    """Return scores `[D, N]` made one; NaN where one of them is missing, those of weight 0 left out.

    Args:
        scores: at least one array.
        method: see `EnsembleSettings.method`.
        weights: summing to 1; equal by default.
    """
    if weights is None:
        weights = [1 / len(scores)] * len(scores)
    if method == "median":
        return np.asarray(np.median(np.stack(scores), axis=0), dtype=np.float32)
    total = np.zeros(scores[0].shape)
    for score, weight in zip(scores, weights, strict=True):
        if weight:
            total += weight * _comparable(score, method)
    return total.astype(np.float32)


def _comparable(score: Floats, method: str) -> Floats | Doubles:
    if method == "mean":
        return score
    return percentile_ranks(score) if method == "rank_mean" else zscores(score)


def percentile_ranks(score: Floats) -> Floats:
    """Return average-tie ranks within each row `[D, N]`, scaled to (0, 1]; NaN stays."""
    present = ~np.isnan(score)
    block = score[:, :, None].astype(np.float32)
    counts = rank(block, present)
    return np.asarray(block[:, :, 0] / np.maximum(counts.reshape(-1, 1), 1), dtype=np.float32)


def zscores(score: Floats) -> Doubles:
    """Return each row `[D, N]` less its mean over its population deviation; 0 where all are equal, NaN stays."""
    present = ~np.isnan(score)
    count = np.maximum(present.sum(axis=1, keepdims=True), 1)
    values = np.where(present, score, 0).astype(np.float64)
    centred = np.where(present, values - values.sum(axis=1, keepdims=True) / count, 0)
    deviation = np.sqrt(np.square(centred).sum(axis=1, keepdims=True) / count)
    size = np.abs(values).max(axis=1, keepdims=True, initial=0)
    flat = deviation <= 1e-7 * size  # float32 keeps seven digits
    return np.where(present, np.where(flat, 0, centred / np.where(flat, 1, deviation)), np.nan)
