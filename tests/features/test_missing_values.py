"""Missing values carried forward and marked, against plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from panels import random_panel

from alphaloom.errors import SettingError
from alphaloom.features.base import features
from alphaloom.features.carried_forward import carry_forward

INNER = {"name": "expressions", "define": {"A": "close", "B": "returns", "C": "close / delay(close, 3)"}}


@pytest.fixture(scope="module")
def market():
    """A market with suspensions, late listings and early ends."""
    return random_panel(60, 9, seed=4)


def carried(values, listed, limit):
    """One column of one stock, by looking back from each row."""
    out = np.full(values.size, np.nan, np.float32)
    for t in range(values.size):
        if listed[t] != 1:
            continue
        for k in range(min(limit, t) + 1):
            if listed[t - k] == 1 and not np.isnan(values[t - k]):
                out[t] = values[t - k]
                break
    return out


@pytest.mark.parametrize("limit", [1, 3, 20, 500])
def test_values_are_carried_no_further_than_the_limit(market, limit):
    """A missing value is the last known one of at most `limit` rows before, and only while the stock is listed."""
    family = features.parse({"name": "carried_forward", "of": INNER, "limit": limit})
    inner, made = family.of.compute(market), family.compute(market)
    assert family.columns() == ["A", "B", "C"]
    for n in range(market.shape[1]):
        for f in range(3):
            expected = carried(inner[:, n, f], market["is_listed"][:, n], limit)
            np.testing.assert_array_equal(made[:, n, f], expected)
    assert np.isnan(made).sum() < np.isnan(inner).sum()


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from([np.nan, 1.0, 2.0, -3.5, np.inf]), min_size=1, max_size=14),
    st.lists(st.sampled_from([1.0, 1.0, 0.0, np.nan]), min_size=14, max_size=14),
    st.integers(1, 16),
)
def test_any_pattern_of_gaps(values, listed, limit):
    """Whatever is missing and wherever the stock is not listed, the carried value is the one found by looking back."""
    column = np.array(values, dtype=np.float32)
    on = np.array(listed[: column.size], dtype=np.float32)
    block = column.reshape(-1, 1, 1).copy()
    carry_forward(block, on[:, None].copy(), limit)
    np.testing.assert_array_equal(block[:, 0, 0], carried(column, on, limit))


def test_carrying_reads_no_row_before_its_look_back(market):
    """Cut at the look-back, a row is the same bit for bit."""
    family = features.parse({"name": "carried_forward", "of": INNER, "limit": 7})
    assert family.lookback == 3 + 7
    whole = family.compute(market)
    for t in range(family.lookback, 60):
        cut = family.compute(market.rows(t - family.lookback, t + 1))
        np.testing.assert_array_equal(cut[-1], whole[t])


def test_indicators_say_where_values_are_missing(market):
    """The features are untouched; an indicator is 1 where its feature is missing, NaN where nothing is listed."""
    family = features.parse({"name": "missing_indicators", "of": INNER})
    inner, made = family.of.compute(market), family.compute(market)
    assert family.columns() == ["A", "B", "C", "A_missing", "B_missing", "C_missing"]
    np.testing.assert_array_equal(made[:, :, :3], inner)
    listed = market["is_listed"] == 1
    np.testing.assert_array_equal(made[:, :, 3:][listed], np.isnan(inner[listed]).astype(np.float32))
    assert np.isnan(made[:, :, 3:][~listed]).all()
    assert {0.0, 1.0} == set(np.unique(made[:, :, 3:][listed]).tolist())


def test_settings_are_checked():
    """A limit below a row and an unknown family are refused."""
    with pytest.raises(SettingError, match="limit"):
        features.parse({"name": "carried_forward", "of": INNER, "limit": 0})
    with pytest.raises(SettingError, match="Did you mean 'alpha158'"):
        features.parse({"name": "missing_indicators", "of": "alpha15"})
