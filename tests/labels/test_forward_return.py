"""The forward return against a loop over stocks and days."""

import numpy as np
import pytest
from panels import random_panel

from alphaloom.errors import SettingError
from alphaloom.labels.base import labels


@pytest.mark.parametrize(("horizon", "lag", "price"), [(1, 1, "close"), (5, 1, "vwap"), (3, 2, "open")])
def test_forward_return_is_the_ratio_of_two_adjusted_prices(horizon: int, lag: int, price: str) -> None:
    """price[t + lag + horizon] / price[t + lag] - 1, NaN where either is missing or beyond the data."""
    panel = random_panel(40, 20, 2)
    label = labels.parse({"name": "forward_return", "horizon": horizon, "entry_lag": lag, "price": price})
    out, entries, ends = label.compute(panel), label.entries(panel.dates), label.ends(panel.dates)
    prices = panel[f"adj_{price}"].astype(float)
    assert label.required == (f"adj_{price}",)
    for t in range(40):
        assert entries[t] == (t + lag if t + lag < 40 else -1)
        assert ends[t] == min(t + lag + horizon, 40)
        for n in range(20):
            if ends[t] < 40 and np.isfinite(prices[entries[t], n]) and np.isfinite(prices[ends[t], n]):
                assert out[t, n] == pytest.approx(prices[ends[t], n] / prices[entries[t], n] - 1, abs=1e-6)
            else:
                assert np.isnan(out[t, n])


def test_one_day_label_is_qlibs() -> None:
    """Horizon 1 and lag 1 give Ref($close, -2) / Ref($close, -1) - 1."""
    panel = random_panel(30, 8, 4, gaps=False)
    close = panel["adj_close"].astype(float)
    out = labels.parse({"name": "forward_return", "horizon": 1}).compute(panel)
    np.testing.assert_allclose(out[:-2], close[2:] / close[1:-1] - 1, atol=1e-6)
    assert np.isnan(out[-2:]).all()


def test_splits_do_not_show() -> None:
    """A split changes the raw price, not the label: returns are of adjusted prices."""
    panel = random_panel(30, 6, 1, gaps=False)
    factor = np.where(np.arange(30) < 15, 1.0, 2.0)[:, None].astype(np.float32)
    split = panel.with_fields({"close": panel["close"] / factor, "adj_factor": panel["adj_factor"] * factor})
    label = labels.parse("forward_return")
    np.testing.assert_array_equal(label.compute(split), label.compute(panel))


def test_horizon_beyond_the_data_has_no_label() -> None:
    """A panel shorter than the span gives NaN everywhere, not an error or a shorter return."""
    panel = random_panel(5, 4, 1, gaps=False)
    assert np.isnan(labels.parse({"name": "forward_return", "horizon": 10}).compute(panel)).all()


def test_same_day_entry_is_refused() -> None:
    """Entry at t's own close cannot be traded on t's close: a lag below 1 is an error."""
    with pytest.raises(SettingError, match=r"entry_lag: .*greater than or equal to 1"):
        labels.parse({"name": "forward_return", "entry_lag": 0})
