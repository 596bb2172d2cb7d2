"""Market state against pandas on the index series, its columns, and what it asks of a store."""

import numpy as np
import pandas as pd
import pytest
from panels import random_panel

from alphaloom.errors import MissingFieldError, SettingError
from alphaloom.features.base import features
from alphaloom.features.compute import compute_features


@pytest.fixture(scope="module")
def market():
    """A market with indices and macro series."""
    return random_panel(150, 8, seed=4)


def test_master_s_63_columns(market):
    """Return, means and deviations of return and amount over five windows, for three indices, as pandas gives them."""
    indices = ["SH000300", "SH000905", "SH000906"]
    family = features.parse({"name": "market_state", "indices": indices, "traded": "amount"})
    made = compute_features([family], market)
    assert len(made.names) == 63
    for index in indices:
        close, amount = (pd.Series(market[f"index:{index}:{c}"][:, 0].astype(float)) for c in ("close", "amount"))
        day = close / close.shift(1) - 1
        expected = {f"{index}_return": day}
        for d in (5, 10, 20, 30, 60):
            expected[f"{index}_return_mean_{d}"] = day.rolling(d, 1).mean()
            expected[f"{index}_return_std_{d}"] = day.rolling(d, 2).std()
            expected[f"{index}_amount_mean_{d}"] = amount.rolling(d, 1).mean() / amount
            expected[f"{index}_amount_std_{d}"] = amount.rolling(d, 2).std() / amount
        listed = np.flatnonzero((market["is_listed"] == 1).all(axis=0))
        for name, series in expected.items():
            for n in listed[:2]:
                np.testing.assert_allclose(made[name][:, n], series.to_numpy(), rtol=1e-3, atol=1e-6)


def test_a_late_listing_sees_the_whole_window(market):
    """A stock listed yesterday has the same market state as the others, and none before."""
    made = compute_features([features.parse("market_state")], market)
    listed = market["is_listed"] == 1
    late = np.flatnonzero(~listed[0])[0]
    first = listed[:, late].argmax()
    other = np.flatnonzero(listed.all(axis=0))[0]
    for name in made.names:
        assert np.isnan(made[name][:first, late]).all()
        np.testing.assert_array_equal(made[name][first:, late], made[name][first:, other])


def test_macro_series_follow_the_indices(market):
    """The named series come last, as known that day."""
    family = features.parse({"name": "market_state", "indices": ["SH000300"], "windows": [5], "series": ["pmi"]})
    made = compute_features([family], market)
    assert made.names == [
        "SH000300_return", "SH000300_return_mean_5", "SH000300_return_std_5", "SH000300_amount_mean_5",
        "SH000300_amount_std_5", "pmi",
    ]  # fmt: skip
    listed = market["is_listed"] == 1
    np.testing.assert_array_equal(made["pmi"][listed], market["macro:pmi"][listed])


def test_absent_index_is_named(market):
    """The error names the field that is missing."""
    family = features.parse({"name": "market_state", "indices": ["SH999999"]})
    with pytest.raises(MissingFieldError, match="index:SH999999:close"):
        compute_features([family], market)


def test_settings_are_checked():
    """No index, and windows of one row, are refused; so is an index given twice, whose columns would repeat."""
    for bad in ({"indices": []}, {"windows": [1]}, {"windows": []}):
        with pytest.raises(SettingError, match=next(iter(bad))):
            features.parse({"name": "market_state", **bad})
    with pytest.raises(SettingError, match="'SH000300' is given twice"):
        features.parse({"name": "market_state", "indices": ["SH000300", "SH000300"]})
