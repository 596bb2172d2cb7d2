"""Weekly and monthly sampling against a search through the dates."""

import numpy as np
import pytest
from panels import random_panel

from alphaloom.errors import SettingError
from alphaloom.features.base import features
from alphaloom.features.compute import compute_features

INNER = {"name": "expressions", "define": {"A": "close", "B": "ts_mean(volume, 3)"}}


@pytest.fixture(scope="module")
def market():
    """Half a year with gaps, and two weeks of holidays left out."""
    panel = random_panel(140, 7, seed=9)
    keep = np.r_[0:52, 61:140]
    rows = {name: np.ascontiguousarray(array[keep]) for name, array in panel.fields.items()}
    return type(panel)(panel.dates[keep], panel.symbols, panel.universe[keep], rows, panel.categories)


def steps_of(dates, t, every):
    """Rows of each week or month up to t, latest first."""
    groups = {}
    for row in range(t, -1, -1):
        day = dates[row].item()
        key = day.isocalendar()[:2] if every == "week" else (day.year, day.month)
        groups.setdefault(key, []).append(row)
    return list(groups.values())


@pytest.mark.parametrize("every", ["week", "month"])
@pytest.mark.parametrize("value", ["last", "mean"])
def test_values_are_those_of_the_steps(market, every, value):
    """Step 0 is the unfinished week or month up to t, step k the k-th before it that has a row."""
    family = features.parse({"name": "sampled", "of": INNER, "every": every, "steps": 4, "value": value})
    made = compute_features([family], market)
    daily = compute_features([family.of], market)
    letter = every[0]
    assert made.names == [f"{name}_{letter}{k}" for k in (3, 2, 1, 0) for name in ("A", "B")]
    listed = market["is_listed"] == 1
    for t in range(0, market.shape[0], 3):
        steps = steps_of(market.dates, t, every)
        for k in range(4):
            for name in ("A", "B"):
                got = made[f"{name}_{letter}{k}"][t]
                if k >= len(steps):
                    assert np.isnan(got).all()
                    continue
                x = daily[name][steps[k]]
                for n in range(market.shape[1]):
                    known = x[:, n][np.isfinite(x[:, n])]
                    expected = x[0, n] if value == "last" else known.mean() if known.size else np.nan
                    expected = expected if listed[t, n] else np.nan
                    np.testing.assert_allclose(got[n], expected, rtol=1e-6)


def test_no_holiday_makes_a_step_of_its_own(market):
    """A week without trading is no step: the one before it follows at once."""
    family = features.parse({"name": "sampled", "of": INNER, "steps": 2})
    made = compute_features([family], market)
    t = 52
    n = np.flatnonzero((market["is_listed"][:60] == 1).all(axis=0))[1]
    assert (market.dates[52] - market.dates[51]).astype(int) > 7
    assert made["A_w1"][t, n] == pytest.approx(market["adj_close"][51, n], nan_ok=True)


def test_look_back_covers_the_steps_and_the_family(market):
    """Whatever the family, cut at its look-back the row is the same."""
    for every, steps, value in (("week", 5, "last"), ("week", 3, "mean"), ("month", 3, "last")):
        family = features.parse({"name": "sampled", "of": INNER, "every": every, "steps": steps, "value": value})
        t = market.shape[0] - 1
        whole = family.compute(market)
        cut = family.compute(market.rows(t - family.lookback, t + 1))
        np.testing.assert_array_equal(cut[-1], whole[t])
        assert family.lookback >= family.of.lookback


def test_it_reads_as_a_sequence(market):
    """Reshaped to [steps, F] the columns are the steps from the oldest to today."""
    family = features.parse({"name": "sampled", "of": INNER, "steps": 3})
    block = family.compute(market).reshape(*market.shape, 3, 2)
    np.testing.assert_array_equal(block[:, :, -1], family.of.compute(market))


def test_a_family_must_be_named():
    """A misspelt family is refused with a suggestion; the settings are read back."""
    with pytest.raises(SettingError, match="Did you mean 'alpha158'"):
        features.parse({"name": "sampled", "of": "alpha15"})
    family = features.parse({"name": "sampled", "of": INNER})
    assert features.parse(family.describe()) == family
