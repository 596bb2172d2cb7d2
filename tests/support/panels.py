"""Small random markets for unit tests: every standard panel field, with gaps, late listings and suspensions."""

import numpy as np

from alphaloom.panel import Panel


def business_days(T: int, start: str = "2020-01-02") -> np.ndarray:
    """Return T weekdays from `start` on."""
    return np.busday_offset(np.datetime64(start, "D"), np.arange(T), roll="forward").astype("datetime64[D]")


def random_panel(T: int = 120, N: int = 30, seed: int = 0, *, gaps: bool = True, groups: int = 4) -> Panel:
    """Return a panel with raw and adjusted bars, caps, industries, flags and two indices' membership.

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
    symbols = np.array([f"SH{600000 + n}" for n in range(N)])
    return Panel(
        business_days(T),
        symbols,
        trades,
        {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in f.items()},
        {"industry": tuple(f"I{k:02d}" for k in range(groups))},
    )
