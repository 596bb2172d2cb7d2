"""Labels written in the factor language."""

import numpy as np
import pytest
from panels import random_panel

from alphaloom.errors import SettingError
from alphaloom.labels.base import labels
from alphaloom.labels.expression import Expression
from alphaloom.labels.forward_return import ForwardReturn


def test_equals_the_forward_return() -> None:
    """The text of a forward return gives what the label of that name gives, wherever the stock is listed."""
    panel = random_panel(80, 12, 5)
    own = Expression(text="delay(close, -6) / delay(close, -1) - 1")
    published = ForwardReturn(horizon=5)
    a, b = own.compute(panel), published.compute(panel)
    b[panel["is_listed"] != 1] = np.nan
    np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
    np.testing.assert_allclose(a, b, rtol=0, atol=3e-7)
    np.testing.assert_array_equal(own.ends(panel.dates), published.ends(panel.dates))
    np.testing.assert_array_equal(own.entries(panel.dates), published.entries(panel.dates))


def test_a_window_over_the_future_ends_where_it_ends() -> None:
    """The best of the next five closes reads five rows ahead; it is missing where they are not all there."""
    panel = random_panel(40, 6, 1)
    label = Expression(text="ts_max(delay(close, -5), 5) / close - 1")
    assert label.ends(panel.dates)[:3].tolist() == [5, 6, 7]
    out = label.compute(panel)
    assert np.isnan(out[-5:]).all()
    close = panel["adj_close"]
    expected = np.nanmax(close[11:16, 0]) / close[10, 0] - 1
    assert out[10, 0] == pytest.approx(expected, rel=1e-5, nan_ok=True)


def test_a_stored_label_states_how_far_it_reads() -> None:
    """A text without a negative delay is refused unless `reads_ahead` says how far its fields know the future."""
    with pytest.raises(SettingError, match="reads 0 rows ahead"):
        labels.parse({"name": "expression", "text": 'frame("LABEL0")'})
    label = labels.parse({"name": "expression", "text": 'frame("LABEL0")', "reads_ahead": 2})
    assert label.required == ("frame:LABEL0", "is_listed")
    assert label.ends(random_panel(5, 2, 0).dates).tolist() == [2, 3, 4, 5, 5]


def test_a_mistake_points_at_its_place() -> None:
    """A misspelt field is named with the nearest one."""
    with pytest.raises(SettingError, match="Did you mean 'close'"):
        labels.parse({"name": "expression", "text": "delay(clse, -2) / close - 1"})
