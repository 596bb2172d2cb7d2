"""From scores to weights: drift, tradability, and what a decision may know."""

from typing import ClassVar

import numpy as np
import polars as pl
import pytest
from panels import random_panel

from alphaloom.errors import AlignmentError, DataError, MissingFieldError
from alphaloom.panel import Panel
from alphaloom.portfolio.base import Construction, Target
from alphaloom.portfolio.build import (
    Market,
    build_grid,
    build_weights,
    drift,
    drift_weights,
    next_weights,
    required_fields,
)
from alphaloom.portfolio.linear_programme import LinearProgramme
from alphaloom.portfolio.optimise import Optimise
from alphaloom.portfolio.outlook import outlooks
from alphaloom.portfolio.topk import TopK
from alphaloom.portfolio.tradability import tradable
from alphaloom.risk.forecast import RiskForecast


class Keep(Construction):
    """Keeps what is held, or spreads over the first five; records every decision."""

    seen: ClassVar[list] = []

    def weigh(self, decision):
        """Return the current weights."""
        Keep.seen.append(decision)
        if decision.current.sum() > 0:
            return Target(decision.current)
        weights = np.zeros(decision.score.size)
        weights[:5] = 0.18
        return Target(weights)


@pytest.fixture
def market():
    """A market with gaps."""
    return random_panel(80, 20, seed=7)


def scores(panel, seed=0):
    """Random scores of the universe."""
    out = np.random.default_rng(seed).normal(size=panel.shape).astype(np.float32)
    out[~panel.universe] = np.nan
    return out


def test_weights_stand_on_decision_rows_alone(market):
    """NaN on rows without a decision; 0 for what is not held on rows with one."""
    rows = np.array([30, 37, 44])
    weights, notes = build_weights(TopK(k=5), scores(market), rows, market)
    known = ~np.isnan(weights["weight"])
    assert np.flatnonzero(known.any(axis=1)).tolist() == rows.tolist()
    assert known[rows].all()
    assert notes["date"].to_list() == market.dates[rows].tolist()
    assert notes["names"].to_list() == (weights["weight"][rows] > 0).sum(axis=1).tolist()


def test_holdings_drift_with_adjusted_closes_and_cash_stands_still():
    """Between decisions each weight grows with its stock's last known adjusted close, cash does not."""
    panel = random_panel(60, 12, seed=3, gaps=False)
    close = panel["adj_close"].copy()
    close[20:24, 2] = np.nan
    panel = panel.with_fields({"adj_close": close})
    Keep.seen.clear()
    build_weights(Keep(), scores(panel), np.array([10, 22, 40]), panel)
    for before, after, decision in ((10, 22, Keep.seen[1]), (10, 40, Keep.seen[2])):
        value = np.zeros(12)
        for n in range(5):
            last = [c for c in close[: after + 1, n] if not np.isnan(c)][-1]
            value[n] = 0.18 * float(last) / float(close[before, n])
        expected = value / (value.sum() + 0.1)
        np.testing.assert_allclose(decision.current, expected, rtol=1e-6)


def test_drift_weights_equals_the_drift_of_a_build():
    """The function for a single span gives what the build computes between its decisions."""
    panel = random_panel(60, 12, seed=3)
    Keep.seen.clear()
    start = np.zeros(12)
    start[4:7] = 0.3
    build_weights(Keep(), scores(panel), np.array([10, 30]), panel, start_weights=start)
    np.testing.assert_allclose(Keep.seen[0].current, start, rtol=1e-12)
    np.testing.assert_allclose(Keep.seen[1].current, drift_weights(start, panel, 10, 30), rtol=1e-9)


def test_delisted_holding_becomes_cash(market):
    """A stock that has left the market is no holding any more; its weight is told in the notes."""
    listed = market["is_listed"].copy()
    close = market["adj_close"].copy()
    listed[20:, 4], close[20:, 4] = np.nan, np.nan
    panel = market.with_fields({"is_listed": listed, "adj_close": close})
    start = np.zeros(20)
    start[[4, 5]] = 0.5
    Keep.seen.clear()
    _, notes = build_weights(Keep(), scores(panel), np.array([15, 25]), panel, start_weights=start)
    assert Keep.seen[1].current[4] == 0.0
    assert notes["delisted_weight"][0] == 0.0
    assert notes["delisted_weight"][1] == pytest.approx(1 - Keep.seen[1].current.sum())


def test_tradability_of_a_close():
    """Suspended trades neither way, closing at the upper limit bars buying, at the lower limit selling, and a stock
    outside the universe is not bought.
    """
    panel = random_panel(10, 6, seed=1, gaps=False)
    close, up, down = (panel[name].copy() for name in ("close", "limit_up", "limit_down"))
    suspended = panel["is_suspended"].copy()
    up[5], down[5] = close[5] + 1, close[5] - 1
    suspended[5, 0] = 1
    up[5, 1] = close[5, 1]
    down[5, 2] = close[5, 2]
    up[5, 3] = np.nan
    universe = panel.universe.copy()
    universe[5, 4] = False
    panel = panel.with_fields({"limit_up": up, "limit_down": down, "is_suspended": suspended}).with_universe(universe)
    buy, sell = tradable(panel, 5)
    assert buy.tolist() == [False, False, True, True, False, True]
    assert sell.tolist() == [False, True, False, True, True, True]
    free, _ = tradable(panel, 5, limits=False)
    assert free.tolist() == [False, True, True, True, False, True]


@pytest.mark.parametrize("construction", [TopK(k=5, drop=2), LinearProgramme(num_stock=5, style_limit=0.5)])
def test_later_rows_do_not_change_earlier_decisions(market, construction):
    """Weights up to t are the same when the panel ends at t: no look-ahead."""
    rng = np.random.default_rng(0)
    style = rng.normal(size=market.shape).astype(np.float32)
    exposures = market.with_fields({"a": style}, keep=False)
    rows = np.arange(20, 75, 6)
    score = scores(market)
    whole, _ = build_weights(construction, score, rows, market, exposures=exposures)
    for stop in (33, 51):
        part, _ = build_weights(
            construction, score[:stop], rows[rows < stop], market.rows(0, stop), exposures=exposures.rows(0, stop)
        )
        np.testing.assert_array_equal(part["weight"], whole["weight"][:stop])


def test_next_weights_continues_a_build(market):
    """One date alone, from the weights drifted to it, gives what a build gives on that date."""
    rows = np.array([20, 27, 34])
    score = scores(market)
    construction = TopK(k=6, drop=1)
    weights, _ = build_weights(construction, score, rows, market)
    held = weights["weight"][27].astype(np.float64)
    current = drift_weights(held, market, 27, 34)
    target = next_weights(construction, score[34], 34, market, current)
    np.testing.assert_allclose(target.weights, weights["weight"][34], atol=1e-6)


def test_unknown_exposures_are_zero_and_counted(market):
    """NaN exposures of stocks that matter are taken as 0, and the notes say how many."""
    style = np.zeros(market.shape, np.float32)
    style[:, :3] = np.nan
    exposures = market.with_fields({"a": style}, keep=False)
    rows = np.array([40])
    score = scores(market)
    _, notes = build_weights(LinearProgramme(num_stock=5), score, rows, market, exposures=exposures)
    assert notes["exposures_missing"].to_list() == [int(np.isfinite(score[40, :3]).sum())]


def test_required_fields_are_enough(market):
    """The listed fields alone carry a build."""
    for construction, limits in ((TopK(k=4), True), (TopK(k=4), False), (LinearProgramme(num_stock=5), True)):
        part = market.select(required_fields(construction, limits=limits))
        empty = market.with_fields({}, keep=False)
        a, _ = build_weights(construction, scores(market), np.array([40]), part, exposures=empty, limits=limits)
        b, _ = build_weights(construction, scores(market), np.array([40]), market, exposures=empty, limits=limits)
        np.testing.assert_array_equal(a["weight"], b["weight"])


def test_progress_is_told(market):
    """The callback hears of every decision."""
    heard = []
    build_weights(TopK(k=3), scores(market), np.array([30, 40]), market, progress=lambda k, of: heard.append((k, of)))
    assert heard == [(1, 2), (2, 2)]


def test_wrong_input_is_refused_in_words(market):
    """Each mistake names what is wrong and what to do."""
    score, rows = scores(market), np.array([30, 40])
    with pytest.raises(DataError, match="must increase within 0 and 79"):
        build_weights(TopK(), score, np.array([40, 30]), market)
    with pytest.raises(AlignmentError, match="score has shape"):
        build_weights(TopK(), score[:50], rows, market)
    with pytest.raises(DataError, match="needs style exposures"):
        build_weights(LinearProgramme(), score, rows, market)
    with pytest.raises(DataError, match=r"sum to 0\.000000 on"):
        build_weights(TopK(), score, rows, market, benchmark=np.zeros(market.shape))
    with pytest.raises(MissingFieldError, match="no field 'limit_up'"):
        build_weights(TopK(), score, rows, market.select([n for n in market.names if n != "limit_up"]))
    with pytest.raises(DataError, match="Start weights run from"):
        build_weights(TopK(), score, rows, market, start_weights=np.full(20, 0.1))
    with pytest.raises(DataError, match="No stock has a score"):
        build_weights(TopK(), np.full(market.shape, np.nan, np.float32), rows, market)


def test_construction_out_of_bounds_is_refused(market):
    """A construction that goes short or borrows is stopped with its name."""

    class Wild(Construction):
        """Borrows."""

        name: ClassVar[str] = "wild"

        def weigh(self, decision):
            """Return 1 for every stock."""
            return Target(np.ones(decision.score.size))

    with pytest.raises(DataError, match="'wild' gave weights from 1 to 1, sum 20"):
        build_weights(Wild(), scores(market), np.array([30]), market)


def test_notes_are_a_plain_table(market):
    """Notes of a construction become columns, texts and numbers alike."""
    exposures = market.with_fields({}, keep=False)
    _, notes = build_weights(
        LinearProgramme(num_stock=5), scores(market), np.array([30, 40]), market, exposures=exposures
    )
    assert notes.schema["date"] == pl.Date
    assert {"status", "relaxed", "gap", "turnover", "cash", "delisted_weight"} <= set(notes.columns)
    assert isinstance(market, Panel)


class Forecasts:
    """A risk model that records the rows it was asked for."""

    def __init__(self, panel):
        self.panel, self.rows = panel, []

    def forecast(self, row):
        """Return a single factor and equal specific variances."""
        self.rows.append(row)
        N = self.panel.shape[1]
        return RiskForecast(self.panel.dates[row], ("market",), np.ones((1, N)), np.array([[1e-4]]), np.full(N, 4e-4))


def test_a_grid_equals_its_members_built_alone(market):
    """Every portfolio of a grid is the one that a build of its own gives: only the shared work is done once."""
    rng = np.random.default_rng(0)
    exposures = market.with_fields({"a": rng.normal(size=market.shape).astype(np.float32)}, keep=False)
    benchmark = np.full(market.shape, 1 / 20)
    score, rows = scores(market), np.array([30, 37, 44, 51])
    grid = {
        f"{stocks}-{limit}": Optimise.parse(
            {
                "constraints": [
                    {"name": "cap", "num_stock": stocks}, {"name": "style", "limit": limit},
                    {"name": "participation", "share": 0.5},
                ],
                "alpha": "return", "risk_aversion": 2.0, "costs": ["linear", "impact"],
            }
        )
        for stocks in (5, 8) for limit in (0.2, 0.6)
    }  # fmt: skip
    known = Market(market, exposures, benchmark, Forecasts(market), capital=1e8)
    made = build_grid(grid, score, rows, known)
    assert known.risk_model.rows == rows.tolist()
    for name, construction in grid.items():
        alone, notes = build_weights(
            construction, score, rows, market, exposures=exposures, benchmark=benchmark,
            risk_model=Forecasts(market), capital=1e8,
        )  # fmt: skip
        np.testing.assert_array_equal(made[name][0]["weight"], alone["weight"])
        assert made[name][1].equals(notes)


def test_capital_grows_with_the_portfolio():
    """The money that weights are fractions of is the first capital times the portfolio's value, cash included."""
    panel = random_panel(60, 12, seed=3, gaps=False)
    Keep.seen.clear()
    build_weights(Keep(), scores(panel), np.array([10, 22]), panel, capital=1e6)
    close = panel["adj_close"]
    growth = 1 + sum(0.18 * (float(close[22, n]) / float(close[10, n]) - 1) for n in range(5))
    assert [d.capital for d in Keep.seen] == pytest.approx([1e6, 1e6 * growth])


def test_short_positions_drift_against_the_portfolio():
    """A short position that rises takes value from the portfolio; one that costs more than all of it ends the run."""
    weights = np.array([-0.5, 0.5, 0.0])
    before, after = np.array([10.0, 10.0, np.nan]), np.array([12.0, 11.0, np.nan])
    moved = drift(weights, before, after, np.ones(3, bool))
    assert moved.growth == pytest.approx(1 - 0.5 * 0.2 + 0.5 * 0.1)
    np.testing.assert_allclose(moved.weights, np.array([-0.6, 0.55, 0.0]) / 0.95)
    with pytest.raises(DataError, match="lost more than the portfolio was worth"):
        drift(weights, before, np.array([40.0, 10.0, np.nan]), np.ones(3, bool))


def test_measures_are_those_of_the_date(market):
    """Expressions reach a decision with the values of its own row, whatever other rows are built with it."""
    score = scores(market)
    limited = Optimise.parse({"constraints": [{"name": "cap", "num_stock": 5}, "participation"]})
    empty = Market(market, market.with_fields({}, keep=False), capital=1e8)
    many = list(outlooks([limited], score, np.array([30, 44]), empty))
    alone = next(outlooks([limited], score, np.array([44]), empty))
    (name,) = limited.expressions
    np.testing.assert_array_equal(many[1].measured[name], alone.measured[name])
    amount = market["amount"][25:45].astype(np.float64)
    listed = market["is_listed"][44] == 1
    whole = listed & np.isfinite(amount).all(axis=0)
    assert whole.sum() > 5
    np.testing.assert_allclose(alone.measured[name][whole], amount[:, whole].mean(axis=0), rtol=1e-5)


def test_a_forecast_that_is_needed_and_absent_is_refused(market):
    """A construction that weighs risk says what it lacks before any date is solved."""
    risky = Optimise.parse({"constraints": ["cap"], "alpha": "return", "risk_aversion": 1.0})
    with pytest.raises(DataError, match="needs forecasts of the variance; no risk model was given"):
        build_weights(risky, scores(market), np.array([30]), market)


def test_a_single_date_knows_forecast_and_capital(market):
    """The target of one date takes the same inputs as a build, and gives what the build gives there."""
    settings = {
        "constraints": [{"name": "cap", "num_stock": 5}, "participation"],
        "alpha": "return",
        "risk_aversion": 2,
    }
    risky = Optimise.parse(settings)
    rows, score = np.array([30, 37]), scores(market)
    further = {"risk_model": Forecasts(market), "capital": 1e8}
    weights, _ = build_weights(risky, score, rows, market, **further)
    held = drift_weights(weights["weight"][30].astype(np.float64), market, 30, 37)
    target = next_weights(risky, score[37], 37, market, held, **further)
    np.testing.assert_allclose(target.weights, weights["weight"][37], atol=1e-3)
