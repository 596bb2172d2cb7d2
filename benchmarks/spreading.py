"""Random inputs on storage, and tasks on them, for benchmarks of executors."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from alphaloom.executors import FolderStorage, Job, Outcome, Pool, Standing, Task, run_jobs
from alphaloom.panel import Panel
from alphaloom.training.inputs import Inputs, Stored, save_inputs


def random_inputs(days: int, stocks: int, features: int) -> Inputs:
    """Return inputs of random numbers; every date is a sample, and its label reads the next one."""
    rng = np.random.default_rng(0)
    block = rng.standard_normal((days, stocks, features), dtype=np.float32)
    label = (block[:, :, :5].sum(axis=2) * 0.05 + rng.standard_normal((days, stocks))).astype(np.float32)
    dates = np.datetime64("2010-01-01") + np.arange(days)
    symbols = np.array([f"S{n:05d}" for n in range(stocks)])
    panel = Panel(dates, symbols, np.ones((days, stocks), dtype=np.bool_), {})
    names = tuple(f"f{k}" for k in range(features))
    rows = np.arange(days)
    return Inputs(panel, names, block, label, (), rows, rows + 1, "benchmark")


def store(inputs: Inputs, folder: Path) -> Stored:
    """Return the inputs on disk."""
    storage = FolderStorage(folder)
    with storage.new_folder("inputs") as aside:
        save_inputs(inputs, aside)
    return Stored(storage, "inputs")


def run_all(pool: Pool, call: Callable[..., Any], given: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return what the call gave for each of the arguments, in the order in which the tasks ended.

    Raises:
        RuntimeError: one of them failed.
    """
    found: list[Any] = []

    def job() -> Job:
        yield [Task(f"task {k}", call, arguments) for k, arguments in enumerate(given)]

    def watch(_: Standing, outcome: Outcome | None) -> None:
        if outcome is not None:
            found.append(outcome.value)

    for outcome in run_jobs([job()], pool, watch):
        assert outcome.failure is not None
        raise RuntimeError(outcome.failure.log)
    return found
