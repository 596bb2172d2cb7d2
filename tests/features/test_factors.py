"""The factor library: what it lists, and a sample of each group against pandas."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from panels import random_panel

from alphaloom.errors import MissingFieldError, SettingError
from alphaloom.features.base import features
from alphaloom.features.compute import compute_features
from alphaloom.features.factors import OF_BARS, OF_STATEMENTS, factor_table, library
from alphaloom.panel import Panel

ALL = (*OF_BARS, *OF_STATEMENTS, "multiples")
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "factors.md"


@pytest.fixture(scope="module")
def market():
    """A year and a half of a market with gaps."""
    return random_panel(400, 12, seed=3)


@pytest.fixture(scope="module")
def computed(market):
    """Every factor on it."""
    return compute_features([features.parse({"name": "factors", "groups": ALL})], market)


def spans(market, field):
    """The field of each stock over its listed rows, as pandas series."""
    listed = market["is_listed"] == 1
    return {n: pd.Series(market[field][listed[:, n], n].astype(float)) for n in range(market.shape[1])}


def compare(market, got, expected, rtol=2e-4, atol=2e-6):
    """Compare a factor with one series a stock over its listed rows; NaN must agree."""
    listed = market["is_listed"] == 1
    compared = 0
    for n, series in expected.items():
        mine = got[listed[:, n], n].astype(float)
        theirs = series.to_numpy(dtype=float).copy()
        theirs[np.isinf(theirs)] = np.nan
        np.testing.assert_allclose(mine, theirs, rtol=rtol, atol=atol)
        compared += int(np.isfinite(theirs).sum())
    assert compared > 500


def test_the_library_is_well_formed():
    """About 130 factors in ten groups; names occur once; every one has a text, a meaning of one line and a source."""
    table = library()
    assert set(table) == set(ALL)
    names = [name for group in table.values() for name in group]
    assert len(names) == len(set(names)) >= 120
    for group in table.values():
        for factor in group.values():
            assert factor.text
            assert factor.source
            assert "\n" not in factor.meaning
            assert not factor.meaning.endswith(".")


def test_no_two_factors_are_the_same_expression():
    """Equal expressions are equal nodes, so a repeat would show."""
    roots = features.parse({"name": "factors", "groups": ALL}).plan.roots
    assert len(set(roots)) == len(roots)


def test_the_page_is_the_library():
    """docs/reference/factors.md is what `factor_table` gives."""
    assert PAGE.read_text(encoding="utf-8") == factor_table()


def test_default_groups_need_bars_alone():
    """Without choosing groups no announced figure and no vendor's column is read."""
    default = features.parse("factors")
    assert default.columns() == [name for group in OF_BARS for name in library()[group]]
    assert not any(field.startswith("fund:") or field.endswith(("_ttm", "_mrq")) for field in default.required)
    assert default.lookback == 272


def test_groups_are_chosen_in_order_and_once():
    """A group given twice counts once; a misspelt one is refused with what is allowed."""
    family = features.parse({"name": "factors", "groups": ["size", "momentum", "size"]})
    assert family.columns() == [*library()["size"], *library()["momentum"]]
    with pytest.raises(SettingError, match=r"groups.*'momentum'"):
        features.parse({"name": "factors", "groups": ["momentun"]})


def test_absent_figures_are_named(market):
    """Without announced figures the error names the field."""
    family = features.parse({"name": "factors", "groups": ["value"]})
    with pytest.raises(MissingFieldError, match="fund:book"):
        compute_features([family], market.select([name for name in market.names if not name.startswith("fund:")]))


def test_every_factor_has_values_and_no_infinity(market, computed):
    """In a year and a half each factor is known for half of the stocks on the last day, and finite."""
    for name in computed.names:
        values = computed[name]
        assert not np.isinf(values).any(), name
        assert np.isfinite(values[-1][market.universe[-1]]).mean() > 0.5, name


def test_momentum_and_reversal(market, computed):
    """Returns between last known prices; means and ratios over windows with at least half their values."""
    close, high, open_ = (spans(market, f"adj_{name}") for name in ("close", "high", "open"))
    known = {n: s.ffill(limit=20) for n, s in close.items()}
    compare(market, computed["momentum_12m"], {n: (p / p.shift(231) - 1).shift(21) for n, p in known.items()})
    compare(market, computed["momentum_3m"], {n: (p / p.shift(42) - 1).shift(21) for n, p in known.items()})
    compare(market, computed["reversal_1m"], {n: 1 - p / p.shift(21) for n, p in known.items()})
    top = {n: known[n] / s.rolling(252, min_periods=1).max() for n, s in high.items()}
    enough = {n: s.rolling(252, min_periods=126).count() >= 126 for n, s in high.items()}
    compare(market, computed["high_52w"], {n: top[n].where(enough[n]) for n in top})
    night = {n: (open_[n] / close[n].shift(1) - 1).rolling(63, min_periods=32).sum() for n in close}
    compare(market, computed["momentum_overnight"], night)
    rsi = {}
    for n, s in close.items():
        change = s.diff()
        rsi[n] = 0.5 - change.clip(lower=0).rolling(14, 7).sum() / change.abs().rolling(14, 7).sum()
    compare(market, computed["relative_strength_index"], rsi)
    macd = {}
    for n, s in close.items():
        means = []
        for span in (12, 26):
            weights = (1 - 2 / (span + 1)) ** np.arange(s.size)
            sums = [np.convolve(x, weights)[: s.size] for x in (s.fillna(0), s.notna().astype(float))]
            means.append(sums[0] / sums[1])
        macd[n] = (means[0] - means[1]) / known[n]
    compare(market, computed["macd"], macd, 5e-3, 5e-6)


def test_volatility(market, computed):
    """Deviations, shares and regressions of daily returns."""
    returns = {n: s / s.shift(1) - 1 for n, s in spans(market, "adj_close").items()}
    compare(market, computed["volatility_1m"], {n: r.rolling(21, 11).std() for n, r in returns.items()})
    loss = {n: np.sqrt((r.clip(upper=0) ** 2).rolling(63, 32).mean()) for n, r in returns.items()}
    compare(market, computed["downside_deviation"], loss)
    compare(market, computed["max_return"], {n: r.rolling(21, 11).max() for n, r in returns.items()})
    compare(market, computed["skewness_3m"], {n: r.rolling(63, 32).skew() for n, r in returns.items()}, 2e-3, 1e-4)
    high, low = spans(market, "adj_high"), spans(market, "adj_low")
    parkinson = {n: np.sqrt((np.log(high[n] / low[n]) ** 2).rolling(21, 11).mean() / (4 * np.log(2))) for n in high}
    compare(market, computed["range_parkinson"], parkinson)


def test_beta_is_against_the_universe_s_mean(market, computed):
    """The market is the equally weighted universe; beta the slope over a year."""
    close = market["adj_close"].astype(float)
    returns = np.full(close.shape, np.nan)
    returns[1:] = close[1:] / close[:-1] - 1
    known = market.universe & np.isfinite(returns)
    mean = np.where(known, returns, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    mean[0] = np.nan
    for n in (1, 4, 5):
        for t in (300, 399):
            rows = np.arange(t - 251, t + 1)
            y, x = returns[rows, n], mean[rows]
            use = np.isfinite(y) & np.isfinite(x)
            slope, constant = np.polyfit(x[use], y[use], 1)
            assert computed["beta_12m"][t, n] == pytest.approx(slope, rel=1e-3)
            rest = y[use] - slope * x[use] - constant
            assert computed["idiosyncratic_12m"][t, n] == pytest.approx(np.sqrt(np.mean(rest**2)), rel=1e-3)


def test_liquidity_and_sentiment(market, computed):
    """Turnover, illiquidity, spreads, and shares of up days and of days at the limit."""
    close, turnover, amount = (spans(market, name) for name in ("adj_close", "turnover", "amount"))
    returns = {n: s / s.shift(1) - 1 for n, s in close.items()}
    compare(market, computed["turnover_1m"], {n: s.rolling(21, 11).mean() for n, s in turnover.items()})
    amihud = {n: np.log((returns[n].abs() / amount[n]).rolling(21, 11).mean()) for n in returns}
    compare(market, computed["illiquidity_1m"], amihud)
    roll = {}
    for n, r in returns.items():
        both = pd.DataFrame({"a": r, "b": r.shift(1)}).dropna().reindex(r.index)
        roll[n] = 2 * np.sqrt((-both["a"].rolling(63, 32).cov(both["b"])).clip(lower=0))
    compare(market, computed["spread_roll"], roll, 5e-3, 2e-5)
    up = {n: (r > 0).where(r.notna()).rolling(21, 11).mean() for n, r in returns.items()}
    compare(market, computed["up_days"], up)
    still = {n: (r == 0).where(r.notna()).rolling(63, 32).mean() for n, r in returns.items()}
    compare(market, computed["zero_returns"], still)
    raw, limit = spans(market, "close"), spans(market, "limit_up")
    at_top = {n: (raw[n] >= limit[n] - 0.005).where(close[n].notna()).rolling(63, 32).mean() for n in raw}
    compare(market, computed["limit_up_days"], at_top)


def test_days_without_trade_count_neither_way(market, computed):
    """Shares of days are missing where the stock hardly traded; the market counts on the days of the stock alone."""
    fields = dict(market.fields)
    halted = np.array(market["adj_close"])
    halted[310:345, 1] = np.nan
    halted[200:345:3, 4] = np.nan
    panel = Panel(market.dates, market.symbols, market.universe, fields | {"adj_close": halted}, market.categories)
    made = compute_features([features.parse({"name": "factors", "groups": ALL})], panel)
    assert np.isnan(made["up_days"][344, 1])
    assert np.isnan(made["zero_returns"][344, 1])
    assert np.isnan(made["limit_up_days"][344, 1])
    returns = np.full(halted.shape, np.nan)
    returns[1:] = halted[1:].astype(float) / halted[:-1] - 1
    known = np.isfinite(returns) & panel.universe
    mean = np.where(known, returns, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    for t, n in ((385, 1), (385, 4), (350, 4)):
        rows = np.arange(t - 21 - 230, t - 20)
        rows = rows[np.isfinite(returns[rows, n])]
        slope, constant = np.polyfit(mean[rows], returns[rows, n], 1)
        rest = returns[rows, n] - slope * mean[rows] - constant
        ratio = constant / np.sqrt(np.mean(rest**2))
        assert made["momentum_residual"][t, n] == pytest.approx(ratio, rel=2e-3, abs=1e-5)
        day = np.arange(t - 231 - 20, t - 20)
        closes = pd.Series(halted[:, n].astype(float)).ffill()
        side = np.sign(closes[day[-1]] - closes[day[0] - 1])
        share = np.sign(returns[rows, n]).mean()
        assert made["momentum_continuous"][t, n] == pytest.approx(side * share, rel=1e-4, abs=1e-6)
    for t, n in ((350, 4), (399, 4)):
        year, month = (np.arange(t - d + 1, t + 1) for d in (252, 21))
        year, month = (rows[np.isfinite(returns[rows, n])] for rows in (year, month))
        if month.size >= 11:
            slope, _ = np.polyfit(mean[year], returns[year, n], 1)
            beyond = slope * mean[month].sum() - returns[month, n].sum()
            assert made["reversal_residual"][t, n] == pytest.approx(beyond, rel=2e-3, abs=1e-5)


def test_the_corwin_schultz_spread(market, computed):
    """Two-day estimates from highs and lows, negative ones 0, averaged over a month."""
    high, low = spans(market, "adj_high"), spans(market, "adj_low")
    expected = {}
    for n in high:
        h, l = high[n], low[n]  # noqa: E741
        one = np.log(h / l) ** 2
        beta = one + one.shift(1)
        top, bottom = np.maximum(h, h.shift(1)), np.minimum(l, l.shift(1))
        gamma = np.log(top / bottom) ** 2
        k = 3 - 2 * np.sqrt(2)
        alpha = (np.sqrt(2 * beta) - np.sqrt(beta)) / k - np.sqrt(gamma / k)
        spread = 2 * (np.exp(alpha) - 1) / (1 + np.exp(alpha))
        expected[n] = spread.clip(lower=0).rolling(21, 11).mean()
    compare(market, computed["spread_high_low"], expected, 2e-3, 2e-5)


def test_value_growth_and_quality(market, computed):
    """Announced figures over market value, and against what was known a year before."""
    book, cap, sales = (spans(market, name) for name in ("fund:book", "total_cap", "fund:sales_ttm"))
    earnings, assets = spans(market, "fund:earnings_ttm"), spans(market, "fund:total_assets")
    figures = {name: spans(market, f"fund:{name}") for name in ("cash_flow_ttm", "debt")}
    compare(market, computed["book_to_price"], {n: book[n] / cap[n] for n in book})
    growth = {n: (s - s.shift(243)) / s.shift(243).abs() for n, s in sales.items()}
    compare(market, computed["sales_growth"], growth)
    compare(market, computed["return_on_assets"], {n: earnings[n] / assets[n] for n in assets})
    points = {}
    for n, e in earnings.items():
        flow, debt = figures["cash_flow_ttm"][n], figures["debt"][n]
        signs = [e, flow, flow - e, (e / assets[n]).diff(243), (e / sales[n]).diff(243)]
        signs += [(sales[n] / assets[n]).diff(243), -(debt / assets[n]).diff(243)]
        points[n] = sum((sign > 0).where(sign.notna()).astype(float) for sign in signs)
    compare(market, computed["strength"], points)
    compare(market, computed["earnings_to_price_vendor"], {n: earnings[n] / cap[n] for n in cap}, 1e-3)


def test_in_industry_values_have_mean_zero(market, computed):
    """What is less the industry's mean averages to 0 over the industry's members."""
    x, industry = computed["return_on_equity_in_industry"], market["industry"]
    for t in (250, 399):
        for code in np.unique(industry[t][np.isfinite(industry[t])]):
            members = market.universe[t] & (industry[t] == code) & np.isfinite(x[t])
            assert x[t, members].mean() == pytest.approx(0, abs=1e-6)
