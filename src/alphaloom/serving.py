"""Tomorrow's orders: scores and target weights of any later date, from a run's stored transforms and models."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from alphaloom.data.store import Store
from alphaloom.data.universe.build import build_universe
from alphaloom.errors import DataError
from alphaloom.panel import Panel, as_date
from alphaloom.portfolio.build import drift_weights, next_weights
from alphaloom.preparation import Prepared, load_market
from alphaloom.recipe import Recipe
from alphaloom.report.runs import RunFolder
from alphaloom.risk_inputs import risk_inputs
from alphaloom.scoring import score_day, windows_of
from alphaloom.stages import headline
from alphaloom.typing import Doubles, Floats

TARGETS = {"date": pl.Date, "symbol": pl.String, "weight": pl.Float64, "held": pl.Float64}
"""Columns of the target weights of one date."""


def predict(run_folder: Path, store: Store, date: str, *, threads: int = 1) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return scores and target weights of one date, from a run's stored transforms and models.

    The models are those of the last window whose test span begins on or before the date, and of as many windows before
    it as the recipe's ensemble takes; a date inside the run gives the run's own scores. Weights are those of the
    recipe's first portfolio, traded from what the run held before.

    Returns:
        Scores (`date, symbol, score, window`, and `score_MODEL` when there are several models) and weights
        (`date, symbol, weight, held`: the target, and the drifted weight before it). No weights without a portfolio.

    Raises:
        UsageError: the folder holds no finished run, or the date is before its first test window.
        DataError: the store has no such trading day.
    """
    folder = RunFolder.existing(run_folder)
    recipe = Recipe.parse(yaml.safe_load(folder.read_text("recipe.yaml")), where="recipe.yaml")
    windows = windows_of(folder, date)
    market, _ = build_universe(recipe.universe, load_market(recipe, store, until=date))
    day = check_day(market, date)
    prepared, scores = score_day(folder, recipe, market, day, windows, threads=threads)
    frame = day_frame(prepared, scores, windows[0])
    if not recipe.portfolios:
        return frame, pl.DataFrame(schema=TARGETS)
    held = held_weights(folder.read_frame("weights.parquet"), recipe.portfolio_names()[0], market, day)
    risk = risk_inputs(recipe.risk, market, first=market.span(recipe.data.start)[0])
    target = next_weights(
        recipe.portfolios[0],
        prepared.on_market(_last_row(prepared, scores))[day],
        day,
        market,
        held,
        exposures=risk.exposures,
        benchmark=None if risk.benchmark is None else risk.benchmark[day],
        risk_model=risk.model,
        capital=money(folder, recipe, date),
    )
    return frame, target_frame(market, day, target.weights, held)


def money(folder: RunFolder, recipe: Recipe, date: str) -> float:
    """Return what the run's first portfolio was worth at the last close that its replay knows up to a date.

    In the market's currency; the capital that it began with before its first day.
    """
    nav = folder.read_frame(f"nav-{recipe.portfolio_names()[0]}.parquet")
    known = nav.filter(pl.col("date") <= as_date(date).item())
    return float(known["nav"][-1]) if known.height else recipe.backtest.capital


def _last_row(prepared: Prepared, scores: Mapping[str, Floats]) -> Floats:
    out = np.full(prepared.market.shape, np.nan, dtype=np.float32)
    out[-1] = scores[headline(scores)][0]
    return out


def check_day(market: Panel, day: str) -> int:
    """Return the row of a trading day, the market's last.

    Raises:
        DataError: the store has no such trading day.
    """
    wanted = as_date(day)
    if market.dates[-1] != wanted:
        raise DataError(f"{wanted} is not a trading day of the store; the last one up to it is {market.dates[-1]}.")
    return market.dates.size - 1


def day_frame(prepared: Prepared, scores: Mapping[str, Floats], window: str) -> pl.DataFrame:
    """Return `date, symbol, score, window`, and `score_MODEL` for each of several models, of the one scored date."""
    market, main = prepared.market, scores[headline(scores)][0]
    n = np.flatnonzero(~np.isnan(main))
    columns: dict[str, Any] = {
        "date": pl.Series(np.repeat(market.dates[-1:], n.size)).cast(pl.Date),
        "symbol": pl.Series(market.symbols[n].tolist(), dtype=pl.String),
        "score": main[n],
        "window": pl.Series([window] * n.size, dtype=pl.String),
    }
    if len(scores) > 1:
        columns |= {f"score_{name}": score[0, n] for name, score in scores.items() if name != headline(scores)}
    return pl.DataFrame(columns)


def held_weights(weights: pl.DataFrame, portfolio: str, market: Panel, day: int) -> Doubles:
    """Return what a portfolio holds at the close of a row `[N]`: its last decision before it, drifted; else cash."""
    own = weights.filter((pl.col("portfolio") == portfolio) & (pl.col("date") < market.dates[day].item()))
    held = np.zeros(market.shape[1])
    if not own.height:
        return held
    last = own.filter(pl.col("date") == own["date"].max())
    place = {str(symbol): n for n, symbol in enumerate(market.symbols)}
    absent = sorted(set(last["symbol"].to_list()) - set(place))
    if absent or np.datetime64(last["date"][0]) not in market.dates:
        lacking = f"the stock {absent[0]}" if absent else "that trading day"
        raise DataError(
            f"The run decided last on {last['date'][0]}, but the store lacks {lacking}: it does not hold the data "
            "of the run."
        )
    for symbol, weight in last.select("symbol", "weight").iter_rows():
        held[place[symbol]] = weight
    start = int(np.searchsorted(market.dates, np.datetime64(last["date"][0])))
    return drift_weights(held, market, start, day)


def target_frame(market: Panel, day: int, weights: Doubles, held: Doubles) -> pl.DataFrame:
    """Return the target weights of one date beside what is held, for stocks with either."""
    n = np.flatnonzero((weights > 0) | (held > 0))
    return pl.DataFrame(
        {
            "date": pl.Series(np.repeat(market.dates[day : day + 1], n.size)).cast(pl.Date),
            "symbol": pl.Series(market.symbols[n].tolist(), dtype=pl.String),
            "weight": weights[n],
            "held": held[n],
        },
        schema=TARGETS,
    )
