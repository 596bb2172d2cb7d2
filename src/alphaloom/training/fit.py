"""One door for both forms of model: fit, score, save, load."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alphaloom.errors import DataError, UnsafeFileError, UsageError
from alphaloom.models.base import Estimator, FitContext, FittedEstimator, Model, Network, Record, Rows, models
from alphaloom.training.loop import OnEpoch, train_network
from alphaloom.training.network import FittedNetwork, finite
from alphaloom.training.samples import Samples, estimator_rows
from alphaloom.typing import Doubles, Floats

FITTED_FILE, BODY_FOLDER, CHECKPOINT_FILE = "fitted.json", "body", "checkpoint.pt"
FORMAT = 1


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted model of either form."""

    model: Model
    body: FittedEstimator | FittedNetwork
    features: tuple[str, ...]
    """Names of the F features it was fitted on, in the order it expects them."""
    history: list[Record]
    """Training curve: one record an epoch or tree; empty for a model that is solved at once."""
    importance: Doubles | None
    """One non-negative importance a feature `[F]`, or None."""
    best_iteration: int | None
    """Epoch or number of trees that was kept, or None."""

    def predict(self, samples: Samples) -> Floats:
        """Return scores `[D, N]` of the sample dates, NaN where there is none: not a member, or no feature.

        A day's scores depend on that day's inputs alone, bit for bit, whichever other days are asked for.

        Raises:
            DataError: the samples have another number of features, a window is longer than the data, or a feature is
                infinite.
            RunError: a score is not finite.
        """
        if samples.n_features != len(self.features):
            raise DataError(
                f"The model was fitted on {len(self.features)} features, the samples have {samples.n_features}."
            )
        if isinstance(self.body, FittedNetwork):
            return self.body.predict(samples)
        return _score_rows(self.body, samples)

    def save(self, folder: Path) -> None:
        """Write the fitted model into a folder, made if it is not there; no pickle."""
        body = folder / BODY_FOLDER
        body.mkdir(parents=True, exist_ok=True)
        self.body.save(body)
        files = {path.name: _digest(path) for path in sorted(body.iterdir())}
        facts = {
            "format": FORMAT,
            "model": self.model.describe(),
            "features": list(self.features),
            "best_iteration": self.best_iteration,
            "importance": None if self.importance is None else self.importance.tolist(),
            "files": files,
            "history": self.history,
        }
        (folder / FITTED_FILE).write_text(json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False))


def fit_model(
    model: Model,
    train: Samples,
    valid: Samples,
    *,
    context: FitContext,
    work: Path | None = None,
    progress: OnEpoch | None = None,
) -> Fitted:
    """Return the model fitted on the training days.

    Args:
        model: settings of an estimator or a network.
        train: training days.
        valid: days for early stopping alone; may be empty.
        context: seed, threads and the names of the F features.
        work: folder for a network's checkpoint: calling again with the same folder resumes after the last epoch. What
            is in it may be deleted once the fitted model is saved.
        progress: called with each record of the training curve (for an estimator, when the fit has ended).

    Raises:
        UsageError: the context names another number of features than the samples have.
        DataError: no labelled row to train on, or samples that the model cannot use; see `train_network`.
        RunError: the fit diverged.
    """
    if len(context.features) != train.n_features:
        raise UsageError(f"{len(context.features)} feature names were given for {train.n_features} features.")
    if isinstance(model, Network):
        checkpoint = work / CHECKPOINT_FILE if work else None
        network = train_network(model, train, valid, context=context, checkpoint=checkpoint, progress=progress)
        return Fitted(model, network, context.features, network.history, None, network.best_epoch)
    if not isinstance(model, Estimator):
        raise UsageError(f"{type(model).__name__} is neither an Estimator nor a Network: derive it from one of them.")
    fitted = fit_rows(model, estimator_rows(train), estimator_rows(valid, model.extras), context=context)
    if progress:
        for record in fitted.history:
            progress(record)
    return fitted


def fit_rows(model: Estimator, train: Rows, valid: Rows, *, context: FitContext) -> Fitted:
    """Return an estimator fitted on rows of the training days.

    Raises:
        DataError: no labelled row to train on.
        RunError: the fit diverged.
    """
    if not train.y.size:
        raise DataError(
            f"None of the {train.days} training days has a labelled member with a feature: check universe, label and "
            "features over the window."
        )
    body = model.fit(train, valid, context)
    history = body.history()
    return Fitted(model, body, context.features, history, body.importance(), body.best_iteration())


def load_fitted(folder: Path, *, threads: int | None = None) -> Fitted:
    """Return what `Fitted.save` wrote; its scores are equal bit for bit.

    Args:
        folder: as given to `save`.
        threads: for a network's scores on the CPU; take as many as it was fitted with. None leaves torch as it is.

    Raises:
        DataError: the folder holds no fitted model, or one of another format.
        UnsafeFileError: a file is missing, cut short or not the one that was saved.
        SettingError: the model's name or settings are not known to this version.
    """
    path = folder / FITTED_FILE
    if not path.is_file():
        raise DataError(f"{folder} holds no fitted model (no {FITTED_FILE}).")
    try:
        facts: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise UnsafeFileError(f"{path} is cut short or no JSON: fit the model again.") from error
    if facts.get("format") != FORMAT:
        raise DataError(f"{path} has format {facts.get('format')!r}; this version reads {FORMAT}.")
    for name, digest in facts["files"].items():
        file = folder / BODY_FOLDER / name
        if not file.is_file() or _digest(file) != digest:
            raise UnsafeFileError(f"{file} is missing or not as it was saved: fit the model again.")
    model = models.parse(facts["model"], str(path))
    body: FittedEstimator | FittedNetwork
    if isinstance(model, Estimator):
        body = model.fitted_class().load(folder / BODY_FOLDER)
    else:
        body = FittedNetwork.load(folder / BODY_FOLDER, threads)
    importance = None if facts["importance"] is None else np.array(facts["importance"], dtype=np.float64)
    return Fitted(model, body, tuple(facts["features"]), facts["history"], importance, facts["best_iteration"])


def _score_rows(body: FittedEstimator, samples: Samples) -> Floats:
    """Return an estimator's scores `[D, N]`, a day at a time."""
    keep = samples.scorable()
    scores = np.full(keep.shape, np.nan, dtype=np.float32)
    for d, row in enumerate(samples.rows):
        stocks = np.flatnonzero(keep[d])
        if stocks.size:
            scores[d, stocks] = finite(body.predict(samples.block[row, stocks]), row)
    return scores


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
