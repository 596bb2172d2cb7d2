"""Style exposures: standardisation, orthogonality, what they may know, and each descriptor's formula."""

import numpy as np
import polars as pl
import pytest
from panels import random_panel

from alphaloom.errors import MissingFieldError, SettingError
from alphaloom.panel import Panel
from alphaloom.risk.base import styles
from alphaloom.risk.cross_section import combine, residual, standardise
from alphaloom.risk.exposures import (
    DAILY_STYLES,
    compute_exposures,
    max_lookback,
    required_fields,
    style_exposures,
)

ALL = styles.names()


def with_fundamentals(panel):
    """The panel with announced figures and vendor ratios."""
    rng = np.random.default_rng(5)
    cap = panel["total_cap"]
    fields = {
        "fund:book": cap * rng.uniform(0.2, 1.5, panel.shape[1]).astype(np.float32),
        "fund:earnings_ttm": cap * rng.normal(0.05, 0.03, panel.shape[1]).astype(np.float32),
        "fund:cash_flow_ttm": cap * rng.normal(0.06, 0.05, panel.shape[1]).astype(np.float32),
        "pb_mrq": np.broadcast_to(rng.uniform(0.5, 6, panel.shape[1]).astype(np.float32), panel.shape).copy(),
        "pe_ttm": np.broadcast_to(rng.normal(20, 30, panel.shape[1]).astype(np.float32), panel.shape).copy(),
        "pcf_ttm": np.broadcast_to(rng.normal(15, 30, panel.shape[1]).astype(np.float32), panel.shape).copy(),
    }
    return panel.with_fields(fields)


@pytest.fixture(scope="module")
def market():
    """Four years with gaps, long enough for every style."""
    return with_fundamentals(random_panel(1000, 40, seed=2))


@pytest.fixture(scope="module")
def exposures(market):
    """Exposures of every registered style."""
    return compute_exposures(market, [styles.parse(name) for name in ALL])


def members(panel, t, x):
    """Positions of universe members with a value."""
    return np.flatnonzero(panel.universe[t] & np.isfinite(x[t]))


@pytest.mark.parametrize("name", ALL)
def test_cap_weighted_mean_is_zero_and_deviation_one(name, market, exposures):
    """On every date with enough history, before unknown ones are set to 0 (which leaves the mean alone)."""
    x = exposures.panel[name]
    missing = exposures.missing.filter(pl.col("style") == name)["missing"].to_numpy()
    checked = 0
    for t in range(940, 980):
        n = members(market, t, x)
        cap = market["total_cap"][t, n].astype(float)
        assert np.average(x[t, n], weights=cap) == pytest.approx(0.0, abs=2e-6)
        if missing[t] == 0:
            assert np.std(x[t, n]) == pytest.approx(1.0, abs=1e-4)
            checked += 1
    assert checked or missing[940:].all()


@pytest.mark.parametrize("name", ALL)
def test_unknown_exposures_are_zero_and_counted(name, market, exposures):
    """A listed stock always has a number; one that is not listed has none; the count is that of the zeros put in."""
    x = exposures.panel[name]
    listed = market["is_listed"] == 1
    assert np.isfinite(x[listed]).all()
    assert np.isnan(x[~listed]).all()
    record = exposures.missing.filter(pl.col("style") == name)
    assert record["members"].to_list() == market.universe.sum(axis=1).tolist()
    zeros = ((x == 0) & market.universe).sum(axis=1)
    assert (record["missing"].to_numpy() <= zeros).all()


@pytest.mark.parametrize("name", ALL)
def test_no_look_ahead_and_declared_lookback(name, market):
    """Row t does not change when rows after t are cut, nor when rows before its look-back are."""
    style = [styles.parse(name)]
    whole = style_exposures(market, style)[name]
    t = 990
    cut = style_exposures(market.rows(0, t + 1), style)[name]
    np.testing.assert_array_equal(cut[t], whole[t])
    first = t - max_lookback(style)
    late = style_exposures(market.rows(first, t + 1), style)[name]
    np.testing.assert_allclose(late[-1], whole[t], atol=2e-4)


@pytest.mark.parametrize("name", ALL)
def test_reordering_symbols_reorders_exposures(name, market):
    """The order of the columns has no meaning."""
    order = np.random.default_rng(0).permutation(40)
    part = market.rows(0, 600)
    swapped = Panel(
        part.dates, part.symbols[order], part.universe[:, order], {k: a[:, order] for k, a in part.fields.items()}
    )
    style = [styles.parse(name)]
    a, b = style_exposures(part, style)[name][-5:], style_exposures(swapped, style)[name][-5:]
    np.testing.assert_allclose(b, a[:, order], atol=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_required_fields_are_enough(name, market):
    """The listed fields alone carry each style; without one of them the error names it."""
    style = [styles.parse(name)]
    part = market.rows(0, 560)
    needed = required_fields(style)
    np.testing.assert_array_equal(style_exposures(part.select(needed), style)[name], style_exposures(part, style)[name])
    lacking = styles.parse(name).inputs[0]
    with pytest.raises(MissingFieldError, match=lacking):
        style_exposures(part.select([f for f in needed if f != lacking]), style)


def test_standardise_equals_the_definition():
    """Clip at three deviations, take off the cap-weighted mean, divide by the equal-weighted deviation."""
    rng = np.random.default_rng(0)
    x = rng.standard_t(2, (3, 60)).astype(np.float32)
    x[0, :5] = np.nan
    universe = rng.random((3, 60)) < 0.8
    cap = np.exp(rng.normal(0, 1, (3, 60))).astype(np.float32)
    cap[1, 3] = np.nan
    got = standardise(x, universe, cap)
    for t in range(3):
        used = universe[t] & ~np.isnan(x[t])
        v = x[t, used].astype(float)
        bounds = v.mean() - 3 * v.std(), v.mean() + 3 * v.std()
        clipped = np.clip(v, *bounds)
        weight = np.nan_to_num(cap[t, used].astype(float))
        expected = (np.clip(x[t].astype(float), *bounds) - np.average(clipped, weights=weight)) / clipped.std()
        np.testing.assert_allclose(got[t], expected, rtol=1e-4, atol=1e-5)


def test_standardise_without_spread_or_members():
    """Equal values become 0; a date without members, or without any capitalisation, stays NaN."""
    x = np.full((3, 4), 0.3, np.float32)
    universe = np.ones((3, 4), bool)
    universe[1] = False
    cap = np.ones((3, 4), np.float32)
    cap[2] = np.nan
    got = standardise(x, universe, cap)
    assert (got[0] == 0).all()
    assert np.isnan(got[1:]).all()


def test_residual_is_orthogonal_under_its_weights():
    """What is left has no root-cap-weighted product with the regressors over the members."""
    rng = np.random.default_rng(1)
    y, x = rng.normal(size=(2, 2, 50)).astype(np.float32)
    cap = np.exp(rng.normal(size=(2, 50))).astype(np.float32)
    universe = rng.random((2, 50)) < 0.8
    rest = residual(y, [x], universe, cap)
    for t in range(2):
        w = np.sqrt(cap[t]) * universe[t]
        assert (w * rest[t]).sum() == pytest.approx(0.0, abs=1e-4)
        assert (w * rest[t] * x[t]).sum() == pytest.approx(0.0, abs=1e-4)


def test_combined_weights_are_shared_among_the_known():
    """A stock without one descriptor is the weighted mean of the others."""
    a = np.array([[1.0, np.nan, np.nan]], np.float32)
    b = np.array([[4.0, 4.0, np.nan]], np.float32)
    got = combine([(0.75, a), (0.25, b)])
    assert got[0, :2].tolist() == [1.75, 4.0]
    assert np.isnan(got[0, 2])


def test_residual_volatility_is_orthogonal_to_beta(market, exposures):
    """After the regression only the last winsorisation leaves a small correlation."""
    for t in range(600, 640, 10):
        n = np.flatnonzero(market.universe[t])
        w = np.sqrt(market["total_cap"][t, n].astype(float))
        a, b = exposures.panel["residual_volatility"][t, n], exposures.panel["beta"][t, n]
        a, b = a - np.average(a, weights=w), b - np.average(b, weights=w)
        correlation = (w * a * b).sum() / np.sqrt((w * a * a).sum() * (w * b * b).sum())
        assert abs(correlation) < 0.15


def test_size_and_nonlinear_size_follow_the_formula(market, exposures):
    """Size is the standardised log cap; its cube without what size explains is the non-linear one."""
    t = 610
    n = np.flatnonzero(market.universe[t])
    cap = market["total_cap"][t, n].astype(float)

    def standard(v):
        v = np.clip(v, v.mean() - 3 * v.std(), v.mean() + 3 * v.std())
        return (v - np.average(v, weights=cap)) / v.std()

    size = standard(np.log(cap))
    np.testing.assert_allclose(exposures.panel["size"][t, n], size, atol=1e-3)
    root = np.sqrt(np.sqrt(cap))
    X = np.column_stack([np.ones(n.size), size])
    beta = np.linalg.lstsq(X * root[:, None], size**3 * root, rcond=None)[0]
    np.testing.assert_allclose(exposures.panel["nonlinear_size"][t, n], standard(size**3 - X @ beta), atol=5e-3)


def test_momentum_is_the_lagged_weighted_mean():
    """RSTR weights log returns of days t - 21 - 503 to t - 21 with half-life 126; 231 listed days are the least."""
    market = random_panel(640, 3, seed=2, gaps=False)
    momentum = styles.parse("momentum")
    raw = momentum.descriptors(market, {})["rstr"]
    close = market["adj_close"].astype(float)
    n = 1
    logs = np.diff(np.log(close[:, n]), prepend=np.nan)
    t = 630
    rows = np.arange(t - 21 - 503, t - 21 + 1)
    assert raw[t, n] == pytest.approx(np.average(logs[rows], weights=0.5 ** ((t - 21 - rows) / 126)), rel=1e-3)
    assert np.isnan(raw[21 + 229, n])
    assert np.isfinite(raw[21 + 231, n])


def test_liquidity_descriptors_are_logs_of_mean_monthly_turnover(market):
    """STOM, STOQ and STOA over 21, 63 and 252 days."""
    raw = styles.parse("liquidity").descriptors(market, {})
    t = 500
    turnover = market["turnover"].astype(float)
    n = int(np.flatnonzero(np.isfinite(turnover).all(axis=0))[0])
    for name, months in (("stom", 1), ("stoq", 3), ("stoa", 12)):
        expected = np.log(turnover[t - 21 * months + 1 : t + 1, n].sum() / months)
        assert raw[name][t, n] == pytest.approx(expected, rel=1e-5)


def test_value_styles_read_either_source(market):
    """Book-to-price and earnings yield rank by announced figures over cap, or by inverse vendor ratios."""
    t = 600
    listed = market["is_listed"][t] == 1
    by_book = styles.parse("book_to_price").descriptors(market, {})["btop"]
    np.testing.assert_allclose(by_book[t], market["fund:book"][t] / market["total_cap"][t], rtol=1e-6)
    by_ratio = styles.parse({"name": "book_to_price", "source": "ratio"}).descriptors(market, {})["btop"]
    np.testing.assert_allclose(by_ratio[t, listed], 1 / market["pb_mrq"][t, listed], rtol=1e-6)
    both = styles.parse({"name": "earnings_yield", "source": "ratio"}).descriptors(market, {})
    np.testing.assert_allclose(both["etop"][t, listed], 1 / market["pe_ttm"][t, listed], rtol=1e-6)


def test_a_style_brings_what_it_builds_on_without_showing_it(market):
    """Non-linear size alone needs size, which is computed and not returned."""
    got = style_exposures(market.rows(0, 50), [styles.parse("nonlinear_size")])
    assert got.names == ["nonlinear_size"]
    assert "adj_close" in required_fields([styles.parse("residual_volatility")])


def test_daily_styles_are_registered_and_repeats_are_refused(market):
    """The default set exists; a style named twice is an error."""
    assert set(DAILY_STYLES) <= set(ALL)
    size = styles.parse("size")
    with pytest.raises(SettingError, match="A style appears twice: size, size"):
        style_exposures(market, [size, size])
