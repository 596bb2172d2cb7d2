"""What spreading fits over workers costs beside the fits themselves: CPU seconds a task.

Fits of LightGBM, each some ten seconds of computing on one thread, run by `run_fit` from stored inputs over two
workers, and one after the other in this process. Inside each task a clock runs while the model is fitted and gives its
scores; everything else that the workers and this process do counts as overhead: opening the inputs, cutting the window,
the record, writing the results, sending tasks.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from alphaloom.executors import FolderStorage, Storage, executors
from alphaloom.models.base import models
from alphaloom.training import fits
from alphaloom.training.fit import Fitted
from alphaloom.training.fits import Fit, run_fit, task_seed
from alphaloom.training.inputs import Given, Inputs, Source, Stored
from alphaloom.training.splits import Window
from benchmarks.meter import clocked
from benchmarks.record import save
from benchmarks.spreading import random_inputs, run_all, store

GOAL = 0.05
"""Most that a task of ten seconds may cost beside its computing, as a share of that."""
COMPUTING = ((fits, "fit_window"), (Fitted, "predict"))
STOCKS, FEATURES = 600, 120


@dataclass(frozen=True)
class Timed:
    """When a task ran in its process, by a clock that all processes of the machine share; and its CPU seconds."""

    pid: int
    began: float
    ended: float
    cpu_before: float
    """CPU seconds of the process when the task began."""
    cpu_after: float
    computing: float
    """CPU seconds while the model was fitted and gave scores."""


def timed_fit(source: Source, storage: Storage, fit: Fit) -> Timed:
    """Run a fit as a run does, and return its times."""
    began, before = time.monotonic(), time.process_time()
    with clocked(*COMPUTING) as computing:
        run_fit(source, storage, fit)
    return Timed(os.getpid(), began, time.monotonic(), before, time.process_time(), computing[0])


def fits_of(inputs: Inputs, count: int, trees: int) -> list[Fit]:
    """Return fits on windows of equal length, each starting a little later."""
    settings = {"name": "lightgbm", "n_estimators": trees, "early_stopping_rounds": 0, "num_leaves": 63}
    days = inputs.rows.size
    length, step = days // 2, days // (4 * count)
    out = []
    for k in range(count):
        parts = np.cumsum([k * step, length - 40, 40, days // 8])
        train, valid, test = (np.arange(a, b) for a, b in pairwise(parts))
        window = Window(f"w{k:02d}", train[:-1], valid[:-1], test, 2)
        out.append(Fit(window, "lightgbm", models.parse(settings), 0, task_seed(0, k), 1, 0))
    return out


@contextmanager
def opened(name: str) -> Iterator[dict[str, Any]]:
    """Return an executor's settings; for `ray` with a cluster of two nodes on this machine, a core each."""
    if name != "ray":
        yield {"name": name, "workers": 2}
        return
    sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
    from ray_cluster import ray_cluster

    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
    with ray_cluster(nodes=2, cores=1) as nodes:
        yield {"name": "ray", "address": nodes.address}


def spread(settings: dict[str, Any], source: Stored, folder: Path, every: Sequence[Fit]) -> dict[str, float]:
    """Return what all fits took over an executor's workers: CPU seconds of each task but for the start-up."""
    began, before = time.monotonic(), time.process_time()
    with executors.parse(settings).open() as pool:
        given = [{"source": source, "storage": FolderStorage(folder), "fit": fit} for fit in every]
        tasks: list[Timed] = run_all(pool, timed_fit, given)
        driver = time.process_time() - before
    own = [sorted((t for t in tasks if t.pid == pid), key=lambda t: t.began) for pid in {t.pid for t in tasks}]
    computing = sum(task.computing for task in tasks)
    beside = sum(some[-1].cpu_after - some[0].cpu_before for some in own) - computing
    idle = sum(b.began - a.ended for some in own for a, b in pairwise(some))
    wall = sum(some[-1].ended - some[0].began for some in own)
    return {
        "workers": len(own),
        "computing s": computing / len(every),
        "other s in workers": beside / len(every),
        "s in the driver": driver / len(every),
        "overhead %": 100 * (beside + driver) / computing,
        "idle between tasks, % of wall": 100 * idle / wall,
        "start-up: CPU s a worker": float(np.mean([some[0].cpu_before for some in own])),
        "start-up: wall s": float(np.mean([some[0].began - began for some in own])),
    }


def bare(inputs: Inputs, folder: Path, every: Sequence[Fit]) -> float:
    """Return the CPU seconds of computing of each fit in this process."""
    tasks = [timed_fit(Given(inputs), FolderStorage(folder), fit) for fit in every]
    return sum(task.computing for task in tasks) / len(every)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="computing of each task")
    parser.add_argument("--tasks", type=int, default=8)
    parser.add_argument("--days", type=int, default=520)
    args = parser.parse_args(arguments)
    inputs = random_inputs(args.days, STOCKS, FEATURES)
    names = [name for name in ("local", "ray") if name in executors.names()]
    rows = []
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside)
        source = store(inputs, folder)
        bare(inputs, folder / "compiles", fits_of(inputs, 1, 2))
        few, more = (bare(inputs, folder / f"trial-{n}", fits_of(inputs, 1, n)) for n in (1, 21))
        every = fits_of(inputs, args.tasks, max(1, round((args.seconds - few) / (more - few) * 20)))
        for name in names:
            with opened(name) as settings:
                took = spread(settings, source, folder / name, every)
            alone = bare(inputs, folder / f"beside-{name}", every[:2])
            rows.append({"executor": name, "tasks": args.tasks, **took, "computing s here, alone": alone})
    trees, days = every[0].model.n_estimators, every[0].window.train.size
    notes = [
        (
            f"Each task: LightGBM, {trees} trees of 63 leaves, {days * STOCKS:,} rows x {FEATURES} features, by "
            f"`run_fit`; "
            f"inputs of {inputs.block.nbytes / 1e6:.0f} MB on disk, opened once in each worker. CPU seconds a task."
        ),
        (
            "`local`: two worker processes. `ray`: a cluster of two nodes on this machine, one core each; what Ray's "
            "own "
            "processes do is not counted."
        ),
        "Start-up is what a worker did before its first task (imports above all): not in the overhead.",
        f"Goal: overhead under {GOAL:.0%} of computing.",
    ]
    worst = max(row["overhead %"] for row in rows) / 100
    facts = {"stocks": STOCKS, "features": FEATURES, "days": days, "trees": trees, "worst_overhead": worst}
    save("studies", "Fits spread over workers: CPU seconds of a task", rows, facts, notes)
    return int(worst > GOAL)
