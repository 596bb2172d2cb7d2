"""The efficient frontier: what return a unit of risk buys, on one date or many."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from alphaloom.errors import SettingError
from alphaloom.portfolio.base import Decision
from alphaloom.portfolio.decision_notes import ANNUAL_DAYS
from alphaloom.portfolio.forecast import covered_forecast
from alphaloom.portfolio.optimise import Optimise

COLUMNS = ("alpha", "cost", "volatility_annual", "tracking_error_annual", "names", "turnover", "cash", "status")


def efficient_frontier(
    settings: Optimise, decisions: Iterable[Decision], risk_aversions: Sequence[float]
) -> pl.DataFrame:
    """Return what the optimum of each date is at each risk aversion, all of a date from the same holdings.

    Aversions are taken from the largest to the smallest, each started from the one before, and the first of a date from
    the first of the date before: the frontier of a date costs a few solves more than one optimum. For frontiers in
    which each risk aversion holds its own portfolio through time, give several constructions to `build_grid`.

    Args:
        settings: the optimiser; its own risk aversion is not used.
        decisions: dates, with their holdings and forecasts (`outlooks` makes them from a panel).
        risk_aversions: positive, or 0 for the most alpha that the limits allow.

    Returns:
        One row a date and risk aversion, in that order of aversions: `date`, `risk_aversion`, expected `alpha` (in the
        unit of the settings) and `cost` over the horizon, `volatility_annual` and `tracking_error_annual` as forecast,
        `names`, `turnover` (two-way), `cash` and `status`.

    Raises:
        SettingError: no aversion, a negative one, or settings whose alpha has no unit of return.
        DataError, RunError: as the optimiser.
    """
    if not risk_aversions or min(risk_aversions) < 0:
        raise SettingError(f"risk_aversions must be numbers from 0 up, at least one; given: {list(risk_aversions)}.")
    if settings.alpha == "zscore":
        raise SettingError("A frontier needs alpha in units of return: set alpha to return or volatility.")
    order = sorted(set(risk_aversions), reverse=True)
    points = [Optimise.parse({**settings.dump(), "risk_aversion": float(value)}) for value in order]
    rows, first = [], None
    for decision in decisions:
        last = first
        for k, (value, point) in enumerate(zip(order, points, strict=True)):
            target = point.weigh(replace(decision, last=last))
            last = target.last
            first = last if k == 0 else first
            rows.append({"date": decision.date.item(), "risk_aversion": value, **_point(decision, target.weights)})
            rows[-1] |= {name: target.notes[name] for name in ("alpha", "cost", "status")}
    return pl.DataFrame(rows).select("date", "risk_aversion", *COLUMNS).with_columns(pl.col("date").cast(pl.Date))


def _point(decision: Decision, weights: np.ndarray) -> dict[str, object]:
    forecast = covered_forecast(decision)
    return {
        "volatility_annual": float(np.sqrt(ANNUAL_DAYS * forecast.variance(weights))),
        "tracking_error_annual": float(np.sqrt(ANNUAL_DAYS * forecast.variance(weights - decision.benchmark))),
        "names": int((weights != 0).sum()),
        "turnover": float(np.abs(weights - decision.current).sum()),
        "cash": 1.0 - float(weights.sum()),
    }
