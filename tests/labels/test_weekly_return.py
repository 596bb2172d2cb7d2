"""Weekly labels against a walk over the calendar with Python's own ISO weeks."""

import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from panels import random_panel

from alphaloom.errors import SettingError
from alphaloom.labels.base import labels
from alphaloom.labels.weekly_return import week_ends
from alphaloom.panel import Panel


def iso_week(date: np.datetime64) -> tuple[int, int]:
    """Return Python's ISO year and week."""
    return date.astype(datetime.date).isocalendar()[:2]


def with_holidays(panel: Panel, rows: list[int]) -> Panel:
    """Return the panel without the dates at these positions."""
    keep = np.ones(panel.dates.size, dtype=bool)
    keep[rows] = False
    fields = {name: np.ascontiguousarray(array[keep]) for name, array in panel.fields.items()}
    return Panel(panel.dates[keep], panel.symbols, panel.universe[keep], fields, panel.categories)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 200), min_size=1, max_size=80, unique=True))
def test_week_ends_are_the_last_dates_of_iso_weeks(offsets: list[int]) -> None:
    """A date ends its week exactly when the next one is in another; the last only from Friday on."""
    dates = np.datetime64("2020-12-20", "D") + np.sort(np.array(offsets))
    found = week_ends(dates)
    for t, date in enumerate(dates):
        if t + 1 < dates.size:
            assert found[t] == (iso_week(dates[t + 1]) != iso_week(date))
        else:
            assert found[t] == (date.astype(datetime.date).isoweekday() >= 5)


@pytest.mark.parametrize(
    ("weeks", "same_close", "price"), [(1, True, "close"), (1, False, "vwap"), (2, False, "close"), (4, True, "close")]
)
def test_weekly_return_spans_whole_weeks(weeks: int, same_close: bool, price: str) -> None:
    """From week end (or the day after) to `weeks` week ends later (or the day after); NaN on all other days."""
    panel = with_holidays(random_panel(83, 9, 6), [3, 9, 20, 21, 22, 23, 24, 44])
    label = labels.parse({"name": "weekly_return", "weeks": weeks, "same_close": same_close, "price": price})
    out, entries, ends = label.compute(panel), label.entries(panel.dates), label.ends(panel.dates)
    T = panel.dates.size
    prices = panel[f"adj_{price}"].astype(float)
    weeks_of = [iso_week(date) for date in panel.dates]
    order = sorted(set(weeks_of))
    last = {week: max(t for t in range(T) if weeks_of[t] == week) for week in order}
    lag = 0 if same_close else 1
    seen = 0
    for t in range(T):
        k = order.index(weeks_of[t]) + weeks
        complete = k < len(order) - 1 or (
            k == len(order) - 1 and panel.dates[-1].astype(datetime.date).isoweekday() >= 5
        )
        if last[weeks_of[t]] == t and complete and last[order[k]] + lag < T:
            seen += 1
            assert (entries[t], ends[t]) == (t + lag, last[order[k]] + lag)
            expected = prices[ends[t]] / prices[entries[t]] - 1
            np.testing.assert_allclose(out[t], expected, atol=1e-6)
        else:
            assert (entries[t], ends[t]) == (-1, T)
            assert np.isnan(out[t]).all()
    assert seen > 5


def test_the_unfinished_week_gives_no_label() -> None:
    """A week that may still go on is no end: a label would change as its days arrive."""
    panel = random_panel(60, 5, 0, gaps=False)
    label = labels.parse({"name": "weekly_return", "same_close": True})
    full = label.compute(panel)
    for stop in range(12, 60):
        cut = label.compute(panel.rows(0, stop))
        known = ~np.isnan(cut)
        np.testing.assert_array_equal(cut[known], full[:stop][known])


def test_same_close_is_asked_for_by_name() -> None:
    """Entering at the close that dates the label is off by default and needs the close."""
    assert labels.parse("weekly_return").same_close is False
    with pytest.raises(SettingError, match="needs `price: close`; given 'vwap'"):
        labels.parse({"name": "weekly_return", "same_close": True, "price": "vwap"})


def test_too_short_a_panel_has_no_label() -> None:
    """Less than two weeks of data hold no weekly label."""
    panel = random_panel(4, 3, 0, gaps=False)
    assert np.isnan(labels.parse("weekly_return").compute(panel)).all()
