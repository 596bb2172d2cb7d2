"""One candidate: settings of a model, fitted and scored on the folds of a window."""

import json
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from alphaloom.errors import AlphaloomError, DataError, RunError
from alphaloom.executors.storage import Storage
from alphaloom.kernels.cross_rank import rank_ic
from alphaloom.models.base import Estimator, FitContext, Model, Rows
from alphaloom.spec import fingerprint
from alphaloom.training.code import code_hash
from alphaloom.training.fit import fit_model, fit_rows
from alphaloom.training.fits import Shelf, read_json, samples_of
from alphaloom.training.inputs import Inputs, Source
from alphaloom.training.shared_rows import shared_rows
from alphaloom.training.splits import Window
from alphaloom.typing import Doubles, Floats

Objective = Literal["rank_ic", "mse"]


@dataclass(frozen=True, eq=False)
class Candidate:
    """One model to fit and score on the folds of one window."""

    name: str
    """Name of the model in its run, and what tells the candidate from others on a display."""
    model: Model
    folds: tuple[Window, ...]
    span: tuple[int, int]
    """First and last sample date, rows of the panel, on which any window of the run is fitted."""
    edges: int
    """Last row on which the first window is fitted: what bins of trees may take their edges from."""
    objective: Objective
    seed: int
    threads: int
    pruner: str
    earlier: tuple[tuple[float, ...], ...]
    """Folds' values of the candidates before it, which decide whether it is given up."""
    folder: str
    """Where candidates lie on storage."""
    seconds: float | None = None
    """Time that its search has left: it ends with the fold in which that is over. None leaves it the time it takes."""

    def key(self, inputs: Inputs) -> str:
        """Return what its result depends on."""
        dates = inputs.panel.dates
        days = [[str(d) for d in dates[rows]] for f in self.folds for rows in (f.train, f.valid, f.test)]
        given = [self.objective, self.seed, self.pruner, self.earlier if self.pruner != "none" else ()]
        edges = [str(dates[row]) for row in (self.span[0], self.edges)]
        return fingerprint([inputs.key, tuning_code(), self.model.describe(), days, edges, given])


@cache
def tuning_code() -> str:
    """Return the hash of the code that scores candidates and searches."""
    return code_hash([], *Path(__file__).parent.glob("*.py"))


def read_candidate(storage: Storage, folder: str, key: str) -> dict[str, Any] | None:
    """Return a finished candidate's record, or None."""
    return read_json(storage, f"{folder}/{key}.json")


def run_candidate(source: Source, storage: Storage, candidate: Candidate) -> dict[str, Any]:
    """Fit and score a candidate on its folds, write the record aside the others of its window, and return it.

    The record has `daily`, the objective on each date of each fold, `values`, their mean by fold, `state` (`complete`,
    `pruned` or `late` with fewer folds, or `diverged` with the reason in `message`), `seconds`, and `reads_until`, the
    last day that a label read. One that is late is not written: with more time it comes to something else.
    """
    started = time.perf_counter()
    inputs = source.get()
    daily: list[list[float]] = []
    state, message = "complete", None
    try:
        for k, fold in enumerate(candidate.folds):
            scores, label = fit_fold(source, storage, candidate, k)
            daily.append(measure(scores, label, candidate.objective, fold.name).tolist())
            if k + 1 == len(candidate.folds):
                break
            if _is_hopeless(candidate, [float(np.mean(day)) for day in daily]):
                state = "pruned"
                break
            if candidate.seconds is not None and time.perf_counter() - started >= candidate.seconds:
                state = "late"
                break
    except RunError as error:
        state, message = "diverged", " ".join([str(error), *getattr(error, "__notes__", [])])
    record = {
        "model": candidate.model.describe(),
        "values": [float(np.mean(days)) for days in daily],
        "daily": daily,
        "state": state,
        "message": message,
        "seconds": round(time.perf_counter() - started, 3),
        "reads_until": reads_until(inputs, candidate.folds),
    }
    if state != "late":
        storage.write(f"{candidate.folder}/{candidate.key(inputs)}.json", json.dumps(record).encode())
    return record


def reads_until(inputs: Inputs, folds: Sequence[Window]) -> str:
    """Return the last day that any date of the folds, or its label, reads."""
    last, dates = max(int(inputs.ends[fold.rows].max()) for fold in folds), inputs.panel.dates
    return str(dates[last] if last < dates.size else dates[-1] + 1)


def fit_fold(source: Source, storage: Storage, candidate: Candidate, k: int) -> tuple[Floats, Floats]:
    """Return the scores `[D, N]` that a fit on one fold gives to its later dates, and their labels.

    Raises:
        RunError: the fit diverged.
    """
    inputs, fold, model = source.get(), candidate.folds[k], candidate.model
    whole = _whole_window(candidate.folds)
    history = (model.steps - 1) * model.stride
    # Without fitted transforms all folds share the window's samples; else each has transforms of its own.
    given = samples_of(source, fold if inputs.transforms else whole, history)
    context = FitContext(seed=candidate.seed, threads=candidate.threads, features=inputs.features)
    try:
        if isinstance(model, Estimator) and not inputs.transforms:
            train, valid = _rows(source, storage, candidate, k)
            fitted = fit_rows(model, train, valid, context=context)
        else:
            fitted = fit_model(model, given.of(fold.train), given.of(fold.valid), context=context)
    except AlphaloomError as error:
        error.add_note(f"while fitting {candidate.name} on {fold.name}")
        raise
    return fitted.predict(given.of(fold.test)), inputs.label[fold.test]


def measure(scores: Floats, label: Floats, objective: Objective, where: str) -> Doubles:
    """Return RankIC or the mean squared error of each date `[D']` that has two labelled stocks with a score.

    A date whose scores are all equal has RankIC 0.

    Raises:
        DataError: there is no such date.
    """
    known = np.isfinite(scores) & np.isfinite(label)
    dates = known.sum(axis=1) > 1
    if not dates.any():
        raise DataError(f"{where}: no tested date has labelled stocks to score. Set fewer tuning.folds.")
    if objective == "rank_ic":
        return np.asarray(np.nan_to_num(rank_ic(scores[dates], label[dates])[0], nan=0.0), dtype=np.float64)
    error = np.square(scores[dates].astype(np.float64) - label[dates])
    return np.asarray(np.nanmean(error, axis=1), dtype=np.float64)


_fold_rows: Shelf[dict[int, tuple[Rows, Rows]]] = Shelf()


def _rows(source: Source, storage: Storage, candidate: Candidate, k: int) -> tuple[Rows, Rows]:
    """Return training and validation rows of one fold, kept with what libraries made of them for later candidates."""
    inputs = source.get()
    folds = tuple(rows.tobytes() for f in candidate.folds for rows in (f.train, f.valid, f.test))
    key = (inputs.arrays, id(inputs), candidate.model.extras, folds, candidate.span, candidate.edges)
    kept = _fold_rows.get(key, dict)
    if k not in kept:
        shared = shared_rows(source, storage, candidate.span, candidate.edges, candidate.model.extras)
        fold = candidate.folds[k]
        kept[k] = shared.part(fold.train), shared.part(fold.valid)
    return kept[k]


def _whole_window(folds: Sequence[Window]) -> Window:
    rows = np.unique(np.concatenate([fold.rows for fold in folds]))
    name = folds[0].name.partition(",")[0]
    return Window(name, rows, rows[:0], rows[:0], 0)


def _is_hopeless(candidate: Candidate, values: Sequence[float]) -> bool:
    """Return whether Optuna's pruner gives the candidate up, knowing those before it alone."""
    if candidate.pruner == "none" or not candidate.earlier:
        return False
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        pruner = PRUNERS[candidate.pruner]()
    study = optuna.create_study(
        direction=direction(candidate.objective),
        pruner=pruner,
        sampler=optuna.samplers.RandomSampler(seed=0),
    )
    complete = optuna.trial.TrialState.COMPLETE
    # The median is that of means over the same folds; Wilcoxon's test takes the folds one by one.
    steps_of = _running_means if candidate.pruner == "median" else list[float]
    for folds in candidate.earlier:
        state = complete if len(folds) == len(candidate.folds) else optuna.trial.TrialState.PRUNED
        steps = dict(enumerate(steps_of(folds)))
        study.add_trial(optuna.trial.create_trial(state=state, value=float(np.mean(folds)), intermediate_values=steps))
    trial = study.ask()
    seen = dict(enumerate(steps_of(values)))
    if candidate.pruner == "median":  # it compares the best of what was reported: the present mean alone
        seen = {len(values) - 1: seen[len(values) - 1]}
    for step, value in seen.items():
        trial.report(value, step)
    return bool(trial.should_prune())


def _running_means(values: Sequence[float]) -> list[float]:
    return [float(np.mean(values[: k + 1])) for k in range(len(values))]


def direction(objective: Objective) -> Literal["maximize", "minimize"]:
    """Return which way is better, in Optuna's words."""
    return "maximize" if objective == "rank_ic" else "minimize"


def _wilcoxon() -> Any:
    import optuna

    return optuna.pruners.WilcoxonPruner(p_threshold=0.1, n_startup_steps=2)


def _median() -> Any:
    import optuna

    return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2)


PRUNERS: Mapping[str, Any] = {"wilcoxon": _wilcoxon, "median": _median}
