"""The main path: one recipe, one store, one run. `run` is the way of the data, a stage a line."""

import html
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from alphaloom.data.store import Store
from alphaloom.data.universe.build import build_universe
from alphaloom.errors import UsageError
from alphaloom.explain import interpret
from alphaloom.panel import Panel
from alphaloom.portfolio.quantile import layer_sets
from alphaloom.preparation import Prepared, load_market, make_experiment, needed_fields, prepare, reach
from alphaloom.recipe import Recipe
from alphaloom.report.runs import RunFolder
from alphaloom.report.study import StudyReport
from alphaloom.report.write import study_metrics, write_report
from alphaloom.risk_inputs import Risk, risk_inputs
from alphaloom.run_store.index import RunStore
from alphaloom.spec import fingerprint
from alphaloom.stages import (
    annual_days,
    check_forecast,
    check_trading,
    headline,
    ic_frame,
    judge,
    judge_paths,
    provenance,
    replay_end,
    score_frame,
    trade,
    weight_frame,
)
from alphaloom.training.ensemble import ensemble_scores
from alphaloom.training.parallel import joined
from alphaloom.training.rolling import Experiment, RollingResult, run_rolling, unfinished
from alphaloom.training.splits import Window
from alphaloom.training.spread import Spread, failures

T = TypeVar("T")
Progress = Callable[[str, int, int], None]
PREPARING = (
    "data",
    "universe",
    "features",
    "transforms",
    "label",
    "further_labels",
    "label_transforms",
    "schedule",
)
"""Parts of a recipe that its samples depend on, beside how far back its models reach."""


@dataclass(frozen=True)
class Run:
    """What a run made; its folder holds the same and more."""

    folder: Path
    metrics: Mapping[str, Any]
    """Empty on processes beside the first, under torchrun."""
    reused: int
    """Fits found finished from an earlier, interrupted run."""

    def _repr_html_(self) -> str:
        """Return the verdict and a pointer to the report, for a notebook; `alphaloom.show` gives all of it."""
        verdict = self.metrics.get("verdict", {"words": "No results in this process", "findings": ()})
        lines = "".join(f"<br>{html.escape(line)}" for line in verdict["findings"])
        return f"<p><b>{html.escape(verdict['words'])}</b>{lines}<br><code>{html.escape(str(self.folder))}</code></p>"


def run(
    recipe: Recipe,
    store: Store,
    out: Path,
    *,
    threads: int,
    progress: Progress | None = None,
    overwrite: bool = False,
    train: bool = True,
) -> Run:
    """Run one recipe on one store into the folder `out`, or finish what an interrupted run left there.

    Under torchrun each process calls this alike; the first alone writes and reports progress.

    Raises:
        UsageError: `out` holds a run of another recipe or of other data, and `overwrite` is false; or something would
            have to be fitted, and `train` is false.
        DataError: the store lacks what the recipe needs, or the universe is empty; nothing was trained.
        RunError: a fit failed; finished ones are kept.
        PeerError: another process failed.
    """
    with joined().agree():
        return _run(recipe, store, out, threads, progress, overwrite=overwrite, train=train)


@dataclass(frozen=True, eq=False)
class Started:
    """What a recipe comes to before anything is fitted."""

    market: Panel
    """With the recipe's universe."""
    ledger: pl.DataFrame
    """What each rule of the universe removed, by date."""
    prepared: Prepared
    windows: Sequence[Window]
    experiment: Experiment
    risk: Risk
    data_hash: str


class Kept:
    """Markets, prepared samples and risk inputs of recipes that have them in common, each made once."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def get(self, key: str, make: Callable[[], T]) -> T:
        """Return what is kept under the key, or make and keep it."""
        if key not in self._made:
            self._made[key] = make()
        value: T = self._made[key]
        return value

    def swap(self, old: object, new: object) -> None:
        """Keep another form of something in its place."""
        self._made = {key: new if value is old else value for key, value in self._made.items()}


def start(
    recipe: Recipe, store: Store, *, threads: int, tell: Callable[[str], None], kept: Kept | None = None
) -> Started:
    """Return what a recipe comes to before anything is fitted; what its last stages would refuse is refused here.

    Args:
        recipe: the experiment.
        store: the market data.
        threads: for the transforms.
        tell: told which stage begins.
        kept: what other recipes on the same store have in common with this one.

    Raises:
        DataError: the store lacks what the recipe needs, or the universe is empty.
    """
    kept = kept or Kept()
    tell("market data")
    needs = fingerprint([needed_fields(recipe, store), recipe.part("data", "universe")])
    market, ledger = kept.get(needs, lambda: build_universe(recipe.universe, load_market(recipe, store)))
    check_trading(recipe, store, market)
    tell("features")
    key = fingerprint([needs, recipe.part(*PREPARING), reach(recipe, market)])
    prepared = kept.get(key, lambda: prepare(recipe, market, threads=threads))
    windows = recipe.windows.windows(prepared.market.dates, prepared.rows, prepared.ends)
    data_hash = store.fingerprint()
    experiment = make_experiment(recipe, prepared, data_hash)
    tell("risk")  # before the training: what decisions lack is said at once
    key = fingerprint([needs, recipe.part("risk")])
    risk = kept.get(key, lambda: risk_inputs(recipe.risk, market, first=market.span(recipe.data.start)[0]))
    check_forecast(recipe, risk, prepared.first + int(windows[0].test[0]))
    return Started(market, ledger, prepared, windows, experiment, risk, data_hash)


def _run(
    recipe: Recipe, store: Store, out: Path, threads: int, progress: Progress | None, *, overwrite: bool, train: bool
) -> Run:
    is_first = joined().is_first
    progress = progress if is_first else None
    stage = Stages(progress)
    started = start(recipe, store, threads=threads, tell=stage)
    if not train:
        _require_fits(started.experiment, started.windows, out)
    folder = RunFolder(out)
    if is_first:
        folder = RunFolder.open(out, recipe.to_yaml(), recipe.fingerprint(), started.data_hash, overwrite=overwrite)
        RunStore.note_run(folder.path)
    trained = _train(recipe, started.experiment, started.windows, folder, threads, progress)
    if not is_first:
        return Run(folder.path, {}, trained.reused)
    return finish(recipe, store, started, trained, folder, threads=threads, stage=stage, progress=progress)


def finish(
    recipe: Recipe,
    store: Store,
    started: Started,
    trained: RollingResult,
    folder: RunFolder,
    *,
    threads: int,
    stage: "Stages",
    progress: Progress | None,
) -> Run:
    """Judge and trade what was fitted, and write the run's results and its report."""
    prepared, windows, risk = started.prepared, started.windows, started.risk
    scores = ensemble_scores(started.experiment, windows, trained, folder.models, recipe.ensemble, threads=threads)
    stage("evaluation")
    signals = judge(recipe, prepared, scores, trained, risk.exposures)
    stage("portfolio and backtest")
    traded = scores[headline(scores)]
    stop = replay_end(prepared, traded, recipe.backtest.lag)
    targets, results, notes = trade(recipe, store, started.market, prepared.on_market(traded), risk, stop)
    stage("interpretation")
    explained = interpret(recipe, prepared, folder, threads=threads, progress=progress)
    stage("report")
    study = StudyReport(
        title=recipe.name,
        description=recipe.description,
        market=store.market,
        signals=signals,
        headline=headline(scores),
        windows=trained.windows,
        paths=judge_paths(recipe, prepared, windows, folder.models),
        tuned=[item.record for item in trained.tuned if item.record],
        curves=trained.curves,
        importance=trained.importance,
        interpretations=explained.found,
        not_interpreted=explained.notes,
        universe=started.ledger[prepared.first :],
        portfolios=results,
        decisions=notes,
        audit=folder.find_json("audit.json"),
        placebos=folder.find_json("placebo.json"),
        layers=layer_sets(dict(zip(recipe.portfolio_names(), recipe.portfolios, strict=True))),
        provenance=provenance(recipe, store, started.data_hash, risk, stage.started, trained.reused),
        backtest_days=annual_days(recipe) if results else None,
        trains_on_future=recipe.windows.trains_on_future,
    )
    folder.write_frame("scores.parquet", score_frame(prepared, windows, scores))
    folder.write_frame("ic.parquet", ic_frame(signals))
    folder.write_frame("left_out.parquet", study.signal.left_out_frame(prepared.market.symbols))
    folder.write_frame("weights.parquet", weight_frame(targets))
    for name, frame in notes.items():
        folder.write_frame(f"decisions-{name}.parquet", frame)
        folder.write_frame(f"orders-{name}.parquet", results[name].orders)
        folder.write_frame(f"nav-{name}.parquet", results[name].nav)
    write_report(study, folder.path / "report.html")
    folder.log("done", stages=stage.seconds())
    folder.finish()
    RunStore.note_run(folder.path)
    return Run(folder.path, study_metrics(study), trained.reused)


def _train(
    recipe: Recipe,
    experiment: Experiment,
    windows: Sequence[Window],
    folder: RunFolder,
    threads: int,
    progress: Progress | None,
) -> RollingResult:
    """Return the results of all fits, made in this process or by the executor's workers.

    Raises:
        RunError: some of them failed; the others are kept.
    """
    if recipe.executor is None or not unfinished(experiment, windows, folder.models)[0]:
        return run_rolling(experiment, windows, folder.models, threads=threads, progress=progress, log=folder.log)
    spread = Spread(recipe.executor, folder.models)
    member = spread.add(experiment, windows, folder.models)
    failed = spread.run([member], progress, folder.log)
    if failed:
        raise failures(failed)
    spread.forget_inputs()
    return member.rolling.result()


def _require_fits(experiment: Experiment, windows: Sequence[Window], out: Path) -> None:
    absent, every = unfinished(experiment, windows, RunFolder(out).models)
    if absent:
        raise UsageError(
            f"{absent} of the {every} fits in {out} are absent, or were made from other data or by another version of "
            "the code. `alphaloom run` with the same recipe fits them anew."
        )


class Stages:
    """Tells progress which stage began, and keeps how long each one took."""

    def __init__(self, progress: Progress | None) -> None:
        self.started = time.time()
        self._progress = progress
        self._begun: list[tuple[str, float]] = []

    def __call__(self, name: str) -> None:
        """Begin a stage."""
        self._begun.append((name, time.perf_counter()))
        if self._progress:
            self._progress(name, 0, 1)

    def seconds(self) -> dict[str, float]:
        """Return how long each stage took."""
        ends = [began for _, began in self._begun[1:]] + [time.perf_counter()]
        return {name: round(end - began, 2) for (name, began), end in zip(self._begun, ends, strict=True)}
