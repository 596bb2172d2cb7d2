"""What every registered split promises, whoever wrote it: brute force over the days that labels read."""

import numpy as np
import pytest
from panels import business_days

from alphaloom.errors import SettingError
from alphaloom.training.splits import sample_rows, splits

DATES = business_days(900)


def ends_of(horizon: int) -> np.ndarray:
    """Return the last row of a label entered a day later and held for `horizon` rows; T beyond the data."""
    return np.minimum(np.arange(DATES.size) + 1 + horizon, DATES.size)


@pytest.mark.parametrize("name", splits.names())
class TestSplit:
    """One class of promises, run for each name."""

    def test_settings_round_trip_and_refuse_misspelling(self, name: str) -> None:
        """Default settings exist, read back to an equal record, and a misspelt one is refused by name."""
        split = splits[name]()
        assert splits.parse(split.describe()) == split
        with pytest.raises(SettingError, match="unknown setting 'embarg'"):
            splits.parse({"name": name, "embarg": 1})

    @pytest.mark.parametrize(
        ("schedule", "horizon", "embargo"), [("daily", 10, 3), ("weekly", 5, 0), ("every 3", 20, 7)]
    )
    def test_no_day_is_read_by_two_sets(self, name: str, schedule: str, horizon: int, embargo: int) -> None:
        """Days that labels of training, validation and test read: no two sets share one; labels beyond the data fit
        nothing; sets increase, and what is left out is counted.
        """
        split = splits.parse({"name": name, "embargo": embargo})
        rows, ends = sample_rows(DATES, schedule), ends_of(horizon)
        for window in split.windows(DATES, rows, ends):
            sets = (window.train, window.valid, window.test)
            days = [{day for t in part for day in range(t, ends[t] + 1)} for part in sets]
            assert not days[0] & days[1]
            assert not (days[0] | days[1]) & days[2]
            assert (ends[window.fit_rows] < DATES.size).all()
            assert (np.diff(window.fit_rows) > 0).all()
            assert all((np.diff(part) > 0).all() for part in sets)
            assert all(np.isin(part, rows).all() for part in sets)
            assert window.train.size
            assert window.valid.size
            assert window.purged >= 0

    def test_it_says_whether_it_trains_on_the_future(self, name: str) -> None:
        """Declared exactly when some window is fitted on a date after its first test date."""
        windows = splits[name]().windows(DATES, sample_rows(DATES, "weekly"), ends_of(5))
        assert splits[name].trains_on_future == any(w.fit_rows[-1] > w.test[0] for w in windows)

    def test_windows_are_named_and_in_order(self, name: str) -> None:
        """Names differ, sort like the windows, and first test dates do not go back."""
        windows = splits[name]().windows(DATES, sample_rows(DATES, "weekly"), ends_of(5))
        names = [window.name for window in windows]
        assert names == sorted(set(names))
        assert [w.test[0] for w in windows] == sorted(w.test[0] for w in windows)

    def test_a_path_tests_every_date_once(self, name: str) -> None:
        """Each path scores every date that is tested at all, once, in order, by a window that tests it."""
        split = splits[name]()
        windows = split.windows(DATES, sample_rows(DATES, "weekly"), ends_of(5))
        tested = np.unique(np.concatenate([window.test for window in windows]))
        used = [0] * len(windows)
        for path in split.paths(windows):
            np.testing.assert_array_equal(np.concatenate([rows for _, rows in path]), tested)
            for k, rows in path:
                assert np.isin(rows, windows[k].test).all()
                used[k] += rows.size
        assert used == [window.test.size for window in windows]
