"""The main path: one recipe, one store, one run. `run` is the way of the data, a stage a line."""

import html
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alphaloom.data.store import Store
from alphaloom.data.universe.build import build_universe
from alphaloom.errors import UsageError
from alphaloom.explain import interpret
from alphaloom.portfolio.quantile import layer_sets
from alphaloom.recipe import Recipe
from alphaloom.report.runs import RunFolder
from alphaloom.report.study import StudyReport
from alphaloom.report.write import study_metrics, write_report
from alphaloom.risk_inputs import risk_inputs
from alphaloom.run_store.index import RunStore
from alphaloom.stages import (
    annual_days,
    check_forecast,
    check_trading,
    headline,
    ic_frame,
    judge,
    judge_paths,
    load_market,
    make_experiment,
    prepare,
    provenance,
    replay_end,
    score_frame,
    trade,
    weight_frame,
)
from alphaloom.training.ensemble import ensemble_scores
from alphaloom.training.parallel import joined
from alphaloom.training.rolling import Experiment, run_rolling, unfinished
from alphaloom.training.splits import Window

Progress = Callable[[str, int, int], None]


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


def _run(
    recipe: Recipe, store: Store, out: Path, threads: int, progress: Progress | None, *, overwrite: bool, train: bool
) -> Run:
    is_first = joined().is_first
    progress = progress if is_first else None
    started = time.time()
    stage = _Stages(progress)
    data_hash = store.fingerprint()

    stage("market data")
    market, ledger = build_universe(recipe.universe, load_market(recipe, store))
    check_trading(recipe, store, market)
    stage("features")
    prepared = prepare(recipe, market, threads=threads)
    windows = recipe.windows.windows(prepared.market.dates, prepared.rows, prepared.ends)
    experiment = make_experiment(recipe, prepared, data_hash)
    stage("risk")  # before the training: what decisions lack is said at once
    risk = risk_inputs(recipe.risk, market, first=market.span(recipe.data.start)[0])
    check_forecast(recipe, risk, prepared.first + int(windows[0].test[0]))
    if not train:
        _require_fits(experiment, windows, out)
    folder = RunFolder(out)
    if is_first:
        folder = RunFolder.open(out, recipe.to_yaml(), recipe.fingerprint(), data_hash, overwrite=overwrite)
        RunStore.note_run(folder.path)
    trained = run_rolling(experiment, windows, folder.models, threads=threads, progress=progress, log=folder.log)
    if not is_first:
        return Run(folder.path, {}, trained.reused)
    scores = ensemble_scores(experiment, windows, trained, folder.models, recipe.ensemble, threads=threads)
    stage("evaluation")
    signals = judge(recipe, prepared, scores, trained, risk.exposures)
    stage("portfolio and backtest")
    traded = scores[headline(scores)]
    stop = replay_end(prepared, traded, recipe.backtest.lag)
    targets, results, notes = trade(recipe, store, market, prepared.on_market(traded), risk, stop)
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
        tuned=[
            item.record for name in experiment.models for item in trained.tuned if item.name == name and item.record
        ],
        curves=trained.curves,
        importance=trained.importance,
        interpretations=explained.found,
        not_interpreted=explained.notes,
        universe=ledger[prepared.first :],
        portfolios=results,
        decisions=notes,
        audit=folder.find_json("audit.json"),
        placebos=folder.find_json("placebo.json"),
        layers=layer_sets(dict(zip(recipe.portfolio_names(), recipe.portfolios, strict=True))),
        provenance=provenance(recipe, store, data_hash, risk, started, trained.reused),
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


def _require_fits(experiment: Experiment, windows: Sequence[Window], out: Path) -> None:
    absent, every = unfinished(experiment, windows, RunFolder(out).models)
    if absent:
        raise UsageError(
            f"{absent} of the {every} fits in {out} are absent, or were made from other data or by another version of "
            "the code. `alphaloom run` with the same recipe fits them anew."
        )


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
