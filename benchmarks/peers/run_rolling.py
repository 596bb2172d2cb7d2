"""Runs in the peers' environment: Alpha158's rolling columns with bottleneck or with pandas.

    python run_rolling.py BARS.npz bottleneck|pandas|calls

`BARS.npz` holds close, high, low and volume `[N, T]`. Both work in float64 and share what columns have in common: sums
of a series are computed once a window. Left out is what a program has no operator for: quantiles (bottleneck) and
arg-max (pandas). `calls` is pandas as it is mostly written: one `groupby(...).rolling(d)` call for each of 30 columns.
Prints one line of JSON: the columns computed and the CPU seconds.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable

import bottleneck as bn
import numpy as np
import pandas as pd

WINDOWS = (5, 10, 20, 30, 60)
Table = dict[str, np.ndarray]


def derived(bars: Table) -> Table:
    """Return the series that the columns are made of, all `[N, T]` in float64."""
    x = {name: values.astype(np.float64) for name, values in bars.items()}
    x["log_volume"] = np.log(x["volume"] + 1)
    for name, source in (("move", "close"), ("flow", "volume")):
        before = np.concatenate([np.full((x[source].shape[0], 1), np.nan), x[source][:, :-1]], axis=1)
        x[name] = x[source] - before
        x[f"{name}_up"], x[f"{name}_down"] = np.maximum(x[name], 0), np.maximum(-x[name], 0)
        x[f"{name}_size"], x[f"{name}_ratio"] = np.abs(x[name]), x[source] / before
    x["log_flow"] = np.log(x["flow_ratio"] + 1)
    x["up"], x["down"] = np.float64(x["move"] > 0), np.float64(x["move"] < 0)
    x["weighted"] = np.abs(x["move_ratio"] - 1) * x["volume"]
    x["row"] = np.broadcast_to(np.arange(x["close"].shape[1], dtype=np.float64), x["close"].shape)
    x["row_close"], x["close2"] = x["row"] * x["close"], x["close"] ** 2
    for a, b in (("close", "log_volume"), ("move_ratio", "log_flow")):
        x[f"{a}*{b}"], x[f"{a}|{b}"] = x[a] * x[b], x[a] + x[b]
    return x


def columns(x: Table, d: int, rolling: Callable[[str, str, int], np.ndarray], out: Table) -> None:
    """Write the columns that sums, means, deviations, extremes and ranks give; `rolling(what, series, d)`."""
    close, n = x["close"], float(d)
    out["ROC"] = np.concatenate([np.full((close.shape[0], d), np.nan), close[:, :-d]], axis=1) / close
    out["MA"] = rolling("mean", "close", d) / close
    out["STD"] = rolling("std", "close", d) / close
    lag_mean = x["row"] - (n - 1) / 2
    mean = rolling("mean", "close", d)
    cross = rolling("mean", "row_close", d) - lag_mean * mean
    variance = rolling("mean", "close2", d) - mean**2
    slope = cross / ((n * n - 1) / 12)
    out["BETA"], out["RSQR"] = slope / close, slope * cross / variance
    out["RESI"] = (close - mean - slope * (n - 1) / 2) / close
    high, low = rolling("max", "high", d), rolling("min", "low", d)
    out["MAX"], out["MIN"], out["RSV"] = high / close, low / close, (close - low) / (high - low + 1e-12)
    out["RANK"] = rolling("rank", "close", d)
    for name, a, b in (("CORR", "close", "log_volume"), ("CORD", "move_ratio", "log_flow")):
        product = rolling("mean", f"{a}*{b}", d) - rolling("mean", a, d) * rolling("mean", b, d)
        out[name] = product * n / (n - 1) / (rolling("std", a, d) * rolling("std", b, d))
    out["CNTP"], out["CNTN"] = rolling("mean", "up", d), rolling("mean", "down", d)
    out["CNTD"] = out["CNTP"] - out["CNTN"]
    for start, series in (("", "move"), ("V", "flow")):
        total = rolling("sum", f"{series}_size", d) + 1e-12
        up, down = rolling("sum", f"{series}_up", d), rolling("sum", f"{series}_down", d)
        out[f"{start}SUMP"], out[f"{start}SUMN"], out[f"{start}SUMD"] = up / total, down / total, (up - down) / total
    out["VMA"] = rolling("mean", "volume", d) / (x["volume"] + 1e-12)
    out["VSTD"] = rolling("std", "volume", d) / (x["volume"] + 1e-12)
    out["WVMA"] = rolling("std", "weighted", d) / (rolling("mean", "weighted", d) + 1e-12)


def with_bottleneck(x: Table, d: int) -> Table:
    """Return every column but the quantiles."""
    out: Table = {}
    known: dict[tuple[str, str], np.ndarray] = {}
    moves = {"mean": bn.move_mean, "sum": bn.move_sum, "max": bn.move_max, "min": bn.move_min, "rank": bn.move_rank}

    def rolling(what: str, series: str, d: int) -> np.ndarray:
        if (what, series) not in known:
            if what == "std":
                known[what, series] = bn.move_std(x[series], d, min_count=2, ddof=1)
            else:
                known[what, series] = moves[what](x[series], d, min_count=1)
        return known[what, series]

    columns(x, d, rolling, out)
    out["RANK"] = ((out["RANK"] + 1) / 2 * (d - 1) + 1) / d  # from [-1, 1]
    out["IMAX"] = 1 - bn.move_argmax(x["high"], d, min_count=1) / d  # from rows before today
    out["IMIN"] = 1 - bn.move_argmin(x["low"], d, min_count=1) / d
    out["IMXD"] = out["IMAX"] - out["IMIN"]
    return out


def with_pandas(x: Table, d: int) -> Table:
    """Return every column but the three of arg-max and arg-min."""
    out: Table = {}
    known: dict[tuple[str, str], np.ndarray] = {}
    N, T = x["close"].shape
    stocks = np.repeat(np.arange(N), T)

    def rolling(what: str, series: str, d: int) -> np.ndarray:
        if (what, series) not in known:
            frame = pd.Series(x[series].ravel()).groupby(stocks).rolling(d, min_periods=1)
            if what == "rank":
                result = frame.rank(pct=True)
            elif what.startswith("q"):
                result = frame.quantile(float(what[1:]))
            else:
                result = getattr(frame, what)()
            known[what, series] = result.to_numpy().reshape(N, T)
        return known[what, series]

    columns(x, d, rolling, out)
    out["QTLU"], out["QTLD"] = rolling("q0.8", "close", d) / x["close"], rolling("q0.2", "close", d) / x["close"]
    return out


def with_calls(x: Table, d: int) -> Table:
    """Return six columns, each one call on a long frame grouped by stock."""
    N, T = x["close"].shape
    frame = pd.DataFrame({name: x[name].ravel() for name in ("close", "high", "low")})
    by = frame.assign(stock=np.repeat(np.arange(N), T)).groupby("stock")
    made = {
        "MA": by["close"].rolling(d, min_periods=1).mean(),
        "STD": by["close"].rolling(d, min_periods=1).std(),
        "MAX": by["high"].rolling(d, min_periods=1).max(),
        "MIN": by["low"].rolling(d, min_periods=1).min(),
        "QTLU": by["close"].rolling(d, min_periods=1).quantile(0.8),
        "RANK": by["close"].rolling(d, min_periods=1).rank(pct=True),
    }
    return {name: values.to_numpy() for name, values in made.items()}


def main(file: str, program: str) -> None:
    bars = dict(np.load(file))
    compute = {"bottleneck": with_bottleneck, "pandas": with_pandas, "calls": with_calls}[program]
    np.seterr(all="ignore")
    warnings.simplefilter("ignore")
    start, names = time.process_time(), []
    x = derived(bars)
    for d in WINDOWS:
        names += [f"{name}{d}" for name in compute(x, d)]
    print(json.dumps({"columns": names, "cpu_s": time.process_time() - start}))


if __name__ == "__main__":
    main(*sys.argv[1:3])
