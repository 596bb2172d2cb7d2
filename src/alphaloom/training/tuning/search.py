"""The search in one window: a scan of each setting, then Optuna's proposals, as a job that gives tasks."""

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alphaloom.errors import RunError, SettingError
from alphaloom.executors.base import Outcome, Task
from alphaloom.executors.storage import Storage
from alphaloom.models.base import Model, models
from alphaloom.spec import fingerprint
from alphaloom.training.fits import Fit, read_json
from alphaloom.training.inputs import Inputs, Source
from alphaloom.training.splits import Window
from alphaloom.training.tuning import proposals
from alphaloom.training.tuning.folds import time_series_folds
from alphaloom.training.tuning.scan import narrow
from alphaloom.training.tuning.settings import Tuning
from alphaloom.training.tuning.space import Range, Space, Value, setting, with_settings
from alphaloom.training.tuning.trial import (
    Candidate,
    direction,
    read_candidate,
    reads_until,
    run_candidate,
    tuning_code,
)

if TYPE_CHECKING:
    import optuna

RECORD = "tuning.json"
CANDIDATES = "candidates"
"""Folder of the candidates of all searches, by what they depend on."""
Given = Generator[Sequence[Task], list[Outcome], "Tuned"]
Tried = dict[str, Any]
"""A candidate that ended: `origin`, `settings`, `values` by fold, `daily` ones, `mean` of folds, `state`, `seconds`."""


@dataclass(frozen=True, eq=False)
class Search:
    """What to search for."""

    fit: Fit
    """The fit whose settings are searched for: window, model, seed, threads."""
    tuning: Tuning
    first: Window
    """The run's first window."""
    last: Window
    """The run's last window."""
    run: str = ""
    """What tells the run from others that use the same database."""

    @property
    def folder(self) -> str:
        """Where its results lie."""
        return f"{self.fit.window.name}/{self.fit.name}-tuning"


@dataclass(frozen=True, eq=False)
class Tuned:
    """What a search found."""

    window: str
    name: str
    """Name of the model in its run."""
    model: Model
    """With the settings that were best."""
    space: Space
    """Ranges that later windows search."""
    record: Mapping[str, Any]
    """All candidates, the scan, and what they read; empty for a model without a search space."""

    @property
    def candidates(self) -> list[Tried]:
        """Return the candidates that ended, in the order in which they were proposed."""
        return list(self.record.get("candidates", []))


def tune(search: Search, source: Source, storage: Storage, common: Storage, earlier: Tuned | None) -> Given:
    """Search one window; yields tasks, is sent their outcomes, and returns what it found.

    Args:
        search: window, model and how to search.
        source: what fits read.
        storage: where the result lies.
        common: where candidates lie, of all runs that may have the same; finished ones are not tried again.
        earlier: what was found in the window before, for its ranges and best candidates.

    Raises:
        RunError: no candidate could be fitted, not even the recipe's own settings.
    """
    space = search.tuning.space(search.fit.model) if earlier is None else earlier.space
    if not search.tuning.space(search.fit.model):
        return Tuned(search.fit.window.name, search.fit.name, search.fit.model, {}, {})
    inputs = source.get()
    folds = folds_of(search, inputs)
    key = _key(search, inputs, folds, earlier)
    record = read_json(storage, f"{search.folder}/{RECORD}")
    if record is None or record["key"] != key:
        record = yield from _Searching(search, source, storage, common, folds, key).run(space, earlier)
        storage.write(f"{search.folder}/{RECORD}", json.dumps(record, indent=1).encode())
    return Tuned(
        window=search.fit.window.name,
        name=search.fit.name,
        model=models.parse(record["best"]["model"]),
        space={path: Range.parse(span) for path, span in record["space"].items()},
        record=record,
    )


def folds_of(search: Search, inputs: Inputs) -> list[Window]:
    """Return the folds that a search's candidates are scored on."""
    tuning = search.tuning
    return time_series_folds(
        search.fit.window,
        inputs.rows,
        inputs.ends,
        tuning.folds_of(search.fit.model),
        valid_share=tuning.valid_share,
        embargo=tuning.embargo,
    )


def candidate_of(
    search: Search,
    folds: Sequence[Window],
    title: str,
    values: Mapping[str, Value],
    *,
    pruner: str = "none",
    earlier: Sequence[Sequence[float]] = (),
    seconds: float | None = None,
) -> Candidate:
    """Return a candidate with these settings, by path; `earlier` has the folds' values of those before it, and it ends
    early after so many seconds.

    Raises:
        SettingError: the model does not take them.
    """
    fit, first, last = search.fit, search.first.fit_rows, search.last.fit_rows
    return Candidate(
        name=f"{fit.name}, {title}",
        model=with_settings(fit.model, values),
        folds=tuple(folds),
        span=(int(first[0]), int(last[-1])),
        edges=int(first[-1]),
        objective=search.tuning.objective,
        seed=fit.seed,
        threads=fit.threads,
        pruner=pruner,
        earlier=tuple(tuple(values) for values in earlier),
        folder=CANDIDATES,
        seconds=seconds,
    )


def _key(search: Search, inputs: Inputs, folds: Sequence[Window], earlier: Tuned | None) -> str:
    """Return what a search's result depends on."""
    fit, dates = search.fit, inputs.panel.dates
    return fingerprint(
        {
            "experiment": inputs.key,
            "code": tuning_code(),
            "model": fit.model.describe(),
            "seed": fit.seed,
            "tuning": {key: value for key, value in search.tuning.dump().items() if key != "storage"},
            "space": {path: span.dump() for path, span in search.tuning.space(fit.model).items()},
            "folds": [[str(d) for d in dates[fold.rows]] for fold in folds],
            "first": [str(dates[row]) for row in (search.first.fit_rows[0], search.first.fit_rows[-1])],
            "earlier": None if earlier is None else earlier.record.get("key"),
        }
    )


class _Searching:
    """One search under way."""

    def __init__(
        self,
        search: Search,
        source: Source,
        own: Storage,
        common: Storage,
        folds: Sequence[Window],
        key: str,
    ) -> None:
        self.search, self.source, self.own, self.storage = search, source, own, common
        self.folds, self.key = tuple(folds), key
        self.fit, self.tuning = search.fit, search.tuning
        self.inputs = source.get()
        self.tried: list[Tried] = []
        self.failed: list[dict[str, Any]] = []
        self._taken: set[int] = set()
        self.sign = 1.0 if self.tuning.objective == "rank_ic" else -1.0

    def run(self, space: Space, earlier: Tuned | None) -> Generator[Sequence[Task], list[Outcome], dict[str, Any]]:
        """Try the recipe's own settings, scan, search; return the record."""
        own = {path: setting(self.fit.model, path) for path in space}
        yield from self._try([("recipe", own, "none")])
        scans: list[dict[str, Any]] = []
        if earlier is None and self.tuning.scan is not None:
            space, scans = yield from self._scan(space)
        if space:
            yield from self._search(space, earlier)
        complete = [item for item in self.tried if item["state"] == "complete"]
        if not complete:
            reasons = "; ".join(dict.fromkeys(item["message"] for item in self.failed))
            raise RunError(
                f"Tuning {self.fit.name} on window {self.fit.window.name}: no candidate could be fitted and scored. "
                f"{reasons}"
            )
        best = max(complete, key=lambda item: self.sign * item["mean"])
        scanned = [point for item in scans for point in item["points"]]
        return {
            "key": self.key,
            "window": self.fit.window.name,
            "model": self.fit.name,
            "objective": self.tuning.objective,
            "folds": len(self.folds),
            "best": best,
            "candidates": self.tried,
            "failed": self.failed,
            "scan": scans,
            "space": {path: span.dump() for path, span in space.items()},
            "seconds": round(sum(item["seconds"] for item in [*self.tried, *self.failed, *scanned]), 3),
            "reads_until": reads_until(self.inputs, self.folds),
            "test_start": str(self.inputs.panel.dates[self.fit.window.test[0]]),
        }

    def _try(
        self,
        wanted: Sequence[tuple[str, Mapping[str, Value], str]],
        *,
        keep: bool = True,
        seconds: float | None = None,
    ) -> Generator[Sequence[Task], list[Outcome], list[Tried | None]]:
        """Fit and score candidates, given by origin, settings and pruner; None for one that failed."""
        found: dict[int, Mapping[str, Any] | None] = {}
        tasks: list[Task] = []
        places: list[int] = []
        for k, (origin, values, pruner) in enumerate(wanted):
            title = f"candidate {len(self.tried) + k + 1}" if keep else origin
            try:
                earlier = [item["values"] for item in self.tried]
                candidate = candidate_of(
                    self.search, self.folds, title, values, pruner=pruner, earlier=earlier, seconds=seconds
                )
            except SettingError as error:
                found[k] = {"state": "refused", "message": str(error)}
                continue
            key = candidate.key(self.inputs)
            found[k] = read_candidate(self.storage, candidate.folder, key)
            if found[k] is not None:
                continue
            arguments = {"source": self.source, "storage": self.storage, "candidate": candidate}
            name = f"{self.fit.window.name} {candidate.name}"
            tasks.append(Task(name, run_candidate, arguments, fingerprint([key, seconds])))
            places.append(k)
        if tasks:
            for k, outcome in zip(places, (yield tasks), strict=True):
                if outcome.failure is not None:
                    raise RunError(
                        f"{outcome.task.name}, with {dict(wanted[k][1])}, failed: {outcome.failure.message}. The same "
                        "command tries it again; if it cannot be fitted here, leave such settings out of "
                        "tuning.spaces, or give tasks more memory (executor.memory)."
                    )
                found[k] = outcome.value
        results = [self._noted(wanted[k], found[k] or {}) for k in range(len(wanted))]
        if keep:
            self.tried += [item for item in results if item is not None]
        return results

    def _noted(self, wanted: tuple[str, Mapping[str, Value], str], done: Mapping[str, Any]) -> Tried | None:
        """Return a candidate's result with what it was; one without is kept apart, with the reason."""
        origin, values, _ = wanted
        if done["state"] in {"complete", "pruned", "late"}:
            return _tried(origin, values, done)
        facts = {key: done[key] for key in ("state", "message")} | {"seconds": done.get("seconds", 0.0)}
        self.failed.append({"origin": origin, "settings": dict(values), **facts})
        return None

    def _scan(self, space: Space) -> Generator[Sequence[Task], list[Outcome], tuple[Space, list[dict[str, Any]]]]:
        """Return the space with narrowed ranges, without the settings that make no difference, and what was tried."""
        scan = self.tuning.scan
        assert scan is not None
        spans, log, moving = dict(space), list[dict[str, Any]](), set(space)
        for round_ in range(scan.rounds):
            for path, span in list(spans.items()):
                seconds = sum(point["seconds"] for item in log for point in item["points"])
                if path not in moving or _is_over(seconds, scan.time_limit):
                    continue
                points = span.points(scan.points)
                wanted = [(f"{path} {value}", {path: value}, "none") for value in points]
                found = yield from self._try(wanted, keep=False)
                there = [(value, item) for value, item in zip(points, found, strict=True) if item is not None]
                values = np.array([np.concatenate(item["daily"]) for _, item in there])
                narrowed, p = narrow(span, [value for value, _ in there], self.sign * values, scan.level)
                log.append(
                    {
                        "setting": path,
                        "round": round_ + 1,
                        "p": p,
                        "kept": None if narrowed is None else narrowed.dump(),
                        "own": setting(self.fit.model, path),
                        "points": [{"value": value, **item} for value, item in there],
                    }
                )
                if narrowed is None and round_ == 0:
                    del spans[path]
                elif narrowed is not None and narrowed != span:
                    spans[path] = narrowed
                else:
                    moving.discard(path)
        return spans, log

    def _search(self, space: Space, earlier: Tuned | None) -> Generator[Sequence[Task], list[Outcome], None]:
        """Try what Optuna proposes until there are enough candidates or the time is over."""
        fit, tuning = self.fit, self.tuning
        name = f"{fit.window.name} {fit.name} {self.search.run} {self.key}"
        study = proposals.open_study(tuning.storage, self.own, name, direction(tuning.objective))
        first = [{path: span.nearest(values[path]) for path, span in space.items()} for values in self._warm(earlier)]
        distributions = {path: span.distribution() for path, span in space.items()}
        while True:
            ended = proposals.ended(study)
            number = 1 + len(ended)
            self._take(study, ended)
            left = self.tuning.trials - number
            spent = self._spent()
            if left <= 0 or _is_over(spent, tuning.time_limit):
                return
            seconds = None if tuning.time_limit is None else tuning.time_limit - spent
            trials, wanted = [], []
            for k in range(number, number + min(self.tuning.at_once, left)):
                if k <= len(first):
                    study.enqueue_trial(first[k - 1])
                study.sampler = proposals.sampler(self.fit.seed, k, self.tuning.trials)
                trial = study.ask(distributions)
                trial.set_user_attr("driver", proposals.this_process())
                origin = "warm start" if k <= len(first) else "search"
                trial.set_user_attr("origin", origin)
                self._taken.add(trial.number)
                trials.append(trial)
                wanted.append((origin, dict(trial.params), self.tuning.pruner))
            found = yield from self._try(wanted, seconds=seconds)
            for trial, item in zip(trials, found, strict=True):
                proposals.tell(study, trial, item)

    def _spent(self) -> float:
        """Return the seconds of all candidates so far, without the scan's."""
        failed = [item for item in self.failed if item["origin"] in {"recipe", "search", "warm start"}]
        return float(sum(item["seconds"] for item in [*self.tried, *failed]))

    def _warm(self, earlier: Tuned | None) -> list[dict[str, Value]]:
        """Return the best settings of the window before, each once."""
        if earlier is None or not self.tuning.warm_start:
            return []
        complete = [item for item in earlier.candidates if item["state"] == "complete"]
        best = sorted(complete, key=lambda item: -self.sign * item["mean"])
        distinct = {fingerprint(item["settings"]): item["settings"] for item in best if item["origin"] != "recipe"}
        return list(distinct.values())[: self.tuning.warm_start]

    def _take(self, study: "optuna.Study", ended: Sequence["optuna.trial.FrozenTrial"]) -> None:
        """Add candidates that another process, or an earlier one, told the study of."""
        for trial in ended:
            content = trial.user_attrs.get("tried")
            if content is not None and trial.number not in self._taken:
                self._taken.add(trial.number)
                self.tried.append(json.loads(content))


def _is_over(seconds: float, limit: float | None) -> bool:
    return limit is not None and seconds >= limit


def _tried(origin: str, values: Mapping[str, Value], done: Mapping[str, Any]) -> Tried:
    return {
        "origin": origin,
        "settings": dict(values),
        "model": done["model"],
        "values": done["values"],
        "daily": done["daily"],
        "mean": float(np.mean(done["values"])),
        "state": done["state"],
        "seconds": done["seconds"],
        "reads_until": done["reads_until"],
    }
