"""The efficient frontier."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from decisions import random_decision

from alphaloom.errors import SettingError
from alphaloom.portfolio.build import weigh
from alphaloom.portfolio.frontier import efficient_frontier
from alphaloom.portfolio.optimise import Optimise

SETTINGS = {"constraints": [{"name": "cap", "num_stock": 20}, {"name": "turnover", "limit": 0.6}], "alpha": "return"}
AVERSIONS = [0.0, 1.0, 10.0, 100.0]


def dates(count=2):
    """Some dates in units of return."""
    return [
        replace(random_decision(k, frictions=False, scale=0.01), date=np.datetime64("2024-03-01") + k)
        for k in range(count)
    ]


def test_each_point_is_the_optimum_solved_alone():
    """Warm starts along the frontier leave every point what a solve of its own gives."""
    optimiser, days = Optimise.parse(SETTINGS), dates()
    table = efficient_frontier(optimiser, days, AVERSIONS)
    assert table["risk_aversion"].to_list() == [100.0, 10.0, 1.0, 0.0] * 2
    for d in days:
        for value in AVERSIONS:
            alone = weigh(Optimise.parse({**SETTINGS, "risk_aversion": value}), d)
            here = (pl.col("date") == d.date.item()) & (pl.col("risk_aversion") == value)
            row = table.filter(here).row(0, named=True)
            assert row["alpha"] == pytest.approx(alone.notes["alpha"], abs=1e-9)
            active = d.risk.variance(alone.weights - d.benchmark)
            assert row["tracking_error_annual"] == pytest.approx(np.sqrt(252 * active), abs=1e-7)


def test_risk_and_alpha_rise_together():
    """Along a date's frontier more risk buys more alpha, and each unit buys less than the one before."""
    table = efficient_frontier(Optimise.parse(SETTINGS), dates(1), [0.3, 1, 3, 10, 30, 100])
    risk, alpha = table["tracking_error_annual"].to_numpy() ** 2, table["alpha"].to_numpy()
    assert (np.diff(risk) >= -1e-12).all()
    assert (np.diff(alpha) >= -1e-12).all()
    rises = np.diff(alpha) / np.maximum(np.diff(risk), 1e-15)
    assert (np.diff(rises) <= 1e-6).all()


def test_what_makes_no_frontier_is_refused():
    """No aversion, a negative one, and scores without a unit."""
    optimiser = Optimise.parse(SETTINGS)
    with pytest.raises(SettingError, match="at least one; given: \\[\\]"):
        efficient_frontier(optimiser, dates(1), [])
    with pytest.raises(SettingError, match="numbers from 0 up"):
        efficient_frontier(optimiser, dates(1), [-1.0])
    with pytest.raises(SettingError, match="needs alpha in units of return"):
        efficient_frontier(Optimise.parse({"constraints": ["cap"]}), dates(1), [1.0])
