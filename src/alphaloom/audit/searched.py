"""A run's searches for settings: what their candidates read, and the best of them fitted and scored again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from alphaloom.audit.components import REPLACED
from alphaloom.audit.report import AuditReport, Check, Finding, Problem
from alphaloom.audit.trained import RunAudit
from alphaloom.audit.values import differences
from alphaloom.executors.storage import FolderStorage
from alphaloom.panel import Panel
from alphaloom.preparation import make_experiment, prepare
from alphaloom.training.inputs import Given, Inputs
from alphaloom.training.rolling import Experiment
from alphaloom.training.splits import Window
from alphaloom.training.tuning.search import RECORD, candidate_of, folds_of
from alphaloom.training.tuning.trial import Candidate, run_candidate
from alphaloom.typing import Doubles

KIND = "search"
PLANTED = "a search scored on test dates"


@dataclass(frozen=True, eq=False)
class SearchAudit:
    """Looks again at the searches of one run."""

    run: RunAudit

    def report(self, windows: Sequence[Window]) -> AuditReport:
        """Return the audit of all searches' records, and of the best candidates of these windows.

        Days from a window's first test date on are replaced, and the best candidate is fitted and scored on the folds
        again: its values must be those that the search stored.
        """
        problems, findings, checks = [], list[Finding](), []
        for window in self.run.windows:
            for name in self.run.recipe.model_names():
                record = self._record(window, name)
                if record is not None:
                    checks.append(Check(KIND, f"{name} of {window.name}", len(record["candidates"]), 0, 0))
                    problems += _too_late(record, window, name)
        for window in windows:
            experiment = self._experiment(self._altered(window))
            inputs = experiment.inputs
            for name in self.run.recipe.model_names():
                record = self._record(window, name)
                if record is not None:
                    item = self._best(experiment, window, name, record)
                    stored = np.array(record["best"]["values"])
                    findings += _differences(f"{name} of {window.name}", item, inputs, stored, _values(inputs, item))
                    checks.append(Check(KIND, f"best {name} of {window.name}", 1, 1, stored.size))
        return AuditReport(tuple(checks), tuple(findings), tuple(problems))

    def planted(self) -> dict[str, AuditReport]:
        """Return what the audit says of a search in the first window whose last fold is scored on its test dates."""
        window = self.run.windows[0]
        for name in self.run.recipe.model_names():
            record = self._record(window, name)
            if record is not None:
                altered = self._altered(window)
                honest = self._experiment(self.run.market.rows(0, altered.dates.size))
                found = self._best(honest, window, name, record)
                tested = window.test[window.test < altered.dates.size - self.run.plan.first]
                peeking = replace(found, folds=(replace(found.folds[-1], test=tested),))
                before, after = (_values(item.inputs, peeking) for item in (honest, self._experiment(altered)))
                findings = _differences(f"{name} of {window.name}", peeking, honest.inputs, before, after)
                return {PLANTED: AuditReport((Check(KIND, name, 1, 1, 1),), tuple(findings))}
        return {}

    def _record(self, window: Window, name: str) -> Mapping[str, Any] | None:
        return self.run.folder.find_json(f"models/{window.name}/{name}-tuning/{RECORD}")

    def _altered(self, window: Window) -> Panel:
        """Return the market with the days from the window's first test date on replaced."""
        return self.run.altered(self.run.plan.first + int(window.test[0]) - 1, np.random.default_rng(self.run.seed))

    def _experiment(self, market: Panel) -> Experiment:
        return make_experiment(self.run.recipe, prepare(self.run.recipe, market, threads=self.run.threads), "")

    def _best(self, experiment: Experiment, window: Window, name: str, record: Mapping[str, Any]) -> Candidate:
        """Return the candidate that the search chose."""
        search = experiment.search(window, name, [self.run.windows[0], window], self.run.threads)
        return candidate_of(search, folds_of(search, experiment.inputs), "best", record["best"]["settings"])


def _values(inputs: Inputs, item: Candidate) -> Doubles:
    with TemporaryDirectory() as folder:
        return np.array(run_candidate(Given(inputs), FolderStorage(Path(folder)), item)["values"])


def _too_late(record: Mapping[str, Any], window: Window, name: str) -> list[Problem]:
    late = max([item["reads_until"] for item in record["candidates"]])
    if late < record["test_start"]:
        return []
    words = f"candidates read until {late}, but the window is tested from {record['test_start']} on"
    return [Problem(KIND, f"{name} of {window.name}", words)]


def _differences(name: str, item: Candidate, inputs: Inputs, before: Doubles, after: Doubles) -> list[Finding]:
    dates = inputs.panel.dates[[int(fold.test[-1]) for fold in item.folds]]
    found = partial(differences, KIND, name, [item.objective], change=REPLACED, dates=dates, symbols=["all"])
    return found(before=before[:, None, None], after=after[:, None, None], tolerance=1e-6)
