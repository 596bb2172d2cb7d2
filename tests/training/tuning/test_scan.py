"""What a scan keeps of a range."""

import numpy as np
import pytest

from alphaloom.training.tuning.scan import narrow
from alphaloom.training.tuning.space import Range

SPAN = Range(low=1e-3, high=1e3, log=True)


def values(means, dates=80, noise=0.02, seed=0):
    """Return values on dates that all points share, with a mean and a little noise of their own."""
    rng = np.random.default_rng(seed)
    return np.asarray(means)[:, None] + rng.normal(0, 0.1, dates) + rng.normal(0, noise, (len(means), dates))


def test_the_range_shrinks_to_the_best_points_and_their_neighbours():
    """The fourth of seven is best by far: the third to the fifth remain."""
    points = SPAN.points(7)
    kept, p = narrow(SPAN, points, values([0, 0.01, 0.03, 0.08, 0.03, 0.01, 0]), 0.1)
    assert p < 1e-6
    assert (kept.low, kept.high) == pytest.approx((points[2], points[4]))


def test_at_an_end_the_range_stays_at_it():
    """The best point is the last one."""
    points = SPAN.points(5)
    kept, _ = narrow(SPAN, points, values([0, 0, 0, 0.02, 0.08]), 0.1)
    assert (kept.low, kept.high) == pytest.approx((points[3], points[4]))


def test_points_that_are_as_good_stay():
    """Two distant points that no date tells apart keep all between them."""
    level = values([0, 0.08, 0, 0, 0.08, 0])
    level[4] = level[1] + np.where(np.arange(80) % 2, 1e-4, -1e-4)
    points = SPAN.points(6)
    kept, _ = narrow(SPAN, points, level, 0.1)
    assert (kept.low, kept.high) == pytest.approx((points[0], points[5]))


def test_what_makes_no_difference_is_told():
    """The level is that of the test: about one in ten of such settings is searched all the same."""
    found = [narrow(SPAN, SPAN.points(6), values([0.05] * 6, seed=seed), 0.1)[0] for seed in range(300)]
    share = np.mean([item is not None for item in found])
    assert 0.06 < share < 0.15
    assert narrow(SPAN, SPAN.points(3), np.full((3, 20), 0.1), 0.1) == (None, None)


def test_two_values():
    """A choice of two is tested by Wilcoxon's test."""
    both = Range(values=(False, True))
    kept, p = narrow(both, both.points(5), values([0, 0.05]), 0.1)
    assert p < 0.01
    assert kept.values == (False, True)
