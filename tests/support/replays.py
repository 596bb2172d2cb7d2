"""Markets and targets for tests of the backtest."""

import numpy as np
from panels import business_days

from alphaloom.data.market_rules import MarketRules
from alphaloom.panel import Panel

SYMBOLS = ("SH600000", "SZ000001", "SZ300001", "SH688001", "BJ430001")
"""One stock of every board and exchange of the Chinese market."""


def small(close, symbols=None, start="2024-01-02", **fields):
    """Return a panel of few dates and stocks on which everything trades at the close unless said otherwise."""
    close = np.asarray(close, dtype=np.float32)
    T, N = close.shape
    base = dict.fromkeys(("open", "high", "low", "close", "vwap", "adj_close"), close)
    base |= {"volume": np.full(close.shape, 1e9), "adj_factor": np.ones(close.shape)}
    base |= {"is_suspended": np.zeros(close.shape), "is_listed": np.ones(close.shape)}
    base |= {"limit_up": np.full(close.shape, np.nan), "limit_down": np.full(close.shape, np.nan)}
    base |= {name: np.asarray(value) for name, value in fields.items()}
    return Panel(
        business_days(T, start),
        np.array(symbols or [f"SH{600000 + n}" for n in range(N)]),
        np.ones(close.shape, dtype=bool),
        {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in base.items()},
    )


def weights_on(panel, decisions):
    """Return a target panel with the given {row: weights}."""
    weight = np.full(panel.shape, np.nan, dtype=np.float32)
    for row, values in decisions.items():
        weight[row] = values
    return panel.with_fields({"weight": weight}, keep=False)


def random_targets(panel, every=5, seed=0, invested=1.0, names=0.5, short=0.0):
    """Return random weights every few rows: long ones that sum to `invested`, and `short` sold in other stocks."""
    rng = np.random.default_rng(seed)
    decisions = {}
    for t in range(2, panel.shape[0] - 1, every):
        raw = rng.random(panel.shape[1]) * (rng.random(panel.shape[1]) < names) * (panel["is_listed"][t] == 1)
        if raw.sum() > 0:
            side = np.where(rng.random(panel.shape[1]) < (0.4 if short else 0.0), -1, 1)
            long, sold = np.where(side > 0, raw, 0.0), np.where(side < 0, raw, 0.0)
            decisions[t] = invested * long / max(long.sum(), 1e-9) - short * sold / max(sold.sum(), 1e-9)
    return weights_on(panel, decisions)


def ruled_market(seed, start="2020-08-10", T=26, copies=2):
    """Return a market whose bars keep China's dated limits: locked days, suspensions, splits, dividends, delistings.

    `copies` stocks of each of `SYMBOLS`; volumes are whole, some too small for an order.
    """
    rng = np.random.default_rng(seed)
    rules = MarketRules.load("china")
    symbols = np.array([f"{name[:-1]}{k}" for k in range(copies) for name in SYMBOLS])
    dates, N = business_days(T, start), len(SYMBOLS) * copies
    boards, exchanges = rules.board_of(symbols), rules.exchange_of(symbols)
    f = {name: np.full((T, N), np.nan) for name in ("open", "high", "low", "close", "vwap", "volume")}
    f |= {name: np.full((T, N), np.nan) for name in ("limit_up", "limit_down", "adj_factor", "is_listed")}
    f["is_suspended"] = np.full((T, N), np.nan)
    last, factor = np.round(rng.uniform(2, 40, N), 2), np.ones(N)
    stop = np.where(rng.random(N) < 0.15, rng.integers(T // 2, T, N), T)
    for t in range(T):
        for n in range(N):
            if t >= stop[n] or not _begun(str(boards[n]), dates[t]):
                continue
            event = rng.choice([1.0, 1.02, 1.3, 2.0], p=[0.94, 0.03, 0.02, 0.01])
            factor[n] *= event
            base = float(rules.round_to_tick(np.array(last[n] / event)))
            band = rules.band(str(boards[n]), dates[t], exchange=str(exchanges[n])).up
            up = max(float(rules.round_to_tick(np.array(base * (1 + band)))), base + 0.01)
            down = max(0.01, float(rules.round_to_tick(np.array(base * (1 - band)))))
            f["is_listed"][t, n], f["adj_factor"][t, n] = 1.0, factor[n]
            f["limit_up"][t, n], f["limit_down"][t, n] = up, down
            suspended = rng.random() < 0.08
            bar = _bar(rng, base, up, down) if not suspended else dict.fromkeys(("open", "high", "low", "close"), base)
            for name, value in bar.items():
                f[name][t, n] = value
            f["vwap"][t, n] = np.nan if suspended else (bar["high"] + bar["low"] + bar["close"]) / 3
            f["is_suspended"][t, n] = float(suspended)
            f["volume"][t, n] = 0.0 if suspended else float(int(np.exp(rng.normal(10, 2))))
            last[n] = bar["close"]
    f["adj_close"] = np.where(f["is_suspended"] == 0, f["close"] * f["adj_factor"], np.nan)
    fields = {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in f.items()}
    return Panel(dates, symbols, f["is_suspended"] == 0, fields)


def _begun(board, day):
    return day >= np.datetime64(
        {"star": "2019-07-22", "bse": "2021-11-15", "chinext": "2009-10-30"}.get(board, "1990-12-19")
    )


def _bar(rng, base, up, down):
    """Return a bar within the limits, at times locked at one of them."""
    kind = rng.random()
    if kind < 0.06:
        return dict.fromkeys(("open", "high", "low", "close"), up)
    if kind < 0.12:
        return dict.fromkeys(("open", "high", "low", "close"), down)
    values = np.clip(np.round(base * (1 + rng.normal(0, 0.03, 4)), 2), down, up)
    return {"open": values[0], "close": values[1], "high": values.max(), "low": values.min()}
