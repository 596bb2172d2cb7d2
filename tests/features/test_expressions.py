"""Features written in the factor language: what follows from an expression, and what is refused."""

import numpy as np
import pytest
from panels import random_panel

from alphaloom.errors import SettingError
from alphaloom.features.base import features
from alphaloom.features.compute import compute_features
from alphaloom.features.expressions import Expressions


def test_everything_follows_from_the_expressions() -> None:
    """Fields, look-back, locality and columns are those of the expressions; values are what they say."""
    family = Expressions(define={"GAP": "open / delay(close, 1) - 1", "MOVE": "close / delay(close, 5) - 1"})
    assert family.required == ("adj_close", "adj_open", "is_listed")
    assert family.lookback == 5
    assert family.is_local
    assert family.columns() == ["GAP", "MOVE"]
    panel = random_panel(30, 6, gaps=False)
    made = compute_features([family], panel)
    close, open_ = panel["adj_close"], panel["adj_open"]
    np.testing.assert_array_equal(made["GAP"][1:], open_[1:] / close[:-1] - np.float32(1))
    np.testing.assert_array_equal(made["MOVE"][5:], close[5:] / close[:-5] - np.float32(1))


def test_cross_sectional_expression_is_not_local() -> None:
    """An expression that compares stocks makes the family one that needs the whole market."""
    assert not Expressions(define={"R": "cs_rank(close)"}).is_local


def test_both_languages_are_read() -> None:
    """The syntax of qlib gives the same feature."""
    panel = random_panel(40, 5)
    ours = Expressions(define={"X": "ts_mean(close, 5) / close"}).compute(panel)
    np.testing.assert_array_equal(Expressions(define={"X": "Mean($close, 5) / $close"}).compute(panel), ours)


def test_mistake_names_the_feature_and_points_at_the_character() -> None:
    """A wrong expression is refused when the family is made, with carets under the mistake."""
    with pytest.raises(SettingError) as caught:
        features.parse({"name": "expressions", "define": {"GOOD": "close / open", "BAD": "close + volme"}})
    assert "feature 'BAD':\nclose + volme\n        ^^^^^\n" in str(caught.value)
    assert "volume" in str(caught.value)


def test_reading_ahead_is_refused() -> None:
    """A feature cannot use tomorrow's value."""
    with pytest.raises(SettingError, match="(?s)feature 'NEXT'.*delay\\(close, -1\\)"):
        features.parse({"name": "expressions", "define": {"NEXT": "delay(close, -1) / close - 1"}})


def test_no_expression_is_refused() -> None:
    """A family without features is refused."""
    with pytest.raises(SettingError, match="define"):
        features.parse({"name": "expressions", "define": {}})
