"""Alpha158 and Alpha360 of one stock in plain pandas: qlib's expressions, one rolling call each, float32 in between.

Slow and independent of the compiled kernels. The slope is an explicit least squares over each window.
"""

import numpy as np
import pandas as pd

WINDOWS = (5, 10, 20, 30, 60)
BARS = ("open", "high", "low", "close", "volume", "vwap")


def least_squares(values: np.ndarray, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return slope, R squared and last residual of values on positions 1..d over each window, NaN rows left out."""
    slope, explained, residual = (np.full(values.size, np.nan) for _ in range(3))
    for t in range(values.size):
        first = max(0, t - d + 1)
        y = values[first : t + 1].astype(float)
        x = np.arange(first, t + 1) - t + d * 1.0
        keep = ~np.isnan(y)
        if keep.sum() < 2:
            continue
        x, z = x[keep], y[keep]
        a = ((x - x.mean()) * (z - z.mean())).sum() / ((x - x.mean()) ** 2).sum()
        slope[t] = a
        spread = ((z - z.mean()) ** 2).sum()
        with np.errstate(all="ignore"):
            explained[t] = a * a * ((x - x.mean()) ** 2).sum() / spread
        residual[t] = y[-1] - (z.mean() + a * (d - x.mean()))
    return slope, explained, residual


def correlate(x: pd.Series, y: pd.Series, d: int) -> np.ndarray:
    """Return the rolling Pearson correlation; NaN where either series hardly varies."""
    x, y = (s.replace([np.inf, -np.inf], np.nan).astype(float) for s in (x, y))
    out = np.full(len(x), np.nan)
    for t in range(len(x)):
        a, b = x.iloc[max(0, t - d + 1) : t + 1], y.iloc[max(0, t - d + 1) : t + 1]
        if a.std() <= 2e-5 or b.std() <= 2e-5:
            continue
        both = (a.notna() & b.notna()).to_numpy()
        if both.sum() >= 2:
            p, q = (s.to_numpy()[both] - s.to_numpy()[both].mean() for s in (a, b))
            with np.errstate(all="ignore"):
                out[t] = (p * q).sum() / np.sqrt((p * p).sum() * (q * q).sum())
    return out


def window_std(s: pd.Series, d: int) -> pd.Series:
    """Return the rolling sample standard deviation, each window on its own (a running one keeps residues)."""
    return s.rolling(d, min_periods=1).apply(
        lambda a: np.nanstd(a, ddof=1) if (~np.isnan(a)).sum() > 1 else np.nan, raw=True
    )


def alpha158(bars: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the 158 columns `[T]` of one listed span by name; bars are float32 with NaN on suspended days."""
    o, h, l, c, v, vw = (pd.Series(bars[name], dtype=np.float32) for name in BARS)  # noqa: E741
    with np.errstate(all="ignore"):
        top, bottom, extent = np.maximum(o, c), np.minimum(o, c), h - l + np.float32(1e-12)
        out = {
            "KMID": (c - o) / o, "KLEN": (h - l) / o, "KMID2": (c - o) / extent, "KUP": (h - top) / o,
            "KUP2": (h - top) / extent, "KLOW": (bottom - l) / o, "KLOW2": (bottom - l) / extent,
            "KSFT": (2 * c - h - l) / o, "KSFT2": (2 * c - h - l) / extent,
            "OPEN0": o / c, "HIGH0": h / c, "LOW0": l / c, "VWAP0": vw / c,
        }  # fmt: skip
        now = v + np.float32(1e-12)
        dc, dv = c - c.shift(1), v - v.shift(1)
        weighted = (c / c.shift(1) - np.float32(1)).abs() * v
        price, traded, logv = c / c.shift(1), np.log(v / v.shift(1) + 1), np.log(v + 1)
    for d in WINDOWS:
        roll = lambda s: s.astype(float).rolling(d, min_periods=1)  # noqa: B023, E731
        slope, explained, residual = least_squares(c.to_numpy(), d)
        explained[(window_std(c.astype(float), d) <= 2e-5).to_numpy()] = np.nan
        high, low = roll(h).max(), roll(l).min()
        at_high = roll(h).apply(lambda a: a.argmax() + 1, raw=True)
        at_low = roll(l).apply(lambda a: a.argmin() + 1, raw=True)
        up, down = roll(c > c.shift(1)).mean(), roll(c < c.shift(1)).mean()
        with np.errstate(all="ignore"):
            columns = {
                "ROC": c.shift(d) / c, "MA": roll(c).mean() / c, "STD": window_std(c.astype(float), d) / c,
                "BETA": slope / c, "RSQR": explained, "RESI": residual / c, "MAX": high / c, "MIN": low / c,
                "QTLU": roll(c).quantile(0.8) / c, "QTLD": roll(c).quantile(0.2) / c, "RANK": roll(c).rank(pct=True),
                "RSV": (c - low) / (high - low + 1e-12), "IMAX": at_high / d, "IMIN": at_low / d,
                "IMXD": (at_high - at_low) / d, "CORR": correlate(c, logv, d), "CORD": correlate(price, traded, d),
                "CNTP": up, "CNTN": down, "CNTD": up - down, **shares("SUM", dc, d), "VMA": roll(v).mean() / now,
                "VSTD": window_std(v.astype(float), d) / now, "WVMA": relative_deviation(weighted, d),
                **shares("VSUM", dv, d),
            }  # fmt: skip
        out.update({f"{name}{d}": values for name, values in columns.items()})
    stems = [name.removesuffix("5") for name in out if name.endswith("5") and not name.endswith("15")]
    order = [*list(out)[:13], *(f"{name}{d}" for name in stems for d in WINDOWS)]
    return {name: np.asarray(out[name], dtype=np.float32) for name in order}


def shares(name: str, change: pd.Series, d: int) -> dict[str, pd.Series]:
    """Return gains, losses and their balance as shares of all changes."""
    total = lambda s: s.astype(float).rolling(d, min_periods=1).apply(np.nansum, raw=True)  # noqa: E731
    gain, loss, size = total(change.clip(lower=0)), total((-change).clip(lower=0)), total(change.abs()) + 1e-12
    return {f"{name}P": gain / size, f"{name}N": loss / size, f"{name}D": (gain - loss) / size}


def relative_deviation(s: pd.Series, d: int) -> pd.Series:
    """Return the rolling standard deviation over (mean + 1e-12), each window on its own."""
    mean = s.astype(float).rolling(d, min_periods=1).apply(np.nanmean, raw=True)
    return window_std(s.astype(float), d) / (mean + 1e-12)


def alpha360(bars: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the 360 columns `[T]` of one listed span by name."""
    out = {}
    with np.errstate(all="ignore"):
        for name in ("close", "open", "high", "low", "vwap", "volume"):
            series = pd.Series(bars[name], dtype=np.float32)
            today = series + np.float32(1e-12) if name == "volume" else pd.Series(bars["close"], dtype=np.float32)
            for d in range(59, -1, -1):
                out[f"{name.upper()}{d}"] = (series.shift(d) / today).to_numpy()
    return out
