"""The rolling runner: fit every model on every window, score its test dates, keep each result as an idempotent task."""

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from alphaloom.errors import DataError, RunError
from alphaloom.kernels.cross_rank import rank_ic
from alphaloom.losses.validation import DEVIATION_FLOOR, DailyRankIC
from alphaloom.models.base import FitContext, Model, Network
from alphaloom.panel import Panel
from alphaloom.spec import fingerprint
from alphaloom.training.fit import Fitted, fit_model, load_fitted
from alphaloom.training.parallel import joined
from alphaloom.training.samples import Samples
from alphaloom.training.splits import Window
from alphaloom.transforms.base import Transform
from alphaloom.transforms.chain import apply_chain, fit_chain, load_states, save_states
from alphaloom.typing import Bools, Dates, Doubles, Floats, Ints

STATES = "transforms.npz"
"""File of a window's fitted transforms."""
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many steps are done, and how many there are."""
Log = Callable[..., None]
"""Called with an event's name and its facts as keywords."""


@dataclass(frozen=True)
class Experiment:
    """All that a task needs, on one pair of axes.

    `block [T, N, F]` holds the features after the leading cross-sectional transforms; `transforms` are the rest, from
    the first fitted one on, fitted on each window. `label [T, N]` is what models fit. `key` names the data and the
    settings that block and label came from: a task's result is reused only under the same key.
    """

    panel: Panel
    features: tuple[str, ...]
    block: Floats
    label: Floats
    transforms: tuple[Transform, ...]
    models: Mapping[str, Model]
    repeats: int
    seed: int
    key: str
    extras: Mapping[str, Floats] = field(default_factory=dict)
    """What the models' fits read beside features and label `[T, N]` (see `Model.extras`)."""
    further: tuple[Floats, ...] = ()
    """Labels that networks learn beside the first `[T, N]`."""

    @property
    def history(self) -> int:
        """Rows before a sample date that some model's input reaches back to."""
        return max((model.steps - 1) * model.stride for model in self.models.values())


@dataclass(frozen=True)
class RollingResult:
    """Out-of-sample scores `[T, N]` by model (NaN where there is none), the windows' table, curves and importances.

    Under torchrun all of them are empty but on the first process.
    """

    scores: Mapping[str, Floats]
    windows: pl.DataFrame
    curves: pl.DataFrame
    importance: pl.DataFrame
    reused: int
    """Tasks found finished from an earlier run."""


@dataclass(frozen=True)
class _Task:
    window: Window
    model: str
    repeat: int
    seed: int

    @property
    def folder(self) -> str:
        return f"{self.model}-s{self.repeat}"


@dataclass
class _Prepared:
    """One window's samples after its own fitted transforms; made when the window's first task needs it."""

    experiment: Experiment
    window: Window
    folder: Path | None
    """Where the transforms' states are kept; None keeps them nowhere."""
    samples: Samples | None = None
    first_row: int = 0

    def get(self) -> Samples:
        if self.samples is None:
            self.samples, self.first_row = _window_samples(self.experiment, self.window, self.folder)
        return self.samples


def run_rolling(
    experiment: Experiment,
    windows: Sequence[Window],
    folder: Path,
    *,
    threads: int,
    progress: Progress | None = None,
    log: Log | None = None,
) -> RollingResult:
    """Fit and score every model on every window, skipping tasks that are already finished in `folder`.

    Each task ends as `folder/WINDOW/MODEL-sK/` (fitted model, `scores.parquet`, `task.json`), written aside and
    renamed; an interrupted network resumes from its last epoch. Running again gives the same scores.

    Under torchrun the first process fits estimators, scores and writes; the others take part in fitting networks.

    Raises:
        RunError: a fit failed; window and model are named. Finished tasks stay.
    """
    peers = joined()
    tasks = _tasks(experiment, windows)
    records: list[dict[str, Any]] = []
    reused = 0
    prepared: _Prepared | None = None
    for done, task in enumerate(tasks):
        if progress:
            progress(f"{task.window.name} {task.model}", done, len(tasks))
        home = folder / task.window.name
        record = peers.told(partial(read_task, home / task.folder, _key(experiment, task)))
        if record is not None:
            reused += 1
            records.append(record)
            continue
        if prepared is None or prepared.window is not task.window:
            prepared = _Prepared(experiment, task.window, home if peers.is_first else None)
        if not peers.is_first:
            _take_part(experiment, task, prepared, threads)
            continue
        records.append(_run_task(experiment, task, prepared, home, threads))
        if log:
            seconds = records[-1]["seconds"]
            log("task", window=task.window.name, model=task.model, repeat=task.repeat, seconds=seconds)
    if not peers.is_first:
        return RollingResult({}, pl.DataFrame(), pl.DataFrame(), pl.DataFrame(), reused)
    if progress:
        progress("training done", len(tasks), len(tasks))
    return _collect(experiment, tasks, records, folder, reused)


def unfinished(experiment: Experiment, windows: Sequence[Window], folder: Path) -> tuple[int, int]:
    """Return how many tasks `run_rolling` would still have to fit in `folder`, and how many there are."""
    tasks = _tasks(experiment, windows)
    absent = sum(read_task(folder / t.window.name / t.folder, _key(experiment, t)) is None for t in tasks)
    return absent, len(tasks)


def _tasks(experiment: Experiment, windows: Sequence[Window]) -> list[_Task]:
    return [
        _Task(window, name, repeat, _task_seed(experiment.seed, window.name, name, repeat))
        for window in windows
        for name in experiment.models
        for repeat in range(experiment.repeats)
    ]


def _run_task(experiment: Experiment, task: _Task, prepared: _Prepared, home: Path, threads: int) -> dict[str, Any]:
    started = time.perf_counter()
    window, final = task.window, home / task.folder
    work = home / f".{task.folder}.work"
    work.mkdir(parents=True, exist_ok=True)
    samples, key = prepared.get(), _key(experiment, task)
    offset = prepared.first_row
    fitted = _fit(experiment, task, prepared, threads, _work_for(work, key))
    test = samples.subset(window.test - offset)
    aside = home / f".{task.folder}.partial"
    shutil.rmtree(aside, ignore_errors=True)
    (aside / "fitted").mkdir(parents=True)
    fitted.save(aside / "fitted")
    scores = fitted.predict(test)
    _score_frame(experiment.panel, window.test, scores).write_parquet(aside / "scores.parquet")
    record = _record(experiment, task, fitted, samples.subset(window.fit_rows - offset), test, scores)
    record |= {"key": key, "seconds": round(time.perf_counter() - started, 3)}
    (aside / "task.json").write_text(json.dumps(record, indent=1))
    shutil.rmtree(final, ignore_errors=True)
    aside.rename(final)
    shutil.rmtree(work, ignore_errors=True)
    return record


def _take_part(experiment: Experiment, task: _Task, prepared: _Prepared, threads: int) -> None:
    """Do what a process beside the first has to do in a task: its share of fitting a network."""
    if isinstance(experiment.models[task.model], Network):
        _fit(experiment, task, prepared, threads, None)


def _fit(experiment: Experiment, task: _Task, prepared: _Prepared, threads: int, work: Path | None) -> Fitted:
    samples, window = prepared.get(), task.window
    train, valid = (samples.subset(rows - prepared.first_row) for rows in (window.train, window.valid))
    context = FitContext(seed=task.seed, threads=threads, features=experiment.features)
    try:
        return fit_model(experiment.models[task.model], train, valid, context=context, work=work)
    except (RunError, DataError) as error:
        error.add_note(f"while fitting {task.model} on window {window.name}")
        raise


def _work_for(work: Path, key: str) -> Path:
    """Return the folder for checkpoints, emptied first when they belong to another task's key."""
    mark = work / "key"
    if not mark.is_file() or mark.read_text() != key:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        mark.write_text(key)
    return work


def _record(
    experiment: Experiment, task: _Task, fitted: Fitted, fit: Samples, test: Samples, scores: Floats
) -> dict[str, Any]:
    dates, window = experiment.panel.dates, task.window
    inside = fitted.predict(fit)
    y_in, y_out = fit.label[fit.rows], test.label[test.rows]
    importance = fitted.importance
    return {
        "window": window.name,
        "model": task.model,
        "repeat": task.repeat,
        "seed": task.seed,
        "train_start": str(dates[window.train[0]]),
        "train_end": str(dates[window.train[-1]]),
        "valid_start": str(dates[window.valid[0]]) if window.valid.size else None,
        "test_start": str(dates[window.test[0]]),
        "test_end": str(dates[window.test[-1]]),
        "n_train": int(_labelled(fit, window.train.size).sum()),
        "n_train_days": int(window.train.size),
        **_window_counts(experiment.models[task.model], fit.subset(fit.rows[: window.train.size])),
        "n_test_days": int(window.test.size),
        "purged": window.purged,
        "in_sample_rank_ic": _mean(rank_ic(inside, y_in)[0]),
        "valid_icir": _icir(inside[window.train.size :], y_in[window.train.size :]),
        "out_of_sample_rank_ic": _mean(rank_ic(scores, y_out)[0]),
        "in_sample_mse": _mse(inside, y_in),
        "out_of_sample_mse": _mse(scores, y_out),
        "best_iteration": fitted.best_iteration,
        "history": fitted.history,
        "importance": None if importance is None else [float(v) for v in importance],
    }


def _labelled(fit: Samples, n_train: int) -> Bools:
    rows = fit.rows[:n_train]
    return fit.member[rows] & ~np.isnan(fit.label[rows])


def _window_counts(model: Model, train: Samples) -> dict[str, int | None]:
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


def _mse(score: Floats, label: Floats) -> float | None:
    error = (score - label)[~np.isnan(score) & ~np.isnan(label)]
    return float(np.mean(np.square(error, dtype=np.float64))) if error.size else None


def _window_samples(experiment: Experiment, window: Window, home: Path | None) -> tuple[Samples, int]:
    """Return the samples of one window after its fitted transforms, and the panel row at which they begin.

    The transforms' states are written into the folder `home`, if one is given.
    """
    first = max(0, int(window.rows[0]) - experiment.history)
    stop = int(window.rows[-1]) + 1
    part = experiment.panel.rows(first, stop)
    block = experiment.block[first:stop]
    if experiment.transforms:
        states = fit_chain(experiment.transforms, block, part, window.train - first, names=experiment.features)
        if home is not None:
            save_states(home / STATES, experiment.transforms, states)
        block = apply_chain(experiment.transforms, states, block, part)
    rows = window.rows - first
    extras = {name: values[first:stop] for name, values in experiment.extras.items()}
    further = tuple(values[first:stop] for values in experiment.further)
    label = experiment.label[first:stop]
    return Samples(block, label, part.universe, rows, extras, further, part.dates, traded(part)), first


def traded(panel: Panel) -> Bools | None:
    """Return which stocks traded `[T, N]`; None where the panel does not say."""
    return panel["is_suspended"] == 0 if "is_suspended" in panel.names else None


def window_scores(
    panel: Panel,
    block: Floats,
    rows: Ints,
    transforms: Sequence[Transform],
    home: Path,
    models: Sequence[str],
    repeats: int,
    threads: int,
) -> dict[str, Floats]:
    """Return the scores `[D, N]` that one window's stored transforms and models give to other dates.

    Args:
        panel: axes and universe; its rows reach back far enough for the models' inputs.
        block: features `[T, N, F]` after the leading cross-sectional transforms.
        rows: positions of the D dates to score.
        transforms: the recipe's transforms from the first fitted one on.
        home: the window's folder.
        models: model names.
        repeats: fits of each, averaged.
        threads: as many as the run used gives the run's own numbers.
    """
    if transforms:
        block = apply_chain(transforms, load_states(home / STATES, transforms), block, panel)
    empty = np.full(panel.shape, np.nan, dtype=np.float32)
    samples = Samples(block, empty, panel.universe, rows, dates=panel.dates, traded=traded(panel))
    out: dict[str, Floats] = {}
    for name in models:
        fits = [load_fitted(home / f"{name}-s{k}" / "fitted", threads=threads).predict(samples) for k in range(repeats)]
        out[name] = np.asarray(np.mean(fits, axis=0, dtype=np.float64), dtype=np.float32)
    return out


def read_task(folder: Path, key: str) -> dict[str, Any] | None:
    """Return a finished task's record, or None when it is absent or was made from other data or settings."""
    file = folder / "task.json"
    if not file.is_file():
        return None
    record: dict[str, Any] = json.loads(file.read_text())
    return record if record.get("key") == key else None


def _key(experiment: Experiment, task: _Task) -> str:
    window = task.window
    dates = experiment.panel.dates
    return fingerprint(
        {
            "experiment": experiment.key,
            "model": experiment.models[task.model].describe(),
            "seed": task.seed,
            "rows": [[str(d) for d in dates[rows]] for rows in (window.train, window.valid, window.test)],
        }
    )


def _task_seed(seed: int, *parts: object) -> int:
    return int(fingerprint([seed, *map(str, parts)]), 16) % (2**31)


def _score_frame(panel: Panel, rows: Ints, scores: Floats) -> pl.DataFrame:
    d, n = np.nonzero(~np.isnan(scores))
    return pl.DataFrame(
        {
            "date": pl.Series(panel.dates[rows][d]).cast(pl.Date),
            "symbol": pl.Series(panel.symbols[n].tolist(), dtype=pl.String),
            "score": scores[d, n],
        }
    )


def _collect(
    experiment: Experiment, tasks: Sequence[_Task], records: Sequence[dict[str, Any]], folder: Path, reused: int
) -> RollingResult:
    panel = experiment.panel
    totals = {name: np.zeros(panel.shape, dtype=np.float64) for name in experiment.models}
    counts = {name: np.zeros(panel.shape, dtype=np.int64) for name in experiment.models}
    for task in tasks:
        frame = pl.read_parquet(folder / task.window.name / task.folder / "scores.parquet")
        t, n = cells_of(panel, frame)
        totals[task.model][t, n] += frame["score"].to_numpy()
        counts[task.model][t, n] += 1
    scores = {}
    for name, total in totals.items():
        scores[name] = np.where(counts[name] > 0, total / np.maximum(counts[name], 1), np.nan).astype(np.float32)
    plain = [{k: v for k, v in record.items() if k not in {"history", "importance", "key"}} for record in records]
    curves = [
        {"window": r["window"], "model": r["model"], "repeat": r["repeat"], **point}
        for r in records
        for point in r["history"]
    ]
    return RollingResult(
        scores,
        pl.DataFrame(plain, infer_schema_length=None),
        pl.DataFrame(curves, infer_schema_length=None),
        _importance(experiment.features, records),
        reused,
    )


def _importance(features: tuple[str, ...], records: Sequence[dict[str, Any]]) -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for model in dict.fromkeys(record["model"] for record in records):
        given = [r["importance"] for r in records if r["model"] == model and r["importance"] is not None]
        if given:
            shares = np.mean([np.array(v) / max(sum(v), 1e-300) for v in given], axis=0)
            rows.extend(
                {"model": model, "feature": f, "importance": float(s)} for f, s in zip(features, shares, strict=True)
            )
    schema = {"model": pl.String, "feature": pl.String, "importance": pl.Float64}
    return pl.DataFrame(rows, schema=schema).sort(["model", "importance"], descending=[False, True])


def cells_of(panel: Panel, frame: pl.DataFrame) -> tuple[Ints, Ints]:
    """Return row and column of the panel for each row of a frame with `date` and `symbol`."""
    days: Dates = frame["date"].to_numpy().astype("datetime64[D]")
    t = np.searchsorted(panel.dates, days)
    order = np.argsort(panel.symbols)
    names = frame["symbol"].to_numpy().astype(np.str_)
    n = order[np.searchsorted(panel.symbols, names, sorter=order)]
    return t, n
