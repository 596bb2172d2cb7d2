"""The universe that rules leave, and its ledger."""

import numpy as np
import polars as pl
import pytest
from panels import random_panel

from alphaloom.data.universe.base import universe_rules
from alphaloom.data.universe.build import build_universe, max_lookback, required_fields
from alphaloom.errors import DataError

RULES = (
    {"name": "listed", "days": 40},
    "not_st",
    "not_suspended",
    {"name": "not_locked", "side": "up"},
    {"name": "min_amount", "amount": 1e6, "window": 5},
    "index_members",
)


def parse(descriptions: tuple) -> list:
    """Return the rules described."""
    return [universe_rules.parse(description) for description in descriptions]


def test_universe_is_what_every_rule_leaves() -> None:
    """A stock is in the universe exactly when it is listed and every rule keeps it; fields stay as they are."""
    panel = random_panel(120, 30, 1)
    rules = parse(RULES)
    out, _ = build_universe(rules, panel)
    expected = panel["is_listed"] == 1
    for rule in rules:
        expected = expected & rule.keep(panel)
    np.testing.assert_array_equal(out.universe, expected)
    assert out.names == panel.names


def test_ledger_adds_up_every_day() -> None:
    """Candidates - removed by each rule = left; a stock is counted at the first rule that removes it."""
    panel = random_panel(120, 30, 1)
    rules = parse(RULES)
    out, ledger = build_universe(rules, panel)
    names = ["listed", "not_st", "not_suspended", "not_locked", "min_amount", "index_members"]
    assert ledger.columns == ["date", "candidates", *names, "left"]
    assert ledger["date"].dtype == pl.Date
    assert (ledger["candidates"] - ledger.select(pl.sum_horizontal(names)).to_series() == ledger["left"]).all()
    np.testing.assert_array_equal(ledger["left"].to_numpy(), out.universe.sum(axis=1))
    listed = panel["is_listed"] == 1
    np.testing.assert_array_equal(ledger["listed"].to_numpy(), (listed & ~rules[0].keep(panel)).sum(axis=1))
    both = listed & rules[0].keep(panel) & ~rules[1].keep(panel)
    np.testing.assert_array_equal(ledger["not_st"].to_numpy(), both.sum(axis=1))


def test_without_rules_all_listed_stocks_stay() -> None:
    """No rule removes nobody, whatever universe the panel had before."""
    panel = random_panel(20, 8, 2)
    out, ledger = build_universe([], panel.with_universe(np.zeros(panel.shape, dtype=bool)))
    np.testing.assert_array_equal(out.universe, panel["is_listed"] == 1)
    assert ledger.columns == ["date", "candidates", "left"]


def test_a_rule_used_twice_has_two_columns() -> None:
    """The second use of a rule is counted on its own."""
    panel = random_panel(30, 8, 2)
    _, ledger = build_universe(parse(({"name": "listed", "days": 2}, {"name": "listed", "days": 4})), panel)
    assert ledger.columns == ["date", "candidates", "listed", "listed_2", "left"]


def test_an_empty_universe_names_the_rule_that_removed_most() -> None:
    """Nothing left is an error with the rule, the counts and the span; so is a panel without listed stocks."""
    panel = random_panel(30, 8, 2)
    rules = parse(("not_suspended", {"name": "listed", "days": 5000}))
    with pytest.raises(DataError, match=r"universe is empty between 2020-01-02 and .*'listed' most of them"):
        build_universe(rules, panel)
    unlisted = panel.with_fields({"is_listed": np.full(panel.shape, np.nan, dtype=np.float32)})
    with pytest.raises(DataError, match="none of the panel's 8 stocks is listed"):
        build_universe(rules, unlisted)


def test_needs_are_derived_from_the_rules() -> None:
    """Fields and look-back of the whole list come from each rule's settings."""
    rules = parse(RULES)
    assert required_fields(rules) == sorted(
        {
            "is_listed",
            "listed_days",
            "is_st",
            "is_suspended",
            "low",
            "limit_up",
            "amount",
            "member:SH000300",
        }
    )
    assert max_lookback(rules) == 4
    assert max_lookback([]) == 0
