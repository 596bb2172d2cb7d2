"""Trials on common dates: joining frames, and what is refused."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from alphaloom.errors import DataError, UsageError
from alphaloom.evaluation.validity.trials import Trials


def frame(days: list[int], values: list[float | None]) -> pl.DataFrame:
    """Return a table of daily excess returns in January 2024."""
    return pl.DataFrame({"date": [date(2024, 1, d) for d in days], "excess_ret": values})


def test_frames_meet_on_the_dates_all_have():
    """Dates in order, values missing anywhere left out, columns named by run."""
    trials = Trials.of(
        {
            "a": frame([1, 2, 3, 4, 5], [0.1, 0.2, 0.3, 0.4, 0.5]),
            "b": frame([5, 4, 3, 2], [5.0, 4.0, None, 2.0]),
            "c": frame([2, 3, 4, 5, 6], [20.0, 30.0, 40.0, 50.0, 60.0]),
        }
    )
    assert trials.names == ("a", "b", "c")
    np.testing.assert_array_equal(trials.returns, [[0.2, 2.0, 20.0], [0.4, 4.0, 40.0], [0.5, 5.0, 50.0]])
    assert (trials.periods, trials.count) == (3, 3)


def test_mistakes_are_named():
    """Repeated dates, absent columns, too few dates, holes, repeated names."""
    good = frame([1, 2, 3], [0.1, 0.2, 0.3])
    with pytest.raises(DataError, match=r"'b' has the date 2024-01-02 more than once"):
        Trials.of({"a": good, "b": frame([1, 2, 2], [0.1, 0.2, 0.3])})
    with pytest.raises(UsageError, match="'a' needs columns date and ret"):
        Trials.of({"a": good}, "ret")
    with pytest.raises(DataError, match="three common dates or more; got 1"):
        Trials.of({"a": good, "b": frame([3, 4, 5], [0.1, 0.2, 0.3])})
    with pytest.raises(UsageError, match="no trials"):
        Trials.of({})
    with pytest.raises(DataError, match="first of trial 'y' at row 2"):
        Trials(np.array([[0.1, 0.1], [0.1, 0.2], [0.3, np.nan]]), ("x", "y"))
    with pytest.raises(UsageError, match="must differ"):
        Trials(np.zeros((4, 2)), ("x", "x"))
    with pytest.raises(UsageError, match="name for each column"):
        Trials(np.zeros((4, 2)), ("x",))
