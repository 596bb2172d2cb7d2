"""The main path: one recipe, one store, one run. `run` is the way of the data, a stage a line."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from alphaloom.data.store import Store
from alphaloom.data.universe.build import build_universe
from alphaloom.portfolio.build import next_weights
from alphaloom.recipe import Recipe
from alphaloom.report.runs import RunFolder
from alphaloom.report.study import StudyReport
from alphaloom.report.write import study_metrics, write_report
from alphaloom.stages import (
    TARGETS,
    Prepared,
    check_day,
    day_frame,
    headline,
    held_weights,
    judge,
    load_market,
    make_experiment,
    prepare,
    provenance,
    replay_end,
    risk_inputs,
    score_frame,
    target_frame,
    trade,
    traded_scores,
    weight_frame,
    window_of,
)
from alphaloom.training.rolling import run_rolling, window_scores
from alphaloom.training.splits import rolling_windows
from alphaloom.transforms.chain import split_chain
from alphaloom.typing import Floats

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Run:
    """What a run made; its folder holds the same and more."""

    folder: Path
    metrics: Mapping[str, Any]
    reused: int
    """Fits found finished from an earlier, interrupted run."""


def run(
    recipe: Recipe, store: Store, out: Path, *, threads: int, progress: Progress | None = None, overwrite: bool = False
) -> Run:
    """Run one recipe on one store into the folder `out`, or finish what an interrupted run left there.

    Raises:
        UsageError: `out` holds a run of another recipe or of other data, and `overwrite` is false.
        DataError: the store lacks what the recipe needs, or the universe is empty; nothing was trained.
        RunError: a fit failed; finished ones are kept.
    """
    started = time.time()
    stage = _Stages(progress)
    data_hash = store.fingerprint()

    stage("market data")
    market, ledger = build_universe(recipe.universe, load_market(recipe, store))
    stage("features")
    prepared = prepare(recipe, market, threads=threads)
    windows = rolling_windows(prepared.market.dates, prepared.rows, prepared.ends, recipe.windows)
    folder = RunFolder.open(out, recipe.to_yaml(), recipe.fingerprint(), data_hash, overwrite=overwrite)
    experiment = make_experiment(recipe, prepared, data_hash)
    trained = run_rolling(experiment, windows, folder.models, threads=threads, progress=progress, log=folder.log)
    scores = traded_scores(trained.scores)
    stage("evaluation")
    signals = judge(recipe, prepared, scores, trained)
    stage("portfolio and backtest")
    risk = risk_inputs(recipe, market)
    traded = scores[headline(scores)]
    stop = replay_end(prepared, traded, recipe.backtest.lag)
    targets, results, notes = trade(recipe, store, market, prepared.on_market(traded), risk, stop)
    stage("report")
    study = StudyReport(
        title=recipe.name,
        description=recipe.description,
        market=store.market,
        signals=signals,
        headline=headline(scores),
        windows=trained.windows,
        curves=trained.curves,
        importance=trained.importance,
        universe=ledger[prepared.first :],
        portfolios=results,
        provenance=provenance(recipe, store, data_hash, started, trained.reused),
    )
    folder.write_frame("scores.parquet", score_frame(prepared, windows, scores))
    folder.write_frame("weights.parquet", weight_frame(targets))
    for name, frame in notes.items():
        folder.write_frame(f"decisions-{name}.parquet", frame)
    write_report(study, folder.path / "report.html")
    folder.log("done", stages=stage.seconds())
    folder.finish()
    return Run(folder.path, study_metrics(study), trained.reused)


def predict(run_folder: Path, store: Store, date: str, *, threads: int = 1) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return scores and target weights of one date, from a run's stored transforms and models.

    The models are those of the last window whose test span begins on or before the date; a date inside the run gives
    the run's own scores. Weights are those of the recipe's first portfolio, traded from what the run held before.

    Returns:
        Scores (`date, symbol, score, window`, and `score_MODEL` when there are several models) and weights
        (`date, symbol, weight, held`: the target, and the drifted weight before it). No weights without a portfolio.

    Raises:
        UsageError: the folder holds no finished run, or the date is before its first test window.
        DataError: the store has no such trading day.
    """
    folder = RunFolder.existing(run_folder)
    recipe = Recipe.parse(yaml.safe_load(folder.read_text("recipe.yaml")), where="recipe.yaml")
    window = window_of(folder, date)
    market, _ = build_universe(recipe.universe, load_market(recipe, store, until=date))
    day = check_day(market, date)
    prepared = prepare(recipe, market, threads=threads, only=day)
    _, fitted = split_chain(recipe.transforms)
    found = window_scores(
        prepared.market,
        prepared.block,
        prepared.rows,
        fitted,
        folder.models / window,
        recipe.model_names(),
        recipe.repeats,
        threads,
    )
    scores = traded_scores(found)
    frame = day_frame(prepared, scores, window)
    if not recipe.portfolios:
        return frame, pl.DataFrame(schema=TARGETS)
    held = held_weights(folder.read_frame("weights.parquet"), recipe.portfolio_names()[0], market, day)
    risk = risk_inputs(recipe, market)
    target = next_weights(
        recipe.portfolios[0],
        prepared.on_market(_last_row(prepared, scores))[day],
        day,
        market,
        held,
        exposures=risk.exposures,
        benchmark=None if risk.benchmark is None else risk.benchmark[day],
    )
    return frame, target_frame(market, day, target.weights, held)


def _last_row(prepared: Prepared, scores: Mapping[str, Floats]) -> Floats:
    out = np.full(prepared.market.shape, np.nan, dtype=np.float32)
    out[-1] = scores[headline(scores)][0]
    return out


class _Stages:
    """Tells progress which stage began, and keeps how long each one took."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._begun: list[tuple[str, float]] = []

    def __call__(self, name: str) -> None:
        self._begun.append((name, time.perf_counter()))
        if self._progress:
            self._progress(name, 0, 1)

    def seconds(self) -> dict[str, float]:
        ends = [began for _, began in self._begun[1:]] + [time.perf_counter()]
        return {name: round(end - began, 2) for (name, began), end in zip(self._begun, ends, strict=True)}
