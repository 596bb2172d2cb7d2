"""The rolling runner: fit every model on every window, score its test dates, keep each result as an idempotent task."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from alphaloom.errors import AlphaloomError, RunError, UsageError
from alphaloom.executors.base import Outcome, Pool, Task
from alphaloom.executors.jobs import Job, Standing, Watch, run_jobs
from alphaloom.executors.storage import FolderStorage, Storage
from alphaloom.models.base import Model, Network
from alphaloom.panel import Panel
from alphaloom.training.fit import load_fitted
from alphaloom.training.fits import Fit, fit_window, read_record, run_fit, samples_of, task_seed
from alphaloom.training.inputs import STATES, Given, Inputs, Source, traded
from alphaloom.training.parallel import joined
from alphaloom.training.samples import Samples
from alphaloom.training.shared_rows import SHARED
from alphaloom.training.splits import Window
from alphaloom.training.tuning.search import Search, Tuned, tune
from alphaloom.training.tuning.settings import Tuning
from alphaloom.transforms.base import Transform
from alphaloom.transforms.chain import apply_chain, load_states
from alphaloom.typing import Dates, Floats, Ints

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many steps are done, and how many there are."""
SHOWN = 3
"""Tasks under way that progress names; the others are counted."""
Log = Callable[..., None]
"""Called with an event's name and its facts as keywords."""


@dataclass(frozen=True, eq=False)
class Experiment:
    """Models to fit, and what they read."""

    inputs: Inputs
    models: Mapping[str, Model]
    repeats: int
    seed: int
    tuning: Tuning | None = None
    """How the models' settings are searched for in each window; None takes them as they are."""

    @property
    def history(self) -> int:
        """Rows before a sample date that some model's input reaches back to."""
        return max((model.steps - 1) * model.stride for model in self.models.values())

    def fit(self, window: Window, name: str, repeat: int, threads: int, model: Model | None = None) -> Fit:
        """Return one fit of the model of that name, with other settings if `model` is given."""
        seed = task_seed(self.seed, window.name, name, repeat)
        return Fit(window, name, model or self.models[name], repeat, seed, threads, self.history)

    def search(self, window: Window, name: str, windows: Sequence[Window], threads: int, run: str = "") -> Search:
        """Return the search for the settings of the model of that name in one of the windows.

        Raises:
            UsageError: nothing is searched for.
        """
        if self.tuning is None:
            raise UsageError("The recipe has no tuning, so that there is nothing to search for.")
        return Search(self.fit(window, name, 0, threads), self.tuning, windows[0], windows[-1], run)


@dataclass(frozen=True)
class RollingResult:
    """Out-of-sample scores `[T, N]` by model (NaN where there is none), the windows' table, curves and importances.

    Under torchrun all of them are empty but on the first process.
    """

    scores: Mapping[str, Floats]
    windows: pl.DataFrame
    curves: pl.DataFrame
    importance: pl.DataFrame
    tuned: tuple[Tuned, ...]
    """What was searched for, model by model, windows in order; empty without tuning."""
    reused: int
    """Tasks found finished from an earlier run."""


class RollingJobs:
    """The tasks of one experiment as jobs, and what they left on storage.

    Each task ends as `WINDOW/MODEL-sK/` on storage; a finished one is not given again. With tuning, each model goes
    through the windows in order, since a window's search begins with what was best before.
    """

    def __init__(
        self,
        experiment: Experiment,
        windows: Sequence[Window],
        storage: Storage,
        source: Source,
        threads: int,
        common: Storage | None = None,
        name: str = "",
    ) -> None:
        """Keep what to fit, where results lie, where those lie that other experiments may share, and what to be called.

        The name tells the experiment from others whose searches are kept in the same database.
        """
        self.name = name
        self._experiment, self._windows, self._threads = experiment, windows, threads
        self._names = [window.name for window in windows]
        self.storage, self._source, self._common = storage, source, common or storage
        self._fits: dict[tuple[int, int, int], Fit] = {}
        self.tuned: list[Tuned] = []
        self.reused = 0
        """Fits found finished."""

    @property
    def total(self) -> int:
        """Number of fits, finished ones included."""
        return len(self._windows) * len(self._experiment.models) * self._experiment.repeats

    def jobs(self) -> list[Job]:
        """Return the jobs; each may run beside the others."""
        experiment = self._experiment
        if experiment.tuning is None:
            return [self._plain()]
        return [self._tuned(name) for name in experiment.models]

    def _plain(self) -> Job:
        yield [
            task
            for window in self._windows
            for name in self._experiment.models
            for task in self._left(window, name, None)
        ]

    def _tuned(self, name: str) -> Job:
        earlier: Tuned | None = None
        for window in self._windows:
            search = self._experiment.search(window, name, self._windows, self._threads, self.name)
            try:
                earlier = yield from tune(search, self._source, self.storage, self._common, earlier)
            except AlphaloomError as error:  # becomes the failure of a task, so that other jobs go on
                words = f"{window.name} {name}, search"
                yield [Task(words, fail, {"error": error, "storage": self.storage})]
                return
            self.tuned.append(earlier)
            yield self._left(window, name, earlier.model)

    def _left(self, window: Window, name: str, model: Model | None) -> list[Task]:
        """Return the tasks of a model's fits on a window that are not finished."""
        tasks = []
        place = (self._names.index(window.name), list(self._experiment.models).index(name))
        for repeat in range(self._experiment.repeats):
            fit = self._experiment.fit(window, name, repeat, self._threads, model)
            self._fits[(*place, repeat)] = fit
            if read_record(self.storage, fit.folder, fit.key(self._source.get())) is None:
                arguments = {"source": self._source, "storage": self.storage, "fit": fit}
                tasks.append(Task(fit.title, run_fit, arguments))
            else:
                self.reused += 1
        return tasks

    def unfinished(self) -> int:
        """Return how many fits are not finished; nothing is fitted."""
        for job in self.jobs():
            for tasks in job:
                if tasks and tasks[0].call is not run_fit:
                    break  # a search that would have to go on
        return self.total - len(self.finished())

    def fits(self) -> list[Fit]:
        """Return all fits, those of a window together."""
        return [self._fits[place] for place in sorted(self._fits)]

    def finished(self) -> list[Fit]:
        """Return the fits whose results are there."""
        inputs = self._source.get()
        return [fit for fit in self.fits() if read_record(self.storage, fit.folder, fit.key(inputs)) is not None]

    def is_finished(self) -> bool:
        """Return whether every fit that the jobs gave is there."""
        return len(self.finished()) == self.total

    def result(self) -> "RollingResult":
        """Return what the finished fits left.

        Raises:
            RunError: one of them is not finished.
        """
        inputs, records = self._source.get(), []
        for fit in self.fits():
            record = read_record(self.storage, fit.folder, fit.key(inputs))
            if record is None:
                raise RunError(f"The fit {fit.title} is not finished.")
            records.append(record)
        order = list(self._experiment.models)
        tuned = sorted(self.tuned, key=lambda item: (order.index(item.name), self._names.index(item.window)))
        return _collect(self._experiment, self.fits(), records, self.storage, self.reused, tuned)


def run_rolling(
    experiment: Experiment,
    windows: Sequence[Window],
    folder: Path,
    *,
    threads: int,
    progress: Progress | None = None,
    log: Log | None = None,
) -> RollingResult:
    """Tune, fit and score every model on every window in this process; finished tasks in `folder` are kept.

    Each task ends as `folder/WINDOW/MODEL-sK/` (fitted model, `scores.parquet`, `task.json`), written aside and
    renamed; an interrupted network resumes from its last epoch. Running again gives the same scores.

    Under torchrun the first process fits estimators, scores and writes; the others take part in fitting networks.

    Raises:
        RunError: a fit failed; window and model are named. Finished tasks stay.
        UsageError: tuning under torchrun.
    """
    rolling = RollingJobs(experiment, windows, FolderStorage(folder), Given(experiment.inputs), threads)
    if joined().size > 1:
        return _run_together(experiment, rolling, progress)
    run_jobs(rolling.jobs(), InProcess(), watch_tasks([rolling], progress, log))
    if progress:
        progress("training done", rolling.total, rolling.total)
    rolling.storage.remove(SHARED)
    return rolling.result()


def fail(error: AlphaloomError, storage: Storage) -> None:
    """Raise an error that ended a search, as a task whose results would lie on that storage."""
    error.add_note(f"Its results would lie in {storage}.")
    raise error


class InProcess(Pool):
    """Runs each task in this process when its outcome is asked for; what goes wrong is raised."""

    slots = 1

    def __init__(self) -> None:
        self._tasks: deque[Task] = deque()

    def submit(self, task: Task) -> None:
        """Keep the task until it is its turn."""
        self._tasks.append(task)

    def next(self) -> Outcome:
        """Run the oldest task."""
        task, started = self._tasks.popleft(), time.perf_counter()
        value = task.call(**task.arguments)
        return Outcome(task, value, None, 1, time.perf_counter() - started, "this process")

    def running(self) -> list[str]:
        """Return the name of the next task."""
        return [task.name for task in list(self._tasks)[:1]]


def watch_tasks(rolling: Sequence[RollingJobs], progress: Progress | None, log: Log | None) -> Watch:
    """Return what shows how many fits are done and what is being worked on, and logs each task that ended."""
    fits = candidates = 0
    names = {id(item.storage): item.name for item in rolling}

    def note(log: Log, outcome: Outcome, fit: Fit | None) -> None:
        name = names.get(id(outcome.task.arguments.get("storage")))
        run, seconds = {"run": name} if name else {}, round(outcome.seconds, 3)
        if outcome.failure is not None:
            log("failed", **run, task=outcome.task.name, message=outcome.failure.message)
        elif fit is not None:
            log("task", **run, window=fit.window.name, model=fit.name, repeat=fit.repeat, seconds=seconds)
        else:
            log("candidate", task=outcome.task.name, seconds=seconds)

    def watch(standing: Standing, outcome: Outcome | None) -> None:
        nonlocal fits, candidates
        if outcome is not None:
            fit: Fit | None = outcome.task.arguments.get("fit")
            fits += fit is not None
            candidates += fit is None
            if log:
                note(log, outcome, fit)
        if progress:
            reused, total = sum(item.reused for item in rolling), sum(item.total for item in rolling)
            words = "; ".join(standing.running[:SHOWN]) or "training"
            words += f" and {len(standing.running) - SHOWN} more" if len(standing.running) > SHOWN else ""
            words += f"; {candidates} candidates tried" if candidates else ""
            words += f"; {standing.failed} failed" if standing.failed else ""
            progress(words, reused + fits, total)

    return watch


def unfinished(experiment: Experiment, windows: Sequence[Window], folder: Path) -> tuple[int, int]:
    """Return how many fits `run_rolling` would still have to make in `folder`, and how many there are."""
    rolling = RollingJobs(experiment, windows, FolderStorage(folder), Given(experiment.inputs), 1)
    return rolling.unfinished(), rolling.total


def _run_together(experiment: Experiment, rolling: RollingJobs, progress: Progress | None) -> RollingResult:
    """Fit window after window with the other processes that torchrun started."""
    if experiment.tuning is not None:
        raise UsageError("Tuning does not run under torchrun: give it workers (--workers), or leave `tuning` out.")
    peers = joined()
    tasks = peers.told(lambda: [task.arguments["fit"] for job in rolling.jobs() for given in job for task in given])
    for done, fit in enumerate(tasks):
        if progress:
            progress(fit.title, done, len(tasks))
        source = Given(experiment.inputs)
        if peers.is_first:
            run_fit(source, rolling.storage, fit)
        elif isinstance(fit.model, Network):
            fit_window(experiment.inputs, fit, samples_of(source, fit.window, fit.history), None)
    if not peers.is_first:
        return RollingResult({}, pl.DataFrame(), pl.DataFrame(), pl.DataFrame(), (), rolling.reused)
    return rolling.result()


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


def _collect(
    experiment: Experiment,
    fits: Sequence[Fit],
    records: Sequence[dict[str, Any]],
    storage: Storage,
    reused: int,
    tuned: Sequence[Tuned],
) -> RollingResult:
    panel = experiment.inputs.panel
    totals = {name: np.zeros(panel.shape, dtype=np.float64) for name in experiment.models}
    counts = {name: np.zeros(panel.shape, dtype=np.int64) for name in experiment.models}
    for fit in fits:
        frame = pl.read_parquet(storage.fetch(fit.folder) / "scores.parquet")
        t, n = cells_of(panel, frame)
        totals[fit.name][t, n] += frame["score"].to_numpy()
        counts[fit.name][t, n] += 1
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
        _importance(experiment.inputs.features, records),
        tuple(tuned),
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
