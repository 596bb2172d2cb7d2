"""Alpha158's rolling columns, 4,300 stocks x 1,300 days: against bottleneck and pandas groupby-rolling.

alphaloom computes all 158 columns, in float32 for the panel as it is (stocks listed at different dates, suspensions).
The peers compute the rolling columns that they have operators for, in float64, on stocks in rows and never on disk: the
layout that suits them. bottleneck runs on all stocks (about 8 GB), pandas on evenly spaced ones, scaled to all. pandas
stands twice: with intermediate results shared between columns, and with one groupby-rolling call for each of 30.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from alphaloom.features.alpha158 import Alpha158
from benchmarks.alpha158 import cpu, market
from benchmarks.peers.awkward import as_panel, weekdays
from benchmarks.peers.qlib_peer import qlib_python
from benchmarks.record import save

NAMES = {
    "bottleneck": "bottleneck, sums shared",
    "pandas": "pandas groupby-rolling, sums shared",
    "calls": "pandas groupby-rolling, one call a column",
}
SCRIPT = Path(__file__).parent / "peers" / "run_rolling.py"


def peer(file: Path, program: str) -> tuple[float, list[str]]:
    """Return the CPU seconds that a peer took and the columns that it computed."""
    command = [str(qlib_python()), str(SCRIPT), str(file), program]
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{program} failed:\n{done.stderr[-4000:]}")
    result = json.loads(done.stdout.strip().splitlines()[-1])
    return result["cpu_s"], result["columns"]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--stocks", type=int, default=4300)
    parser.add_argument("--days", type=int, default=1300)
    parser.add_argument("--bottleneck-stocks", type=int, default=4300)
    parser.add_argument("--pandas-stocks", type=int, default=215)
    parser.add_argument("--repeats", type=int, default=3, help="repeats after the first run")
    args = parser.parse_args(arguments)
    T, N = args.days, args.stocks
    bars, listed = market(T, N)
    panel = as_panel(weekdays(T), np.array([f"S{n:05d}" for n in range(N)]), bars, listed)
    family = Alpha158()
    family.compute(panel.columns(np.arange(N) < 3))  # compiles
    out = np.empty((T, N, 158), np.float32)
    family.plan.compute(panel, out=out)  # touches the memory
    ours: list[float] = []
    peers = {"bottleneck": args.bottleneck_stocks, "pandas": args.pandas_stocks, "calls": args.pandas_stocks}
    theirs: dict[str, list[float]] = {program: [] for program in peers}
    made: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as aside:
        for _ in range(args.repeats):
            ours.append(cpu(lambda: family.plan.compute(panel, out=out)))
            for program, stocks in peers.items():
                chosen = np.linspace(0, N - 1, stocks).astype(int)
                file = Path(aside) / f"{program}.npz"
                some = {
                    name: np.ascontiguousarray(bars[name][:, chosen].T) for name in ("close", "high", "low", "volume")
                }
                np.savez(file, allow_pickle=False, **some)
                seconds, made[program] = peer(file, program)
                theirs[program].append(seconds * N / stocks)
    own, F = statistics.median(ours), len(family.columns())
    rows = [_row("alphaloom", own, F, N, own / F)]
    rows += [
        _row(NAMES[program], statistics.median(times), len(made[program]), peers[program], own / F)
        for program, times in theirs.items()
    ]
    whole = set(family.columns())
    facts = {
        "ratio_a_column": {row["program"]: row["times slower a column"] for row in rows[1:]},
        "ratio_in_all": {program: statistics.median(times) / own for program, times in theirs.items()},
        "left_out": {program: sorted(whole - set(names)) for program, names in made.items()},
        "alphaloom_cpu_s": ours,
        "peers_cpu_s": theirs,
    }
    ratios = ", ".join(
        f"{NAMES[program]} {statistics.median(times) / own:.1f} times"
        for program, times in theirs.items()
        if program != "calls"
    )
    notes = [
        f"{N:,} stocks x {T:,} days, one core; medians of {args.repeats} runs in turn, peers' scaled to {N:,} stocks.",
        "bottleneck has no rolling quantile: without QTLU and QTLD. pandas has no arg-max: without IMAX, IMIN, IMXD.",
        "Neither computes the 13 columns that have no window.",
        f"Against alphaloom's time for all {F} columns, theirs alone: {ratios}.",
    ]
    save("rolling", "Alpha158's rolling columns: CPU seconds of one core", rows, facts, notes)
    return 0


def _row(program: str, seconds: float, columns: int, stocks: int, own: float) -> dict[str, object]:
    each = seconds / columns
    return {
        "program": program,
        "columns": columns,
        "CPU s": seconds,
        "CPU s a column": each,
        "stocks run": stocks,
        "times slower a column": each / own,
    }
