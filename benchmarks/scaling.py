"""What a job costs by its sizes: a model fitted on small runs, and checked on larger ones that it has not seen.

The main job (features, transforms, label, risk model, LightGBM, XGBoost and a GRU on rolling windows, a search for
settings, evaluation, two portfolios, replay, report) runs on simulated markets of several sizes, each in a process of
its own on one thread, and every stage is measured; single fits are measured on random rows, each in a fresh process.
The CPU seconds and the memory of a stage are a sum of a few terms of its sizes, by least squares of relative errors.
`python -m benchmarks job_cost` applies what is found to other sizes.
"""

import argparse
import json
import shutil
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.meter import in_child
from benchmarks.record import RESULTS, save
from benchmarks.scaling_fits import FitCase, run_fit_case
from benchmarks.scaling_model import BINNING, BOOSTING, CPU, FITS, MEMORY, cost, fit
from benchmarks.scaling_runs import Case, Measurement, make_store, run_case

CASES = (
    Case(100, 3, "alpha158", 40, "2018-01", "2018-07"),
    Case(200, 3, "alpha360", 20, "2018-01", "2018-07", hidden=16),
    Case(200, 4, "alpha158", 60, "2018-01", "2019-07", steps=10, trials=3),
    Case(400, 3, "factors", 20, "2018-07", "2018-07"),
    Case(400, 4, "alpha158", 20, "2019-01", "2019-07", trials=3),
    Case(100, 3, "factors", 10, "2018-07", "2018-07", ridges=30),
)
"""Runs that the model is fitted on."""
CHECK = Case(800, 8, "alpha158", 50, "2023-01", "2023-07", hidden=48, trials=3)
"""The run that it is checked on: four times the stock-days of the largest."""
FIT_CASES = (
    *(
        FitCase(library, stocks, features, trees=trees)
        for library in ("lightgbm", "xgboost")
        for stocks, features, trees in (
            (400, 80, 40),
            (400, 320, 10),
            (1000, 160, 20),
            (2000, 80, 40),
            (2000, 320, 10),
            (2000, 320, 30),
        )
    ),
    *(
        FitCase("gru", stocks, features, hidden=hidden, steps=steps)
        for stocks, features, hidden, steps in (
            (300, 80, 32, 5),
            (300, 320, 64, 5),
            (600, 160, 32, 10),
            (600, 80, 96, 5),
        )
    ),
)
CHECK_FITS = (
    FitCase("lightgbm", 8000, 320, trees=40),
    FitCase("xgboost", 8000, 320, trees=40),
    FitCase("gru", 2400, 160, hidden=96, steps=5),
)
"""Four times the rows of the largest."""
REST = "beside all stages"
FLOOR_SECONDS, FLOOR_MB = 0.1, 10.0
"""What is below these is noise."""


def measure(aside: Path) -> dict[str, Any]:
    """Return all measurements."""

    def run_in(case: Case) -> list[Measurement]:
        store, out = aside / f"{case.stocks}-{case.years}", aside / "out"
        if not store.exists():
            in_child(make_store, store, case.stocks, case.years)
        shutil.rmtree(out, ignore_errors=True)
        found: list[Measurement] = in_child(run_case, str(store), case, str(out))
        return found

    run_in(CASES[0])  # compiles
    return {
        "runs": [run_in(case) for case in CASES],
        "check": run_in(CHECK),
        "fits": [in_child(run_fit_case, case) for case in FIT_CASES],
        "check_fits": [in_child(run_fit_case, case) for case in CHECK_FITS],
    }


def gathered(runs: Sequence[Sequence[Measurement]]) -> dict[str, list[Measurement]]:
    """Return measurements by stage; what a run took beside all of them is a stage of its own."""
    by_stage: dict[str, list[Measurement]] = {}
    for *parts, whole in runs:
        rest = {**whole, "stage": REST, "cpu": whole["cpu"] - sum(item["cpu"] for item in parts), "first": False}
        for item in (*parts, rest):
            by_stage.setdefault(item["stage"], []).append(item)
    return by_stage


def model_of(measured: Mapping[str, Any]) -> dict[str, Any]:
    """Return the coefficients of every stage: `cpu`, `memory`, and `imports`, what a library's first use costs."""
    by_stage = gathered(measured["runs"])
    fits = {name: [item for item in measured["fits"] if item["stage"] == name] for name in FITS}
    cpu = {stage: fit(terms, by_stage[stage], "cpu", FLOOR_SECONDS) for stage, terms in CPU.items()}
    cpu |= {name: fit(FITS[name], items, "cpu", FLOOR_SECONDS) for name, items in fits.items()}
    memory = {
        stage: fit(terms, fits.get(stage) or by_stage[stage], "peak_mb", FLOOR_MB) for stage, terms in MEMORY.items()
    }
    found: dict[str, Any] = {"cpu": cpu, "memory": memory, "imports": dict.fromkeys((*FITS, "candidate"), 0.0)}
    for stage in found["imports"]:
        beyond = [item["cpu"] - seconds(found, item) for item in by_stage[stage] if item["first"]]
        found["imports"][stage] = max(0.0, statistics.median(beyond))
    return found


def seconds(model: Mapping[str, Any], item: Measurement) -> float:
    """Return the CPU seconds that the model gives a stage or a fit of these sizes."""
    stage, cpu = item["stage"], model["cpu"]
    imports: float = model["imports"].get(stage, 0.0) if item["first"] else 0.0
    if stage == "candidate":  # fits of LightGBM on rows of which the first one bins all
        own = cpu["lightgbm"]
        binning = cost(BINNING, own, {"R": item["spanned"], "V": 0, "F": item["F"]}) if item["first"] else 0.0
        return cost(BOOSTING, own, item) + item["folds"] * own["1"] + binning + imports
    return cost(FITS[stage] if stage in FITS else CPU[stage], cpu[stage], item) + imports


def compared(model: Mapping[str, Any], items: Sequence[Measurement], name: str) -> dict[str, Any]:
    """Return what was predicted and measured for all runs of one stage."""
    predicted, taken = sum(seconds(model, item) for item in items), sum(item["cpu"] for item in items)
    stage = items[0]["stage"]
    known = (stage in MEMORY and "held_mb" not in items[0]) or stage in {"features", "risk"}
    return {
        "stage": name,
        "times": len(items),
        "CPU s predicted": predicted,
        "CPU s measured": taken,
        "ratio": predicted / taken,
        "MB predicted": round(cost(MEMORY[stage], model["memory"][stage], items[0])) if known else "-",
        "MB measured": round(max(item["peak_mb"] for item in items)) if known else "-",
    }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--again", action="store_true", help="fit the model to what the results file has measured")
    args = parser.parse_args(arguments)
    if args.again:
        measured = json.loads((RESULTS / "scaling.json").read_text())["measured"]
    else:
        with tempfile.TemporaryDirectory() as aside:
            measured = measure(Path(aside))
    model = model_of(measured)
    rows = [compared(model, items, stage) for stage, items in gathered([measured["check"]]).items()]
    total = [sum(row[key] for row in rows) for key in ("CPU s predicted", "CPU s measured")]
    nothing = {"MB predicted": "-", "MB measured": "-"}
    whole = {"stage": "the whole run", "times": 1, "CPU s predicted": total[0], "CPU s measured": total[1]}
    rows.append(whole | {"ratio": total[0] / total[1]} | nothing)
    alone = [
        compared(model, [item], f"{item['stage']}, {item['R']:,} rows x {item['F']}") for item in measured["check_fits"]
    ]
    cells = [run[-1]["T"] * run[-1]["N"] for run in (*measured["runs"], measured["check"])]
    most = max(item["R"] for item in measured["fits"])
    check = measured["check"][-1]
    notes = [
        (
            f"The model is fitted on {len(CASES)} runs of {min(cells):,} to {max(cells[:-1]):,} stock-days and on "
            f"{len(FIT_CASES)} single fits of up to {most:,} rows. It has not seen what is in this table: a run of "
            f"{cells[-1]:,} stock-days ({check['N']:,} stocks x {check['T']:,} days x {check['F']} features), and, "
            f"in the last "
            "lines, single fits. One thread; CPU seconds, user and system."
        ),
        (
            "`times`: how often the stage is run. MB: most memory above what the process held when the stage began; "
            "fits are "
            "measured in processes of their own, since in a run they reuse what earlier ones left."
        ),
        f"The whole run held {check['absolute_mb']:,.0f} MB at most.",
        "Coefficients, and each measurement, are in the JSON file beside this one.",
    ]
    save("scaling", "Larger runs, predicted from small ones", [*rows, *alone], model | {"measured": measured}, notes)
    return int(not all(0.5 < row["ratio"] < 2 for row in (rows[-1], *alone)))
