"""The losses of a day's cross-section in LightGBM and XGBoost, against each library's own squared error.

A fit of 21 trees less one of a single tree: neither reading nor binning the data counts, gradients, losses on the curve
and the scores they need do. Every row of the data is used by every tree.
"""

import argparse
import statistics

import numpy as np

from alphaloom.models.base import FitContext, Rows, models
from benchmarks.alpha158 import cpu
from benchmarks.record import save

OBJECTIVES = ("mse", "ic", "rank_ic", "ndcg")
SETTINGS = {
    "lightgbm": {"num_leaves": 64, "max_depth": 16, "bagging_fraction": 1.0, "feature_fraction": 1.0, "max_bin": 255},
    "xgboost": {"max_depth": 6, "subsample": 1.0, "colsample_bytree": 1.0, "max_bin": 256},
}
GOAL = 1.05
"""Most that `ic` may cost in LightGBM, in times squared error."""


def sample(rows: int, features: int, stocks: int) -> Rows:
    """Return standard normal features, 2 % missing, and a label that ten of them drive; days of this many stocks."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, features), dtype=np.float32)
    x[rng.random(x.shape, dtype=np.float32) < 0.02] = np.nan
    y = np.nan_to_num(x[:, :10]) @ rng.normal(0, 0.05, 10) + rng.standard_normal(rows)
    return Rows(x, y.astype(np.float32), np.append(np.arange(0, rows, stocks), rows))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=190_000)
    parser.add_argument("--features", type=int, default=123)
    parser.add_argument("--stocks", type=int, default=4300)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args(arguments)
    train = sample(args.rows, args.features, args.stocks)
    nothing = Rows(train.x[:0], train.y[:0], np.zeros(1, dtype=np.int64))
    context = FitContext(0, 1, tuple(f"f{k}" for k in range(args.features)))

    def seconds(library: str, objective: str, trees: int) -> float:
        settings = {"name": library, "objective": objective, "n_estimators": trees, "learning_rate": 0.05}
        model = models.parse(settings | SETTINGS[library])
        return cpu(lambda: model.fit(train, nothing, context))

    small = Rows(train.x[:500], train.y[:500], np.array([0, 250, 500]))
    for objective in OBJECTIVES:  # compile
        models.parse({"name": "lightgbm", "objective": objective, "n_estimators": 2}).fit(small, nothing, context)
    cases = [(library, objective) for library in SETTINGS for objective in OBJECTIVES]
    times: dict[tuple[str, str], list[float]] = {case: [] for case in cases}
    for _ in range(args.repeats):
        for case in cases:
            times[case].append(seconds(*case, 21) - seconds(*case, 1))
    rows = []
    for library, objective in cases:
        own, plain = times[library, objective], times[library, "mse"]
        ratio = statistics.median(a / b for a, b in zip(own, plain, strict=True))
        rows.append(
            {
                "library": library,
                "objective": objective,
                "CPU seconds, 20 trees": statistics.median(own),
                "times mse": round(ratio, 3),
            }
        )
    ic = {row["library"]: row["times mse"] for row in rows if row["objective"] == "ic"}
    facts = {"rows_fitted": args.rows, "features": args.features, "stocks": args.stocks, "ic_times_mse": ic}
    shape = f"{args.rows:,} rows x {args.features} features, days of {args.stocks:,} stocks, one thread"
    notes = [
        f"{shape}; medians of {args.repeats} fits in turn, each ratio taken within its turn.",
        "LightGBM: 64 leaves; XGBoost: depth 6. `ndcg` with 5 grades and the 100 highest places.",
        f"Goal: `ic` in LightGBM at most {GOAL} times squared error.",
    ]
    save("tree_objectives", "Losses of a day in tree libraries: CPU time of one thread", rows, facts, notes)
    return int(ic["lightgbm"] > GOAL)
