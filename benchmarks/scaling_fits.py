"""Single fits on random rows, each in a process of its own: CPU seconds and memory by rows, features and settings."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alphaloom.executors import FolderStorage
from alphaloom.models.base import Network, models
from alphaloom.training.fits import Fit, run_fit
from alphaloom.training.inputs import Given, Inputs
from alphaloom.training.splits import Window
from benchmarks.meter import measured
from benchmarks.scaling_runs import EPOCHS, Measurement, network, trees
from benchmarks.spreading import random_inputs

DAYS = 60


@dataclass(frozen=True)
class FitCase:
    """One model on so many rows a day, `DAYS` days in all."""

    model: str
    stocks: int
    features: int
    trees: int = 0
    hidden: int = 0
    steps: int = 0

    def settings(self) -> dict[str, Any]:
        """Return the model as a recipe has it."""
        if self.trees:
            return {"name": self.model} | trees(self.trees)
        return {"name": self.model} | network(self.hidden, self.steps)


def windows(inputs: Inputs, history: int) -> Window:
    """Return a window that trains on four fifths of its fitted dates, with a third as many to test as in training."""
    rows = inputs.rows[history:]
    a, b = int(0.6 * rows.size), int(0.75 * rows.size)
    return Window("w", rows[:a], rows[a:b], rows[b:], 0)


def run_fit_case(case: FitCase) -> Measurement:
    """Fit, score and record as a run does, and return what it took; imports and compiling do not count."""
    model = models.parse(case.settings())
    history = (model.steps - 1) * model.stride
    with tempfile.TemporaryDirectory() as aside:

        def fit(inputs: Inputs, name: str) -> Window:
            window = windows(inputs, history)
            source, storage = Given(inputs), FolderStorage(Path(aside) / name)
            run_fit(source, storage, Fit(window, case.model, model, 0, 1, 1, history))
            return window

        fit(random_inputs(DAYS, 30, case.features), "compiles")
        inputs = random_inputs(DAYS, case.stocks, case.features)
        with measured() as taken:
            window = fit(inputs, "fit")
    parts = {"R": window.train, "V": window.valid, "Q": window.test}
    counts = {key: dates.size * case.stocks for key, dates in parts.items()}
    sizes = {"F": case.features, **counts, "n_estimators": case.trees, "hidden": case.hidden, "steps": case.steps}
    epochs = EPOCHS if isinstance(model, Network) else 0
    return {"stage": case.model, "cpu": taken.cpu, "peak_mb": taken.peak_mb, **sizes, "epochs": epochs, "first": False}
