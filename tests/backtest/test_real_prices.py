"""The ledger and the optimiser on real prices: suspensions, ex-rights days, limits and partial VWAPs as they come."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from alphaloom.backtest.run import backtest
from alphaloom.backtest.settings import BacktestSettings
from alphaloom.data.market_rules import MarketRules
from alphaloom.data.price_limits import Standing, limit_prices, stocks_of
from alphaloom.panel import Panel
from alphaloom.portfolio.build import build_weights
from alphaloom.portfolio.linear_programme import LinearProgramme
from alphaloom.portfolio.topk import TopK
from alphaloom.risk.base import styles
from alphaloom.risk.exposures import style_exposures

FOLDER = Path(os.environ.get("ALPHALOOM_MARKET_DATA", Path(__file__).parents[3] / "shared" / "data"))
pytestmark = [
    pytest.mark.market,
    pytest.mark.skipif(not (FOLDER / "ashare_daily.parquet").is_file(), reason=f"no market data in {FOLDER}"),
]


@pytest.fixture(scope="module")
def market():
    """Main-board stocks in 2014 to 2016, with the fields that a store derives, computed here by hand."""
    frame = (
        pl.scan_parquet(FOLDER / "ashare_daily.parquet")
        .filter(pl.col("date") < pl.date(2017, 1, 1), pl.col("symbol").str.starts_with("SH600"))
        .drop("industry")
        .collect()
    )
    panel = Panel.from_frame(frame)
    f = {name: array.copy() for name, array in panel.fields.items()}
    listed = np.isfinite(f["close"])
    suspended = ~(f["volume"] > 0)
    f["volume"] = np.where(listed, np.nan_to_num(f["volume"]), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        f["vwap"] = np.where(f["volume"] > 0, f["amount"] / f["volume"], np.nan)
        shares = f["volume"] / (f["turnover"] / 100)
    f["is_listed"] = np.where(listed, 1.0, np.nan)
    f["is_suspended"] = np.where(listed, suspended, np.nan)
    f["adj_close"] = np.where(listed & ~suspended, f["close"] * f["adj_factor"], np.nan)
    f["log_cap"] = np.log(f["close"] * np.nanmedian(np.where(np.isfinite(shares), shares, np.nan), axis=0)[None])
    f["industry"] = np.where(listed, np.arange(panel.shape[1])[None] % 20, np.nan)
    reference = np.vstack([np.full((1, panel.shape[1]), np.nan), f["close"][:-1] * f["adj_factor"][:-1]])
    reference = reference / f["adj_factor"]
    rules, long_listed = MarketRules.load("china"), np.full(panel.shape, 999.0, np.float32)
    standing = Standing(np.zeros(panel.shape, bool), long_listed)
    up, down = limit_prices(rules, reference, panel.dates, stocks_of(rules, panel.symbols), standing)
    f["limit_up"], f["limit_down"] = up, down
    fields = {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in f.items()}
    return Panel(panel.dates, panel.symbols, listed & ~suspended, fields)


@pytest.fixture(scope="module")
def score(market):
    """Five-day reversal."""
    close = market["adj_close"]
    out = np.full(market.shape, np.nan, np.float32)
    out[5:] = 1 - close[5:] / close[:-5]
    out[~market.universe] = np.nan
    return out


def test_value_is_cash_flow_and_adjusted_units(market, score):
    """Recomputed from the fills in adjusted units and last adjusted closes alone, the value is the ledger's, across
    suspensions and ex-rights days.
    """
    rows = np.arange(300, market.shape[0] - 2, 5)
    targets, _ = build_weights(TopK(k=50), score, rows, market, limits=False)
    result = backtest(targets, market, BacktestSettings.frictionless(price="close"))
    place = {s: n for n, s in enumerate(market.symbols.tolist())}
    units, flow = np.zeros(market.shape), np.zeros(market.shape[0])
    for fill in result.fills.iter_rows(named=True):
        t, n = int(np.searchsorted(market.dates, np.datetime64(fill["date"]))), place[fill["symbol"]]
        side = 1 if fill["side"] == "buy" else -1
        units[t, n] += side * fill["filled"] / float(market["adj_factor"][t, n])
        flow[t] -= side * fill["value"]
    close = market["adj_close"].astype(float)
    for t in range(1, close.shape[0]):
        close[t] = np.where(np.isnan(close[t]), close[t - 1], close[t])
    value = 1e8 + np.cumsum(flow) + np.nansum(np.cumsum(units, axis=0) * close, axis=1)
    np.testing.assert_allclose(result.nav["nav"].to_numpy(), value[300:], rtol=1e-6)


def test_no_fill_breaks_the_market_rules(market, score):
    """Every fill lies within the bar and the limits, on a day that traded, within a tenth of the volume."""
    rows = np.arange(300, market.shape[0] - 2, 5)
    targets, _ = build_weights(TopK(k=30), score, rows, market)
    result = backtest(targets, market, BacktestSettings(slippage_bps=0))
    t = np.searchsorted(market.dates, result.fills["date"].to_numpy().astype("datetime64[D]"))
    place = {s: n for n, s in enumerate(market.symbols.tolist())}
    n = np.array([place[s] for s in result.fills["symbol"]])
    price, shares = result.fills["price"].to_numpy(), result.fills["filled"].to_numpy()
    traded = (result.fills["kind"] != "delisted").to_numpy()
    t, n, price, shares = t[traded], n[traded], price[traded], shares[traded]
    assert (market["is_suspended"][t, n] == 0).all()
    assert (shares <= 0.1 * market["volume"][t, n] * (1 + 1e-6)).all()
    assert not (price > market["limit_up"][t, n] + 0.011).any()
    buys = (result.fills["side"] == "buy").to_numpy()[traded]
    locked = market["low"][t, n] >= market["limit_up"][t, n] - 0.004
    assert not (locked & buys).any()
    assert result.metrics["unfilled_limit_up"] + result.metrics["unfilled_limit_down"] > 0
    assert result.nav["cash"].min() >= 0.0


def test_every_weekly_programme_is_certified(market, score):
    """Two years of weekly optimisation against an equal benchmark end with weights inside their limits."""
    chosen = [styles.parse(name) for name in ("size", "beta", "residual_volatility")]
    exposures = style_exposures(market, chosen)
    benchmark = market.universe / np.maximum(market.universe.sum(axis=1, keepdims=True), 1)
    rows = np.arange(300, market.shape[0] - 2, 5)
    construction = LinearProgramme(num_stock=50, style_limit=0.1, industry_limit=0.05, turnover_limit=0.3)
    targets, notes = build_weights(construction, score, rows, market, exposures=exposures, benchmark=benchmark)
    assert notes["gap"].max() <= 1e-8
    weight = targets["weight"][rows].astype(float)
    np.testing.assert_allclose(weight.sum(axis=1) + notes["cash"].to_numpy(), 1.0, atol=1e-6)
    fine = notes["status"].to_numpy() == "optimal"
    assert fine.mean() > 0.5
    for name in exposures.names:
        active = np.nansum((weight - benchmark[rows]) * np.nan_to_num(exposures[name][rows]), axis=1)
        assert (np.abs(active[fine]) <= 0.1 + 1e-5).all()
