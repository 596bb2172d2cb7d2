"""What the report says of orders, costs, relaxations and of what the level of returns rests on."""

import datetime
from dataclasses import replace

import polars as pl
import pytest
from replays import random_targets, ruled_market
from studies import make_portfolio, make_study

from alphaloom.backtest.result import UNFILLED_REASONS
from alphaloom.backtest.run import backtest
from alphaloom.backtest.settings import BacktestSettings
from alphaloom.backtest.universe import universe_returns
from alphaloom.report.content import Table, Text
from alphaloom.report.sections_orders import MEANINGS, orders_section, relaxations, unfilled_frame, worst_orders
from alphaloom.report.sections_portfolio import level_texts, portfolio_section
from alphaloom.report.write import study_metrics


@pytest.fixture(scope="module")
def result():
    """A backtest in a wild market, orders carried for two days."""
    panel = ruled_market(3, "2021-11-08", copies=3)
    config = BacktestSettings(capital=1e6, participation=0.2, carry_days=2)
    return backtest(random_targets(panel, every=4, seed=3), panel, config, universe=universe_returns(panel))


def tables(section):
    """The section's tables by caption."""
    return {block.caption: block for block in section.blocks if isinstance(block, Table)}


def test_every_reason_has_its_meaning():
    """No reason stands in the report without words."""
    assert set(MEANINGS) == set(UNFILLED_REASONS)


def test_unfilled_orders_are_counted_on_their_last_attempt(result):
    """What is carried and filled later is not unfilled; values are shares times the day's price."""
    frame = unfilled_frame(result)
    placed = result.orders.filter(pl.col("kind") != "delisted").to_dicts()
    last = {(o["decision"], o["symbol"]): o for o in placed}
    for row in frame.iter_rows(named=True):
        mine = [o for o in last.values() if o["side"] == row["side"] and o[f"unfilled_{row['reason']}"] > 0]
        assert row["orders"] == len(mine)
        value = sum(o[f"unfilled_{row['reason']}"] * o["reference"] for o in mine)
        assert row["value"] == pytest.approx(value)
        wanted = sum(o["wanted"] * o["reference"] for o in placed if o["side"] == row["side"] and o["attempt"] == 1)
        assert row["share"] == pytest.approx(value / wanted)


def test_the_largest_orders_left_unfilled_come_first(result):
    """Remainders of lots are no news; the largest values of all others are shown."""
    worst = worst_orders(result)
    assert worst["value"].is_sorted(descending=True)
    assert (worst["unfilled"] > worst["unfilled_lot"]).all()
    left = (result.orders["unfilled"] - result.orders["unfilled_lot"]) * result.orders["reference"]
    assert worst["value"][0] == pytest.approx(left.max())


def test_orders_section_shows_fills_reasons_and_relaxations():
    """A table of fills, one of reasons, and the limits that gave way by date with their amounts."""
    study = make_study()
    section = orders_section(study.portfolios, study.decisions)
    shown = tables(section)
    assert shown["Limits that gave way: linear programme"].rows[0][:2] == ("style", "3")
    assert [row[1] for row in shown["Limits by date: linear programme"].rows] == ["style"] * 3
    assert shown["Unfilled: top 50"].rows
    assert shown["Fills: linear programme"].rows


def test_relaxations_are_dates_constraints_and_amounts():
    """They come from the columns `excess_...` of the notes; a construction without them has none."""
    found = relaxations(make_study().decisions["linear programme"])
    assert found["amount"].to_list() == [0.02, 0.05, 0.01]
    assert relaxations(None).height == relaxations(pl.DataFrame({"date": []})).height == 0
    numbers = study_metrics(make_study())["portfolios"]["linear programme"]
    assert [row["constraint"] for row in numbers["relaxations"]] == ["style"] * 3


def test_an_optimiser_that_kept_every_limit_says_so():
    """Silence would leave open whether anything was checked."""
    notes = make_study().decisions["linear programme"].with_columns(pl.lit(0.0).alias("excess_style"))
    section = orders_section({"p": make_portfolio(1)}, {"p": notes})
    assert Text("p: every limit of the optimiser held on all 40 dates.") in section.blocks


def test_the_level_rests_on_the_universe_and_the_data(result):
    """The universe's own return, delistings and the store's notes stand beside the portfolio's return."""
    gone = {"delisted": 2.0, "delisted_value": 1e6, "delisted_recovered": 4e5}
    mine = replace(result, metrics=result.metrics | gone)
    said = " ".join(block.text for block in level_texts({"mine": mine}, ["delisted stocks are absent."]))
    assert "All stocks that may be held earned" in said
    assert "mine " in said
    assert "The store says of its data: delisted stocks are absent." in said
    assert "2 positions were closed for a delisting; last marked at 1,000,000, they brought 400,000." in said


def test_years_of_several_portfolios_stand_side_by_side():
    """Return, Sharpe ratio and drawdown of each, a year a row."""
    portfolios = {"a": make_portfolio(1), "b": make_portfolio(2)}
    years = tables(portfolio_section(portfolios, 243))["Portfolios by year"]
    assert years.titles == ["Year", *(f"{n}, {what}" for n in "ab" for what in ("return", "Sharpe", "drawdown"))]
    assert len(years.rows) == portfolios["a"].yearly.height


def test_unspent_capital_is_told():
    """The notes of a capital test become a sentence; other constructions have none."""
    notes = pl.DataFrame(
        {
            "date": [datetime.date(2024, 1, 5), datetime.date(2024, 1, 12)],
            "chosen": [50.0, 50.0],
            "filled": [50.0, 40.0],
            "at_limit": [50.0, 39.0],
            "capacity": [1.2e8, 2e8],
            "unspent": [0.2, 0.0],
        }
    )
    section = orders_section({"p": make_portfolio(1)}, {"p": notes})
    assert section.blocks[-1] == Text(
        "p: of 50.0 stocks chosen a decision, 45.0 got money and 44.5 all that their trading bears; together they "
        "could take 160,000,000 on average. 10.0\u00a0% of the capital stayed unspent on average, 20.0\u00a0% at most; "
        "some did on 1 of 2 dates."
    )
