"""The losses of a day's cross-section in LightGBM and XGBoost, against each library's own squared error.

Trees alone: 20 trees on data that are binned already, so that gradients, losses on the curve and the scores they need
count. Every row of the data is used by every tree. Trees of another loss have other shapes, and balanced ones are more
work to the library whatever the loss: squared error also grows the very trees of `ic`, on labels that give them, which
tells what the loss itself costs. Whole fits: binning, trees and the loop with early stopping on the RankIC of
validation rows; beside them `lightgbm.train` with its own squared error and its own early stopping on that, which
computes no RankIC and keeps no curve of the training rows. LightGBM's fits go in step with those of squared error, a
tree of each in turn, since a machine whose speed moves by a quarter within minutes cannot tell a few percent otherwise.
"""

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import lightgbm
import numpy as np

from alphaloom.models.base import FitContext, Rows, SharedRows, models
from alphaloom.models.boosting import boost
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
LEAFWISE = SETTINGS["lightgbm"]
TURN = threading.local()
Case = tuple[str, str, str]
"""Work, library and objective."""


def sample(rows: int, features: int, stocks: int) -> Rows:
    """Return standard normal features, 2 % missing, and a label that ten of them drive; days of this many stocks."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, features), dtype=np.float32)
    x[rng.random(x.shape, dtype=np.float32) < 0.02] = np.nan
    y = np.nan_to_num(x[:, :10]) @ rng.normal(0, 0.05, 10) + rng.standard_normal(rows)
    return Rows(x, y.astype(np.float32), np.append(np.arange(0, rows, stocks), rows))


Step = Callable[..., None]
"""What a job calls before each tree, with what it does then off the clock, if anything."""
Job = Callable[[Step], Any]


def in_step(jobs: tuple[Job, Job], first: int) -> tuple[list[float], list[Any]]:
    """Return the CPU seconds of two jobs that grow a tree in turn, and what they return."""
    seconds, began = [0.0, 0.0], time.process_time()
    turns, ended = [threading.Semaphore(0), threading.Semaphore(0)], [False, False]

    def hand_over(own: int) -> None:
        nonlocal began
        seconds[own] += time.process_time() - began
        began = time.process_time()
        turns[1 - own].release()

    def step(own: int, aside: Callable[[], object] | None = None) -> None:
        nonlocal began
        if not ended[1 - own]:
            hand_over(own)
            turns[own].acquire()
        if aside is not None:
            seconds[own] += time.process_time() - began
            aside()
            began = time.process_time()

    def run(own: int) -> Any:
        turns[own].acquire()
        TURN.step = partial(step, own)
        try:
            return jobs[own](TURN.step)
        finally:
            ended[own] = True
            hand_over(own)

    def stepping(settings: Any, *, add_tree: Callable[[int], bool], **rest: Any) -> Any:
        def grow(k: int) -> bool:
            TURN.step()
            return add_tree(k)

        return boost(settings, add_tree=grow, **rest)

    with mock.patch("alphaloom.models.lightgbm.boost", stepping), ThreadPoolExecutor(2) as threads:
        futures = [threads.submit(run, own) for own in (0, 1)]
        began = time.process_time()
        turns[first].release()
        return seconds, [future.result() for future in futures]


def library_trees(settings: dict[str, Any], data: lightgbm.Dataset, labels: Sequence[np.ndarray], step: Step) -> str:
    """Return 20 trees of the library's own squared error, on labels of each tree's own if given.

    The scores are read after each, as every fit does for its curve. Handing over labels does not count: squared error
    alone has no need of it.
    """
    booster = lightgbm.Booster(settings, data)
    for k in range(20):
        step(partial(data.set_field, "label", labels[k]) if len(labels) else None)
        booster.train_set_version = data.version
        booster.update()
        booster.eval_train(feval=lambda *_: [])
    return booster.model_to_string()


def _trees(text: str) -> str:
    """Return the trees of a model's text, without what surrounds them."""
    return text[text.index("Tree=0") : text.index("end of trees")]


def labels_of_trees(model: Any, rows: Rows, nothing: Rows, context: FitContext) -> list[np.ndarray]:
    """Return the labels on which squared error grows each tree of a fit by correlation."""
    labels: list[np.ndarray] = []
    set_label = lightgbm.Dataset.set_label

    def note(data: lightgbm.Dataset, label: np.ndarray) -> Any:
        labels.append(label)
        return set_label(data, label)

    with mock.patch.object(lightgbm.Dataset, "set_label", note):
        model.fit(rows, nothing, context)
    return labels[:-1]  # the rows' own, put back at the end


def whole_fit(objective: str, train: Rows, valid: Rows, context: FitContext) -> None:
    """Fit as a run does: `TREES` trees at most, early stopping after as many without a better RankIC."""
    stopping = {"early_stopping_rounds": TREES, "select_on": "rank_ic"}
    settings = {"name": "lightgbm", "objective": objective, "n_estimators": TREES, "learning_rate": 0.05}
    models.parse(settings | SETTINGS["lightgbm"] | stopping).fit(train, valid, context)


def library_fit(train: Rows, valid: Rows, context: FitContext, step: Step) -> None:
    """Fit by the library alone, with the same settings of its trees."""
    model = models.parse({"name": "lightgbm", "learning_rate": 0.05} | SETTINGS["lightgbm"])
    settings = model._parameters(context) | {"metric": "l2"}
    data = lightgbm.Dataset(train.x, train.y, params=settings)
    check = lightgbm.Dataset(valid.x, valid.y, reference=data, params=settings)
    stopping = lightgbm.early_stopping(TREES, verbose=False)

    def before(_: Any) -> None:
        step()

    before.before_iteration = True  # type: ignore[attr-defined]
    lightgbm.train(settings, data, TREES, valid_sets=[check], callbacks=[before, stopping])


def without_step(fit: Callable[[], Any], _: Step) -> Any:
    """Fit; `in_step` has put the step into the loop of all fits."""
    return fit()


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

        def trees(library: str, objective: str, count: int) -> Any:
            settings = {"name": library, "objective": objective, "n_estimators": count, "learning_rate": 0.05}
            return models.parse(settings | SETTINGS[library]).fit(binned, nothing, context)

        for library in SETTINGS:
            for objective in OBJECTIVES:
                trees(library, objective, 1)  # compiles, and bins
        fit_whole = partial(whole_fit, train=every, valid=valid, context=context)

        ic = models.parse({"name": "lightgbm", "objective": "ic", "n_estimators": 20, "learning_rate": 0.05} | LEAFWISE)
        settings = ic._parameters(context) | {"objective": "regression"}
        data = lightgbm.Dataset(every.x, every.y, params=settings).construct()
        labels = labels_of_trees(ic, binned, nothing, context)
        from_zero = settings | {"boost_from_average": False}
        stepping: dict[Case, tuple[Job, Job]] = {}
        for objective in OBJECTIVES:
            fit = partial(without_step, partial(trees, "lightgbm", objective, 20))
            stepping["20 trees", "lightgbm", objective] = fit, partial(library_trees, settings, data, ())
            whole = partial(without_step, partial(fit_whole, objective))
            stepping["whole fit", "lightgbm", objective] = whole, partial(without_step, partial(fit_whole, "mse"))
        plain = partial(library_fit, every, valid, context)
        stepping["whole fit", "lightgbm.train", "mse"] = plain, partial(without_step, partial(fit_whole, "mse"))
        fit = partial(without_step, partial(trees, "lightgbm", "ic", 20))
        stepping[SAME, "lightgbm", "ic"] = fit, partial(library_trees, from_zero, data, labels)

        others: dict[Case, Callable[[], object]] = {}
        for objective in OBJECTIVES:
            others["20 trees", "xgboost", objective] = partial(trees, "xgboost", objective, 20)

        times: dict[Case, list[tuple[float, float]]] = {case: [] for case in [*stepping, *others]}
        for turn in range(args.repeats):
            data.set_field("label", every.y)  # the last of `stepping` leaves others
            for case, jobs in stepping.items():
                (own, mse), (fitted, peer) = in_step(jobs, turn % 2)
                times[case].append((own, mse))
                assert case[0] != SAME or _trees(fitted.text) == _trees(peer)
            for case, work in others.items():
                own = cpu(work)
                times[case].append((own, times[case[0], case[1], "mse"][turn][0] if case[2] != "mse" else own))
    rows: list[dict[str, Any]] = []
    for (what, library, objective), pairs in times.items():
        rows.append(
            {
                "work": what,
                "library": library,
                "objective": objective,
                "CPU seconds": statistics.median(own for own, _ in pairs),
                "of mse": statistics.median(mse for _, mse in pairs),
                "times mse": round(statistics.median(own / mse for own, mse in pairs), 3),
            }
        )
    ratios = {f"{row['work']}, {row['library']}": row["times mse"] for row in rows if row["objective"] == "ic"}
    facts = {"rows_fitted": args.rows, "features": args.features, "stocks": args.stocks, "ic_times_mse": ratios}
    shape = f"{args.rows:,} rows x {args.features} features, days of {args.stocks:,} stocks, one thread"
    notes = [
        f"{shape}; medians of {args.repeats} turns, each ratio taken within its turn.",
        (
            "LightGBM in step with squared error, a tree of each in turn: 20 trees with the library's own, whole fits "
            "with those of `mse`. XGBoost: one fit after the other."
        ),
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
