"""Windows: sizes, purge and embargo, checked against brute force over label spans."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from panels import business_days

from alphaloom.errors import DataError
from alphaloom.training.splits import Calendar, sample_rows

DATES = business_days(900)


def ends_of(horizon: int) -> np.ndarray:
    """Return the last row of a label that spans `horizon` rows after a one-row lag."""
    return np.minimum(np.arange(DATES.size) + 1 + horizon, DATES.size)


@settings(max_examples=60, deadline=None)
@given(
    horizon=st.integers(1, 25),
    embargo=st.integers(0, 10),
    share=st.sampled_from([0.0, 0.1, 0.2, 0.5]),
    mode=st.sampled_from(["rolling", "expanding"]),
    schedule=st.sampled_from(["daily", "weekly", "every 3"]),
)
def test_no_label_reaches_a_later_set(horizon, embargo, share, mode, schedule):
    """No training label reads a validation or test row, no validation label a test row, embargo included."""
    rows, ends = sample_rows(DATES, schedule), ends_of(horizon)
    cut = Calendar(train_months=12, test_months=6, embargo=embargo, valid_share=share, mode=mode)
    tested = []
    try:
        windows = cut.windows(DATES, rows, ends)
    except DataError:
        # Refused only when the purge leaves no validation date.
        assert 0 < share * 252 < horizon + embargo + 10
        return
    for window in windows:
        spans = [set(range(t, ends[t] + 1 + embargo)) for t in window.train]
        later = set(window.valid.tolist()) | set(window.test.tolist())
        assert not any(span & later for span in spans)
        assert not any(set(range(t, ends[t] + 1 + embargo)) & set(window.test.tolist()) for t in window.valid)
        assert window.train[-1] < window.test[0]
        tested.extend(window.test.tolist())
    assert len(tested) == len(set(tested)), "a date is tested once"
    assert tested == sorted(tested)


def test_rolling_keeps_length_and_expanding_keeps_start():
    """Rolling windows drop the oldest months; expanding ones never do."""
    rows, ends = sample_rows(DATES, "weekly"), ends_of(5)
    rolling = Calendar(train_months=12).windows(DATES, rows, ends)
    expanding = Calendar(train_months=12, mode="expanding").windows(DATES, rows, ends)
    assert [w.name for w in rolling] == [w.name for w in expanding]
    assert {int(w.train[0]) for w in expanding} == {int(rows[0])}
    assert rolling[-1].train[0] > rolling[0].train[0]
    assert abs(rolling[-1].fit_rows.size - rolling[0].fit_rows.size) <= 3


def test_weekly_rows_are_the_last_trading_days_of_iso_weeks():
    """The sample date of a week is its last trading day, against the calendar of Python's datetime."""
    rows = sample_rows(DATES, "weekly")
    weeks = [d.astype(object).isocalendar()[:2] for d in DATES]
    last = {week: k for k, week in enumerate(weeks)}
    assert rows.tolist() == sorted(last.values())


def test_too_little_history_is_refused():
    """A training window longer than the data is an error that names the span."""
    with pytest.raises(DataError, match="need 60 months of training"):
        Calendar(train_months=60).windows(DATES, sample_rows(DATES, "weekly"), ends_of(5))
    with pytest.raises(DataError, match="no validation date left"):
        Calendar(train_months=12, valid_share=0.05).windows(DATES, sample_rows(DATES, "weekly"), ends_of(25))
    with pytest.raises(DataError, match="'fortnightly' is unknown"):
        sample_rows(DATES, "fortnightly")
