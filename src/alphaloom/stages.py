"""The stages that `alphaloom.pipeline` strings together: each takes values and returns a value."""

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from alphaloom import __version__
from alphaloom.backtest.result import BacktestResult
from alphaloom.backtest.rules import check_terms
from alphaloom.backtest.run import backtest
from alphaloom.backtest.run import required_fields as backtest_fields
from alphaloom.backtest.universe import universe_returns
from alphaloom.data.fields import available_fields
from alphaloom.data.load import load_index, load_listing, load_panel
from alphaloom.data.market_rules import MarketRules, market_names
from alphaloom.data.store import Store
from alphaloom.data.universe.build import required_fields as universe_fields
from alphaloom.errors import DataError, SettingError
from alphaloom.evaluation.context import context_of
from alphaloom.evaluation.forward import forward_by_periods
from alphaloom.evaluation.ic import ic_series
from alphaloom.evaluation.inference import mean_test
from alphaloom.evaluation.signal import SignalReport, evaluate_signal
from alphaloom.evaluation.summary import SampleWindow
from alphaloom.features.compute import compute_block, max_lookback
from alphaloom.features.compute import required_fields as feature_fields
from alphaloom.losses.base import RETURN
from alphaloom.panel import Panel
from alphaloom.portfolio.build import Market, build_grid
from alphaloom.portfolio.build import required_fields as portfolio_fields
from alphaloom.recipe import Recipe
from alphaloom.risk_inputs import Risk, risk_fields
from alphaloom.spec import Component, fingerprint
from alphaloom.training.code import code_hash
from alphaloom.training.inputs import Inputs
from alphaloom.training.paths import path_scores
from alphaloom.training.rolling import Experiment, RollingResult
from alphaloom.training.splits import Window, sample_rows
from alphaloom.transforms.chain import apply_cross_sectional, split_chain
from alphaloom.transforms.chain import required_fields as transform_fields
from alphaloom.typing import Bools, Floats, Ints

LIBRARIES = ("numpy", "polars", "numba", "torch", "lightgbm", "highspy")


@dataclass(frozen=True, eq=False)
class Prepared:
    """Everything before training, on one pair of axes.

    `block [T, N, F]`: features after the leading cross-sectional transforms. `label [T, N]`: the raw label;
    `target [T, N]`: what models fit, `further` what networks learn beside it. `rows`: sample dates. `ends [T]`: last
    row that each label reads.
    """

    market: Panel
    """The part of the market on whose axes all of this stands: dates with their history, stocks ever a member."""
    features: tuple[str, ...]
    block: Floats
    label: Floats
    target: Floats
    rows: Ints
    ends: Ints
    first: int
    """Row of the whole market at which this part begins."""
    columns: Bools
    """Which of the whole market's stocks it holds."""
    further: tuple[Floats, ...] = ()

    def on_market(self, values: Floats) -> Floats:
        """Return values `[T, N]` of this part on the whole market's axes, NaN elsewhere."""
        out = np.full((self.first + values.shape[0], self.columns.size), np.nan, dtype=np.float32)
        out[self.first :, self.columns] = values
        return out


def load_market(recipe: Recipe, store: Store, *, until: object = None) -> Panel:
    """Return the panel with every field that the recipe's stages read, from the store's first date on.

    Fields lie on disk and are mapped, so dates before the recipe's start cost nothing; they give windows their
    history.

    Raises:
        MissingFieldError: a field needs a column that the store lacks; the message says which stage needs it.
    """
    end = until if until is not None else recipe.data.end
    needed = needed_fields(recipe, store)
    return load_panel(store, list(needed), end=end, needed_by=needed)


def needed_fields(recipe: Recipe, store: Store) -> dict[str, str]:
    """Return the fields that a recipe's stages read, and the first that needs each."""
    needed: dict[str, str] = {}
    for who, fields in (
        ("the features", feature_fields(recipe.features)),
        ("the transforms", transform_fields((*recipe.transforms, *recipe.label_transforms))),
        ("the label", [f for item in recipe.every_label for f in item.required]),
        ("the windows of several steps", ["is_suspended"] if any(m.steps > 1 for m in recipe.models) else []),
        ("the losses", [name for name in _fit_extras(recipe) if name != RETURN]),
        ("the universe rules", universe_fields(recipe.universe)),
        ("the horizons", [f"adj_{recipe.horizons.price}"]),
        *risk_fields(recipe.risk, available_fields(store)).items(),
        ("the portfolios", [f for item in recipe.portfolios for f in portfolio_fields(item)]),
        ("the backtest", backtest_fields(recipe.backtest) if recipe.portfolios else []),
    ):
        for name in fields:
            needed.setdefault(name, who)
    return needed


def _fit_extras(recipe: Recipe) -> list[str]:
    """Return what the models' losses and stopping rules read beside features and label, each name once."""
    return list(dict.fromkeys(name for model in recipe.models for name in model.extras))


@dataclass(frozen=True, eq=False)
class SamplePlan:
    """Which dates are samples, on the market's part that begins at row `first`; nothing is computed for it."""

    first: int
    """Row of the whole market at which the part begins: far enough back for all inputs."""
    reach: int
    """How many rows before a sample date its features, the models' steps and its labels read."""
    rows: Ints
    """Sample dates, rows of the part."""
    entries: Ints
    """First row after it that some label of each row reads `[T]`; -1 where there is none."""
    ends: Ints
    """Last row that some label of each row reads `[T]`."""


def sample_plan(recipe: Recipe, market: Panel) -> SamplePlan:
    """Return the sample dates of a recipe and the spans of their labels.

    Raises:
        DataError: no date from the recipe's start on, or inputs longer than the data.
    """
    start = _start(recipe, market)
    back = reach(recipe, market)
    first = max(0, start - back)
    history, dates = _history(recipe), market.dates[first:]
    # Counted from the recipe's first date: how far back models look must not move the dates of `every N`.
    rows = sample_rows(market.dates[start:], recipe.schedule) + start - first
    rows = rows[(rows >= history) & market.universe[first + rows].any(axis=1)]
    entries = np.min([item.entries(dates) for item in recipe.every_label], axis=0)
    ends = np.max([item.ends(dates) for item in recipe.every_label], axis=0)
    return SamplePlan(first, back, rows, entries, ends)


def prepare(recipe: Recipe, market: Panel, *, threads: int, only: int | None = None) -> Prepared:
    """Return features, labels and sample dates from the recipe's first date on, with the history that inputs need.

    Args:
        recipe: the experiment.
        market: the market with the recipe's universe.
        threads: threads for the transforms.
        only: row of one single date to score; labels are then left empty.
    """
    if only is None:
        plan = sample_plan(recipe, market)
        first, rows, ends = plan.first, plan.rows, plan.ends
    else:
        first = max(0, only - _reach(recipe, market, []))
        rows = np.array([only - first])
        ends = np.full(market.dates.size - first, market.dates.size - first)
    columns = np.asarray(market.universe[first:].any(axis=0))
    part = market.rows(first, market.dates.size).columns(columns)
    names, block = feature_block(recipe, part, threads=threads)
    label = target = np.full(part.shape, np.nan, dtype=np.float32)
    further: tuple[Floats, ...] = ()
    if only is None:
        label = recipe.label.compute(part)
        target = target_of(recipe, label, part)
        further = tuple(target_of(recipe, item.compute(part), part) for item in recipe.further_labels)
    return Prepared(part, names, block, label, target, rows, ends, first, columns, further)


def feature_block(
    recipe: Recipe, part: Panel, *, threads: int, may_be_empty: bool = False
) -> tuple[tuple[str, ...], Floats]:
    """Return names and values `[T, N, F]` of the features after the leading cross-sectional transforms."""
    names, block = compute_block(recipe.features, part, may_be_empty=may_be_empty)
    leading, _ = split_chain(recipe.transforms)
    # The block of a large market is many gigabytes: it is rewritten where it lies unless a family shares its memory.
    owned = block.flags.writeable and block.flags.c_contiguous
    return tuple(names), apply_cross_sectional(leading, block, part, in_place=owned, threads=threads)


def reach(recipe: Recipe, market: Panel) -> int:
    """Return how many rows before a sample date the features, the models' steps and the labels read."""
    return _reach(recipe, market, [item.lookback for item in recipe.every_label])


def _start(recipe: Recipe, market: Panel) -> int:
    start = market.span(recipe.data.start)[0]
    if start >= market.dates.size:
        raise DataError(f"data.start is {recipe.data.start}, after the last trading day loaded, {market.dates[-1]}.")
    return start


def _history(recipe: Recipe) -> int:
    return max((model.steps - 1) * model.stride for model in recipe.models)


def _reach(recipe: Recipe, market: Panel, lookbacks: Sequence[int]) -> int:
    """Return how many rows before a date its inputs read, with labels of these look-backs."""
    history = _history(recipe)
    if history >= market.dates.size:
        raise DataError(
            f"A model's input is longer than the data: its steps reach {history} trading days back, the store has "
            f"{market.dates.size}. Lessen steps or stride, or load earlier dates."
        )
    return history + max(max_lookback(recipe.features), *lookbacks, 0)


def target_of(recipe: Recipe, label: Floats, part: Panel) -> Floats:
    """Return what models fit `[T, N]`: the members' labels after the recipe's transforms."""
    target = np.where(part.universe, label, np.float32(np.nan))
    return apply_cross_sectional(recipe.label_transforms, target[:, :, None], part)[:, :, 0]


def make_experiment(recipe: Recipe, prepared: Prepared, data_hash: str) -> Experiment:
    """Return what the rolling runner needs, keyed by the data and every setting before the models."""
    settings = recipe.part(
        "data", "universe", "features", "transforms", "label", "further_labels", "label_transforms", "schedule"
    )
    _, fitted = split_chain(recipe.transforms)
    inputs = Inputs(
        panel=prepared.market,
        features=prepared.features,
        block=prepared.block,
        label=prepared.target,
        transforms=tuple(fitted),
        rows=prepared.rows,
        ends=prepared.ends,
        key=fingerprint([data_hash, settings, __version__, code_hash(_computing(recipe), Path(__file__))]),
        extras={name: prepared.label if name == RETURN else prepared.market[name] for name in _fit_extras(recipe)},
        further=prepared.further,
    )
    models = dict(zip(recipe.model_names(), recipe.models, strict=True))
    return Experiment(inputs, models, recipe.repeats, recipe.seed, recipe.tuning)


def _computing(recipe: Recipe) -> list[Component]:
    """Return the components that scores depend on."""
    return [
        *recipe.universe,
        *recipe.features,
        *recipe.transforms,
        recipe.label,
        *recipe.further_labels,
        *recipe.label_transforms,
        *recipe.models,
    ]


def headline(scores: Mapping[str, Any]) -> str:
    """Return the name of the traded score."""
    return next(iter(scores))


def judge(
    recipe: Recipe, prepared: Prepared, scores: Mapping[str, Floats], trained: RollingResult, exposures: Panel
) -> dict[str, SignalReport]:
    """Return the evaluation of every score over the tested dates; `exposures` are those of the whole market."""
    market = prepared.market
    rows = tested_rows(scores[headline(scores)])
    price = market[f"adj_{recipe.horizons.price}"]
    spans = forward_by_periods(price, market.dates, prepared.rows, recipe.horizons.periods, lag=recipe.horizons.lag)
    forward = {name: span.at(np.searchsorted(prepared.rows, rows)) for name, span in spans.items()}
    styles = {name: exposures[name][prepared.first + rows][:, prepared.columns] for name in exposures.names}
    context = context_of(market, rows, styles)
    return {
        name: evaluate_signal(
            score[rows],
            forward,
            market.dates[rows],
            settings=recipe.evaluation,
            universe=market.universe[rows],
            windows=_sample_windows(trained.windows, name),
            context=context,
        )
        for name, score in scores.items()
    }


PATHS = {"model": pl.String, "path": pl.Int64, "n": pl.Int64, "rank_ic": pl.Float64, "ir": pl.Float64, "t": pl.Float64}
"""Columns of `judge_paths`."""


def judge_paths(recipe: Recipe, prepared: Prepared, windows: Sequence[Window], folder: Path) -> pl.DataFrame:
    """Return RankIC, ICIR and Newey-West t of each model along each backtest path, at the first horizon.

    Columns: `model, path, n, rank_ic, ir, t`; no rows where the split has one path, which `judge` tells all about.
    `folder` holds the fitted windows.
    """
    market = prepared.market
    rows: list[tuple[Any, ...]] = []
    if len(recipe.windows.paths(windows)) > 1:
        price, first = market[f"adj_{recipe.horizons.price}"], recipe.horizons.periods[:1]
        span = next(
            iter(forward_by_periods(price, market.dates, prepared.rows, first, lag=recipe.horizons.lag).values())
        )
        for name in recipe.model_names():
            along = path_scores(market, recipe.windows, windows, folder, name, recipe.repeats)
            for number, score in enumerate(along, start=1):
                member = np.where(market.universe, score, np.nan)[prepared.rows]
                series = ic_series(member, span.returns, min_names=recipe.evaluation.min_names)
                test = mean_test(series.rank_ic, steps=span.steps, resamples=2)
                rows.append((name, number, test.n, test.mean, test.ir, test.t_newey_west))
    return pl.DataFrame(rows, schema=PATHS, orient="row")


def tested_rows(score: Floats) -> Ints:
    """Return the rows that hold a score."""
    return np.flatnonzero(~np.isnan(score).all(axis=1))


def _sample_windows(table: pl.DataFrame, model: str) -> list[SampleWindow]:
    own = table.filter(pl.col("model") == model).drop_nulls("in_sample_rank_ic")
    grouped = own.group_by("window", maintain_order=True).agg(
        pl.col("test_start").first().str.to_date(),
        pl.col("test_end").first().str.to_date(),
        pl.col("in_sample_rank_ic").mean(),
    )
    return [SampleWindow(*row) for row in grouped.iter_rows()]


def check_trading(recipe: Recipe, store: Store, market: Panel) -> None:
    """Refuse before any training what the market rules would make the last stages refuse.

    Raises:
        SettingError: the replay would follow the rules of another market than the store's, its commission is above the
            market's cap, or a portfolio sells short and the replay does not.
        UnknownNameError: there is no such market.
        MissingFieldError: the store lacks the benchmark's closes.
    """
    if not recipe.portfolios:
        return
    rules, own = recipe.backtest.market, store.market
    check_terms(MarketRules.load(rules), recipe.backtest, market.dates)
    selling = [
        name for name, item in zip(recipe.portfolio_names(), recipe.portfolios, strict=True) if not item.is_long_only
    ]
    if selling and not recipe.backtest.short_selling:
        raise SettingError(
            f"The portfolio {selling[0]!r} sells short; set backtest.short_selling to replay it, or choose a long one."
        )
    if rules != own and {rules, own} <= set(market_names()):
        raise SettingError(
            f"backtest.market is {rules!r}, but the store holds market {own!r}: duties, lots and limits would be those "
            f"of another market. Set backtest.market to {own}."
        )
    if recipe.risk.benchmark is not None:
        load_index(store, recipe.risk.benchmark, market.dates)


def check_forecast(recipe: Recipe, risk: Risk, row: int) -> None:
    """Refuse before any training a risk model that cannot forecast the first decision, at this row of the market.

    Raises:
        DataError: too little history before it.
    """
    if risk.model is not None and any(item.uses_forecast for item in recipe.portfolios):
        risk.model.forecast(row)


def trade(
    recipe: Recipe, store: Store, market: Panel, score: Floats, risk: Risk, stop: int
) -> tuple[dict[str, Panel], dict[str, BacktestResult], dict[str, pl.DataFrame]]:
    """Return, for each portfolio of the recipe, its target weights, its replay and the notes on its decisions.

    Args:
        recipe: the experiment.
        store: read for index closes and boards.
        market: the market with its universe.
        score: traded score `[T, N]`.
        risk: exposures and benchmark weights.
        stop: row after the last one that the replay covers (see `replay_end`).
    """
    rows = tested_rows(score)[:: recipe.rebalance]
    index = recipe.risk.benchmark
    closes = load_index(store, index, market.dates[:stop]) if index is not None and recipe.portfolios else None
    listing = load_listing(store)
    universe = universe_returns(market.rows(0, stop)) if recipe.portfolios else None
    constructions = dict(zip(recipe.portfolio_names(), recipe.portfolios, strict=True))
    known = Market(market, risk.exposures, risk.benchmark, risk.model, recipe.backtest.capital)
    made = build_grid(constructions, score, rows, known) if constructions else {}
    targets, results, notes = {}, {}, {}
    for name, (weights, notes[name]) in made.items():
        targets[name] = weights.rows(0, stop)
        results[name] = backtest(
            targets[name],
            market.rows(0, stop),
            recipe.backtest,
            benchmark=closes,
            universe=universe,
            listing=listing,
        )
    return targets, results, notes


def annual_days(recipe: Recipe) -> float:
    """Return the trading days a year by which the recipe's replays are annualised."""
    return recipe.backtest.annual_days or float(MarketRules.load(recipe.backtest.market).annual_days)


def replay_end(prepared: Prepared, score: Floats, lag: int) -> int:
    """Return the row of the whole market after the last decision's holding period; the end of the data at most."""
    last = tested_rows(score)[-1]
    later = prepared.rows[prepared.rows > last]
    end = int(later[0]) + lag + 1 if later.size else prepared.market.dates.size
    return prepared.first + min(end, prepared.market.dates.size)


def score_frame(prepared: Prepared, windows: Sequence[Window], scores: Mapping[str, Floats]) -> pl.DataFrame:
    """Return `date, symbol, score, label, window`, and `score_MODEL` for each model when there are several."""
    market = prepared.market
    window = np.full(market.dates.size, -1)
    for k, item in enumerate(windows):
        window[item.test] = k
    t, n = np.nonzero(~np.isnan(scores[headline(scores)]))
    names = [item.name for item in windows]
    columns: dict[str, Any] = {
        "date": pl.Series(market.dates[t]).cast(pl.Date),
        "symbol": pl.Series(market.symbols[n].tolist(), dtype=pl.String),
        "score": scores[headline(scores)][t, n],
        "label": pl.Series(prepared.label[t, n]).fill_nan(None),
        "window": pl.Series([names[k] for k in window[t]], dtype=pl.String),
    }
    if len(scores) > 1:
        columns |= {f"score_{name}": score[t, n] for name, score in scores.items() if name != headline(scores)}
    return pl.DataFrame(columns)


def ic_frame(signals: Mapping[str, SignalReport]) -> pl.DataFrame:
    """Return `date, signal, horizon, ic, rank_ic, n`: one row a date, signal and horizon; null where undefined."""
    frames = [signal.ic_frame().with_columns(pl.lit(name).alias("signal")) for name, signal in signals.items()]
    return pl.concat(frames).select("date", "signal", "horizon", "ic", "rank_ic", "n")


def weight_frame(targets: Mapping[str, Panel]) -> pl.DataFrame:
    """Return `date, symbol, weight, portfolio`: the positive target weights of every decision, in order of date."""
    frames = [
        panel.to_frame().filter(pl.col("weight") != 0).with_columns(pl.lit(name).alias("portfolio"))
        for name, panel in targets.items()
    ]
    schema = {"date": pl.Date, "symbol": pl.String, "weight": pl.Float32, "portfolio": pl.String}
    return pl.concat(frames) if frames else pl.DataFrame(schema=schema)


def provenance(recipe: Recipe, store: Store, data_hash: str, risk: Risk, started: float, reused: int) -> dict[str, Any]:
    """Return what a report says about where its numbers came from."""
    return {
        "data_hash": data_hash,
        "market": store.market,
        "data_notes": store.meta.get("notes", []),
        **({"benchmark_weights": dict(risk.methods)} if risk.methods else {}),
        "recipe_hash": recipe.fingerprint(),
        "seed": recipe.seed,
        "alphaloom": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
        "seconds": round(time.time() - started, 1),
        "tasks_reused": reused,
        "recipe": recipe.to_yaml(),
    }
