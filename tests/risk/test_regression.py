"""Cross-sectional regressions against plain least squares, statsmodels and skfolio; pure factor portfolios."""

import numpy as np
import pytest
import statsmodels.api as sm

from alphaloom.errors import AlignmentError, DataError, SettingError
from alphaloom.risk.pure import pure_portfolios
from alphaloom.risk.regression import Cells, RegressionSettings, cross_sections, simple_returns, weights_of

INDUSTRIES = ("bank", "drug", "steel")
STYLES = ("size", "value")


def market(T=6, N=60, seed=0, noise=0.02):
    """Returns made of known factors, exposures, industries and capitalisation, with holes in all of them."""
    rng = np.random.default_rng(seed)
    styles = rng.normal(size=(T, N, 2)).astype(np.float32)
    industry = rng.integers(0, 3, (T, N)).astype(np.int32)
    cap = np.exp(rng.normal(0, 1.2, (T, N)))
    members = rng.random((T, N)) < 0.9
    returns = rng.normal(0, noise, (T, N))
    truth = rng.normal(0, 0.01, (T, 6))
    for t in range(1, T):
        returns[t] += truth[t, 0] + truth[t, 1 + industry[t - 1]] + styles[t - 1] @ truth[t, 4:]
    returns[rng.random((T, N)) < 0.05] = np.nan
    styles[rng.random((T, N)) < 0.03, 1] = np.nan
    industry[rng.random((T, N)) < 0.03] = -1
    cap[rng.random((T, N)) < 0.03] = np.nan
    return returns, Cells(styles, industry, cap, members)


def design(cells, t, use, P=3):
    """Columns of all factors, and those that are free once the industries' weighted mean is zero."""
    X = np.column_stack([np.ones(use.sum()), np.eye(P)[cells.industry[t, use]], cells.styles[t, use].astype(float)])
    counted = cells.members[t] & np.isfinite(cells.cap[t]) & (cells.industry[t] >= 0)
    c = cells.cap[t, counted] @ np.eye(P)[cells.industry[t, counted]]
    R = np.eye(X.shape[1])
    R[P, 1 : 1 + P] = -c / c[P - 1]
    return X, np.delete(R, P, axis=1), c


def in_regression(returns, cells, t):
    """Stocks of day t's regression."""
    before = t - 1
    return (
        cells.members[before]
        & np.isfinite(cells.cap[before])
        & (cells.industry[before] >= 0)
        & np.isfinite(cells.styles[before]).all(axis=1)
        & np.isfinite(returns[t])
    )


def test_factor_returns_are_constrained_weighted_least_squares():
    """Every day: statsmodels' WLS on the free columns, sqrt-cap weights of the day before; errors, R2 and residuals."""
    returns, cells = market()
    out = cross_sections(returns, cells, INDUSTRIES, STYLES, RegressionSettings())
    assert out.factors == ("country", "bank", "drug", "steel", "size", "value")
    assert np.isnan(out.returns[0]).all()
    for t in range(1, 6):
        use = in_regression(returns, cells, t)
        X, R, c = design(cells, t - 1, use)
        y, w = returns[t, use], np.sqrt(cells.cap[t - 1, use])
        fit = sm.WLS(y, X @ R, weights=w).fit()
        np.testing.assert_allclose(out.returns[t], R @ fit.params, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(out.noise[t], R @ fit.cov_HC2 @ R.T, rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(out.errors[t], np.sqrt(np.diag(out.noise[t])), rtol=1e-12)
        assert c @ out.returns[t, 1:4] == pytest.approx(0.0, abs=1e-12 * c.sum())
        assert out.stocks[t] == use.sum()
        assert out.r2[t] == pytest.approx(1 - (w * fit.resid**2).sum() / (w * y**2).sum())
        np.testing.assert_allclose(out.specific[t, use], fit.resid, rtol=1e-4, atol=1e-8)
        assert out.members[t].tolist() == [int((cells.industry[t - 1, use] == g).sum()) for g in range(3)]


def test_specific_returns_cover_stocks_outside_the_regression():
    """A stock that is no member, but whose values are known, has return less what its exposures explain."""
    returns, cells = market()
    out = cross_sections(returns, cells, INDUSTRIES, STYLES, RegressionSettings())
    t = 3
    outside = ~cells.members[t - 1] & np.isfinite(returns[t]) & (cells.industry[t - 1] >= 0)
    outside &= np.isfinite(cells.styles[t - 1]).all(axis=1)
    assert outside.any()
    f = out.returns[t]
    explained = f[0] + f[1 + cells.industry[t - 1]] + cells.styles[t - 1].astype(float) @ f[4:]
    np.testing.assert_allclose(out.specific[t, outside], (returns[t] - explained)[outside], rtol=1e-4, atol=1e-8)
    assert np.isnan(out.specific[t, cells.industry[t - 1] < 0]).all()


def test_variance_inflation_is_that_of_the_definition():
    """1 / (1 - R2) of a style's weighted regression on all other factors."""
    returns, cells = market(N=80)
    cells.styles[:, :, 1] = 0.8 * cells.styles[:, :, 0] + 0.6 * cells.styles[:, :, 1]
    out = cross_sections(returns, cells, INDUSTRIES, STYLES, RegressionSettings())
    for t in (1, 4):
        use = in_regression(returns, cells, t)
        X, R, _ = design(cells, t - 1, use)
        free = X @ R
        for q in range(2):
            others = np.delete(free, 3 + q, axis=1)
            fit = sm.WLS(X[:, 4 + q], others, weights=np.sqrt(cells.cap[t - 1, use])).fit()
            w = np.sqrt(cells.cap[t - 1, use])
            total = (w * (X[:, 4 + q] - np.average(X[:, 4 + q], weights=w)) ** 2).sum()
            assert out.inflation[t, q] == pytest.approx(total / (w * fit.resid**2).sum(), rel=1e-8)


def test_robust_regression_is_hubers():
    """Statsmodels' RLM with Huber's bound 1.345, on columns scaled by the root of the weights."""
    returns, cells = market(T=4, N=70)
    returns[2, 5:9] = 0.9
    out = cross_sections(returns, cells, INDUSTRIES, STYLES, RegressionSettings(huber=1.345))
    plain = cross_sections(returns, cells, INDUSTRIES, STYLES, RegressionSettings())
    for t in range(1, 4):
        use = in_regression(returns, cells, t)
        X, R, _ = design(cells, t - 1, use)
        root = np.sqrt(np.sqrt(cells.cap[t - 1, use]))
        start = sm.OLS(returns[t, use] * root, (X @ R) * root[:, None]).fit().params
        fit = sm.RLM(returns[t, use] * root, (X @ R) * root[:, None], M=sm.robust.norms.HuberT(1.345)).fit(
            start_params=start, maxiter=500, tol=1e-12
        )
        np.testing.assert_allclose(out.returns[t], R @ fit.params, rtol=1e-5, atol=1e-8)
    assert abs(out.returns[2, 0]) < abs(plain.returns[2, 0])


def test_thin_industries_share_one_return():
    """Industries with fewer stocks than wanted are one group on that day, inside the constraint."""
    returns, cells = market(T=3, N=80)
    industry = np.where(cells.industry == 2, np.where(np.arange(80) % 4 == 0, 3, 2), cells.industry).astype(np.int32)
    industry[:, 40:][industry[:, 40:] >= 2] = 0
    cells = Cells(cells.styles, industry, cells.cap, cells.members)
    out = cross_sections(returns, cells, (*INDUSTRIES, "ore"), STYLES, RegressionSettings(least_in_industry=12))
    joined = Cells(cells.styles, np.minimum(industry, 2).astype(np.int32), cells.cap, cells.members)
    same = cross_sections(returns, joined, INDUSTRIES, STYLES, RegressionSettings(least_in_industry=1))
    assert (out.members[1:, 2:] < 12).all()
    np.testing.assert_allclose(out.returns[1:, [0, 1, 2, 3, 5, 6]], same.returns[1:], rtol=1e-9, atol=1e-13)
    np.testing.assert_array_equal(out.returns[1:, 4], out.returns[1:, 3])


def test_what_cannot_be_told_is_missing():
    """A style that nobody has, or that another one equals, and an industry without stocks have no return."""
    returns, cells = market(T=3, N=70)
    cells.styles[:, :, 1] = 0.0
    out = cross_sections(returns, cells, (*INDUSTRIES, "empty"), STYLES, RegressionSettings(least_in_industry=1))
    assert np.isnan(out.returns[1:, 4]).all()
    assert np.isnan(out.returns[1:, 6]).all()
    assert np.isfinite(out.returns[1:, [0, 1, 2, 3, 5]]).all()
    cells.styles[:, :, 1] = cells.styles[:, :, 0]
    twins = cross_sections(returns, cells, INDUSTRIES, STYLES, RegressionSettings())
    assert np.isnan(twins.returns[1:, 5]).all()
    assert np.isfinite(twins.returns[1:, 4]).all()


def test_without_industries_it_is_a_plain_regression():
    """Country is then the intercept."""
    returns, cells = market()
    out = cross_sections(returns, cells, (), STYLES, RegressionSettings())
    t = 2
    use = (
        cells.members[1]
        & np.isfinite(cells.cap[1])
        & np.isfinite(cells.styles[1]).all(axis=1)
        & np.isfinite(returns[2])
    )
    fit = sm.WLS(
        returns[t, use], sm.add_constant(cells.styles[1, use].astype(float)), weights=np.sqrt(cells.cap[1, use])
    )
    np.testing.assert_allclose(out.returns[t], fit.fit().params, rtol=1e-8)


def test_pure_portfolios_have_unit_own_exposure_and_no_other():
    """To 1e-8: styles exactly; the country is the market in industries, an industry is long itself and short that."""
    returns, cells = market(N=400, seed=3)
    t = 2
    use = in_regression(returns, cells, t)
    X, _, c = design(cells, t - 1, use)
    w = np.sqrt(cells.cap[t - 1, use])
    share = c / c.sum()
    pure = pure_portfolios(cells.styles[t - 1, use].astype(float), cells.industry[t - 1, use], w, share)
    expected = np.eye(6)
    expected[0, 1:4] += share
    expected[1:4, 1:4] -= share
    expected[1:4, 0] = 0.0
    np.testing.assert_allclose(pure @ X, expected, atol=1e-8)
    relative = pure @ X
    relative[:, 1:4] -= relative[:, :1] * share  # industries beside what the market holds in them
    for k in (0, 4, 5):
        np.testing.assert_allclose(relative[k], np.eye(6)[k], atol=1e-8)
    out = cross_sections(returns, cells, INDUSTRIES, STYLES, RegressionSettings())
    np.testing.assert_allclose(pure @ returns[t, use], out.returns[t], atol=1e-10)


def test_pure_portfolios_without_industries():
    """Unit own exposure, no other."""
    rng = np.random.default_rng(0)
    styles = rng.normal(size=(50, 3))
    pure = pure_portfolios(styles, np.zeros(50, np.int64), rng.uniform(1, 2, 50), np.empty(0))
    np.testing.assert_allclose(pure @ np.column_stack([np.ones(50), styles]), np.eye(4), atol=1e-10)


def test_pure_portfolios_refuse_what_cannot_be_told_apart():
    """Twins, or an industry without stocks, are named."""
    styles = np.random.default_rng(0).normal(size=(30, 2))
    twins = np.column_stack([styles[:, 0], styles[:, 0]])
    ones = np.ones(30)
    with pytest.raises(DataError, match="30 stocks cannot tell 3 factors apart"):
        pure_portfolios(twins, np.zeros(30, np.int64), ones, np.empty(0))
    with pytest.raises(DataError, match="Industry 1 has no stock"):
        pure_portfolios(styles, np.zeros(30, np.int64), ones, np.array([0.5, 0.5]))


def test_skfolios_regression_gives_the_same_factor_returns():
    """The peer's cross-sectional regression in its constrained basis, with the same weights, on every day."""
    pytest.importorskip("skfolio", reason="skfolio, the peer of this test, is not installed")
    from skfolio.linear_model import CSLinearRegression
    from skfolio.prior._model._family_constraint_basis import compute_family_constraint_basis

    returns, cells = market(T=5, N=200, seed=4)
    out = cross_sections(returns, cells, INDUSTRIES, STYLES, RegressionSettings(least_in_industry=1))
    use = np.stack([in_regression(returns, cells, t) for t in range(1, 5)])
    codes = np.where(use, cells.industry[:-1], 0)
    X = np.concatenate([np.ones((4, 200, 1)), np.eye(3)[codes], cells.styles[:-1].astype(float)], axis=2)
    whole = np.concatenate([np.ones((4, 200, 1)), np.eye(3)[cells.industry[:-1]], cells.styles[:-1]], axis=2)
    X = np.where(use[:, :, None], X, 0.0)
    cap = np.where(use, cells.cap[:-1], 0.0)
    shares = np.where(cells.members & (cells.industry >= 0), np.nan_to_num(cells.cap), 0.0)[:-1]
    families = np.array(["market", *["industry"] * 3, "style", "style"])
    basis, _ = compute_family_constraint_basis([("industry", None)], whole, shares, np.array(out.factors), families)
    fit = CSLinearRegression().fit(basis.reduce_exposures(X), np.where(use, returns[1:], 0.0), cs_weights=np.sqrt(cap))
    np.testing.assert_allclose(out.returns[1:], basis.expand_factor_returns(fit.coef_), rtol=1e-8, atol=1e-12)


def test_skfolios_factor_model_gives_the_same_factor_returns():
    """CharacteristicsFactorModel on its own synthetic market: its exposures give its factor returns."""
    pytest.importorskip("skfolio", reason="skfolio, the peer of this test, is not installed")
    from skfolio.datasets import make_synthetic_characteristics
    from skfolio.descriptor import EWMomentum, LogMarketCap
    from skfolio.factor_exposure import FixedWeightedFactor, GlobalFactor, OneHotCategoricalFactors
    from skfolio.prior import CharacteristicsFactorModel

    made = make_synthetic_characteristics(n_assets=100, n_observations=200, n_industries=5, random_state=0)
    momentum = FixedWeightedFactor(descriptors=[("momentum", EWMomentum(half_life=20, skip=5))], family="style")
    size = FixedWeightedFactor(descriptors=[("cap", LogMarketCap())], family="style")
    industry = OneHotCategoricalFactors(category="industry", family="industry")
    factors = [("country", GlobalFactor()), ("industry", industry), ("momentum", momentum), ("size", size)]
    theirs = CharacteristicsFactorModel(factors=factors, constrained_families=[("industry", None)])
    theirs = theirs.fit(characteristics=made).factor_model_
    returns = made.fields["returns"].values[-theirs.observations.size :].astype(float)
    dummies = theirs.exposures[:, :, 1:6]
    known = np.isfinite(dummies).all(axis=2)
    cells = Cells(
        theirs.exposures[:, :, 6:].astype(np.float32),
        np.where(known, np.nan_to_num(dummies).argmax(axis=2), -1).astype(np.int32),
        np.where(theirs.benchmark_weights > 0, theirs.benchmark_weights, np.nan),
        theirs.benchmark_weights > 0,
    )
    ours = cross_sections(
        returns, cells, tuple(theirs.factor_names[1:6]), ("momentum", "size"), RegressionSettings(least_in_industry=1)
    )
    np.testing.assert_allclose(ours.returns[1:], theirs.factor_returns[1:], rtol=1e-5, atol=1e-8)


def test_inverse_variances_as_weights():
    """Within a factor of 20 of the median; without any forecast the square root of capitalisation."""
    _, cells = market(T=2)
    variance = np.full((2, 60), np.nan)
    variance[1] = np.exp(np.random.default_rng(1).normal(0, 3, 60))
    variance[1, :4] = np.nan
    weights = weights_of(cells, variance)
    inside = cells.members & np.isfinite(cells.cap)
    np.testing.assert_allclose(weights[0], np.where(inside[0], np.sqrt(np.nan_to_num(cells.cap[0])), 0.0))
    assert (weights[1, :4] == 0).all()
    used = weights[1][weights[1] > 0]
    middle = np.median(1 / variance[1][inside[1] & np.isfinite(variance[1])])
    assert used.max() == pytest.approx(20 * middle)
    assert used.min() == pytest.approx(middle / 20)


def test_errors_name_what_is_wrong():
    """Shapes, too few stocks, a bound that is none."""
    returns, cells = market(N=60)
    with pytest.raises(AlignmentError, match=r"The styles of a regression must be \(6, 60, 1\); given \(6, 60, 2\)"):
        cross_sections(returns, cells, INDUSTRIES, ("size",), RegressionSettings())
    none = Cells(cells.styles, cells.industry, cells.cap, np.zeros_like(cells.members))
    with pytest.raises(DataError, match="more stocks than factors"):
        cross_sections(returns, none, INDUSTRIES, STYLES, RegressionSettings())
    with pytest.raises(SettingError, match="huber"):
        RegressionSettings.parse({"huber": -1})


def test_returns_need_both_days():
    """A day without trading leaves its own and the next day's return missing."""
    price = np.array([[10.0], [np.nan], [11.0], [12.1]], np.float32)
    got = simple_returns(price)
    assert np.isnan(got[:3]).all()
    assert got[3, 0] == pytest.approx(0.1, rel=1e-6)
