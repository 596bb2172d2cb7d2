"""The last stages of a run: each takes values and returns a value; `alphaloom.pipeline` strings them together."""

import platform
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from alphaloom import __version__
from alphaloom.backtest.result import BacktestResult
from alphaloom.backtest.rules import check_terms
from alphaloom.backtest.run import backtest
from alphaloom.backtest.universe import universe_returns
from alphaloom.data.load import load_index, load_listing
from alphaloom.data.market_rules import MarketRules, market_names
from alphaloom.data.store import Store
from alphaloom.errors import SettingError
from alphaloom.evaluation.context import context_of
from alphaloom.evaluation.forward import forward_by_periods
from alphaloom.evaluation.ic import ic_series
from alphaloom.evaluation.inference import mean_test
from alphaloom.evaluation.signal import SignalReport, evaluate_signal
from alphaloom.evaluation.summary import SampleWindow
from alphaloom.panel import Panel
from alphaloom.portfolio.build import Market, build_grid
from alphaloom.preparation import Prepared
from alphaloom.recipe import Recipe
from alphaloom.risk_inputs import Risk
from alphaloom.training.paths import path_scores
from alphaloom.training.rolling import RollingResult
from alphaloom.training.splits import Window
from alphaloom.typing import Floats, Ints

LIBRARIES = ("numpy", "polars", "numba", "torch", "lightgbm", "highspy")


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
