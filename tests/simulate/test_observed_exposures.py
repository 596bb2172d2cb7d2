"""A market whose exposures are CNE5's descriptors of its past: recomputed from the published bars, stock by stock."""

import datetime as dt

import numpy as np
import pytest
from tests.simulate.conftest import Market

from alphaloom.data.simulate import SimulatedMarket, Truth, simulate
from alphaloom.data.simulate.factors import STYLES

DAY = 600
"""Row at which exposures are recomputed: every window lies within the bars."""


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Return two and a half years of forty stocks."""
    settings = SimulatedMarket(stocks=40, years=3, start=dt.date(2016, 1, 1), seed=9, exposures="observed")
    return Market(simulate(settings, tmp_path_factory.mktemp("observed") / "store"))


def test_exposures_are_descriptors_of_the_bars(seen):
    """Beta, momentum, residual volatility and liquidity by plain loops over adjusted closes and turnover."""
    price = np.where(seen.trades, seen.adj_close, np.nan)
    T, N = price.shape
    returns = np.full((T, N), np.nan)
    for i in range(N):
        last = np.nan
        for t in range(T):
            if np.isfinite(price[t, i]):
                returns[t, i] = price[t, i] / last - 1
                last = price[t, i]
    cap = seen.bars["close"] * seen.bars["total_shares"]
    market = np.full(T, np.nan)
    for t in range(1, T):
        both = seen.trades[t] & seen.trades[t - 1]
        market[t] = np.average(returns[t, both], weights=cap[t - 1, both])
    raw = {name: np.full(N, np.nan) for name in ("beta", "dastd", "hsigma", "cmra", "rstr", "stom", "stoq", "stoa")}
    filled = np.full(N, np.nan)
    months = []
    for t in range(DAY + 1):
        filled = np.where(seen.listed[t], np.where(np.isfinite(price[t]), price[t], filled), np.nan)
        if (DAY - t) % 21 == 0 and 21 <= DAY - t <= 252:
            months.append(filled.copy())
    raw["cmra"] = np.ptp(np.log(np.array(months)), axis=0)
    year, two = slice(DAY - 251, DAY + 1), slice(DAY - 524, DAY - 20)
    for i in range(N):
        there = np.isfinite(returns[year, i])
        if there.sum() >= 126:
            age = np.arange(251, -1, -1)[there]
            y, x = returns[year, i][there], market[year][there]
            w = 0.5 ** (age / 63)
            X = np.column_stack([np.ones(y.size), x])
            line = np.linalg.solve((X.T * w) @ X, (X.T * w) @ y)
            raw["beta"][i] = line[1]
            raw["hsigma"][i] = np.sqrt(np.average((y - X @ line) ** 2, weights=w))
            w = 0.5 ** (age / 42)
            raw["dastd"][i] = np.sqrt(np.average((y - np.average(y, weights=w)) ** 2, weights=w))
        there = seen.listed[two, i]
        if there.sum() >= 231:
            logs = np.log1p(np.nan_to_num(returns[two, i]))[there]
            raw["rstr"][i] = np.average(logs, weights=0.5 ** (np.arange(503, -1, -1)[there] / 126))
        for name, rows in (("stom", 21), ("stoq", 63), ("stoa", 252)):
            part = seen.bars["turnover"][DAY - rows + 1 : DAY + 1, i]
            if np.isfinite(part).sum() >= (rows + 1) // 2:
                raw[name][i] = np.log(np.nansum(part) / (rows / 21))

    weight = np.where(seen.listed[DAY], cap[DAY], 0.0)

    def standard(x):
        known = np.isfinite(x) & seen.listed[DAY]
        mean, spread = x[known].mean(), x[known].std()
        out = np.where(known, np.clip(x, mean - 3 * spread, mean + 3 * spread), np.nan)
        return (out - np.average(out[known], weights=weight[known])) / out[known].std()

    def together(shares):
        values = np.array([standard(raw[name]) for name in shares])
        w = np.array(list(shares.values()))[:, None] * np.isfinite(values)
        with np.errstate(invalid="ignore"):
            return np.nansum(w * np.nan_to_num(values), axis=0) / w.sum(axis=0)

    beta = standard(raw["beta"])
    volatility = together({"dastd": 0.74, "cmra": 0.16, "hsigma": 0.10})
    known = np.isfinite(beta) & np.isfinite(volatility)
    X = np.column_stack([np.ones(known.sum()), beta[known]])
    w = np.sqrt(weight[known])
    volatility[known] -= X @ np.linalg.solve((X.T * w) @ X, (X.T * w) @ volatility[known])
    volatility[~known] = np.nan
    expected = {
        "beta": beta,
        "momentum": standard(raw["rstr"]),
        "residual_volatility": standard(volatility),
        "liquidity": standard(together({"stom": 0.35, "stoq": 0.35, "stoa": 0.30})),
    }
    told = seen.exposures[dt.date.fromisoformat(str(seen.dates[DAY]))]
    column = np.searchsorted(seen.symbols, np.array(told["symbol"].to_list()))
    assert seen.listed[DAY].sum() == column.size > 30
    for name, values in expected.items():
        assert np.isfinite(values[column]).sum() > 25
        np.testing.assert_allclose(told[name].to_numpy(), np.nan_to_num(values[column]), atol=2e-4, err_msg=name)


def test_all_other_draws_are_those_of_the_latent_market(seen, tmp_path):
    """The setting changes exposures and what follows from them; country and style returns are drawn as ever."""
    latent = simulate(seen.truth.settings.model_copy(update={"exposures": "latent"}), tmp_path / "latent")
    names = ["regime", "country", *STYLES]
    mine, theirs = (truth.factor_returns().select(names) for truth in (seen.truth, Truth.of(latent.path)))
    assert mine.equals(theirs)
