"""Training on permuted labels: nothing is left to find where labels mean nothing, and the real ones stand out."""

import json

import numpy as np
import pytest

from alphaloom.data.store import Store
from alphaloom.errors import UsageError
from alphaloom.placebo import KINDS, Placebo, _sources, run_placebo

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("end_to_end")]


def test_what_is_permuted():
    """Over names one permutation serves all dates; over dates each its own, among the stocks with a label."""
    rng = np.random.default_rng(0)
    label = rng.normal(size=(6, 5)).astype(np.float32)
    label[2, 3] = np.nan
    names = _sources(label, "names", np.random.default_rng(1))
    assert (names == names[0]).all()
    assert sorted(names[0]) == list(range(5))
    dates = _sources(label, "dates", np.random.default_rng(1))
    moved = np.take_along_axis(label, dates, axis=1)
    np.testing.assert_array_equal(np.sort(moved, axis=1), np.sort(label, axis=1))
    assert np.isnan(moved[2, 3])
    assert len({tuple(row) for row in dates}) > 3


def test_p_counts_the_observed_among_the_placebos():
    """One more than those that reach it, over one more than there are."""
    assert Placebo("names", 0.5, (0.1, 0.6, 0.5, 0.2)).p == 3 / 5
    assert Placebo("names", 0.5, (0.1,)).p == 1 / 2


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_real_labels_stand_out_from_placebos(kind, finished_run, market, tmp_path):
    """On a market with planted alpha; a second call computes nothing again; the result lies in the run."""
    told = []
    found = run_placebo(finished_run, Store(market), kind=kind, repeats=4, progress=lambda *args: told.append(args))
    assert found.observed > max(found.placebos)
    assert found.p == 1 / 5
    assert abs(np.mean(found.placebos)) < 0.03
    kept = json.loads((finished_run / "placebo.json").read_text())[kind]
    assert kept["placebos"] == list(found.placebos)
    assert "Permuted over" in (finished_run / "report.html").read_text()
    homes = sorted((finished_run / "placebo" / kind).iterdir())
    assert [sorted(p.name for p in home.iterdir()) for home in homes] == [["result.json"]] * 4
    before = [(home / "result.json").stat().st_mtime_ns for home in homes]
    assert run_placebo(finished_run, Store(market), kind=kind, repeats=4) == found
    assert [(home / "result.json").stat().st_mtime_ns for home in homes] == before


def test_what_is_refused(finished_run, market):
    """An unknown kind, and no repeat."""
    with pytest.raises(UsageError, match="choose names or dates"):
        run_placebo(finished_run, Store(market), kind="labels")
    with pytest.raises(UsageError, match="at least 1"):
        run_placebo(finished_run, Store(market), repeats=0)
