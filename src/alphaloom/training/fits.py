"""One fit of one model on one window: an idempotent task, and the record that it leaves."""

import json
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import polars as pl

from alphaloom.errors import AlphaloomError
from alphaloom.executors.storage import Storage
from alphaloom.kernels.cross_rank import rank_ic
from alphaloom.losses.validation import DEVIATION_FLOOR, DailyRankIC
from alphaloom.models.base import FitContext, Model
from alphaloom.panel import Panel
from alphaloom.spec import fingerprint
from alphaloom.training.fit import Fitted, fit_model
from alphaloom.training.inputs import Inputs, Source, WindowSamples
from alphaloom.training.samples import Samples
from alphaloom.training.splits import Window
from alphaloom.typing import Bools, Doubles, Floats

T = TypeVar("T")
RECORD = "task.json"


@dataclass(frozen=True, eq=False)
class Fit:
    """One model to fit on one window, with one seed."""

    window: Window
    name: str
    """Name of the model in its run; its settings may be tuned ones."""
    model: Model
    repeat: int
    seed: int
    threads: int
    history: int
    """Rows before a sample date that some model of the run reaches back to."""

    @property
    def folder(self) -> str:
        """Where its result lies."""
        return f"{self.window.name}/{self.name}-s{self.repeat}"

    @property
    def title(self) -> str:
        """What to call it on a display."""
        return f"{self.window.name} {self.name}" + (f" seed {self.repeat + 1}" if self.repeat else "")

    def key(self, inputs: Inputs) -> str:
        """Return what its result depends on."""
        window, dates = self.window, inputs.panel.dates
        return fingerprint(
            {
                "experiment": inputs.key,
                "model": self.model.describe(),
                "seed": self.seed,
                "rows": [[str(d) for d in dates[rows]] for rows in (window.train, window.valid, window.test)],
            }
        )


def task_seed(seed: int, *parts: object) -> int:
    """Return the seed of one task, from the run's and what tells the task from others."""
    return int(fingerprint([seed, *map(str, parts)]), 16) % (2**31)


def read_json(storage: Storage, name: str) -> dict[str, Any] | None:
    """Return a file's content; None when it is not there, or a machine lost its power before all of it was."""
    content = storage.read(name)
    if content is None:
        return None
    try:
        return dict(json.loads(content))
    except json.JSONDecodeError:
        return None


def read_record(storage: Storage, folder: str, key: str) -> dict[str, Any] | None:
    """Return a finished task's record, or None when it is absent or was made from other data or settings."""
    record = read_json(storage, f"{folder}/{RECORD}")
    return record if record is not None and record.get("key") == key else None


class Shelf(Generic[T]):
    """Keeps the last thing made: what the next task of a process most likely needs again."""

    def __init__(self) -> None:
        self._key: Hashable = None
        self._value: T | None = None

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what is kept under the key, or make it; what was kept before is let go first."""
        if self._value is None or self._key != key:
            self._value = None
            self._value = make()
            self._key = key
        return self._value


_windows: Shelf[WindowSamples] = Shelf()


def samples_of(source: Source, window: Window, history: int) -> WindowSamples:
    """Return the window's samples; those of the last window asked for are kept in the process."""
    inputs = source.get()
    key = (inputs.arrays, id(inputs), window.name, history, window.rows.tobytes(), window.train.tobytes())
    return _windows.get(key, partial(inputs.samples, window, history))


def run_fit(source: Source, storage: Storage, fit: Fit) -> None:
    """Fit, score the test dates, and publish the result: fitted model, `scores.parquet`, `task.json`.

    An interrupted network goes on from its last epoch, if it is fitted on the same machine.

    Raises:
        RunError: the fit failed; window and model are named.
    """
    started = time.perf_counter()
    inputs = source.get()
    key = fit.key(inputs)
    given = samples_of(source, fit.window, fit.history)
    given.keep_states(storage, fit.window.name)
    fitted = fit_window(inputs, fit, given, _work_for(storage, fit.folder, key))
    test = given.of(fit.window.test)
    with storage.new_folder(fit.folder) as aside:
        (aside / "fitted").mkdir()
        fitted.save(aside / "fitted")
        scores = fitted.predict(test)
        _score_frame(inputs.panel, fit, scores).write_parquet(aside / "scores.parquet")
        record = _record(inputs, fit, fitted, given.of(fit.window.fit_rows), test, scores)
        record |= {"key": key, "seconds": round(time.perf_counter() - started, 3)}
        (aside / RECORD).write_text(json.dumps(record, indent=1))
    storage.clear(fit.folder)


def fit_window(inputs: Inputs, fit: Fit, given: WindowSamples, work: Path | None) -> Fitted:
    """Return the model fitted on the window's training dates."""
    context = FitContext(seed=fit.seed, threads=fit.threads, features=inputs.features)
    try:
        return fit_model(fit.model, given.of(fit.window.train), given.of(fit.window.valid), context=context, work=work)
    except AlphaloomError as error:
        error.add_note(f"while fitting {fit.name} on window {fit.window.name}")
        raise


def _work_for(storage: Storage, folder: str, key: str) -> Path:
    """Return the folder for checkpoints, emptied first when they belong to another task's key."""
    work = storage.work(folder)
    mark = work / "key"
    if not mark.is_file() or mark.read_text() != key:
        storage.clear(folder)
        work = storage.work(folder)
        (work / "key").write_text(key)
    return work


def _record(inputs: Inputs, task: Fit, fitted: Fitted, fit: Samples, test: Samples, scores: Floats) -> dict[str, Any]:
    dates, window = inputs.panel.dates, task.window
    inside = fitted.predict(fit)
    y_in, y_out = fit.label[fit.rows], test.label[test.rows]
    importance = fitted.importance
    return {
        "window": window.name,
        "model": task.name,
        "repeat": task.repeat,
        "seed": task.seed,
        "train_start": str(dates[window.train[0]]),
        "train_end": str(dates[window.train[-1]]),
        "valid_start": str(dates[window.valid[0]]) if window.valid.size else None,
        "test_start": str(dates[window.test[0]]),
        "test_end": str(dates[window.test[-1]]),
        "n_train": int(_labelled(fit, window.train.size).sum()),
        "n_train_days": int(window.train.size),
        **_window_counts(task.model, fit.subset(fit.rows[: window.train.size])),
        "n_test_days": int(window.test.size),
        "purged": window.purged,
        "in_sample_rank_ic": _mean(rank_ic(inside, y_in)[0]),
        "valid_icir": _icir(inside[window.train.size :], y_in[window.train.size :]),
        "out_of_sample_rank_ic": _mean(rank_ic(scores, y_out)[0]),
        "in_sample_mse": mean_squared_error(inside, y_in),
        "out_of_sample_mse": mean_squared_error(scores, y_out),
        "best_iteration": fitted.best_iteration,
        "history": fitted.history,
        "importance": None if importance is None else [float(v) for v in importance],
    }


def _labelled(fit: Samples, n_train: int) -> Bools:
    rows = fit.rows[:n_train]
    return fit.member[rows] & ~np.isnan(fit.label[rows])


def _window_counts(model: Model, train: Samples) -> Mapping[str, int | None]:
    """Return how many training windows begin before a listing, and how many hold a gap; None for one-row inputs."""
    if model.steps == 1:
        return {"n_short_history": None, "n_gaps": None}
    counts = train.window_counts(model.steps, model.stride)
    return {"n_short_history": counts["short_history"], "n_gaps": counts["gaps"]}


def _mean(values: Doubles) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def _icir(score: Floats, label: Floats) -> float | None:
    """Return the validation days' ICIR as early stopping has it, None for fewer than two days that count."""
    known = ~np.isnan(score) & ~np.isnan(label)
    watch = DailyRankIC(label[known], np.concatenate([[0], np.cumsum(known.sum(axis=1))]))
    daily = watch.daily(score[known])[watch.counts]
    return float(daily.mean() / max(daily.std(ddof=1), DEVIATION_FLOOR)) if daily.size > 1 else None


def mean_squared_error(score: Floats, label: Floats) -> float | None:
    """Return the mean squared error over cells `[D, N]` that have both; None without any."""
    error = (score - label)[~np.isnan(score) & ~np.isnan(label)]
    return float(np.mean(np.square(error, dtype=np.float64))) if error.size else None


def _score_frame(panel: Panel, fit: Fit, scores: Floats) -> pl.DataFrame:
    d, n = np.nonzero(~np.isnan(scores))
    return pl.DataFrame(
        {
            "date": pl.Series(panel.dates[fit.window.test][d]).cast(pl.Date),
            "symbol": pl.Series(panel.symbols[n].tolist(), dtype=pl.String),
            "score": scores[d, n],
        }
    )
