"""K-fold, hv-block and combinatorial splits against scikit-learn, Racine's definition and skfolio."""

from math import comb

import numpy as np
import pytest
from panels import business_days
from skfolio.model_selection import CombinatorialPurgedCV
from sklearn.model_selection import KFold

from alphaloom.errors import DataError, SettingError
from alphaloom.training.splits import sample_rows, splits

T = 600
DATES = business_days(T)
ROWS = np.arange(T)


def ends_of(span: int) -> np.ndarray:
    """Return labels that read the `span` rows after their own."""
    return np.minimum(ROWS + span, T - 1)  # none ends beyond the data, as the peers assume


@pytest.mark.parametrize(("folds", "tested"), [(5, 2), (6, 2), (8, 3), (10, 8)])
@pytest.mark.parametrize(("span", "embargo"), [(0, 0), (5, 0), (5, 7)])
def test_combinatorial_equals_skfolio(folds, tested, span, embargo):
    """The same test folds, the same training rows, the same paths."""
    split = splits.parse(
        {"name": "combinatorial", "folds": folds, "tested": tested, "embargo": embargo, "valid_share": 0}
    )
    peer = CombinatorialPurgedCV(n_folds=folds, n_test_folds=tested, purged_size=span, embargo_size=embargo)
    windows = split.windows(DATES, ROWS, ends_of(span))
    given = list(peer.split(np.zeros((T, 1))))
    assert len(windows) == len(given) == comb(folds, tested)
    for window, (train, tests) in zip(windows, given, strict=True):
        np.testing.assert_array_equal(window.test, np.concatenate(tests))
        np.testing.assert_array_equal(window.train, train)
    paths, theirs = split.paths(windows), peer.get_path_ids()
    assert len(paths) == peer.n_test_paths == comb(folds - 1, tested - 1)
    for number, path in enumerate(paths):
        for k, rows in path:
            fold = [np.array_equal(rows, part) for part in given[k][1]].index(True)
            assert theirs[k, fold] == number


def test_folds_are_those_of_scikit_learn():
    """Test folds of uneven length as KFold makes them; without labels or embargo the same training rows."""
    rows = ROWS[:598]
    windows = splits.parse({"name": "purged_kfold", "folds": 5, "valid_share": 0}).windows(DATES, rows, ROWS)
    for window, (train, test) in zip(windows, KFold(5).split(rows), strict=True):
        np.testing.assert_array_equal(window.test, test)
        np.testing.assert_array_equal(window.train, train)


def test_the_embargo_counts_from_the_last_day_that_test_labels_read():
    """Labels of five days and an embargo of two: training goes on eight days after the last test date."""
    split = splits.parse({"name": "purged_kfold", "folds": 3, "embargo": 2, "valid_share": 0})
    middle = split.windows(DATES, ROWS, ends_of(5))[1]
    assert (middle.test[0], middle.test[-1]) == (200, 399)
    np.testing.assert_array_equal(middle.train, [*range(195), *range(407, 600)])
    assert middle.purged == 5 + 7


@pytest.mark.parametrize(("v", "span", "embargo"), [(10, 0, 4), (24, 3, 5)])
def test_hv_block_by_its_definition(v, span, embargo):
    """A block of 2v + 1 dates around i trains on j with |i - j| > v + h, h the label's span and the gap."""
    split = splits.parse({"name": "hv_block", "v": v, "embargo": embargo, "valid_share": 0})
    rows = ROWS[:588]
    windows = split.windows(DATES, rows, ends_of(span))
    assert {window.test.size for window in windows} == {2 * v + 1}
    for window in windows:
        i = window.test[v]
        expected = [j for j in rows if abs(i - j) > v + span + embargo]
        np.testing.assert_array_equal(window.train, expected)


def test_validation_is_the_latest_part_that_stays():
    """A fifth of what stays, the latest dates, purged from training like a test set."""
    split = splits.parse({"name": "purged_kfold", "folds": 4, "embargo": 3, "valid_share": 0.2})
    first, *_, last = split.windows(DATES, ROWS, ends_of(5))
    stays = np.arange(150 + 5 + 3, 600)
    np.testing.assert_array_equal(first.valid, stays[-88:])
    assert first.train[-1] == first.valid[0] - 5 - 3 - 1
    np.testing.assert_array_equal(last.valid, np.arange(445)[-89:])


def test_mistakes_are_named():
    """Impossible settings and windows without dates say what to change."""
    with pytest.raises(SettingError, match="tested must be below folds"):
        splits.parse({"name": "combinatorial", "folds": 4, "tested": 4})
    with pytest.raises(SettingError, match="184,756 fits"):
        splits.parse({"name": "combinatorial", "folds": 20, "tested": 10})
    with pytest.raises(DataError, match="4 sample dates cannot be cut into 5 folds"):
        splits.parse({"name": "purged_kfold"}).windows(DATES, ROWS[:4], ends_of(1))
    with pytest.raises(DataError, match="Window fold-01 has no training date left of 30"):
        splits.parse({"name": "purged_kfold", "folds": 2, "valid_share": 0}).windows(DATES, ROWS[:30], ends_of(20))
    with pytest.raises(DataError, match="no validation date left: 2 sample dates"):
        splits.parse({"name": "purged_kfold", "folds": 2}).windows(DATES, sample_rows(DATES, "every 150"), ends_of(5))
