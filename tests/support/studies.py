"""A full synthetic study: three signals of known strength, eight windows, two portfolios."""

import numpy as np
import polars as pl

from alphaloom.backtest.measures import conventions, metrics_of, yearly_of
from alphaloom.backtest.result import NAV_SCHEMA, ORDERS_SCHEMA, UNFILLED_REASONS, BacktestResult
from alphaloom.evaluation.forward import forward_by_periods
from alphaloom.evaluation.settings import EvaluationSettings
from alphaloom.evaluation.signal import SignalReport, evaluate_signal
from alphaloom.report.study import StudyReport

WEEKS, NAMES = 210, 120


def make_signals(weeks: int = WEEKS, names: int = NAMES, *, skill: float = 0.06) -> dict[str, SignalReport]:
    """Return weekly signals `lightgbm`, `gru` and `ensemble` with RankIC near `skill`, on daily prices."""
    rng = np.random.default_rng(7)
    T = 5 * (weeks + 9)
    dates = np.busday_offset("2019-01-02", np.arange(T), roll="forward").astype("datetime64[D]")
    returns = rng.normal(0.0003, 0.02, (T, names))
    price = np.cumprod(1 + returns, axis=0)
    price[rng.random(price.shape) < 0.01] = np.nan
    rows = np.arange(4, 5 * weeks, 5)
    forward = forward_by_periods(price, dates, rows, (1, 4))
    week = forward["1"].returns
    truth = np.nan_to_num(week / 0.045)
    noise = rng.normal(size=(3, *week.shape))
    slow = rng.normal(size=(1, names))
    scores = {
        "lightgbm": skill * truth + noise[0] + 0.5 * slow,
        "gru": 0.6 * skill * truth + noise[1],
    }
    scores["ensemble"] = scores["lightgbm"] + scores["gru"]
    universe = rng.random(week.shape) < 0.95
    settings = EvaluationSettings(resamples=200)
    made = {}
    for name, score in scores.items():
        score[rng.random(score.shape) < 0.02] = np.nan
        made[name] = evaluate_signal(score, forward, dates[rows], settings=settings, universe=universe)
    return made


def make_portfolio(seed: int, *, days: int = 1040, drift: float = 0.0004) -> BacktestResult:
    """Return a backtest of random daily returns around a benchmark, costs included in name only."""
    rng = np.random.default_rng(seed)
    bench = rng.normal(0.0002, 0.012, days)
    active = rng.normal(drift, 0.004, days)
    bench[0] = active[0] = 0.0
    ret = bench + active
    rebalance = np.arange(days) % 5 == 1
    nav = pl.DataFrame(
        {
            **dict.fromkeys(NAV_SCHEMA, np.zeros(days)),
            "date": pl.Series(np.busday_offset("2019-01-08", np.arange(days), roll="forward")).cast(pl.Date),
            "nav": 1e8 * np.cumprod(1 + ret),
            "ret": ret,
            "benchmark_ret": bench,
            "excess_ret": ret - bench,
            "universe_ret": bench + 0.0001,
            "turnover": np.where(rebalance, 0.12, 0.0),
            "cost": np.where(rebalance, 0.0003, 0.0),
            "duty": np.where(rebalance, 0.0001, 0.0),
            "slippage": np.where(rebalance, 0.0002, 0.0),
            "cash_weight": np.full(days, 0.01),
            "holdings": np.full(days, 50),
            "unfilled": np.where(rebalance, 0.004, 0.0),
        },
        schema_overrides=NAV_SCHEMA,
    )
    orders = _orders(rng, nav, 400)
    return BacktestResult(nav, yearly_of(nav, 243), metrics_of(nav, 243), orders, conventions(243, "SH000905"))


def _orders(rng: np.random.Generator, nav: pl.DataFrame, n: int) -> pl.DataFrame:
    """Return random orders, some filled in part or not at all."""
    wanted = rng.integers(1, 50, n) * 100.0
    price = rng.uniform(5, 50, n).round(2)
    left = np.where(rng.random(n) < 0.2, wanted, 0.0)
    reason = rng.integers(0, len(UNFILLED_REASONS), n)
    value = (wanted - left) * price
    side = np.where(rng.random(n) < 0.5, "buy", "sell")
    date = nav["date"][rng.integers(1, nav.height, n).tolist()]
    return pl.DataFrame(
        {
            "decision": date,
            "date": date,
            "attempt": np.ones(n, np.int64),
            "symbol": [f"SH{600000 + k % 90}" for k in range(n)],
            "side": side,
            "kind": ["target"] * n,
            "wanted": wanted,
            "filled": wanted - left,
            "unfilled": left,
            "reason": [UNFILLED_REASONS[k] if x else "" for k, x in zip(reason, left, strict=True)],
            "price": price,
            "reference": price,
            "value": value,
            "commission": value * 2.5e-4,
            "duty": np.where(side == "sell", value * 5e-4, 0.0),
            "transfer_fee": value * 1e-5,
            "slippage": value * 5e-4,
            "impact": value * 0.0,
            **{f"unfilled_{name}": np.where(reason == k, left, 0.0) for k, name in enumerate(UNFILLED_REASONS)},
        },
        schema=ORDERS_SCHEMA,
    )


def _decisions() -> pl.DataFrame:
    """Return notes on forty decisions, on three of which a limit gave way."""
    days = np.busday_offset("2019-01-07", 5 * np.arange(40), roll="forward")
    over = np.zeros(40)
    over[[3, 4, 20]] = 0.02, 0.05, 0.01
    return pl.DataFrame(
        {
            "date": pl.Series(days).cast(pl.Date),
            "status": ["optimal"] * 40,
            "excess_style": over,
            "excess_cap": over * 0,
        }
    )


def make_study(**kwargs) -> StudyReport:
    """Return a study with every section filled."""
    rng = np.random.default_rng(3)
    models = ("lightgbm", "gru")
    starts = [f"{2019 + k // 2}-{'01' if k % 2 == 0 else '07'}-01" for k in range(8)]
    windows = pl.DataFrame(
        [
            {
                "window": start[:7],
                "model": model,
                "train_start": f"{int(start[:4]) - 2}{start[4:]}",
                "train_end": start,
                "test_start": start,
                "test_end": f"{start[:4]}-{'06-30' if start[5:7] == '01' else '12-31'}",
                "n_train": 80_000,
                "n_test_days": 26,
                "purged": 2,
                "in_sample_rank_ic": 0.09 + 0.02 * rng.random(),
                "out_of_sample_rank_ic": 0.05 + 0.03 * rng.normal(),
                "in_sample_mse": 0.94,
                "out_of_sample_mse": 0.99,
                "best_iteration": 40,
                "seconds": 12.5,
            }
            for start in starts
            for model in models
        ]
    )
    curves = pl.DataFrame(
        [
            {
                "window": start[:7],
                "model": "gru",
                "epoch": epoch,
                "train_loss": 1 - 0.02 * epoch + 0.01 * rng.random(),
                "valid_loss": 1 - 0.008 * epoch + 0.0006 * epoch**2 + 0.01 * rng.random(),
                "valid_rank_ic": 0.05 * (1 - np.exp(-epoch / 4)) + 0.005 * rng.random(),
            }
            for start in starts
            for epoch in range(1, 16)
        ]
    )
    share = rng.dirichlet(np.full(40, 0.5), 2)
    importance = pl.DataFrame(
        [
            {"model": model, "feature": f"FEATURE{k}", "importance": share[m, k]}
            for m, model in enumerate(models)
            for k in range(40)
        ]
    )
    days = np.busday_offset("2019-01-02", np.arange(1040), roll="forward")
    left = 800 + rng.integers(-9, 9, days.size)
    universe = pl.DataFrame(
        {
            "date": pl.Series(days).cast(pl.Date),
            "candidates": left + 120,
            "listed": np.full(days.size, 40),
            "not_st": np.full(days.size, 50),
            "not_suspended": np.full(days.size, 30),
            "left": left,
        }
    )
    settings = {
        "title": "Quickstart on a synthetic market",
        "description": "Weekly stock selection with LightGBM and a GRU in rolling two-year windows",
        "market": "CSI 300 and CSI 500 members as of each date",
        "signals": make_signals(),
        "headline": "ensemble",
        "windows": windows,
        "curves": curves,
        "importance": importance,
        "universe": universe,
        "portfolios": {"linear programme": make_portfolio(1), "top 50": make_portfolio(2, drift=0.0002)},
        "decisions": {"linear programme": _decisions()},
        "audit": {
            "passed": True,
            "verdict": "Nothing at date t changed.\nWarning: delistings are absent.",
            "checks": [
                {"kind": "feature", "name": "alpha158", "columns": 158, "cuts": 5, "cells": 9, "leaking": 0}
                | {"result": "passed", "detail": ""},
                {"kind": "data", "name": "delistings", "columns": 1, "cuts": 0, "cells": 0, "leaking": 0}
                | {"result": "warning", "detail": "delistings are absent"},
            ],
        },
        "provenance": {
            "code version": "0.1.0",
            "seed": 1,
            "recipe hash": "0123456789abcdef",
            "recipe": "name: quickstart\nmodels:\n  - lightgbm\n  - gru: {hidden: 64}\n",
            "data_notes": ["survivorship: stocks delisted since are absent"],
            "data": {"hash": "fedcba9876543210", "rows": 1_234_567, "first": "2010-01-04", "last": "2022-12-30"},
            "versions": {"numpy": "2.4.6", "polars": "2.1.0"},
            "seconds": {"features": 12.1, "training": 240.5},
        },
    }
    return StudyReport(**{**settings, **kwargs})
