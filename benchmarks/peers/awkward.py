"""A small simulated panel with everything that makes rolling features differ between programs."""

import numpy as np

from alphaloom.panel import Panel

PRICES = ("open", "high", "low", "close", "vwap")


def awkward_bars(T: int = 420, N: int = 60, seed: int = 7) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return bars `[T, N]` of float32 (adjusted, NaN on suspended days) and the listed cells.

    By stock number: 0 plain; 1 in units of 3,000; 2 in cents; 3-5 short, long and alternating suspensions; 6-8 late,
    very late and early-delisted; 9 listed one day; 10 listed three days; 11 frozen price; 12 frozen price and volume;
    13 days without volume; 14 coarse ticks (ties); 15 locked at the limit (high = low); 16 wobbling by one float32
    step; 17 huge volume; 18 tiny volume; 19 no VWAP; 20-23 single fields missing at random; 24 suspended at listing;
    25 frozen after large moves; others a random mix of the above.
    """
    rng = np.random.default_rng(seed)
    ret = (rng.standard_t(4, (T, N)) * 0.02).clip(-0.1, 0.1)
    level = np.exp(rng.normal(2.5, 0.8, N))
    level[1], level[2] = 3000.0, 0.4
    close = level * np.exp(np.cumsum(ret, axis=0))
    listed = np.ones((T, N), bool)
    traded = np.ones((T, N), bool)
    volume = np.round(np.exp(rng.normal(13, 0.8, (T, N)) + rng.normal(0, 1, N)))
    spread = np.abs(rng.normal(0, 0.006, (3, T, N)))

    traded[rng.random(T) < 0.05, 3] = False
    traded[100:175, 4] = False
    traded[200:203, 4] = False
    traded[150:230:2, 5] = False
    listed[: T // 3, 6] = False
    listed[: T - 7, 7] = False
    listed[T // 2 :, 8] = False
    listed[:, 9:11] = False
    listed[T // 2, 9] = True
    listed[T // 2 : T // 2 + 3, 10] = True
    close[120:205, 11] = close[120, 11]
    close[60:130, 12] = close[60, 12]
    volume[55:140, 12] = volume[55, 12]
    volume[rng.random(T) < 0.1, 13] = 0.0
    volume[300:370, 13] = 0.0
    traded[60:70, 24] = False
    listed[:60, 24] = False
    close[200:300, 25] = close[199, 25] * 1.7
    volume[:, 17] *= 1e4
    volume[:, 18] = np.maximum(1.0, np.round(volume[:, 18] / 1e5))
    for n in range(26, N):
        if rng.random() < 0.4:
            listed[: rng.integers(1, T), n] = False
        if rng.random() < 0.2:
            listed[T - rng.integers(1, T // 3) :, n] = False
        for _ in range(rng.integers(0, 4)):
            a = rng.integers(0, T)
            traded[a : a + rng.geometric(0.1), n] = False
        if rng.random() < 0.3:
            a = rng.integers(0, T)
            close[a : a + rng.integers(2, 70), n] = close[a, n]
        if rng.random() < 0.2:
            volume[rng.random(T) < 0.05, n] = 0.0

    close = np.round(close, 2).clip(0.01)
    close[:, 14] = np.round(close[:, 14] * 2).clip(1) / 2
    open_ = np.round(close * (1 + rng.normal(0, 0.005, (T, N))), 2).clip(0.01)
    high = np.round(np.maximum(open_, close) * (1 + spread[0]), 2)
    low = np.minimum(np.round(np.minimum(open_, close) * (1 - spread[1]), 2), np.minimum(open_, close)).clip(0.01)
    high = np.maximum(high, np.maximum(open_, close))
    locked = np.zeros((T, N), bool)
    locked[rng.random(T) < 0.2, 15] = True
    locked[120:205, 11] = locked[60:130, 12] = True
    for array in (open_, high, low):
        array[locked] = close[locked]
    wide = {"open": open_, "high": high, "low": low, "close": close, "vwap": (high + low + 2 * close) / 4}
    factor = np.cumprod(np.where(rng.random((T, N)) < 0.004, 1.1, 1.0), axis=0)
    factor[:, 11:13] = 1.0
    bars = {name: (array * factor).astype(np.float32) for name, array in wide.items()}
    bars["volume"] = (volume / factor).astype(np.float32)
    wobble = bars["close"][50, 16]
    bars["close"][50:, 16] = np.where(rng.random(T - 50) < 0.5, wobble, np.nextafter(wobble, np.float32(np.inf)))
    for array in bars.values():
        array[~(listed & traded)] = np.nan
    bars["vwap"][:, 19] = np.nan
    for n, name in ((20, "volume"), (21, "high"), (22, "low"), (23, "open")):
        bars[name][rng.random(T) < 0.1, n] = np.nan
    return bars, listed


def as_panel(dates: np.ndarray, symbols: np.ndarray, bars: dict[str, np.ndarray], listed: np.ndarray) -> Panel:
    """Return the panel that alphaloom computes from: the very float32 values that the peer reads."""
    fields = {f"adj_{name}": array for name, array in bars.items()}
    fields["is_listed"] = np.where(listed, 1.0, np.nan).astype(np.float32)
    return Panel(dates, symbols, listed, fields)


def names(N: int) -> np.ndarray:
    """Return N symbols."""
    return np.array([f"SH{600000 + n}" for n in range(N)])


def weekdays(T: int, start: str = "2018-01-02") -> np.ndarray:
    """Return T weekdays."""
    return np.busday_offset(np.datetime64(start, "D"), np.arange(T), roll="forward").astype("datetime64[D]")
