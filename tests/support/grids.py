"""Grids of finished runs whose true differences in RankIC are known."""

import itertools
from dataclasses import asdict

import numpy as np
import polars as pl
from studies import make_portfolio

from alphaloom.evaluation.inference import mean_test
from alphaloom.evaluation.summary import factor_rows
from alphaloom.report.grid import GridPoint, GridReport

WEEKS, NAMES = 260, 300
DATES = np.datetime64("2018-01-05") + 7 * np.arange(WEEKS)


def make_point(name, labels, series, *, gain=0.0, dates=DATES, seconds=30.0, portfolio=None, data_hash="d1"):
    """Return a point whose RankIC at horizon 1 is `series [D]`, at horizon 4 half of it."""
    n = np.full(series.size, NAMES)
    frames, horizons = [], {}
    for horizon, values, steps in (("1", series, 1), ("4", series / 2, 4)):
        frames.append(
            pl.DataFrame(
                {
                    "date": pl.Series(dates).cast(pl.Date),
                    "horizon": [horizon] * values.size,
                    "ic": values,
                    "rank_ic": values,
                    "n": n,
                }
            )
        )
        test = asdict(mean_test(values, steps=steps, resamples=100))
        horizons[horizon] = {
            "steps": steps,
            "days": 5.0 * steps,
            "rank_ic": test,
            "twelve_rows": factor_rows(values, n),
        }
    starts = dates[::26]
    windows = pl.DataFrame(
        [
            {
                "window": str(start)[:7],
                "model": model,
                "repeat": 0,
                "test_start": str(start),
                "test_end": str(dates[min(26 * k + 25, dates.size - 1)]),
                "in_sample_rank_ic": 0.1 + gain,
                "out_of_sample_rank_ic": 0.05 + gain,
                "in_sample_mse": 0.9,
                "out_of_sample_mse": 0.99,
                "seconds": seconds,
            }
            for k, start in enumerate(starts)
            for model in ("own", "other")
        ]
    )
    metrics = {
        "headline": "own",
        "signals": {"own": {"primary": "1", "horizons": horizons}},
        "portfolios": {},
        "provenance": {"data_hash": data_hash},
    }
    nav = pl.DataFrame()
    if portfolio is not None:
        nav = portfolio.nav
        metrics["portfolios"] = {"top": {"metrics": portfolio.metrics, "annual_days": 243}}
    ic = pl.concat(frames)
    return GridPoint(name, labels, ic, windows, metrics, nav, f"points/{name.replace(' ', '_')}/report.html")


def failed_point(name, labels, reason="RunError: the loss is not finite in window 2019-07"):
    """Return a point without a result."""
    return GridPoint(name, labels, failure=reason)


def make_grid(axes, gains, *, failing=(), replicate=None, seed=0, noise=0.02, has_portfolios=False):
    """Return a grid over all combinations; the first is the baseline.

    RankIC of a point is what all share, plus the sum of its labels' gains, plus noise of its own.

    Args:
        axes: labels by axis.
        gains: by label; 0 where there is none.
        failing: places without a result.
        replicate: axis of repetitions.
        seed: of all draws.
        noise: standard deviation of each point's own part.
        has_portfolios: whether points have a portfolio.
    """
    rng = np.random.default_rng(seed)
    shared = rng.normal(0.05, 0.1, WEEKS)
    points = []
    for k, labels in enumerate(itertools.product(*axes.values())):
        name = ", ".join(f"{axis} {label}" for axis, label in zip(axes, labels, strict=True)) or "alone"
        gain = sum(gains.get(label, 0.0) for label in labels)
        series = shared + gain + rng.normal(0, noise, WEEKS)
        portfolio = make_portfolio(k, days=300, drift=0.0004 + gain / 100) if has_portfolios else None
        if labels in failing:
            points.append(failed_point(name, labels))
        else:
            points.append(make_point(name, labels, series, gain=gain, portfolio=portfolio))
    return GridReport("Which choices matter", "Weekly boosting", axes, points[0].name, points, replicate)
