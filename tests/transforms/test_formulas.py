"""Each transform against its formula in pandas or NumPy, one date at a time, on the members alone."""

import numpy as np
import pandas as pd
import pytest
from panels import random_panel
from scipy.stats import norm

from alphaloom.errors import MissingFieldError, SettingError
from alphaloom.panel import Panel
from alphaloom.transforms.base import transforms

T, N, F = 6, 40, 3


@pytest.fixture
def panel() -> Panel:
    """A small market in which about a sixth of the stocks is outside the universe."""
    panel = random_panel(T, N, 5)
    out = np.random.default_rng(1).random(panel.shape) < 0.15
    return panel.with_universe(panel.universe & ~out)


@pytest.fixture
def block(panel: Panel) -> np.ndarray:
    """Heavy-tailed values with holes."""
    rng = np.random.default_rng(2)
    values = rng.standard_t(2, (T, N, F)).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    return values


def run(description: object, block: np.ndarray, panel: Panel) -> np.ndarray:
    """Return the block after one cross-sectional transform."""
    out = block.copy()
    transforms.parse(description).apply(out, panel, {})
    return out


def days(block: np.ndarray, panel: Panel):
    """Yield (t, f, column in float64, its members) for every date and column."""
    for t in range(T):
        for f in range(F):
            column = pd.Series(block[t, :, f].astype(float))
            yield t, f, column, column[panel.universe[t]]


def test_mad_clip_holds_outliers_at_five_mads(panel: Panel, block: np.ndarray) -> None:
    """Values are bounded by median +- 5 raw MADs of the members; `scale` widens the reach."""
    plain, scaled = run("mad_clip", block, panel), run({"name": "mad_clip", "k": 2, "scale": 1.4826}, block, panel)
    for t, f, x, members in days(block, panel):
        median = members.median()
        mad = (members - median).abs().median()
        np.testing.assert_allclose(plain[t, :, f], x.clip(median - 5 * mad, median + 5 * mad), rtol=1e-5, atol=1e-6)
        reach = 2 * 1.4826 * mad
        np.testing.assert_allclose(scaled[t, :, f], x.clip(median - reach, median + reach), rtol=1e-5, atol=1e-6)


def test_mad_clip_leaves_a_date_without_spread(panel: Panel) -> None:
    """Where most members share one value the MAD is 0 and says nothing: nothing is moved, not even far values."""
    block = np.zeros((T, N, 1), dtype=np.float32)
    block[:, ::5] = 9.0
    np.testing.assert_array_equal(run("mad_clip", block, panel), block)


def test_industry_fill_takes_the_mean_of_the_industry(panel: Panel, block: np.ndarray) -> None:
    """A member's hole becomes the mean of its industry's members that day; other cells keep their bits."""
    out = run("industry_fill", block, panel)
    for t, f, x, members in days(block, panel):
        industry = pd.Series(panel["industry"][t])
        mean = members.groupby(industry[members.index]).mean()
        hole = x.isna() & panel.universe[t]
        np.testing.assert_allclose(out[t, hole, f], industry[hole].map(mean), rtol=1e-6)
        np.testing.assert_array_equal(out[t, ~hole, f], block[t, ~hole, f])


def test_industry_fill_falls_back_only_when_told(panel: Panel, block: np.ndarray) -> None:
    """Without a mean of the industry the hole stays, unless the setting asks for the mean of all members."""
    block = block.copy()
    block[0, panel["industry"][0] == 1, 0] = np.nan
    hole = panel.universe[0] & (panel["industry"][0] == 1)
    assert hole.any()
    assert np.isnan(run("industry_fill", block, panel)[0, hole, 0]).all()
    filled = run({"name": "industry_fill", "fallback": "cross_section"}, block, panel)
    expected = np.nanmean(block[0, panel.universe[0], 0].astype(float))
    np.testing.assert_allclose(filled[0, hole, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("industry", [True, False])
@pytest.mark.parametrize("regressors", [(), ("log_cap",), ("log_cap", "turnover")])
def test_neutralise_leaves_the_residual(
    panel: Panel, block: np.ndarray, industry: bool, regressors: tuple[str, ...]
) -> None:
    """The residual is that of statsmodels' OLS on dummies (or an intercept) and the regressors."""
    if not industry and not regressors:
        with pytest.raises(SettingError, match="at least one field in `regressors`"):
            transforms.parse({"name": "neutralise", "industry": False, "regressors": []})
        return
    import statsmodels.api as sm

    out = run({"name": "neutralise", "industry": industry, "regressors": list(regressors)}, block, panel)
    for t, f, x, _ in days(block, panel):
        design = pd.DataFrame({name: panel[name][t].astype(float) for name in regressors}, index=x.index)
        if industry:
            dummies = pd.get_dummies(pd.Series(panel["industry"][t]), dtype=float)
            dummies[np.isnan(panel["industry"][t])] = np.nan
            design = design.join(dummies)
        else:
            design["const"] = 1.0
        usable = design.notna().all(axis=1)
        fitted = usable & panel.universe[t] & x.notna()
        model = sm.OLS(x[fitted], design[fitted]).fit()
        expected = (x - design @ model.params).where(usable)
        np.testing.assert_allclose(out[t, :, f], expected, atol=3e-5)


def test_neutralised_values_are_free_of_size_and_industry(panel: Panel, block: np.ndarray) -> None:
    """Among the members, residuals have mean 0 in every industry and no covariance with size."""
    out = run("neutralise", block, panel)
    for t, f, _, _ in days(block, panel):
        member = panel.universe[t] & ~np.isnan(out[t, :, f])
        residual = pd.Series(out[t, member, f].astype(float))
        assert residual.groupby(panel["industry"][t, member]).mean().abs().max() < 1e-5
        assert abs(np.cov(residual, panel["log_cap"][t, member])[0, 1]) < 1e-5


@pytest.mark.parametrize("ddof", [0, 1])
def test_zscore_has_mean_zero_and_deviation_one(panel: Panel, block: np.ndarray, ddof: int) -> None:
    """(x - mean) / deviation of the members, for every stock with a value."""
    out = run({"name": "zscore", "ddof": ddof}, block, panel)
    for t, f, x, members in days(block, panel):
        np.testing.assert_allclose(out[t, :, f], (x - members.mean()) / members.std(ddof=ddof), rtol=1e-5, atol=1e-6)
        mine = out[t, panel.universe[t], f].astype(float)
        assert np.nanmean(mine) == pytest.approx(0, abs=1e-6)
        assert np.nanstd(mine, ddof=ddof) == pytest.approx(1, abs=1e-6)


def test_cs_robust_zscore_uses_median_and_mad(panel: Panel, block: np.ndarray) -> None:
    """(x - median) / (1.4826 MAD) of the members, bounded by 3."""
    out = run("cs_robust_zscore", block, panel)
    for t, f, x, members in days(block, panel):
        mad = (members - members.median()).abs().median()
        expected = ((x - members.median()) / (1.4826 * mad)).clip(-3, 3)
        np.testing.assert_allclose(out[t, :, f], expected, rtol=1e-5, atol=1e-6)


def test_rank_is_the_percentile_of_the_members(panel: Panel, block: np.ndarray) -> None:
    """Members get pandas' percentile rank in (0, 1]; centred, (rank - 1/2) / n - 1/2, mean 0."""
    out, centred = run("rank", block, panel), run({"name": "rank", "centred": True}, block, panel)
    for t, f, _, members in days(block, panel):
        expected = members.rank(pct=True)
        n = members.count()
        np.testing.assert_allclose(out[t, panel.universe[t], f], expected, rtol=1e-6)
        np.testing.assert_allclose(centred[t, panel.universe[t], f], expected - 0.5 / n - 0.5, atol=1e-6)
        assert np.nanmax(out[t, :, f]) == 1
        assert np.nanmin(out[t, :, f]) > 0


def test_rank_gauss_is_the_normal_score_of_the_rank(panel: Panel, block: np.ndarray) -> None:
    """Members get the normal quantile of (rank - 1/2) / n."""
    out = run("rank_gauss", block, panel)
    for t, f, _, members in days(block, panel):
        expected = norm.ppf((members.rank() - 0.5) / members.count())
        np.testing.assert_allclose(out[t, panel.universe[t], f], expected, atol=1e-6)


def test_clip_bounds_by_constants(panel: Panel, block: np.ndarray) -> None:
    """Both bounds, or one of them; NaN stays."""
    np.testing.assert_array_equal(run({"name": "clip", "low": -1, "high": 0.5}, block, panel), np.clip(block, -1, 0.5))
    one_sided = run({"name": "clip", "low": None, "high": 0.5}, block, panel)
    np.testing.assert_array_equal(one_sided, np.minimum(block, np.float32(0.5)))


@pytest.mark.parametrize("by", ["constant", "mean", "median"])
def test_fill_gives_members_a_number(panel: Panel, block: np.ndarray, by: str) -> None:
    """A member's hole becomes the constant, or the mean or median of the members; other cells keep their bits."""
    out = run(
        {"name": "fill", "by": by, "value": 7.5} if by == "constant" else {"name": "fill", "by": by}, block, panel
    )
    for t, f, x, members in days(block, panel):
        number = 7.5 if by == "constant" else getattr(members, by)()
        hole = x.isna() & panel.universe[t]
        np.testing.assert_allclose(out[t, hole, f], number, rtol=1e-6)
        np.testing.assert_array_equal(out[t, ~hole, f], block[t, ~hole, f])


def test_robust_zscore_is_fitted_on_the_window(panel: Panel, block: np.ndarray) -> None:
    """Median and MAD over all members of the window standardise every date, bounded by 3 (RobustZScoreNorm)."""
    transform = transforms.parse("robust_zscore")
    window = panel.rows(0, 4)
    state = transform.fit(block[:4], window)
    out = block.copy()
    transform.apply(out, panel, state)
    for f in range(F):
        x = block[:4, :, f][window.universe].astype(float)
        median = np.nanmedian(x)
        mad = np.nanmedian(np.abs(x - median))
        expected = np.clip((block[:, :, f] - median) / (mad + 1e-12) / 1.4826, -3, 3)
        np.testing.assert_allclose(out[:, :, f], expected, rtol=1e-5, atol=1e-6)


def test_standardise_is_fitted_on_the_window(panel: Panel, block: np.ndarray) -> None:
    """Mean and deviation over all members of the window standardise every date."""
    transform = transforms.parse("standardise")
    window = panel.rows(0, 4)
    out = block.copy()
    transform.apply(out, panel, transform.fit(block[:4], window))
    for f in range(F):
        x = block[:4, :, f][window.universe].astype(float)
        expected = (block[:, :, f] - np.nanmean(x)) / np.nanstd(x, ddof=1)
        np.testing.assert_allclose(out[:, :, f], expected, rtol=1e-5, atol=1e-6)


def test_seed_chain_on_one_small_date() -> None:
    """Clip, fill, neutralise and standardise by hand on six stocks give the numbers the chain gives."""
    nan = np.nan
    names = {"industry": np.float32([[0, 0, 0, 1, 1, 1]]), "log_cap": np.float32([[1, 2, 3, 1, 2, 3]])}
    panel = Panel(
        np.array(["2024-01-05"], dtype="datetime64[D]"),
        np.array(list("ABCDEF")),
        np.ones((1, 6), dtype=bool),
        names,
        {"industry": ("x", "y")},
    )
    block = np.float32([1, 2, 3, 4, 900, nan]).reshape(1, 6, 1)
    # Median 3, MAD 1: 900 becomes 8, and the hole the mean of 4 and 8.
    filled = np.array([1, 2, 3, 4, 8, 6.0])
    demeaned = filled - np.repeat([2.0, 6.0], 3)
    size = np.array([-1, 0, 1, -1, 0, 1.0])
    residual = demeaned - size * (size @ demeaned) / (size @ size)
    for name in ("mad_clip", "industry_fill", "neutralise", "zscore"):
        transforms.parse(name).apply(block, panel, {})
    np.testing.assert_allclose(block[0, :, 0], residual / residual.std(ddof=1), rtol=1e-6, atol=1e-7)


def test_settings_that_contradict_each_other_are_refused() -> None:
    """A clip without bounds or with crossed ones, and a regressor named twice, are refused in plain words."""
    with pytest.raises(SettingError, match="needs `low`, `high`, or both"):
        transforms.parse({"name": "clip", "low": None, "high": None})
    with pytest.raises(SettingError, match="`low` must be below `high`; given 2"):
        transforms.parse({"name": "clip", "low": 2, "high": 1})
    with pytest.raises(SettingError, match="stands twice"):
        transforms.parse({"name": "neutralise", "regressors": ["log_cap", "log_cap"]})


def test_absent_field_is_named(panel: Panel, block: np.ndarray) -> None:
    """Neutralising by a field the panel lacks says which one."""
    with pytest.raises(MissingFieldError, match="no field 'log_cap'"):
        run("neutralise", block, panel.select(["industry"]))
