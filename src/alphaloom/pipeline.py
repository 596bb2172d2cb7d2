"""The main path: one recipe, one store, one run. Read `run` first: it is the way of the data, a stage a line."""

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from alphaloom import __version__
from alphaloom.backtest.result import BacktestResult
from alphaloom.backtest.run import backtest
from alphaloom.backtest.run import required_fields as backtest_fields
from alphaloom.data.load import load_index, load_panel
from alphaloom.data.store import Store
from alphaloom.data.universe.build import build_universe
from alphaloom.errors import DataError, UsageError
from alphaloom.evaluation.signal import SignalReport, evaluate_signal
from alphaloom.features.compute import compute_features, max_lookback
from alphaloom.features.compute import required_fields as feature_fields
from alphaloom.panel import Panel, as_date
from alphaloom.portfolio.benchmark import benchmark_weights
from alphaloom.portfolio.build import build_weights, next_weights
from alphaloom.recipe import Recipe
from alphaloom.report.runs import RunFolder
from alphaloom.report.study import StudyReport, study_metrics, write_report
from alphaloom.risk.exposures import style_exposures, styles
from alphaloom.spec import fingerprint
from alphaloom.training.rolling import Experiment, RollingResult, combine, run_rolling, window_scores
from alphaloom.training.splits import Window, rolling_windows, sample_rows
from alphaloom.transforms.chain import apply_cross_sectional, split_chain
from alphaloom.transforms.chain import required_fields as transform_fields
from alphaloom.typing import Doubles, Floats, Ints

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Prepared:
    """Everything before training: the market with its universe, the features block, labels and sample dates."""

    market: Panel
    ledger: pl.DataFrame
    features: tuple[str, ...]
    block: Floats
    label: Floats
    target: Floats
    rows: Ints
    ends: Ints


@dataclass(frozen=True)
class Run:
    """What a run made, in memory; the same things lie in its folder."""

    folder: Path
    metrics: Mapping[str, Any]
    report: Path
    reused: int


def run(
    recipe: Recipe, store: Store, out: Path, *, threads: int, progress: Progress | None = None, overwrite: bool = False
) -> Run:
    """Run one recipe on one store into the folder `out`, or finish what an interrupted run left there.

    Raises:
        UsageError: `out` holds a run of another recipe or of other data, and `overwrite` is false.
        DataError: the store lacks what the recipe needs, or the universe is empty; nothing was trained.
    """
    started = time.time()
    data_hash = store.fingerprint()
    folder = RunFolder.open(out, recipe.to_yaml(), recipe.fingerprint(), data_hash, overwrite=overwrite)
    tell = _teller(progress)

    tell("market data")
    market = load_market(recipe, store)
    tell("features")
    prepared = prepare(recipe, market)
    windows = rolling_windows(market.dates, prepared.rows, prepared.ends, recipe.windows)
    experiment = make_experiment(recipe, prepared, data_hash)
    trained = run_rolling(experiment, windows, folder.models, threads=threads, progress=progress, log=folder.log)
    scores = traded_scores(trained)
    folder.write_frame("scores.parquet", score_frame(prepared, windows, scores))
    tell("evaluation")
    signals = judge(recipe, prepared, scores, trained)
    tell("portfolio and backtest")
    exposures, benchmark = risk_inputs(recipe, market)
    targets, results = trade(recipe, store, prepared, scores[_headline(scores)], exposures, benchmark)
    folder.write_frame("weights.parquet", weight_frame(targets))
    tell("report")
    study = StudyReport(
        title=recipe.name,
        description=recipe.description,
        market=store.market,
        signals=signals,
        headline=_headline(scores),
        windows=trained.windows,
        curves=trained.curves,
        importance=trained.importance,
        universe=prepared.ledger,
        portfolios=results,
        audit=None,
        provenance=provenance(recipe, store, data_hash, started, trained.reused),
    )
    metrics = study_metrics(study)
    folder.write_json("metrics.json", metrics)
    write_report(study, folder.path / "report.html")
    folder.finish()
    return Run(folder.path, metrics, folder.path / "report.html", trained.reused)


def predict(run_folder: Path, store: Store, date: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return scores and target weights of one date, from a run's stored transforms and models.

    The window used is the last one whose test span begins on or before the date; dates inside the run give the run's
    own scores. Weights are the headline construction's, starting from the run's last weights before the date.

    Returns:
        Scores (`date, symbol, score, window`, and a column a model when there are several) and weights
        (`date, symbol, weight`, the weight held before, and the score).

    Raises:
        UsageError: the folder holds no finished run, or the date is before its first test window.
        DataError: the store has no such trading day.
    """
    folder = RunFolder.existing(run_folder)
    recipe = Recipe.parse(yaml.safe_load(folder.read_text("recipe.yaml")), where="recipe.yaml")
    day = as_date(date)
    window = _window_for(folder, day)
    market = load_market(recipe, store, until=day)
    if market.dates[-1] != day:
        raise DataError(f"{day} is not a trading day of the store; the last one up to it is {market.dates[-1]}.")
    prepared = prepare(recipe, market, labelled=False)
    _, fitted = split_chain(recipe.transforms)
    rows = np.array([market.dates.size - 1])
    found = window_scores(
        market_with(prepared), prepared.block, rows, fitted, folder.models / window, recipe.model_names(), recipe.repeats
    )
    by_model = {name: _on_last_row(market, score[0]) for name, score in found.items()}
    scores = {**({"ensemble": combine(by_model)} if len(by_model) > 1 else {}), **by_model}
    frame = score_frame_of(prepared.market, rows, scores, [window])
    if not recipe.portfolios:
        return frame.drop("label"), pl.DataFrame(schema={"date": pl.Date, "symbol": pl.String, "weight": pl.Float64})
    exposures, benchmark = risk_inputs(recipe, prepared.market)
    held = folder.read_frame("weights.parquet").filter(pl.col("portfolio") == _portfolio_names(recipe)[0])
    weights = next_weights(
        recipe.portfolios[0],
        scores[_headline(scores)],
        int(rows[0]),
        prepared.market,
        exposures=exposures,
        benchmark=benchmark,
        held=held.filter(pl.col("date") < pl.lit(str(day)).str.to_date()),
    )
    return frame.drop("label"), weights


def load_market(recipe: Recipe, store: Store, *, until: np.datetime64 | None = None) -> Panel:
    """Return the panel with every field that the recipe's stages read; symbols never in any bar are absent.

    Raises:
        MissingFieldError: a field needs a column that the store lacks; the message says which stage needs it.
    """
    needed: dict[str, str] = {}
    for who, fields in (
        ("the features", feature_fields(recipe.features)),
        ("the transforms", transform_fields((*recipe.transforms, *recipe.label_transforms))),
        ("the label", recipe.label.required),
        ("the universe rules", [f for rule in recipe.universe for f in rule.required]),
        ("the risk styles", [f for name in recipe.risk.styles for f in styles[name]().inputs]),
        ("the portfolios", [f for item in recipe.portfolios for f in item.inputs]),
        ("the backtest", backtest_fields(recipe.backtest) if recipe.portfolios else []),
        ("the benchmark", _benchmark_fields(recipe)),
        ("the sample ledger", ["is_listed"]),
    ):
        for name in fields:
            needed.setdefault(name, who)
    end = until if until is not None else recipe.data.end
    return load_panel(store, list(needed), start=recipe.data.start, end=end, needed_by=needed)


def prepare(recipe: Recipe, market: Panel, *, labelled: bool = True) -> Prepared:
    """Return the universe, the features after the leading cross-sectional transforms, the labels and sample dates."""
    market, ledger = build_universe(recipe.universe, market)
    ever = market.universe.any(axis=0)
    market = market.columns(ever)
    features = compute_features(recipe.features, market)
    leading, _ = split_chain(recipe.transforms)
    block = apply_cross_sectional(leading, features.stack(), market, in_place=True)
    if labelled:
        label = recipe.label.compute(market)
        target = np.where(market.universe, label, np.float32(np.nan))
        target = apply_cross_sectional(recipe.label_transforms, target[:, :, None], market, in_place=True)[:, :, 0]
    else:
        label = target = np.full(market.shape, np.nan, dtype=np.float32)
    rows = sample_rows(market.dates, recipe.schedule)
    rows = rows[market.universe[rows].any(axis=1)]
    return Prepared(
        market, ledger, tuple(features.names), block, label, target, rows, recipe.label.ends(market.dates)
    )


def make_experiment(recipe: Recipe, prepared: Prepared, data_hash: str) -> Experiment:
    """Return what the rolling runner needs, keyed by the data and every setting before the models."""
    settings = recipe.part("data", "universe", "features", "transforms", "label", "label_transforms", "schedule")
    _, fitted = split_chain(recipe.transforms)
    return Experiment(
        panel=prepared.market,
        features=prepared.features,
        block=prepared.block,
        label=prepared.target,
        transforms=fitted,
        models=dict(zip(recipe.model_names(), recipe.models, strict=True)),
        repeats=recipe.repeats,
        seed=recipe.seed,
        key=fingerprint([data_hash, settings, __version__]),
    )


def traded_scores(trained: RollingResult) -> dict[str, Floats]:
    """Return the scores by model, led by their combination `ensemble` when there are several."""
    if len(trained.scores) == 1:
        return dict(trained.scores)
    return {"ensemble": combine(trained.scores), **trained.scores}


def judge(
    recipe: Recipe, prepared: Prepared, scores: Mapping[str, Floats], trained: RollingResult
) -> dict[str, SignalReport]:
    """Return the evaluation of every score over the tested dates."""
    ...


def risk_inputs(recipe: Recipe, market: Panel) -> tuple[Panel | None, Doubles | None]:
    """Return style exposures and benchmark weights `[T, N]`, as far as the recipe asks for them."""
    exposures = style_exposures(market, recipe.risk.styles) if recipe.risk.styles else None
    if recipe.risk.benchmark is None:
        return exposures, None
    return exposures, benchmark_weights(market, recipe.risk.benchmark, unknown=recipe.risk.unknown_weights)
