"""Weighted, grouped and neutral looks at a signal, against plain loops, numpy and statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm
from panels import business_days

from alphaloom.errors import AlignmentError, DataError
from alphaloom.evaluation.closer import neutral_score, weighted_ic, weighted_quantile_returns
from alphaloom.evaluation.context import Context
from alphaloom.evaluation.forward import forward_by_days
from alphaloom.evaluation.ic import ic_series
from alphaloom.evaluation.quantiles import assign_quantiles, quantile_returns
from alphaloom.evaluation.signal import evaluate_signal

D, N = 40, 60


def made(seed: int = 1) -> dict[str, np.ndarray]:
    """Return scores, returns, weights, groups and two styles with holes."""
    rng = np.random.default_rng(seed)
    groups = rng.integers(-1, 4, (1, N)) * np.ones((D, 1), dtype=np.int64)
    styles = rng.normal(size=(2, D, N))
    out = {
        "score": rng.normal(size=(D, N)) + 2 * styles[0] + 0.5 * groups,
        "returns": 0.02 * rng.normal(size=(D, N)),
        "weights": rng.exponential(size=(D, N)),
        "groups": groups,
        "size": styles[0],
        "beta": styles[1],
    }
    for name in ("score", "returns", "weights", "size"):
        out[name][rng.random((D, N)) < 0.1] = np.nan
    out["weights"][:, 7] = 0.0
    return out


def test_weighted_ic_is_numpys():
    """The correlation of `numpy.cov` with `aweights`; with equal weights the plain IC."""
    m = made()
    got = weighted_ic(m["score"], m["returns"], m["weights"], min_names=10)
    for d in range(D):
        used = ~np.isnan(m["score"][d] + m["returns"][d] + m["weights"][d]) & (m["weights"][d] > 0)
        c = np.cov(m["score"][d, used], m["returns"][d, used], aweights=m["weights"][d, used])
        np.testing.assert_allclose(got[d], c[0, 1] / np.sqrt(c[0, 0] * c[1, 1]), rtol=1e-10)
    equal = weighted_ic(m["score"], m["returns"], np.ones((D, N)), min_names=10)
    np.testing.assert_allclose(equal, ic_series(m["score"], m["returns"], min_names=10).ic, rtol=1e-8)
    assert np.isnan(weighted_ic(np.full((D, N), 3.7), m["returns"], m["weights"])).all()
    assert np.isnan(weighted_ic(m["score"], m["returns"], m["weights"], min_names=59)).all()


def test_weighted_quantiles_by_hand():
    """Weighted means by quantile in a loop; equal weights give the plain returns."""
    m = made()
    bucket = assign_quantiles(m["score"], 5)
    got = weighted_quantile_returns(bucket, m["returns"], m["weights"], 5)
    for d in range(0, D, 7):
        for q in range(5):
            used = (bucket[d] == q) & ~np.isnan(m["returns"][d]) & (m["weights"][d] > 0)
            np.testing.assert_allclose(got[d, q], np.average(m["returns"][d, used], weights=m["weights"][d, used]))
    equal = weighted_quantile_returns(bucket, m["returns"], np.full((D, N), 3.0), 5)
    np.testing.assert_allclose(equal, quantile_returns(bucket, m["returns"], 5)[0])


def test_neutral_scores_are_regression_residuals():
    """Residuals of statsmodels OLS on group dummies and styles; unknown exposures and groups have none."""
    m = made()
    styles = {name: m[name] for name in ("size", "beta")}
    context = Context(groups=m["groups"], group_names=("a", "b", "c", "d"), exposures=styles)
    got = neutral_score(m["score"], context)
    for d in range(0, D, 5):
        used = ~np.isnan(m["score"][d] + m["size"][d]) & (m["groups"][d] >= 0)
        dummies = np.eye(4)[m["groups"][d, used]]
        X = np.column_stack([dummies, m["size"][d, used], m["beta"][d, used]])
        np.testing.assert_allclose(got[d, used], sm.OLS(m["score"][d, used], X).fit().resid, atol=1e-10)
        assert np.isnan(got[d, ~used]).all()


def test_a_score_made_of_styles_has_nothing_left():
    """Fully explained scores have no rank of their own: no value, rather than the order of rounding errors."""
    m = made()
    context = Context(exposures={"size": m["size"], "beta": m["beta"]})
    assert np.isnan(neutral_score(3 * m["size"] - m["beta"], context)).all()


def test_the_report_carries_the_closer_looks():
    """Tables for every weight, horizon, group and style; neutral RankIC falls where a style was the signal."""
    rng = np.random.default_rng(5)
    T = 90
    dates = business_days(T + 6)
    style = rng.normal(size=(1, N)) * np.ones((T, 1))
    drift = 0.004 * style[:1]
    price = 10 * np.exp(np.cumsum(drift + 0.01 * rng.normal(size=(T + 6, N)), axis=0))
    score = style + 0.3 * rng.normal(size=(T, N))
    groups = (np.arange(N) % 3)[None].repeat(T, axis=0)
    context = Context(
        weights={"cap": np.exp(rng.normal(size=(T, N)))},
        groups=groups,
        group_names=("bank", "steel", "none", "empty"),
        exposures={"size": style},
    )
    report = evaluate_signal(score, forward_by_days(price, dates, np.arange(T), [1, 5]), dates[:T], context=context)
    assert report.weighted.select("horizon", "weights").rows() == [("1", "cap"), ("5", "cap")]
    assert sorted(report.groups["group"].to_list()) == ["bank", "none", "steel"]
    assert (report.groups["names"] == 20).all()
    assert report.exposures["style"].to_list() == ["size"]
    assert report.exposures["exposure"][0] > 0.8
    assert report.headline.rank_ic.mean > 0.2
    assert abs(report.neutral.mean) < 0.05
    bank_only = groups[0] == 0
    forward = forward_by_days(price, dates, np.arange(T), [1])["1"].returns
    inside = ic_series(score[:, bank_only], forward[:, bank_only])
    bank = report.groups.filter(group="bank")
    np.testing.assert_allclose(bank["rank_ic"][0], np.nanmean(inside.rank_ic))
    assert report.metrics()["neutral_rank_ic"]["n"] == T
    plain = evaluate_signal(score, forward_by_days(price, dates, np.arange(T), [1]), dates[:T])
    assert plain.neutral is None
    assert plain.weighted.is_empty()


def test_mistakes_are_named():
    """Tables of another shape, negative weights, groups without a name."""
    with pytest.raises(AlignmentError, match="cap is"):
        Context(weights={"cap": np.ones((2, 3))}).check((2, 4))
    with pytest.raises(DataError, match=r"1 weights cap are negative or infinite, first -1.0 in row 1"):
        Context(weights={"cap": np.array([[1.0, np.nan], [-1.0, 0.0]])}).check((2, 2))
    with pytest.raises(DataError, match="Group 1 has no name"):
        Context(groups=np.array([[0, 1]]), group_names=("a",)).check((1, 2))
