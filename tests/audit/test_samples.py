"""Windows are audited pair by pair, from the labels' own spans."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from alphaloom.audit.samples import audit_scored, audit_windows
from alphaloom.training.splits import Calendar, Window

T = 40
DATES = np.datetime64("2020-01-01") + np.arange(T)
rows_of = st.sets(st.integers(0, T - 1), max_size=8).map(lambda some: np.array(sorted(some), dtype=np.int64))


def naive(window, ends, embargo):
    """Return whether some label that fits is read on, or lies among, the days on which the fit is judged."""
    for fit, judged in ((window.train, window.valid), (window.train, window.test), (window.valid, window.test)):
        for a in fit:
            for b in judged:
                if a < judged.min() and ends[a] >= b - embargo and b == judged.min():
                    return True
                if judged.min() <= a <= judged.max():
                    return True
    return bool(set(window.fit_rows) & set(window.test))


@given(rows_of, rows_of, rows_of, st.integers(1, 6), st.integers(0, 2))
def test_overlaps_are_those_of_a_naive_search(train, valid, test, horizon, embargo):
    """On any dates whatever."""
    ends = np.arange(T) + horizon
    window = Window("w", train, valid, test, 0)
    report = audit_windows([window], np.arange(T) + 1, ends, DATES, embargo=embargo)
    assert report.passed is not naive(window, ends, embargo)


@given(st.integers(1, 9), st.integers(0, 4), st.sampled_from(["rolling", "expanding"]), st.sampled_from([0, 0.25]))
def test_windows_made_here_pass(horizon, embargo, mode, share):
    """Purged windows of any label pass, with their embargo."""
    dates = np.datetime64("2020-01-01") + np.arange(500)
    ends = np.minimum(np.arange(500) + horizon, 500)
    split = Calendar(mode=mode, train_months=6, test_months=2, valid_share=share, embargo=embargo)
    windows = split.windows(dates, np.arange(0, 500, 3), ends)
    report = audit_windows(windows, np.arange(500) + 1, ends, dates, embargo=embargo)
    assert report.passed, report.leaks
    assert not report.warnings


def test_overlap_repetition_and_same_close_are_told_with_their_dates():
    """The classic mistakes: unpurged labels, a date tested twice, an entry at the close that the score needs."""
    first = Window("a", np.arange(0, 10), np.arange(0), np.arange(10, 15), 0)
    second = Window("b", np.arange(0, 8), np.arange(0), np.arange(14, 20), 0)
    report = audit_windows([first, second], np.arange(T), np.arange(T) + 3, DATES)
    words = [str(problem) for problem in report.problems]
    assert "window a: the label of the training date 2020-01-10 reads prices up to 2020-01-13" in words[0]
    assert "(3 dates in all)" in words[0]
    assert "window b: 2020-01-15 is tested here and in window a" in words[1]
    assert "that of 2020-01-11 is entered at that very date" in words[2]
    assert [problem.is_leak for problem in report.problems] == [True, True, False]
    assert report.table().filter(pl.col("name") == "label")["result"].item() == "warning"


def test_scores_hold_each_row_once():
    """A repeated row and a date scored by two windows are told."""
    day = [DATES[0].item()] * 3
    clean = pl.DataFrame({"date": day, "symbol": ["A", "B", "C"], "score": [1.0, 2.0, 3.0], "window": ["w"] * 3})
    assert audit_scored(clean).passed
    twice = audit_scored(pl.concat([clean, clean.tail(1)]))
    assert "2 rows are repeated, first C on 2020-01-01" in str(twice.leaks[0])
    mixed = clean.with_columns(pl.Series("window", ["w", "w", "v"]))
    assert "2020-01-01 is scored by 2 windows" in str(audit_scored(mixed).leaks[0])
