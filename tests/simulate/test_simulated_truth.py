"""The truth of the simulated market: factor returns, covariance and planted alphas agree with the published data."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import rankdata

from alphaloom.data.load import load_panel
from alphaloom.data.simulate import SimulatedMarket, Truth, simulate
from alphaloom.data.simulate.alphas import DECAY, REMAINING
from alphaloom.data.simulate.ceiling import CeilingTally
from alphaloom.data.simulate.engine import Engine
from alphaloom.data.simulate.factors import REGIMES, STYLES, build_factor_model, regime_path
from alphaloom.data.simulate.settings import COMPONENTS
from alphaloom.features.base import features


def design(market, t: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns of stocks listed at t and their exposures: country, industries, styles."""
    rows = market.exposures[market.dates[t].item()]
    names, _, _ = market.truth.covariance()
    industries = names[1 : -len(STYLES)]
    dummies = np.stack([(rows["industry"] == name).to_numpy() for name in industries], axis=1).astype(float)
    styles = rows.select(STYLES).to_numpy()
    columns = np.searchsorted(market.symbols, np.array(rows["symbol"].to_list()))
    return columns, np.hstack([np.ones((rows.height, 1)), dummies, styles])


def constrained_regression(y: np.ndarray, X: np.ndarray, weights: np.ndarray, caps: np.ndarray, industries: int):
    """Return factor returns and their standard errors: weighted least squares, cap-weighted industry sum of zero."""
    shares = caps @ X[:, 1 : 1 + industries]
    K = X.shape[1]
    R = np.eye(K)
    last = industries
    R[last, 1 : 1 + industries] = -shares / shares[-1]
    R = np.delete(R, last, axis=1)
    Z = X @ R
    W = weights[:, None]
    inverse = np.linalg.inv(Z.T @ (W * Z))
    f = inverse @ (Z.T @ (weights * y))
    residual = y - Z @ f
    scale = (weights * residual**2).sum() / (y.size - Z.shape[1])
    return R @ f, np.sqrt(np.diag(R @ (inverse * scale) @ R.T))


def test_regression_on_true_exposures_recovers_the_factor_returns(market):
    """A day's returns on the exposures of the day before give the true factor returns within their standard errors."""
    names, _, _ = market.truth.covariance()
    true = market.truth.factor_returns()
    industries = len(names) - 1 - len(STYLES)
    returns = market.adj_close[1:] / market.adj_close[:-1] - 1
    estimates, truths, errors = [], [], []
    for t in range(40, market.dates.size - 1, 5):
        columns, X = design(market, t)
        caps = market.bars["close"][t, columns] * market.bars["total_shares"][t, columns]
        use = market.trades[t + 1, columns] & market.trades[t, columns]
        f, error = constrained_regression(
            returns[t, columns][use], X[use], np.ones(use.sum()), caps[use] / caps[use].sum(), industries
        )
        estimates.append(f)
        truths.append(true.row(t + 1)[2:])
        errors.append(error)
    estimates, truths, errors = np.array(estimates), np.array(truths, dtype=float), np.array(errors)
    z = (estimates - truths) / errors
    assert np.abs(z.mean()) < 0.1
    assert 0.7 < z.std() < 1.4
    country = np.corrcoef(estimates[:, 0], truths[:, 0])[0, 1]
    assert country > 0.9
    for style in ("beta", "size", "residual_volatility"):
        k = names.index(style)
        assert np.corrcoef(estimates[:, k], truths[:, k])[0, 1] > 0.6


def test_exposures_are_standardised_and_size_is_the_published_size(market):
    """Each style has cap-weighted mean 0 and deviation 1 every day; size is monotone in published capitalisation."""
    for t in (5, 300, 700):
        columns, X = design(market, t)
        caps = market.bars["close"][t, columns] * market.bars["total_shares"][t, columns]
        styles = X[:, -len(STYLES) :]
        np.testing.assert_allclose(caps @ styles / caps.sum(), 0, atol=2e-3)
        np.testing.assert_allclose(styles.std(axis=0), 1, atol=1e-3)
        size, cube = styles[:, STYLES.index("size")], styles[:, STYLES.index("nonlinear_size")]
        assert (np.diff(size[np.argsort(caps)]) >= -1e-5).all()
        # Orthogonal under the regression's weights, up to the clipping that follows.
        covariance = np.cov(size, cube, aweights=np.sqrt(caps))
        assert abs(covariance[0, 1]) / np.sqrt(covariance[0, 0] * covariance[1, 1]) < 0.35


def test_value_exposure_follows_from_announced_fundamentals(market):
    """Book to price orders stocks by the last announced book over capitalisation: nothing later than announced."""
    table = market.store.read("fundamentals").filter(pl.col("item") == "book")
    for t in (120, 400, 650):
        day = market.dates[t].item()
        known = table.filter(pl.col("announce_date") <= day).sort("period_end").group_by("symbol").last().sort("symbol")
        columns, X = design(market, t)
        book = dict(zip(known["symbol"], known["value"], strict=True))
        caps = market.bars["close"][t, columns] * market.bars["total_shares"][t, columns]
        ratio = np.array([book[symbol] for symbol in market.symbols[columns]]) / caps
        value = X[:, 1 + X.shape[1] - 1 - len(STYLES) + STYLES.index("book_to_price")]
        order = np.argsort(ratio)
        assert (np.diff(value[order]) >= -1e-5).all()


def test_industry_returns_sum_to_zero_by_capitalisation(market):
    """The true factor returns keep the constraint of the CNE5 regression at the previous close's weights."""
    names, _, _ = market.truth.covariance()
    industries = len(names) - 1 - len(STYLES)
    true = market.truth.factor_returns()
    for t in range(0, market.dates.size - 1, 97):
        columns, X = design(market, t)
        caps = market.bars["close"][t, columns] * market.bars["total_shares"][t, columns]
        stays = market.listed[t + 1, columns]
        shares = caps[stays] @ X[stays, 1 : 1 + industries] / caps[stays].sum()
        assert shares @ np.array(true.row(t + 1)[3 : 3 + industries]) == pytest.approx(0, abs=2e-5)


def test_factor_returns_have_the_true_covariance():
    """Draws of one regime have the covariance that the truth declares, and no serial correlation."""
    model = build_factor_model(("A", "B", "C"), 0.0, np.random.default_rng(0))
    draws = sum(model.draw(np.random.default_rng(1), np.zeros(40_000, dtype=np.int64)))
    true = model.covariance * np.outer(model.scale[0], model.scale[0])
    spread = np.sqrt(np.diag(true))
    np.testing.assert_allclose(np.cov(draws.T) / np.outer(spread, spread), true / np.outer(spread, spread), atol=0.025)
    assert np.linalg.eigvalsh(model.covariance).min() > 0
    lag = [np.corrcoef(draws[1:, k], draws[:-1, k])[0, 1] for k in range(draws.shape[1])]
    assert np.abs(lag).max() < 0.02
    weights = np.array([0.5, 0.3, 0.2])
    constrained = draws.copy()
    constrained[:, 1:4] -= (draws[:, 1:4] @ weights)[:, None]
    declared = model.constrained(weights)[0]
    np.testing.assert_allclose(
        np.cov(constrained.T) / np.outer(spread, spread), declared / np.outer(spread, spread), atol=0.025
    )
    np.testing.assert_allclose(weights @ declared[1:4, 1:4], 0, atol=1e-12)


def test_without_premia_no_style_is_paid():
    """The drift is the country's alone, unless premia are asked for."""
    plain = build_factor_model(("A", "B"), 0.0, np.random.default_rng(0))
    paid = build_factor_model(("A", "B"), 1.0, np.random.default_rng(0))
    assert (plain.drift[:, 1:] == 0).all()
    assert paid.drift[:, 3 + STYLES.index("size")] * 243 == pytest.approx(-0.04)


def test_regimes_last_for_months():
    """Spells of bull, bear and calm last 80, 60 and 110 days on average, and none follows itself."""
    path = regime_path(np.random.default_rng(3), 300_000)
    starts = np.flatnonzero(np.diff(path, prepend=-1))
    lengths = np.diff(starts)
    means = [lengths[path[starts[:-1]] == k].mean() for k in range(len(REGIMES))]
    assert means == pytest.approx([80, 60, 110], rel=0.1)


def ready(market, t: int) -> np.ndarray:
    """Return which stocks have 30 days of listing and 21 rows without a suspension at t."""
    old = market.listed[0]
    age = np.where(old, 1000, market.listed[: t + 1].sum(axis=0))
    return market.trades[t] & (age >= 30) & ~market.suspended[max(0, t - 20) : t + 1].any(axis=0)


def naive_z(x: np.ndarray) -> np.ndarray:
    """Return z-scores clipped at 3 and rescaled, of a plain vector."""
    z = np.clip((x - x.mean()) / x.std(), -3, 3)
    return np.clip((z - z.mean()) / z.std(), -3, 3)


def naive_signals(market, t: int) -> dict[str, np.ndarray]:
    """Return the four signals at t from the published bars alone, by loops and pandas; 0 where not ready."""
    b, on = market.bars, np.flatnonzero(ready(market, t))
    window = slice(t - 25, t + 1)
    frames = {}
    for n in on:
        factor = b["adj_factor"][window, n]
        frames[n] = pd.DataFrame(
            {
                "o": b["open"][window, n] * factor,
                "h": b["high"][window, n] * factor,
                "l": b["low"][window, n] * factor,
                "c": b["close"][window, n] * factor,
                "v": b["volume"][window, n] / factor,
            }
        )
    last = {n: f.iloc[-1] for n, f in frames.items()}
    roc5 = np.array([frames[n].c.iloc[-6] / last[n].c for n in on])
    vma5 = np.array([frames[n].v.rolling(5).mean().iloc[-1] / last[n].v for n in on])
    klen = np.array([(last[n].h - last[n].l) / last[n].o for n in on])
    lin = 0.6 * naive_z(roc5) + 0.5 * naive_z(vma5) - 0.5 * naive_z(klen)

    def spread_ranks(x):
        return 2 * (pd.Series(x).rank(method="first").to_numpy() - 0.5) / x.size - 1

    up10 = np.array([last[n].c / frames[n].c.iloc[-11] for n in on])
    busy = np.array([last[n].v / frames[n].v.rolling(20).mean().iloc[-1] for n in on])
    non = -spread_ranks(up10) * spread_ranks(busy)

    pattern = np.zeros(on.size)
    flow = np.zeros(on.size)
    weights = {7: 1, 8: 1, 9: -1, 10: -1, 11: 0.5, 12: 0.5, 13: -0.5, 14: -0.5}
    for lag, weight in weights.items():
        pattern += weight * np.array([(f.c - f.o).iloc[-1 - lag] / f.o.iloc[-1 - lag] for f in frames.values()])
    for lag in range(7, 13):
        there = np.flatnonzero(ready(market, t - lag))
        body = (b["close"][t - lag, there] - b["open"][t - lag, there]) / b["open"][t - lag, there]
        z = dict(zip(there, naive_z(body), strict=True))
        for k, n in enumerate(on):
            change = np.log(frames[n].v.iloc[-1 - lag] / frames[n].v.iloc[-2 - lag])
            flow[k] += 0.8 ** (lag - 6) * z.get(n, 0.0) * np.clip(change, -2, 2)
    seq = 0.8 * naive_z(pattern) + 0.6 * naive_z(flow)

    full = {}
    for name, values in {"linear": lin, "nonlinear": non, "sequential": seq}.items():
        full[name] = np.zeros(market.symbols.size)
        full[name][on] = naive_z(values)
    return full


def naive_peers(market, t: int) -> np.ndarray:
    """Return the z-scores of the hidden leaders' excess return of t and half that of t - 1; 0 where not ready."""
    excess = np.zeros((2, market.symbols.size))
    for lag in (0, 1):
        traded = market.trades[t - lag]
        r = np.nan_to_num(market.adj_close[t - lag] / market.adj_close[t - lag - 1] - 1)
        excess[lag, traded] = r[traded] - r[traded].mean()
    recent = dict(zip(market.symbols, excess[0] + 0.5 * excess[1], strict=True))
    by_symbol = market.truth.peers().partition_by("symbol", as_dict=True)
    on = np.flatnonzero(ready(market, t))
    led = np.array([np.mean([recent[peer] for peer in by_symbol[(market.symbols[n],)]["peer"]]) for n in on])
    out = np.zeros(market.symbols.size)
    out[on] = naive_z(led)
    return out


def test_planted_alphas_are_computable_from_published_bars(market):
    """The truth's linear, non-linear and sequential alpha at t follows from rows up to t alone, signals decaying."""
    for t in (150, 420, 690):
        signals = [naive_signals(market, t - lag) for lag in range(5)]
        for name in ("linear", "nonlinear", "sequential"):
            rebuilt = sum(DECAY[lag] * signals[lag][name] for lag in range(5))
            true = market.expected(name)[t]
            use = np.isfinite(true) & (true != 0)
            # The scale moves a little from day to day, which the sum of five does not know: hence not exactly 1.
            assert np.corrcoef(rebuilt[use], true[use])[0, 1] > 0.995


def test_cross_stock_alpha_comes_from_hidden_leaders(market):
    """The cross-stock alpha follows the leaders' returns of today and yesterday, not the stock's own."""
    correlations = []
    for t in range(200, 700, 100):
        rebuilt = sum(DECAY[lag] * naive_peers(market, t - lag) for lag in range(5))
        true = market.expected("cross")[t]
        use = np.isfinite(true) & (true != 0)
        correlations.append(np.corrcoef(rebuilt[use], true[use])[0, 1])
    assert np.mean(correlations) == pytest.approx(0.8, abs=0.08)


def test_operator_alpha_is_two_features_of_the_alphanet_family(tmp_path):
    """The alpha made of AlphaNet's operators follows from the feature family's own columns on the published bars."""
    store = simulate(SimulatedMarket(stocks=80, years=2, seed=3, alpha="operators"), tmp_path / "store")
    truth = Truth.of(store.path).alpha().select("date", "symbol", "operators").collect()
    family = features.parse("alphanet")
    panel = load_panel(store, list(family.required))
    names = family.columns()
    block = family.compute(panel)
    corr, spread = (block[..., names.index(n)] for n in ("corr_close_volume_sqrt_10", "std_div_high_close_10"))
    t = np.searchsorted(panel.dates, truth["date"].to_numpy().astype("datetime64[D]"))
    n = np.searchsorted(panel.symbols, truth["symbol"].to_numpy().astype(str))
    expected = np.zeros(panel.shape)
    expected[t, n] = truth["operators"].to_numpy()
    for row in (150, 300, 450):
        signal = np.zeros((5, panel.shape[1]))
        for lag in range(5):
            on = np.flatnonzero(expected[row - lag] != 0)
            on = on[np.isfinite(corr[row - lag, on]) & np.isfinite(spread[row - lag, on])]
            z = [naive_z(values[row - lag, on].astype(float)) for values in (corr, spread)]
            signal[lag, on] = naive_z(-0.8 * z[0] - 0.6 * z[1])
        use = np.flatnonzero((expected[row] != 0) & (signal != 0).all(axis=0))
        assert use.size > 40
        assert np.corrcoef((DECAY[:, None] * signal).sum(axis=0)[use], expected[row, use])[0, 1] > 0.98


def test_skewed_alpha_pays_liquid_reversal_and_charges_price_with_volume(tmp_path):
    """The alpha with skewed payoffs follows from published bars: half of one feature less half of another."""
    store = simulate(SimulatedMarket(stocks=80, years=2, seed=3, alpha="skewed"), tmp_path / "store")
    truth = Truth.of(store.path).alpha().select("date", "symbol", "skewed").collect()
    panel = load_panel(store, ["adj_close", "adj_volume", "amount"])
    close, volume, value = (panel[name].astype(float) for name in panel.names)
    returns = close[1:] / close[:-1] - 1
    t = np.searchsorted(panel.dates, truth["date"].to_numpy().astype("datetime64[D]"))
    n = np.searchsorted(panel.symbols, truth["symbol"].to_numpy().astype(str))
    expected = np.zeros(panel.shape)
    expected[t, n] = truth["skewed"].to_numpy()
    for row in (150, 300, 450):
        signal = np.zeros((5, panel.shape[1]))
        for lag in range(5):
            day = row - lag
            path = np.abs(returns[day - 5 : day]).sum(axis=0)
            on = np.flatnonzero((expected[day] != 0) & np.isfinite(path))
            drift = (close[day, on] / close[day - 5, on] - 1) / path[on]
            days = slice(day - 9, day + 1)
            agreement = np.array([np.corrcoef(close[days, k], volume[days, k] ** 0.125)[0, 1] for k in on])
            liquid = rankdata(value[day - 19 : day + 1][:, on].mean(axis=0)) / on.size
            gain, loss = np.maximum(-naive_z(drift), 0), np.maximum(naive_z(agreement), 0)
            signal[lag, on] = naive_z(gain * (0.5 + liquid) - 1.2 * loss)
        use = np.flatnonzero((expected[row] != 0) & (signal != 0).all(axis=0))
        assert use.size > 40
        assert np.corrcoef((DECAY[:, None] * signal).sum(axis=0)[use], expected[row, use])[0, 1] > 0.98


def test_leaders_alpha_pays_what_an_industrys_most_traded_stocks_did(tmp_path):
    """The cross-stock alpha follows from other stocks' published bars, the same for a whole industry."""
    store = simulate(SimulatedMarket(stocks=80, years=2, seed=3, alpha="leaders", industries=4), tmp_path / "store")
    truth = Truth.of(store.path).alpha().select("date", "symbol", "leaders").collect()
    panel = load_panel(store, ["adj_close", "amount", "industry", "is_suspended"])
    t = np.searchsorted(panel.dates, truth["date"].to_numpy().astype("datetime64[D]"))
    n = np.searchsorted(panel.symbols, truth["symbol"].to_numpy().astype(str))
    expected = np.zeros(panel.shape)
    expected[t, n] = truth["leaders"].to_numpy()
    close = panel["adj_close"].astype(float)
    excess = np.where(panel["is_suspended"] == 0, close / np.vstack([close[:1], close[:-1]]) - 1, np.nan)
    excess -= np.nanmean(excess, axis=1, keepdims=True)
    excess = np.nan_to_num(excess)
    for row in (150, 300, 450):
        signal = np.zeros((5, panel.shape[1]))
        for lag in range(5):
            day = row - lag
            value = panel["amount"][day - 19 : day + 1].astype(float).mean(axis=0)
            on = np.flatnonzero(expected[day] != 0)
            lead = np.zeros(panel.shape[1])
            for code in np.unique(panel["industry"][day, on]):
                members = on[panel["industry"][day, on] == code]
                first = members[np.argsort(-value[members])[:3]]
                lead[members] = excess[day, first].mean() + 0.5 * excess[day - 1, first].mean()
            signal[lag, on] = naive_z(lead[on])
        use = np.flatnonzero((expected[row] != 0) & (signal != 0).all(axis=0))
        assert use.size > 40
        assert np.corrcoef((DECAY[:, None] * signal).sum(axis=0)[use], expected[row, use])[0, 1] > 0.95


def test_components_add_up_to_the_alpha(market):
    """The expected return of the next day is the sum of its four parts, of about equal variance, and starts at 0."""
    parts = np.stack([market.expected(name) for name in COMPONENTS])
    alpha = market.expected("alpha")
    np.testing.assert_allclose(parts.sum(axis=0)[market.listed], alpha[market.listed], atol=1e-7)
    assert (alpha[:20][market.listed[:20]] == 0).all()
    spread = [np.nanstd(part[100:]) for part in parts]
    assert max(spread) < 2.5 * min(spread)


def test_specific_returns_follow_the_alpha_one_for_one(market):
    """Regressing the next day's specific return on the alpha gives a slope of 1."""
    true = market.truth.factor_returns()
    alpha, event = market.expected("alpha"), market.expected("event")
    returns = market.adj_close[1:] / market.adj_close[:-1] - 1
    slopes = []
    for t in range(40, market.dates.size - 1):
        columns, X = design(market, t)
        specific = returns[t, columns] - X @ np.array(true.row(t + 1)[2:])
        use = market.trades[t + 1, columns] & (event[t, columns] == 0) & (alpha[t, columns] != 0)
        a = alpha[t, columns][use]
        slopes.append(np.cov(a, specific[use])[0, 1] / a.var(ddof=1))
    error = np.std(slopes) / np.sqrt(len(slopes))
    assert np.mean(slopes) == pytest.approx(1, abs=3 * error)
    assert np.mean(slopes) > 5 * error


def test_declared_ceiling_is_reached(market):
    """The RankIC of the true expected return is about the one asked for, and the truth records it."""
    assert market.truth.ceiling(5) == pytest.approx(0.1, abs=0.02)
    assert market.truth.ceiling(1) < market.truth.ceiling(5)
    assert market.truth.ceiling(5, "open") > market.truth.ceiling(5, "vwap") > 0.07
    components = market.truth.meta["ceiling"]["components"]
    assert set(components) == set(COMPONENTS)
    assert min(part["rank_ic"] for part in components.values()) > 0.01


def test_ceiling_is_spearmans_correlation(market):
    """The recorded five-day ceiling is the mean rank correlation over eligible stocks, ties sharing ranks."""
    alpha = market.expected("alpha_5")
    b = market.bars
    at_limit = (b["close"] == b["limit_up"]) | (b["close"] == b["limit_down"])
    eligible = market.trades & (b["is_st"] != 1) & ~at_limit
    age = np.cumsum(eligible, axis=0) + 60 * eligible[0]
    values = []
    for t in range(30, market.dates.size - 5):
        use = eligible[t] & (age[t] > 60) & market.trades[t + 5]
        forward = market.adj_close[t + 5, use] / market.adj_close[t, use]
        values.append(np.corrcoef(rankdata(alpha[t, use]), rankdata(forward))[0, 1])
    assert market.truth.ceiling(5) == pytest.approx(np.mean(values), abs=2e-4)
    assert market.truth.meta["ceiling"]["close"]["5"]["dates"] == len(values)


def test_known_part_of_five_days_falls_as_the_signal_ages():
    """Shares of the effect add to 1 and what remains is their reversed sum."""
    assert DECAY.sum() == pytest.approx(1)
    assert REMAINING.tolist() == pytest.approx([1.0, 0.7, 0.45, 0.25, 0.1])


@pytest.mark.slow
@pytest.mark.parametrize("kind", COMPONENTS)
def test_each_alpha_alone_reaches_its_ceiling(kind):
    """Every kind of planted alpha reaches the RankIC asked for within 0.02, averaged over two seeds."""
    reached = []
    for seed in (1, 2):
        engine = Engine(SimulatedMarket(alpha=kind, seed=seed))
        tally = CeilingTally()
        for block in engine.years():
            tally.add(block)
        reached.append(tally.summary()["close"]["5"]["rank_ic"])
    assert np.mean(reached) == pytest.approx(0.08, abs=0.012)


def null_t_statistics(seed: int, stocks: int, horizon: int = 5) -> dict[str, float]:
    """Return the t of the mean RankIC over non-overlapping dates, of simple signals in a market without alpha."""
    engine = Engine(SimulatedMarket(alpha="none", seed=seed, stocks=stocks))
    blocks = list(engine.years())
    bars = {name: np.concatenate([block.bars[name] for block in blocks]).astype(float) for name in blocks[0].bars}
    trades = np.concatenate([block.listed & ~block.is_suspended for block in blocks])
    price = bars["close"] * bars["adj_factor"]
    returns = np.vstack([np.full((1, price.shape[1]), np.nan), price[1:] / price[:-1] - 1])
    rolling = pd.DataFrame(returns).rolling(20)
    signals = {
        "reversal": -returns,
        "momentum": pd.DataFrame(price).pct_change(20, fill_method=None).to_numpy(),
        "volatility": rolling.std().to_numpy(),
        "skew": rolling.skew().to_numpy(),
        "turnover": bars["turnover"],
        "size": bars["close"] * bars["total_shares"],
        "body": bars["close"] / bars["open"],
    }
    result = {}
    for name, signal in signals.items():
        values = []
        for t in range(30, price.shape[0] - horizon - 1, horizon):
            entry, leave = bars["vwap"] * bars["adj_factor"], t + 1 + horizon
            forward = entry[leave] / entry[t + 1] - 1
            use = trades[t] & np.isfinite(forward) & np.isfinite(signal[t])
            ranks = pd.DataFrame({"s": signal[t, use], "r": forward[use]}).rank()
            values.append(ranks.s.corr(ranks.r))
        result[name] = float(np.mean(values) / np.std(values, ddof=1) * np.sqrt(len(values)))
    return result


def test_without_alpha_nothing_is_planted():
    """A market without alpha expects nothing, owes nothing, and has no ceiling."""
    engine = Engine(SimulatedMarket(alpha="none", stocks=60, years=1))
    tally = CeilingTally()
    for block in engine.years():
        assert set(block.expected) == {"alpha", "alpha_5", "event"}
        for values in block.expected.values():
            assert (values[block.listed] == 0).all()
        tally.add(block)
    assert tally.summary()["close"]["5"] == {"rank_ic": None, "std": None, "dates": 0}


@pytest.mark.slow
def test_without_alpha_simple_signals_predict_nothing():
    """Over twenty markets without alpha the t of each simple signal's RankIC is standard normal, as far as 20 tell."""
    table = pd.DataFrame([null_t_statistics(seed, stocks=200) for seed in range(20)])
    assert ((table.abs() < 2).sum() >= 17).all()
    assert (table.abs() < 2).to_numpy().mean() > 0.9
    assert (np.abs(table.mean()) * np.sqrt(20) < 3.5).all()
