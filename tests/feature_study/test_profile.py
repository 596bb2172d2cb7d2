"""The profile of features against pandas and scipy, on a market small enough to compute it whole."""

import json

import numpy as np
import pandas as pd
import pytest
from panels import random_panel
from scipy import stats

from alphaloom.errors import DataError, UnknownNameError
from alphaloom.evaluation.inference import newey_west
from alphaloom.feature_study.blocks import feature_blocks as blocks_of
from alphaloom.feature_study.blocks import judged, sample_rows
from alphaloom.feature_study.facts import family_facts, feature_facts, one_feature
from alphaloom.feature_study.groups import correlated_groups
from alphaloom.feature_study.profile import profile_features
from alphaloom.features.base import features
from alphaloom.labels.base import labels

DEFINE = {
    "MOVE": "returns(close, 3)",
    "BACK": "-returns(close, 3)",
    "TWICE": "returns(close, 3)",
    "STILL": "close - close + 3",
    "COMMON": "cs_mean(returns)",
    "EMPTY": "log(-1 - abs(returns))",
    "SIGN": "sign(returns)",
}
FAMILY = {"name": "expressions", "define": DEFINE}


@pytest.fixture(scope="module")
def market():
    """A hundred days of forty stocks."""
    return random_panel(110, 40, seed=5)


@pytest.fixture(scope="module")
def family():
    """Features of which some repeat, are constant, or have no value."""
    return features.parse(FAMILY)


@pytest.fixture(scope="module")
def profile(market, family):
    """The profile of the family."""
    return profile_features(family, market, labels.parse("forward_return"))


@pytest.fixture(scope="module")
def values(market, family):
    """All features of the judged rows, NaN where not listed, by name."""
    block = family.compute(market)[family.lookback :]
    block[market["is_listed"][family.lookback :] != 1] = np.nan
    return dict(zip(family.columns(), np.moveaxis(block, 2, 0), strict=True))


def row_of(profile, name):
    """One row of the table."""
    return profile.table.row(profile.table["feature"].to_list().index(name), named=True)


def test_coverage_and_moments_are_those_of_all_cells(market, family, profile, values):
    """Coverage counts listed stock-days; mean, deviation, skew and kurtosis are scipy's over the known values."""
    listed = market["is_listed"][family.lookback :] == 1
    assert profile.facts["cells"] == int(listed.sum())
    for name in ("MOVE", "SIGN"):
        row, x = row_of(profile, name), values[name][~np.isnan(values[name])].astype(np.float64)
        assert row["coverage"] == pytest.approx(x.size / listed.sum())
        assert row["mean"] == pytest.approx(x.mean(), abs=1e-9)
        assert row["std"] == pytest.approx(x.std(ddof=1))
        assert row["skew"] == pytest.approx(stats.skew(x), abs=1e-6)
        assert row["kurtosis"] == pytest.approx(stats.kurtosis(x), abs=1e-6)
        assert row["zeros"] == pytest.approx((x == 0).mean())


def test_quantiles_are_those_of_the_sampled_days(family, profile, values):
    """Quantiles, outliers and histogram are taken from the sampled days, here from the 21st on all of them."""
    x = values["MOVE"][20:]
    x = x[~np.isnan(x)].astype(np.float64)
    row = row_of(profile, "MOVE")
    assert profile.facts["sampled_days"] == values["MOVE"].shape[0] - 20
    for key, share in (("q01", 0.01), ("q25", 0.25), ("q50", 0.5), ("q99", 0.99)):
        assert row[key] == pytest.approx(np.quantile(x, share))
    far = 5 * 1.4826 * np.median(np.abs(x - np.median(x)))
    assert row["outliers"] == pytest.approx((np.abs(x - np.median(x)) > far).mean())
    np.testing.assert_allclose(profile.histograms[0].sum(), 1.0)


def test_persistence_and_turnover_are_those_of_pandas(profile, values):
    """Rank correlation with earlier days over the stocks known on both, and who left the top fifth in a week."""
    x = pd.DataFrame(values["MOVE"].astype(np.float64))
    row = row_of(profile, "MOVE")
    for lag in (1, 5, 20):
        expected = [
            x.iloc[t].corr(x.iloc[t - lag], method="spearman")
            for t in range(20, len(x))
            if x.iloc[t].notna().__and__(x.iloc[t - lag].notna()).sum() >= 20
        ]
        assert row[f"ac_{lag}"] == pytest.approx(np.mean(expected), abs=1e-6)
    gone = []
    for t in range(20, len(x)):
        both = x.iloc[[t - 5, t]].T.dropna().rank()
        bound = 0.5 * (len(both) + 1) + 0.3 * len(both)
        top, before = both.index[both[t] > bound], both.index[both[t - 5] > bound]
        gone.append(1 - len(top.intersection(before)) / len(top))
    assert row["turnover"] == pytest.approx(np.mean(gone), abs=1e-9)


def test_ic_is_that_of_pandas(market, family, profile, values):
    """Mean daily RankIC and IC with the label, their Newey-West t, ICIR and hit rate."""
    label = labels.parse("forward_return").compute(market)[family.lookback :]
    label = pd.DataFrame(np.where(market["is_listed"][family.lookback :] == 1, label, np.nan))
    x = pd.DataFrame(values["MOVE"])
    row = row_of(profile, "MOVE")
    for key, t_key, method in (("rank_ic", "rank_ic_t", "spearman"), ("ic", "ic_t", "pearson")):
        daily = x.astype(float).corrwith(label.astype(float), axis=1, method=method)
        daily = daily[(x.notna() & label.notna()).sum(axis=1) >= 20].dropna()
        assert row[key] == pytest.approx(daily.mean(), abs=1e-6)
        assert row[t_key] == pytest.approx(daily.mean() / newey_west(daily.to_numpy(), 5)[0], rel=1e-4)
        if key == "rank_ic":
            assert row["rank_icir"] == pytest.approx(daily.mean() / daily.std(), rel=1e-4)
            assert row["positive"] == pytest.approx((daily > 0).mean())
            assert row["ic_days"] == daily.size


def test_odd_features_are_told(profile):
    """Empty, constant, common and repeated features are named; an ordinary one is not."""
    kinds = {item.feature: item.kind for item in profile.problems}
    assert kinds == {
        "BACK": "same order",
        "TWICE": "duplicate",
        "STILL": "constant",
        "COMMON": "common",
        "EMPTY": "empty",
    }
    (group,) = profile.groups
    assert set(group.features) == {"MOVE", "BACK", "TWICE"}
    assert group.mean == pytest.approx(1.0)


def test_blocks_do_not_change_the_result(market, family, profile, monkeypatch):
    """Streamed in small blocks the profile is the same; costs, which are measured, aside."""
    monkeypatch.setattr("alphaloom.feature_study.blocks.BLOCK_BYTES", 17 * 4 * 40 * len(DEFINE))
    again = profile_features(family, market, labels.parse("forward_return"))
    data = judged(market, labels.parse("forward_return"), family.lookback)
    assert len(list(blocks_of(family, data))) > 4
    for name in profile.table.columns:
        if name not in {"feature", "ms", "group"}:
            np.testing.assert_allclose(
                again.table[name].to_numpy(), profile.table[name].to_numpy(), rtol=1e-9, atol=1e-12, err_msg=name
            )
    assert again.groups == profile.groups


def test_cost_is_measured_for_each_written_feature(profile):
    """Written features are timed one by one; all costs are positive."""
    assert "each alone" in profile.facts["cost_measured"]
    assert (profile.table["ms"].to_numpy() > 0).all()


def test_groups_are_those_of_the_threshold():
    """Average linkage: a pair at the threshold is one group, below it none; the strongest feature leads."""
    correlation = np.array([[1, -0.9, 0.1, 0.1], [-0.9, 1, 0, 0], [0.1, 0, 1, 0.79], [0.1, 0, 0.79, 1]])
    names = ["a", "b", "c", "d"]
    strength = np.array([1.0, 2.0, np.nan, 0.5])
    (only,) = correlated_groups(names, correlation, strength, 0.8)
    assert (only.features, only.leader) == (("a", "b"), "b")
    assert only.mean == pytest.approx(0.9)
    assert [group.leader for group in correlated_groups(names, correlation, strength, 0.79)] == ["b", "d"]
    assert correlated_groups(names[:1], correlation[:1, :1], strength[:1]) == ()


def test_few_stocks_make_no_likeness(market):
    """Features that share too few stocks have no correlation, however high it is on those."""
    rare = market["float_cap"].copy()
    rare[:, 15:] = np.nan
    family = features.parse({"name": "expressions", "define": {"A": "close", "B": "close * (1 + 0 * float_cap)"}})
    made = profile_features(family, market.with_fields({"float_cap": rare}), labels.parse("forward_return"))
    assert made.groups == ()
    assert {item.kind for item in made.problems} == {"coverage"}


def test_sampled_rows_are_evenly_spaced():
    """At most as many as asked for, from the first to the last."""
    assert sample_rows(10, 20, 100).tolist() == list(range(10, 20))
    rows = sample_rows(10, 1000, 12)
    assert rows.size == 12
    assert (rows[0], rows[-1]) == (10, 999)
    assert np.ptp(np.diff(rows)) <= 1


def test_profile_is_json(profile):
    """Everything but NaN, which printing makes null, is plain data."""
    text = json.dumps(profile.to_dict())
    assert set(DEFINE) == {item["feature"] for item in json.loads(text)["features"]}


def test_too_few_days_are_refused(market, family):
    """Fewer than sixty days say nothing."""
    with pytest.raises(DataError, match="at least 60 days"):
        profile_features(family, market.rows(0, 50), labels.parse("forward_return"))


def test_facts_of_a_written_feature(family):
    """Unit, look-back and fields are those of the expression; a misspelt name is answered with the nearest."""
    facts = one_feature(family, "MOVE")
    assert (facts.expression, facts.lookback, facts.inputs, facts.unit) == (
        DEFINE["MOVE"],
        3,
        ("adj_close",),
        "a ratio",
    )
    assert facts.is_local
    assert not one_feature(family, "COMMON").is_local
    with pytest.raises(UnknownNameError, match="Did you mean 'MOVE'"):
        one_feature(family, "MOVES")
    assert family_facts(family)["kind"] == "cross-sectional"


@pytest.mark.parametrize("name", features.names())
def test_every_family_can_be_described(name):
    """Each registered family has a first sentence, a meaning for each setting, and facts for each feature."""
    family = features[name]()
    facts = family_facts(family)
    assert facts["what"].endswith(".")
    assert all(item["meaning"] for item in facts["settings"])
    listed = feature_facts(family)
    assert [item.feature for item in listed] == family.columns()
    assert all(item.lookback <= family.lookback for item in listed)


def test_meaning_comes_from_the_table_beside_the_family():
    """The library of factors gives every feature a meaning and a source, alpha101 the published formula."""
    assert all(item.meaning and item.source for item in feature_facts(features.parse("factors")))
    assert all(item.meaning.startswith("published as") for item in feature_facts(features.parse("alpha101")))
