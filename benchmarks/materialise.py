"""Features in a folder: CPU seconds of computing all, and of bringing the folder up to date after a change.

The market is made up. Every update is compared with computing all anew in the same run; reading the panel and compiling
the kernels do not count.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numba
import numpy as np

from alphaloom.data.feature_folder import FeatureFolder
from alphaloom.features.alpha158 import Alpha158
from alphaloom.features.base import FeatureFamily
from alphaloom.features.expressions import Expressions
from alphaloom.features.materialise import materialise
from alphaloom.panel import Panel
from benchmarks.alpha158 import market
from benchmarks.peers.awkward import as_panel, weekdays
from benchmarks.record import save

TEXTS = {f"REV{d}": f"(close - delay(close, {d})) / ts_std(close, 20)" for d in (1, 2, 3, 4, 5)}


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def rescaled(panel: Panel, row: int) -> Panel:
    """Return the panel with one stock's adjusted close halved from a row on."""
    close = panel["adj_close"].copy()
    close[row:, 0] *= np.float32(0.5)
    return panel.with_fields({"adj_close": close})


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--stocks", type=int, default=1000)
    parser.add_argument("--days", type=int, default=650)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args(arguments)
    numba.set_num_threads(1)
    T, N = args.days, args.stocks
    bars, listed = market(T, N)
    panel = as_panel(weekdays(T), np.array([f"S{n:05d}" for n in range(N)]), bars, listed)
    panel = panel.with_universe(panel["is_listed"] == 1)
    made: list[FeatureFamily] = [Alpha158(), Expressions(define=TEXTS)]
    other: list[FeatureFamily] = [Alpha158(), Expressions(define={**TEXTS, "REV1": TEXTS["REV1"].replace("20", "30")})]
    states = {
        "nothing changed": (made, panel),
        "one day appended": (made, panel),
        "one stock rescaled from the middle on": (made, rescaled(panel, T // 2)),
        "one of 163 expressions changed": (other, panel),
    }
    taken: dict[str, list[float]] = {name: [] for name in ("in memory", "all", *states, "read")}
    with tempfile.TemporaryDirectory() as aside:
        materialise(made, panel.columns(np.arange(N) < 3), Path(aside) / "compile")
        for k in range(args.repeats):
            taken["in memory"].append(seconds(lambda: [family.compute(panel) for family in made]))
            for name, (families, changed) in states.items():
                folder = Path(aside) / f"{k}-{name}"
                before = panel.rows(0, T - 1) if "appended" in name else panel
                first = seconds(partial(materialise, made, before, folder))
                if name == "nothing changed":
                    taken["all"].append(first)
                    taken["read"].append(seconds(partial(FeatureFolder.block, FeatureFolder(folder))))
                taken[name].append(seconds(partial(materialise, families, changed, folder)))
    cost = {name: statistics.median(times) for name, times in taken.items()}
    rows = [
        {"what": name, "CPU s": cost[name], "share of computing all": cost[name] / cost["all"]}
        for name in ("all", *states, "read")
    ]
    size = T * N * 163 * 4
    facts = {"stocks": N, "days": T, "bytes": size, "cpu_s": taken}
    notes = [
        f"{N:,} stocks x {T:,} days x 163 columns, {size / 1e9:.2f} GB; one core, median of {args.repeats} runs.",
        f"Computing the same in memory alone takes {cost['in memory']:.2f} CPU s.",
        "Every update hashes all input fields; the day appended recomputes its row alone and copies its block.",
    ]
    save("materialise", "Features in a folder: CPU seconds of one core", rows, facts, notes)
    return 0
