"""Alpha158 on 4,300 stocks x 1,300 days: CPU seconds of one core, against qlib on the same panel.

qlib works stock by stock, so it is run on evenly spaced stocks of the panel and its time is scaled to all of them.
Importing a program, compiling the kernels and reading the panel into memory do not count; reading qlib's binary files
does, since that is how it is fed.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np

from alphaloom.features.alpha158 import Alpha158
from benchmarks.peers.awkward import as_panel, weekdays
from benchmarks.peers.qlib_peer import run_handler, write_folder
from benchmarks.record import save


def market(T: int, N: int, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return bars `[T, N]` and listed cells of a made-up market: half list late, 1 % of days are suspended whole."""
    rng = np.random.default_rng(seed)
    close = 10 * np.exp(np.cumsum((rng.standard_t(4, size=(T, N)) * 0.02).clip(-0.1, 0.1) * 0.5, axis=0))
    close = np.round(close, 2).clip(0.01)
    open_ = np.round(close * (1 + rng.normal(0, 0.006, (T, N))), 2).clip(0.01)
    high = np.round(np.maximum(close, open_) * (1 + np.abs(rng.normal(0, 0.006, (T, N)))), 2)
    low = np.round(np.minimum(close, open_) * (1 - np.abs(rng.normal(0, 0.006, (T, N)))), 2).clip(0.01)
    volume = np.round(np.exp(rng.normal(13, 0.8, (T, N)) + rng.normal(0, 1, N)))
    bars = {"open": open_, "high": high, "low": low, "close": close, "vwap": (high + low + 2 * close) / 4}
    bars = {name: array.astype(np.float32) for name, array in {**bars, "volume": volume}.items()}
    listed = np.arange(T)[:, None] >= (rng.random(N) ** 4 * 0.6 * T).astype(int) * (rng.random(N) < 0.5)
    missing = ~listed | (rng.random((T, N)) < 0.01)
    for array in bars.values():
        array[missing] = np.nan
    return bars, listed


def cpu(work: Callable[[], object]) -> float:
    """Return the CPU seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--stocks", type=int, default=4300)
    parser.add_argument("--days", type=int, default=1300)
    parser.add_argument("--qlib-stocks", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3, help="repeats after the first run")
    args = parser.parse_args(arguments)
    numba.set_num_threads(1)
    T, N = args.days, args.stocks
    bars, listed = market(T, N)
    symbols = np.array([f"S{n:05d}" for n in range(N)])
    panel = as_panel(weekdays(T), symbols, bars, listed)
    family = Alpha158()
    family.compute(panel.columns(np.arange(N) < 3))  # compiles

    chosen = np.linspace(0, N - 1, args.qlib_stocks).astype(int)
    theirs, ours, fresh, update, fill = [], [], [], [], []
    out = np.empty((T, N, 158), np.float32)
    out.fill(1.0)  # touches it
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside) / "qlib"
        write_folder(
            folder, panel.dates, symbols[chosen], {k: v[:, chosen] for k, v in bars.items()}, listed[:, chosen]
        )
        system = os.times().system
        first = cpu(lambda: family.compute(panel))
        system = os.times().system - system
        for _ in range(args.repeats):
            fresh.append(cpu(lambda: family.compute(panel)))
            ours.append(cpu(lambda: family.plan.compute(panel, out=out)))
            fill.append(cpu(lambda: out.fill(2.0)))
            update.append(cpu(lambda: family.compute(panel.rows(T - family.lookback - 1, T))))
            _, info = run_handler(folder, family.name)
            theirs.append(info["cpu_s"])
    qlib_s = statistics.median(theirs) * N / chosen.size
    own = statistics.median(ours)
    rows = [
        {
            "program": program,
            "CPU s": seconds,
            "stocks run": stocks,
            "us a stock-day": seconds / N / T * 1e6,
            "times slower": seconds / own,
        }
        for program, seconds, stocks in (
            ("alphaloom, into memory that is there", own, N),
            ("alphaloom, into fresh memory", statistics.median(fresh), N),
            ("filling the output with a constant", statistics.median(fill), N),
            (f"qlib {info['versions']['qlib']}", qlib_s, int(chosen.size)),
        )
    ]
    facts = {
        "stocks": N,
        "days": T,
        "ratio": qlib_s / own,
        "ratio_fresh": qlib_s / statistics.median(fresh),
        "ratio_to_fill": own / statistics.median(fill),
        "alphaloom_cpu_s": ours,
        "alphaloom_fresh_cpu_s": fresh,
        "alphaloom_first_cpu_s": first,
        "alphaloom_first_system_s": system,
        "alphaloom_daily_update_cpu_s": statistics.median(update),
        "output_fill_cpu_s": fill,
        "qlib_subset_cpu_s": theirs,
        "qlib_versions": info["versions"],
    }
    notes = [
        f"{N:,} stocks x {T:,} days x 158 columns, one core; median of repeated runs, qlib's and ours in turn.",
        f"qlib ran {chosen.size} evenly spaced stocks in {statistics.median(theirs):.1f} CPU s: scaled to {N:,}.",
        f"alphaloom's first run took {first:.1f} CPU s, {system:.1f} of them the system's first touch of its memory.",
        f"The output has {N * T * 158 * 4 / 1e9:.2f} GB; ours takes {own / statistics.median(fill):.1f} times a fill.",
        f"qlib takes {qlib_s / own:.0f} times ours; {qlib_s / statistics.median(fresh):.0f} times with fresh memory.",
        f"The last day alone, from {family.lookback + 1} rows: {statistics.median(update):.2f} CPU s.",
    ]
    save("alpha158", "Alpha158: CPU seconds of one core", rows, facts, notes)
    return 0
