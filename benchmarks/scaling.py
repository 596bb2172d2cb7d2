"""What a job costs by its sizes: a model fitted on small runs, and checked on a larger one that it has not seen.

The main job (features, transforms, label, risk, LightGBM, XGBoost and a GRU on rolling windows, evaluation, two portfolios,
replay, report) runs on simulated markets of several sizes, each in a process of its own on one thread; every stage and
every fit is measured. Each stage's CPU seconds and memory are a sum of a few terms of its sizes, by least squares.
`python -m benchmarks job_cost` applies what is found to other sizes.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.meter import in_child
from benchmarks.record import RESULTS, save
from benchmarks.scaling_model import CPU, MEMORY, ONE, cost, fit
from benchmarks.scaling_runs import Case, Measurement, make_store, run_case

CASES = (
    Case(100, 3, ("alpha158",), 40, "2018-01", "2018-07"),
    Case(200, 3, ("alpha158", "factors"), 20, "2018-01", "2018-07", hidden=16),
    Case(200, 4, ("alpha158",), 60, "2018-01", "2019-07", steps=10, trials=3),
    Case(400, 3, ("factors",), 20, "2018-07", "2018-07"),
    Case(400, 4, ("alpha158",), 20, "2019-01", "2019-07", trials=3),
)
"""Runs that the model is fitted on."""
CHECK = Case(800, 8, ("alpha158",), 50, "2023-01", "2023-07", hidden=48, trials=3)
"""The run that it is checked on: four times the stock-days of the largest."""
ALONE = ("lightgbm", "xgboost", "gru", "candidate")
"""Stages of which a run has several, each measured by itself."""
REST = "beside all stages"


def gathered(runs: Sequence[Sequence[Measurement]]) -> dict[str, list[Measurement]]:
    """Return measurements by stage; what a run took beside all of them is a stage of its own."""
    by_stage: dict[str, list[Measurement]] = {}
    for run in runs:
        *parts, whole = run
        rest = {**whole, "stage": REST, "cpu": whole["cpu"] - sum(item["cpu"] for item in parts)}
        for item in (*parts, rest):
            by_stage.setdefault(item["stage"], []).append(item)
    return by_stage


def check_rows(cpu: dict[str, Any], memory: dict[str, Any], run: Sequence[Measurement]) -> list[dict[str, Any]]:
    """Return what was predicted and measured for each stage of a run."""
    rows = []
    for stage, items in gathered([run]).items():
        seconds = sum(cost(CPU[stage], cpu[stage], item) for item in items)
        taken = sum(item["cpu"] for item in items)
        mb = max((cost(MEMORY[stage], memory[stage], item) for item in items), default=0.0) if stage in MEMORY else None
        most = max(item["peak_mb"] for item in items)
        rows.append(
            {
                "stage": stage,
                "times": len(items),
                "CPU s predicted": seconds,
                "CPU s measured": taken,
                "ratio": seconds / taken if taken > 0 else float("nan"),
                "MB predicted": "-" if mb is None else round(mb),
                "MB measured": round(most) if stage != REST else "-",
            }
        )
    total = [sum(row[key] for row in rows) for key in ("CPU s predicted", "CPU s measured")]
    whole = {"stage": "all", "times": 1, "CPU s predicted": total[0], "CPU s measured": total[1]}
    return [*rows, whole | {"ratio": total[0] / total[1], "MB predicted": "-", "MB measured": round(run[-1]["absolute_mb"])}]


def run_in(folder: Path, case: Case) -> list[Measurement]:
    """Return what a run took, in a process of its own."""
    store, out = folder / f"{case.stocks}-{case.years}", folder / "out"
    if not store.exists():
        in_child(make_store, store, case.stocks, case.years)
    shutil.rmtree(out, ignore_errors=True)
    found: list[Measurement] = in_child(run_case, str(store), case, str(out))
    return found


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--again", action="store_true", help="fit the model to what the results file has measured")
    args = parser.parse_args(arguments)
    if args.again:
        held = json.loads((RESULTS / "scaling.json").read_text())
        runs, larger = held["runs"], held["check"]
    else:
        with tempfile.TemporaryDirectory() as aside:
            run_in(Path(aside), CASES[0])  # compiles
            runs = [run_in(Path(aside), case) for case in CASES]
            larger = run_in(Path(aside), CHECK)
    by_stage = gathered(runs)
    cpu = {stage: fit(CPU[stage], items, "cpu", 0.1) for stage, items in by_stage.items()}
    memory = {stage: fit(terms, by_stage[stage], "peak_mb", 10.0) for stage, terms in MEMORY.items()}
    base = max(run[0]["held_mb"] for run in runs)
    disk = fit(ONE | {"M T N": lambda s: s["T"] * s["N"]}, [run[-1] for run in runs], "disk_mb", 1.0)
    rows = check_rows(cpu, memory, larger)
    cells = [run[-1]["T"] * run[-1]["N"] for run in (*runs, larger)]
    notes = [
        f"The model is fitted on {len(runs)} runs of {min(cells[:-1]):,} to {max(cells[:-1]):,} stock-days; this one has "
        f"{cells[-1]:,}, and is not among them. One thread; CPU seconds, user and system.",
        "`times`: how often the stage is run. MB: most memory above what the process held when the stage began; of "
        "`all`, what it held at most.",
        "Coefficients, and each measurement, are in the JSON file beside this one.",
    ]
    facts = {"cpu": cpu, "memory": memory, "base_mb": base, "disk": disk, "runs": runs, "check": larger}
    save("scaling", "A larger run, predicted from small ones", rows, facts, notes)
    off = rows[-1]["ratio"]
    return int(not 0.5 < off < 2)
