"""Cross-sectional operators on planes, against loops over dates and groups in NumPy and SciPy."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata

from alphaloom.errors import UsageError
from alphaloom.kernels.cross_plane import OPERATORS, plane

SETTINGS = {"a": 2.0, "k": 1.5, "n": 4}
VALUES = st.one_of(
    st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, 2.0]),
    st.floats(0.0009765625, 1e6, width=32),
    st.floats(-100, 100, width=32),
)


def member_rank(x: float, members: np.ndarray) -> float:
    """Return the average rank of x among the members, or the place at which it would stand."""
    below, equal = (members < x).sum(), (members == x).sum()
    return min(max(below + (equal + 1) / 2, 1.0), members.size)


def one_group(operator: str, x: np.ndarray, member: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return an operator over the stocks of one date and group: float64, written from the definitions."""
    x = np.where(np.isfinite(x), x.astype(np.float64), np.nan)
    known = member & ~np.isnan(x)
    if operator in {"cs_mean", "cs_demean"}:
        known &= np.isfinite(weight) & (weight > 0)
    v = x[known]
    nothing = np.full(x.size, np.nan)
    if v.size == 0:
        return nothing
    if operator == "cs_rank":
        return np.array([np.nan if np.isnan(y) else member_rank(y, v) / v.size for y in x])
    if operator == "cs_bucket":
        return np.array([np.nan if np.isnan(y) else (member_rank(y, v) - 0.5) * 4 // v.size for y in x])
    w = weight[known].astype(np.float64)
    if operator in {"cs_mean", "cs_demean"}:
        mean = (w * v).sum() / w.sum()
        return x - mean if operator == "cs_demean" else np.full(x.size, mean)
    if operator == "cs_sum":
        return np.full(x.size, v.sum())
    if operator == "cs_median":
        return np.full(x.size, np.median(v))
    if operator == "cs_scale":
        return 2.0 * x / np.abs(v).sum() if np.abs(v).sum() > 0 else nothing
    if operator == "cs_winsorise":
        centre = np.float32(np.median(v))
        mad = np.median(np.abs(np.float32(v) - centre))
        return x if mad == 0 else np.clip(x, centre - 1.5 * mad, centre + 1.5 * mad)
    std = v.std(ddof=1) if v.size > 1 else np.nan
    std = 0.0 if np.ptp(v) == 0 and v.size > 1 else std
    if operator == "cs_std":
        return np.full(x.size, std)
    mean = v[0] if std == 0 else v.mean()
    return np.where(x == mean, 0.0, np.nan) if std == 0 else (x - mean) / std


def reference(
    operator: str, x: np.ndarray, universe: np.ndarray, codes: np.ndarray | None, weight: np.ndarray | None
) -> np.ndarray:
    """Return an operator date by date and group by group."""
    out = np.full(x.shape, np.nan)
    weight = np.ones(x.shape) if weight is None else weight
    for t in range(x.shape[0]):
        group = np.zeros(x.shape[1], int) if codes is None else codes[t]
        for g in np.unique(group[group >= 0]):
            i = group == g
            out[t, i] = one_group(operator, x[t, i], universe[t, i], weight[t, i])
    return out


def neutralised(x: np.ndarray, universe: np.ndarray, codes: np.ndarray | None, on: list[np.ndarray]) -> np.ndarray:
    """Return the residuals of a least-squares fit with a dummy for each group that has a member."""
    out = np.full(x.shape, np.nan)
    for t in range(x.shape[0]):
        group = np.zeros(x.shape[1], int) if codes is None else codes[t]
        has = np.isfinite(x[t]) & (group >= 0)
        for z in on:
            has &= np.isfinite(z[t])
        fitted_on = has & universe[t]
        groups = np.unique(group[fitted_on])
        design = np.column_stack([*(group == g for g in groups), *(z[t] for z in on)]).astype(np.float64)
        if groups.size == 0:
            continue
        shown = has & np.isin(group, groups)
        beta = np.linalg.lstsq(design[fitted_on], x[t, fitted_on].astype(np.float64), rcond=None)[0]
        out[t, shown] = x[t, shown] - design[shown] @ beta
    return out


def compute(operator: str, x: np.ndarray, universe: np.ndarray, **more: object) -> np.ndarray:
    """Return the kernel's plane, computed into fresh memory."""
    out = np.full(x.shape, -7.0, np.float32)
    plane(operator, x, universe, out, settings=SETTINGS, **more)
    return out


@st.composite
def planes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Draw values, universe, groups or none, and weights or none."""
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 24)))
    x = draw(arrays(np.float32, shape, elements=VALUES))
    if draw(st.booleans()):
        x[0] = draw(VALUES)
    universe = draw(arrays(np.bool_, shape, elements=st.sampled_from([True, True, True, False])))
    codes = draw(st.none() | arrays(np.int32, shape, elements=st.integers(-1, 3)))
    weight = draw(
        st.none() | arrays(np.float32, shape, elements=st.sampled_from([1.0, 2.5, 0.0, -1.0, np.nan, np.inf]))
    )
    return x, universe, codes, weight


@pytest.mark.parametrize("operator", [name for name in OPERATORS if name != "cs_neutralise"])
@settings(max_examples=60, deadline=None)
@given(drawn=planes())
def test_operators_match_loops(operator: str, drawn: tuple) -> None:
    """Every operator, with and without groups, equals its definition; infinite values count as missing."""
    x, universe, codes, weight = drawn
    weight = weight if operator in {"cs_mean", "cs_demean"} else None
    out = compute(operator, x, universe, codes=codes, n_groups=4, weight=weight)
    wanted = reference(operator, x, universe, codes, weight)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(wanted))
    level = np.nanmax(np.abs(np.where(np.isfinite(x), x, 0)), initial=0)
    tolerance = {"cs_rank": 0.0, "cs_bucket": 0.0, "cs_zscore": 2e-5, "cs_scale": 1e-6}.get(operator, 2e-7 * level)
    np.testing.assert_allclose(out, wanted, rtol=1e-6, atol=tolerance)


def sample(T: int = 6, N: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return values with holes and ties, a universe, groups and a regressor."""
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=(T, N)) * np.float32([[1e-3], [1], [1e3], [1e6], [1], [1]]), 4).astype(np.float32)
    x[rng.random(x.shape) < 0.05] = np.nan
    x[1, 3], x[2, 4] = np.inf, -np.inf
    universe = rng.random(x.shape) < 0.8
    codes = rng.integers(-1, 12, x.shape).astype(np.int32)
    size = (rng.normal(size=x.shape) + 0.1 * codes).astype(np.float32)
    size[rng.random(x.shape) < 0.05] = np.nan
    return x, universe, codes, size


@pytest.mark.parametrize("by", [False, True])
@pytest.mark.parametrize("n", [0, 1, 2])
def test_neutralise_matches_least_squares(by: bool, n: int) -> None:
    """Residuals equal those of a fit with dummies, for members and for outsiders."""
    x, universe, codes, size = sample()
    on = [size, np.abs(size) ** 2][:n]
    groups = codes if by else None
    out = compute("cs_neutralise", x, universe, codes=groups, n_groups=12, regressors=on)
    wanted = neutralised(x, universe, groups, on)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(wanted))
    for t in range(x.shape[0]):
        np.testing.assert_allclose(out[t], wanted[t], rtol=1e-5, atol=2e-6 * np.nanstd(wanted[t]))


def test_neutralise_leaves_out_what_groups_or_others_explain() -> None:
    """A regressor that is constant in each group, or repeats another, changes nothing."""
    x, universe, codes, size = sample()
    flat = np.float32(codes * 3 + 1)
    alone = compute("cs_neutralise", x, universe, codes=codes, n_groups=12, regressors=[size])
    more = compute("cs_neutralise", x, universe, codes=codes, n_groups=12, regressors=[size, flat, 2 * size])
    np.testing.assert_array_equal(alone, more)


def test_rank_is_the_average_rank() -> None:
    """Over members alone the rank is SciPy's, divided by their number."""
    x, _, _, _ = sample()
    out = compute("cs_rank", x, np.ones(x.shape, bool))
    for t in range(x.shape[0]):
        known = np.isfinite(x[t])
        np.testing.assert_allclose(out[t, known], rankdata(x[t, known]) / known.sum(), rtol=1e-7)


def test_bucket_sizes_differ_by_one_without_ties() -> None:
    """Without ties the buckets are as equal as the number of members allows."""
    x = np.random.default_rng(1).permutation(103).astype(np.float32)[None]
    out = compute("cs_bucket", x, np.ones(x.shape, bool))
    sizes = np.unique(out, return_counts=True)
    np.testing.assert_array_equal(sizes[0], [0, 1, 2, 3])
    assert set(sizes[1]) <= {25, 26}


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_date_stands_alone(operator: str) -> None:
    """Cutting the dates into blocks, and writing over the input, give the same bits."""
    x, universe, codes, size = sample()
    more: dict = {"regressors": [size]} if operator == "cs_neutralise" else {}
    for groups in (None, codes):
        whole = compute(operator, x, universe, codes=groups, n_groups=12, **more)
        for t in range(x.shape[0]):
            day = {name: [array[t : t + 1] for array in arrays] for name, arrays in more.items()}
            part = None if groups is None else groups[t : t + 1]
            one = compute(operator, x[t : t + 1], universe[t : t + 1], codes=part, n_groups=12, **day)
            np.testing.assert_array_equal(one[0], whole[t])
        over = x.copy()
        plane(operator, over, universe, over, codes=groups, n_groups=12, settings=SETTINGS, **more)
        np.testing.assert_array_equal(over, whole)


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("N", [0, 5])
def test_without_members_everything_is_missing(operator: str, N: int) -> None:
    """No member, no statistic: all results are missing; no stock at all is no error."""
    x = np.ones((2, N), np.float32)
    assert np.isnan(compute(operator, x, np.zeros(x.shape, bool), regressors=[])).all()


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda x, u: plane("cs_rnk", x, u, x), "Did you mean 'cs_rank'"),
        (lambda x, u: plane("cs_bucket", x, u, x), "needs the setting 'n'"),
        (lambda x, u: plane("cs_mean", x, u, x, codes=np.full(x.shape, 3, np.int32), n_groups=3), "must be below 3"),
    ],
)
def test_mistakes_are_told(act: Callable, words: str) -> None:
    """Unknown operators, missing settings and codes out of range are refused."""
    with pytest.raises(UsageError, match=words):
        act(np.ones((1, 4), np.float32), np.ones((1, 4), bool))
