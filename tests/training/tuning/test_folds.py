"""Folds against scikit-learn's, and what no fold may hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.model_selection import TimeSeriesSplit

from alphaloom.errors import DataError
from alphaloom.training.splits import Window
from alphaloom.training.tuning.folds import time_series_folds


def window(train, valid, test):
    """Return a window of these rows."""
    return Window("w", np.asarray(train), np.asarray(valid), np.asarray(test), 0)


@pytest.mark.parametrize("folds", [2, 5, 10])
def test_without_label_spans_they_are_scikit_learns(folds):
    """Each run of dates is tested by a fit on all runs before it."""
    rows = np.arange(100, 100 + 4 * (folds + 1))
    given_ = window(rows, [], [500])
    found = time_series_folds(given_, rows, np.arange(600), folds, valid_share=0, embargo=0)
    for fold, (train, test) in zip(found, TimeSeriesSplit(folds).split(rows), strict=True):
        assert_array_equal(fold.train, rows[train])
        assert_array_equal(fold.test, rows[test])
        assert fold.valid.size == 0


@given(st.integers(30, 150), st.integers(2, 8), st.integers(0, 4), st.integers(0, 3), st.integers(1, 5), st.data())
def test_sets_of_a_fold_share_no_day(n, folds, span, embargo, step, data):
    """Labels of each set end before the next one begins; nothing reaches the window's test dates."""
    rows = np.arange(0, n * step, step)
    ends = np.minimum(np.arange(rows[-1] + 50) + span, rows[-1] + 49)
    test = np.arange(rows[-1] + span + 1, rows[-1] + span + 10)
    n_valid = data.draw(st.integers(0, n // 4))
    train = rows[: n - n_valid]
    valid = rows[train.size :]
    train = train[ends[train] < (valid[0] if valid.size else test[0])]
    whole = window(train, valid, test)
    try:
        found = time_series_folds(whole, rows, ends, folds, valid_share=0.2, embargo=embargo)
    except DataError:
        return  # too few dates for so many folds: refused
    tested = np.concatenate([fold.test for fold in found])
    assert np.all(np.diff(tested) > 0)
    assert set(tested) <= set(rows)
    for fold in found:
        assert fold.train.size
        later = fold.valid if fold.valid.size else fold.test
        assert ends[fold.train].max() < later[0] - embargo
        if fold.valid.size:
            assert ends[fold.valid].max() < fold.test[0] - embargo
        assert ends[fold.rows].max() < test[0]


def test_dates_purged_inside_the_window_may_serve():
    """A date between training and validation, purged there, has its place in the folds."""
    rows = np.arange(40)
    ends = np.arange(60) + 1
    whole = window(rows[:30], rows[32:], [50])
    found = time_series_folds(whole, rows, ends, 3, valid_share=0, embargo=0)
    assert {30, 31} <= set(np.concatenate([fold.rows for fold in found]))


def test_too_many_folds_are_refused():
    """The message names the fold."""
    rows = np.arange(6)
    with pytest.raises(DataError, match="fold 1 of 5"):
        time_series_folds(window(rows, [], [50]), rows, np.arange(60) + 2, 5, valid_share=0.2, embargo=0)
