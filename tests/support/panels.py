"""Small random markets for unit tests: every standard panel field, with gaps, late listings and suspensions."""

import numpy as np

from alphaloom.panel import Panel


def business_days(T: int, start: str = "2020-01-02") -> np.ndarray:
    """Return T weekdays from `start` on."""
    return np.busday_offset(np.datetime64(start, "D"), np.arange(T), roll="forward").astype("datetime64[D]")


def random_panel(T: int = 120, N: int = 30, seed: int = 0, *, gaps: bool = True, groups: int = 4) -> Panel:
    """Return a panel with raw and adjusted bars, caps, industries, flags, an index, statements, indices and macro.

    With `gaps`: some stocks list late or leave early, some days are suspended (adjusted fields NaN, volume 0).
    """
    rng = np.random.default_rng(seed)
    ret = (rng.standard_t(4, size=(T, N)) * 0.015).clip(-0.095, 0.095)
    close = np.round(10 * np.exp(np.cumsum(ret, axis=0) + rng.normal(0, 0.6, N)), 2).clip(0.5)
    open_ = np.round(close * (1 + rng.normal(0, 0.005, (T, N))), 2).clip(0.5)
    high = np.round(np.maximum(open_, close) * (1 + np.abs(rng.normal(0, 0.004, (T, N)))), 2)
    low = np.round(np.minimum(open_, close) * (1 - np.abs(rng.normal(0, 0.004, (T, N)))), 2).clip(0.01)
    high, low = (
        np.maximum(high, np.maximum(open_, close)),
        np.minimum(low, np.minimum(open_, close)),
    )
    volume = np.round(np.exp(rng.normal(13, 0.7, (T, N)) + rng.normal(0, 0.8, N)))
    vwap = (high + low + 2 * close) / 4
    adj = np.cumprod(np.where(rng.random((T, N)) < 0.003, 1.1, 1.0), axis=0)
    listed = np.ones((T, N), dtype=bool)
    suspended = np.zeros((T, N), dtype=bool)
    if gaps:
        for n in range(0, N, 7):
            listed[: rng.integers(1, max(2, T // 2)), n] = False
        for n in range(3, N, 11):
            listed[T - rng.integers(1, max(2, T // 4)) :, n] = False
        suspended = rng.random((T, N)) < 0.01
        for n in range(1, N, 5):
            a = rng.integers(0, T)
            suspended[a : a + rng.integers(1, 12), n] = True
        suspended &= listed
    shares = np.exp(rng.normal(20, 1.0, N))
    total_cap = close * shares
    trades = listed & ~suspended
    f: dict[str, np.ndarray] = {}
    for name, raw in (
        ("open", open_),
        ("high", high),
        ("low", low),
        ("close", close),
        ("vwap", vwap),
    ):
        f[name] = np.where(listed, raw, np.nan)
        f[f"adj_{name}"] = np.where(trades, raw * adj, np.nan)
    f["volume"] = np.where(listed, np.where(suspended, 0.0, volume), np.nan)
    f["amount"] = f["volume"] * np.where(listed, vwap, np.nan)
    f["adj_volume"] = np.where(trades, volume / adj, np.nan)
    f["adj_factor"] = np.where(listed, adj, np.nan)
    f["turnover"] = f["volume"] / (0.6 * shares)
    f["free_turnover"] = 1.7 * f["turnover"]
    f["total_cap"] = np.where(listed, total_cap, np.nan)
    f["float_cap"] = 0.6 * f["total_cap"]
    f["log_cap"] = np.log(f["total_cap"])
    f["industry"] = np.where(listed, np.arange(N)[None, :] % groups, np.nan)
    f["is_listed"] = np.where(listed, 1.0, np.nan)
    f["is_suspended"] = np.where(listed, suspended, np.nan)
    f["is_st"] = np.where(listed, (np.arange(N) % 13 == 12)[None, :], np.nan)
    f["listed_days"] = np.where(listed, np.cumsum(listed, axis=0) + 100 * listed[0], np.nan)
    prev = np.vstack([np.full((1, N), np.nan), f["close"][:-1]])
    f["limit_up"], f["limit_down"] = np.round(prev * 1.1, 2), np.round(prev * 0.9, 2)
    f["member:SH000300"] = np.where(listed & (np.arange(N) < N // 2)[None, :], 1.0, np.nan)
    f["weight:SH000300"] = f["member:SH000300"] * total_cap
    f["weight:SH000300"] /= np.maximum(np.nansum(f["weight:SH000300"], axis=1, keepdims=True), 1e-9)
    f |= _statements(f, listed, seed) | _context(close, volume, seed)
    symbols = np.array([f"SH{600000 + n}" for n in range(N)])
    return Panel(
        business_days(T),
        symbols,
        trades,
        {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in f.items()},
        {"industry": tuple(f"I{k:02d}" for k in range(groups))},
    )


def _statements(f: dict[str, np.ndarray], listed: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Return announced figures that change every quarter or so, some of them late, and a vendor's multiples."""
    rng = np.random.default_rng([seed, 1])
    T, N = listed.shape
    quarters = T // 61 + 2
    quarter = (np.arange(T)[:, None] + rng.integers(0, 61, N)) // 61
    level = {"book": 0.6, "earnings_ttm": 0.05, "cash_flow_ttm": 0.06, "sales_ttm": 0.8, "debt": 0.5}
    first = np.where(listed, f["total_cap"], np.nan)[np.maximum(listed.argmax(axis=0), 0), np.arange(N)]
    made = {}
    for item, share in level.items():
        path = share * np.exp(np.cumsum(rng.normal(0.01, 0.08, (quarters, N)), axis=0) + rng.normal(0, 0.5, N))
        if item in {"earnings_ttm", "cash_flow_ttm"}:
            path -= share * rng.uniform(0, 1.2, (quarters, N))
        made[f"fund:{item}"] = np.where(listed, first * path[quarter, np.arange(N)], np.nan)
    made["fund:total_assets"] = made["fund:book"] + 1.3 * made["fund:debt"]
    cap = f["total_cap"]
    multiples = {"pe_ttm": "earnings_ttm", "pb_mrq": "book", "ps_ttm": "sales_ttm", "pcf_ttm": "cash_flow_ttm"}
    return made | {name: cap / made[f"fund:{item}"] for name, item in multiples.items()}


def _context(close: np.ndarray, volume: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Return bars of the usual indices and two macro series, each the same for every stock."""
    rng = np.random.default_rng([seed, 2])
    T = close.shape[0]
    market = np.log(close).mean(axis=1)
    series = {}
    for index in ("SH000300", "SH000905", "SH000906", "SH000852"):
        level = 3000 * np.exp(market - market[0] + np.cumsum(rng.normal(0, 0.004, T)))
        series[f"index:{index}:close"] = level
        series[f"index:{index}:volume"] = volume.sum(axis=1) * np.exp(rng.normal(0, 0.1, T))
        series[f"index:{index}:amount"] = series[f"index:{index}:volume"] * level / 300
    for name in ("cpi", "pmi"):
        series[f"macro:{name}"] = 50 + np.cumsum(rng.normal(0, 0.5, T // 21 + 1))[np.arange(T) // 21]
    return {name: np.broadcast_to(values[:, None], close.shape) for name, values in series.items()}
