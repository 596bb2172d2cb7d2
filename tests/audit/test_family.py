"""The check of a family: leaks and dishonest look-backs are found, honest families pass, odd values are told."""

import numpy as np
import pytest
from panels import random_panel

from alphaloom.audit.family import check_family
from alphaloom.errors import DataError
from alphaloom.features.base import FeatureFamily, features


class Peeking(FeatureFamily):
    """Tomorrow's price, and today's; not registered."""

    inputs = ("adj_close",)

    @property
    def lookback(self):
        """None."""
        return 0

    def columns(self):
        """Two."""
        return ["TOMORROW", "TODAY"]

    def compute(self, panel):
        """Return tomorrow's and today's price."""
        close = panel["adj_close"]
        out = np.full((*panel.shape, 2), np.nan, dtype=np.float32)
        out[:-1, :, 0] = close[1:]
        out[:, :, 1] = close
        return out


class Forgetful(FeatureFamily):
    """The price three days ago, declared as two; not registered."""

    inputs = ("adj_close",)

    @property
    def lookback(self):
        """One too few."""
        return 2

    def columns(self):
        """One."""
        return ["BEFORE"]

    def compute(self, panel):
        """Return the price three rows ago."""
        out = np.full((*panel.shape, 1), np.nan, dtype=np.float32)
        out[3:, :, 0] = panel["adj_close"][:-3]
        return out


@pytest.fixture(scope="module")
def market():
    """A hundred and twenty days of thirty stocks."""
    return random_panel(120, 30, seed=2)


def test_a_family_that_knows_the_future_is_found(market):
    """The column that reads tomorrow is named with date and stock; the honest one beside it is not."""
    found = check_family(Peeking(), market)
    assert not found.passed
    assert {finding.column for finding in found.audit.findings} == {"TOMORROW"}
    assert not found.too_far_back
    assert found.to_dict()["leaks"]


def test_a_look_back_that_is_too_short_is_found(market):
    """A value that needs a row before the declared look-back is named; it is no leak."""
    found = check_family(Forgetful(), market)
    assert not found.passed
    assert found.audit.passed
    assert [item.column for item in found.too_far_back] == ["BEFORE"]
    assert "before its look-back" in str(found.too_far_back[0])


def test_an_honest_family_passes_with_remarks(market):
    """Remarks on values, such as a column said twice, do not fail the check."""
    family = features.parse({"name": "expressions", "define": {"A": "returns(close, 3)", "B": "returns(close, 3) * 2"}})
    found = check_family(family, market)
    assert found.passed
    assert found.dates_checked == 5
    assert [(item.feature, item.kind) for item in found.problems] == [("B", "same order")]


def test_a_short_panel_is_refused(market):
    """Nothing can be checked on fewer rows than the look-back."""
    family = features.parse({"name": "expressions", "define": {"A": "delay(close, 200)"}})
    with pytest.raises(DataError, match="too few to check"):
        check_family(family, market)
