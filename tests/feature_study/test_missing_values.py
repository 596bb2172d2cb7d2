"""The study of missing values: paired, on the same stocks, without the future, and able to tell a difference."""

import json

import numpy as np
import pytest
from panels import random_panel

from alphaloom.errors import DataError, UsageError
from alphaloom.feature_study.missing_policies import LEAVE, Policy, policies, required_fields
from alphaloom.feature_study.missing_values import compare_policies, conclusion
from alphaloom.features.base import features
from alphaloom.labels.base import labels
from alphaloom.panel import Panel

FAMILY = {"name": "expressions", "define": {"MOVE": "returns(close, 3)", "LEVEL": "log(turnover)", "HINT": "amount"}}
LABEL = labels.parse({"name": "forward_return", "horizon": 2})


def hinted(share: float, seed: int = 0) -> Panel:
    """A market in which `amount` foretells the label and is missing on a share of cells, for two days at a time."""
    panel = random_panel(200, 50, seed=seed, gaps=False)
    rng = np.random.default_rng(seed)
    label = LABEL.compute(panel)
    slow = np.repeat(rng.normal(size=(50, 50)), 4, axis=0)[:200]
    hint = np.nan_to_num(label) * 30 + slow + 2
    gone = np.repeat(rng.random((100, 50)) < share, 2, axis=0)
    fields = {"amount": np.where(gone, np.nan, hint).astype(np.float32)}
    return panel.with_fields(fields)


@pytest.fixture(scope="module")
def study():
    """All policies on a market with a fifth of the hints missing."""
    return compare_policies(policies(features.parse(FAMILY), limit=5), hinted(0.2), LABEL)


def test_policies_are_recipes():
    """Each policy is made of registered components; leaving values missing is the first."""
    compared = policies(features.parse(FAMILY), limit=5)
    assert [policy.name for policy in compared] == [
        LEAVE, "zero", "mean", "median", "industry mean", "carry forward", "indicator",
    ]  # fmt: skip
    for policy in compared:
        again = features.parse(policy.recipe()["features"][0])
        assert again.columns()[:3] == ["MOVE", "LEVEL", "HINT"]
    assert "industry" in required_fields(compared, LABEL)


def test_coverage_is_what_each_policy_leaves(study):
    """Filling leaves nothing missing; carrying leaves what is older than the limit; leaving changes nothing."""
    table = {row["policy"]: row for row in study.table().to_dicts()}
    feature = dict(zip(study.features, study.results[0].coverage, strict=True))
    assert feature["HINT"] == pytest.approx(0.8, abs=0.02)
    assert table["leave"]["least"] < table["carry forward"]["least"] <= 1
    assert table["zero"]["coverage"] == table["median"]["coverage"] == table["indicator"]["coverage"] == 1


def test_leaving_them_missing_differs_from_itself_by_nothing(study):
    """The paired change of the first policy is exactly 0."""
    first = study.table().row(0, named=True)
    assert first["rank_ic_change"] == first["ridge_change"] == first["composite_change"] == 0


def test_single_features_are_judged_where_they_are_known(study):
    """Median and indicator fill alike, so their features agree; a feature that is never missing changes nowhere."""
    by_name = {result.policy.name: result for result in study.results}
    np.testing.assert_array_equal(by_name["median"].rank_ic, by_name["indicator"].rank_ic)
    frame = study.feature_table()
    level = frame.row(frame["feature"].to_list().index("LEVEL"), named=True)
    assert all(level[f"{name} change"] == 0 for name in ("zero", "mean", "median", "indicator"))
    hint = frame.row(frame["feature"].to_list().index("HINT"), named=True)
    assert hint["zero change"] < -0.01


def test_a_harmful_policy_is_found():
    """Filling a strong feature of level 2 with 0 makes forecasts worse, and the conclusion says so."""
    compared = [p for p in policies(features.parse(FAMILY)) if p.name in {LEAVE, "zero", "mean"}]
    found = compare_policies(compared, hinted(0.4), LABEL)
    table = {row["policy"]: row for row in found.table().to_dicts()}
    assert table["zero"]["ridge_change"] < -0.005
    assert table["zero"]["ridge_change_t"] < -3
    known, words = conclusion(found)
    assert "unknown" in known
    assert words.startswith("'Zero' is worse than leaving values missing")
    assert abs(table["mean"]["ridge_change"]) < abs(table["zero"]["ridge_change"]) / 3


def test_without_gaps_nothing_differs():
    """Where nothing is missing every policy gives the same bits, and the conclusion says so."""
    panel = hinted(0.0)
    panel = panel.rows(0, 190)
    found = compare_policies(policies(features.parse(FAMILY))[:4], panel, LABEL, start=panel.dates[5])
    base = found.results[0]
    for result in found.results[1:]:
        np.testing.assert_array_equal(result.rank_ic, base.rank_ic)
        np.testing.assert_array_equal(result.ridge, base.ridge)
    assert "no difference" in conclusion(found)[1]


def test_the_first_half_decides_and_the_second_judges():
    """Changing labels of the later half changes no forecast: only their judgement; the ridge is not refitted."""
    panel = hinted(0.2)
    compared = policies(features.parse(FAMILY))[:2]
    found = compare_policies(compared, panel, LABEL)
    split = int(np.searchsorted(panel.dates, np.datetime64(found.facts["split"])))
    later = {name: panel[name].copy() for name in ("adj_close",)}
    later["adj_close"][split + 40 :] = later["adj_close"][split + 40 :, ::-1]
    changed = compare_policies(compared, panel.with_fields(later), LABEL)
    same = slice(0, 40 - 6)
    np.testing.assert_array_equal(changed.results[1].ridge[same], found.results[1].ridge[same])
    assert not np.array_equal(changed.results[1].ridge, found.results[1].ridge)


def test_mistakes_are_refused():
    """A single policy and too few days are no study."""
    family = features.parse(FAMILY)
    with pytest.raises(UsageError, match="at least one other"):
        compare_policies([Policy(LEAVE, "", family)], hinted(0.1), LABEL)
    with pytest.raises(DataError, match="at least 120 days"):
        compare_policies(policies(family), hinted(0.1).rows(0, 100), LABEL)


def test_study_is_json(study):
    """Everything but the daily series, as plain data."""
    made = json.loads(json.dumps(study.to_dict()))
    assert len(made["policies"]) == 7
    assert made["conclusion"]
