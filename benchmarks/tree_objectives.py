"""The losses of a day's cross-section in LightGBM and XGBoost, against each library's own squared error.

Trees alone: 20 trees on data that are binned already, so that gradients, losses on the curve and the scores they need
count. Every row of the data is used by every tree. Trees of another loss have other shapes, and balanced ones are more
work to the library whatever the loss: the trees of `ic` are also grown by the library's own squared error, on labels
that give the very same trees, which tells what the loss itself costs. Whole fits: binning, trees and the loop with
early stopping on the RankIC of validation rows; beside them `lightgbm.train` with its own squared error and its own
early stopping on that, which computes no RankIC and keeps no curve of the training rows.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import lightgbm
import numpy as np

from alphaloom.models.base import FitContext, Rows, SharedRows, models
from benchmarks.alpha158 import cpu
from benchmarks.record import save

OBJECTIVES = ("mse", "ic", "rank_ic", "ndcg")
SETTINGS = {
    "lightgbm": {"num_leaves": 64, "max_depth": 16, "bagging_fraction": 1.0, "feature_fraction": 1.0, "max_bin": 255},
    "xgboost": {"max_depth": 6, "subsample": 1.0, "colsample_bytree": 1.0, "max_bin": 256},
}
GOAL = 1.05
"""Most that `ic` may cost in LightGBM, in times squared error."""
TREES = 40
"""Of a whole fit."""
SAME = "the same 20 trees"


def sample(rows: int, features: int, stocks: int) -> Rows:
    """Return standard normal features, 2 % missing, and a label that ten of them drive; days of this many stocks."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, features), dtype=np.float32)
    x[rng.random(x.shape, dtype=np.float32) < 0.02] = np.nan
    y = np.nan_to_num(x[:, :10]) @ rng.normal(0, 0.05, 10) + rng.standard_normal(rows)
    return Rows(x, y.astype(np.float32), np.append(np.arange(0, rows, stocks), rows))


class SameTrees:
    """The trees of a fit by correlation, grown by LightGBM's own squared error on labels that such a fit moved."""

    def __init__(self, model: Any, rows: Rows, nothing: Rows, context: FitContext) -> None:
        self.labels: list[np.ndarray] = []

        def note(data: lightgbm.Dataset, label: np.ndarray) -> lightgbm.Dataset:
            self.data = data
            self.labels.append(label)
            return data.set_field("label", label)

        with mock.patch.object(lightgbm.Dataset, "set_label", note):
            self.text = model.fit(rows, nothing, context).text
        self.labels.pop()  # the rows' own, put back at the end
        self.settings = model._parameters(context) | {"objective": "regression", "boost_from_average": False}

    def grow(self) -> float:
        """Return the CPU seconds of growing them and of reading the scores for the curve, as every fit does, without
        those of handing the labels over.
        """
        booster, seconds = lightgbm.Booster(self.settings, self.data), 0.0

        def add_tree() -> None:
            booster.update()
            booster.eval_train(feval=lambda *_: [])

        for label in self.labels:
            self.data.set_field("label", label)
            booster.train_set_version = self.data.version
            seconds += cpu(add_tree)
        assert _trees(booster.model_to_string()) == _trees(self.text)
        return seconds


def _trees(text: str) -> str:
    """Return the trees of a model's text, without what surrounds them."""
    return text[text.index("Tree=0") : text.index("end of trees")]


def whole_fit(objective: str, train: Rows, valid: Rows, context: FitContext) -> None:
    """Fit as a run does: `TREES` trees at most, early stopping after as many without a better RankIC."""
    stopping = {"early_stopping_rounds": TREES, "select_on": "rank_ic"}
    settings = {"name": "lightgbm", "objective": objective, "n_estimators": TREES, "learning_rate": 0.05}
    models.parse(settings | SETTINGS["lightgbm"] | stopping).fit(train, valid, context)


def library_fit(train: Rows, valid: Rows, context: FitContext) -> None:
    """Fit by the library alone, with the same settings of its trees."""
    model = models.parse({"name": "lightgbm", "learning_rate": 0.05} | SETTINGS["lightgbm"])
    settings = model._parameters(context) | {"metric": "l2"}
    data = lightgbm.Dataset(train.x, train.y, params=settings)
    check = lightgbm.Dataset(valid.x, valid.y, reference=data, params=settings)
    stopping = lightgbm.early_stopping(TREES, verbose=False)
    lightgbm.train(settings, data, TREES, valid_sets=[check], callbacks=[stopping])


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=190_000)
    parser.add_argument("--features", type=int, default=123)
    parser.add_argument("--stocks", type=int, default=4300)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args(arguments)
    every = sample(args.rows, args.features, args.stocks)
    valid = sample(args.rows // 4, args.features, args.stocks)
    nothing = Rows(every.x[:0], every.y[:0], np.zeros(1, dtype=np.int64))
    context = FitContext(0, 1, tuple(f"f{k}" for k in range(args.features)))
    with tempfile.TemporaryDirectory() as aside:
        days = np.arange(every.days)
        binned = SharedRows(every, days, args.rows, Path(aside)).part(days)

        def trees(library: str, objective: str, count: int) -> None:
            settings = {"name": library, "objective": objective, "n_estimators": count, "learning_rate": 0.05}
            models.parse(settings | SETTINGS[library]).fit(binned, nothing, context)

        works: dict[tuple[str, str, str], Callable[[], object]] = {}
        for library in SETTINGS:
            for objective in OBJECTIVES:
                trees(library, objective, 1)  # compiles, and bins
                works["20 trees", library, objective] = partial(trees, library, objective, 20)
        for objective in OBJECTIVES:
            works["whole fit", "lightgbm", objective] = partial(whole_fit, objective, every, valid, context)
        works["whole fit", "lightgbm.train", "mse"] = partial(library_fit, every, valid, context)
        ic = {"name": "lightgbm", "objective": "ic", "n_estimators": 20, "learning_rate": 0.05}
        same = SameTrees(models.parse(ic | SETTINGS["lightgbm"]), binned, nothing, context)
        times: dict[tuple[str, str, str], list[float]] = {case: [] for case in [*works, (SAME, "lightgbm", "mse")]}
        for _ in range(args.repeats):
            for case, work in works.items():
                times[case].append(cpu(work))
            times[SAME, "lightgbm", "mse"].append(same.grow())
    times[SAME, "lightgbm", "ic"] = times["20 trees", "lightgbm", "ic"]
    rows: list[dict[str, Any]] = []
    for (what, library, objective), own in times.items():
        plain = times[what, library.partition(".")[0], "mse"]
        rows.append(
            {
                "work": what,
                "library": library,
                "objective": objective,
                "CPU seconds": statistics.median(own),
                "times mse": round(statistics.median(a / b for a, b in zip(own, plain, strict=True)), 3),
            }
        )
    ratios = {f"{row['work']}, {row['library']}": row["times mse"] for row in rows if row["objective"] == "ic"}
    facts = {"rows_fitted": args.rows, "features": args.features, "stocks": args.stocks, "ic_times_mse": ratios}
    shape = f"{args.rows:,} rows x {args.features} features, days of {args.stocks:,} stocks, one thread"
    notes = [
        f"{shape}; medians of {args.repeats} fits in turn, each ratio taken within its turn.",
        "LightGBM: 64 leaves; XGBoost: depth 6. `ndcg` with 5 grades and the 100 highest places.",
        (
            f"20 trees: of data that are binned already. Whole fit: binning, {TREES} trees and the loop with early "
            f"stopping on RankIC of {valid.y.size:,} validation rows; `lightgbm.train`: the library's own loop and "
            "loss, no RankIC."
        ),
        (
            "The same 20 trees: those of `ic`, grown by squared error on labels that give the very same ones. Trees of "
            "another loss have other shapes, and the more balanced ones are more work whatever the loss."
        ),
        f"Goal: `ic` in LightGBM at most {GOAL} times squared error, for the same trees and for the whole fit.",
    ]
    save("tree_objectives", "Losses of a day in tree libraries: CPU time of one thread", rows, facts, notes)
    return int(max(ratios[f"{SAME}, lightgbm"], ratios["whole fit, lightgbm"]) > GOAL)
