"""What a job of a given size costs: CPU hours, memory and disk by stage, and hours with so many workers.

Applies the coefficients that `python -m benchmarks scaling` found on its machine to other sizes. They are extrapolated:
the larger the job against the runs that were measured, the more a term that is missing in the model would weigh.
"""

import argparse
import json
from dataclasses import dataclass
from typing import Any

from benchmarks.record import RESULTS, save
from benchmarks.scaling import REST, seconds
from benchmarks.scaling_model import FITS, MEMORY, cost
from benchmarks.scaling_runs import STEPS

DAYS_A_YEAR, WEEKS_A_YEAR = 250, 52
BY_TASK = (*FITS, "candidate")
"""Stages that workers share; all others run in one process."""


@dataclass(frozen=True)
class Job:
    """What is to be done."""

    stocks: int
    years: int
    features: int
    models: int
    """Models of the run, a third each LightGBM, XGBoost and GRU."""
    trees: int
    trials: int
    """Candidates of a search for each tree model and window; 0 tunes nothing."""
    daily: bool
    """Whether every day is a sample; else every week."""

    @property
    def dates_a_year(self) -> int:
        """Sample dates."""
        return DAYS_A_YEAR if self.daily else WEEKS_A_YEAR

    @property
    def windows(self) -> int:
        """Half-yearly windows after two years of training."""
        return 2 * (self.years - 2)


def stages_of(job: Job) -> list[tuple[str, float, dict[str, Any]]]:
    """Return each stage, how often it runs, and its sizes; features are made at the speed of Alpha158."""
    T, N, F = job.years * DAYS_A_YEAR, job.stocks, job.features
    tested = (job.years - 2) * job.dates_a_year
    axes = {"T": T, "N": N, "F": F, "family": "alpha158"}
    R, V, Q = (int(N * months / 12 * job.dates_a_year) for months in (0.8 * 24, 0.2 * 24, 6))
    rows = {"F": F, "R": R, "V": V, "Q": Q, "n_estimators": job.trees, "epochs": 10}
    fits = job.models / 3 * job.windows
    folds = 10
    # Folds grow from one eleventh of a window's dates to ten: R and V of all are 5 times a window's.
    folded = {"folds": folds, **rows, "R": 5 * R, "V": 5 * V, "Q": R + V}
    scored = {"M": job.models, "T": tested, "N": N}
    return [
        *((name, 1, axes) for name in ("universe", "features", "transforms", "label", "risk")),
        ("lightgbm", fits, rows),
        ("xgboost", fits, rows),
        ("gru", fits, rows | {"steps": STEPS, "hidden": 64}),
        *([("candidate", 2 * fits * job.trials, folded)] if job.trials else []),
        ("ensemble", 1, scored),
        ("evaluation", 1, scored),
        ("portfolios", 1, {"T": tested, "N": N}),
        ("backtest", 2, {"T": T, "N": N}),
        ("report", 1, {"T": T, "M": job.models}),
        (REST, 1, axes | {"M": job.models}),
    ]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--stocks", type=int, default=10_000)
    parser.add_argument("--years", type=int, default=30)
    parser.add_argument("--features", type=int, default=500)
    parser.add_argument("--models", type=int, default=100)
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--trials", type=int, default=0, help="candidates for each tree model and window")
    parser.add_argument("--daily", action="store_true", help="every day is a sample, not every week")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 16, 256])
    args = parser.parse_args(arguments)
    found = json.loads((RESULTS / "scaling.json").read_text())
    sizes = {key: value for key, value in vars(args).items() if key != "workers"}
    job = Job(**sizes)
    rows, alone, shared = [], 0.0, 0.0
    for stage, times, size in stages_of(job):
        hours = times * seconds(found, {"stage": stage, "first": False, **size}) / 3600
        alone, shared = (alone, shared + hours) if stage in BY_TASK else (alone + hours, shared)
        mb = cost(MEMORY[stage], found["memory"][stage], size) if stage in MEMORY else None
        rows.append(
            {
                "stage": stage,
                "times": round(times),
                "CPU hours": hours,
                "GB": "-" if mb is None else round(mb / 1000, 1),
                "shared by workers": "yes" if stage in BY_TASK else "no",
            }
        )
    rows.append({"stage": "all", "times": 1, "CPU hours": alone + shared, "GB": "-", "shared by workers": "-"})
    block = 4 * job.years * DAYS_A_YEAR * job.stocks * job.features / 1e9
    weekly = 4 * job.years * job.dates_a_year * job.stocks * job.features / 1e9
    notes = [
        (
            f"{job.stocks:,} stocks x {job.years} years x {job.features} features; {job.models} models, a third each "
            f"LightGBM and "
            f"XGBoost of {job.trees} trees and GRU (64 wide, {STEPS} steps, 10 epochs), {job.windows} half-yearly "
            f"windows of two "
            f"years; {'daily' if job.daily else 'weekly'} samples; {job.trials} candidates of tuning for each tree "
            f"model and "
            "window. Every stock on every date."
        ),
        "GB: memory of the stage above what the process holds; the feature block is the first.",
        (
            f"Feature block {block:,.0f} GB in memory, and on disk for workers; rows of all samples {weekly:,.0f} "
            f"GB, which a "
            f"search for settings also writes, with {weekly / 4:,.0f} GB of LightGBM's bins."
        ),
        *(
            f"{count} worker{'s' if count > 1 else ''}: {alone + shared / count:,.1f} hours, of which {alone:,.1f} "
            f"in one "
            f"process alone ({100 * alone / (alone + shared / count):.0f} %)."
            for count in args.workers
        ),
        (
            "Coefficients of `python -m benchmarks scaling`, from its machine's processor; extrapolated far beyond its "
            "runs."
        ),
    ]
    facts = {"job": sizes, "serial_hours": alone, "shared_hours": shared, "block_gb": block, "sample_rows_gb": weekly}
    save("job_cost", "What a job of this size costs", rows, facts, notes)
    return 0
