"""RankIC of Alpha158's columns with the next day's return over all dates, against scipy.stats.spearmanr.

SciPy gets what suits it best: the stocks that have both values, without NaN handling of its own. It runs on evenly
spaced dates and columns, and its time is scaled to all.
"""

import argparse
import statistics
import warnings

import numpy as np
from scipy.stats import ConstantInputWarning, spearmanr

from alphaloom.features.alpha158 import Alpha158
from alphaloom.kernels.cross_rank import rank_ic_block
from benchmarks.alpha158 import cpu, market
from benchmarks.peers.awkward import as_panel, weekdays
from benchmarks.record import save

WARM_UP = 80
"""Days before the first date used, so that every window is full."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--stocks", type=int, default=4300)
    parser.add_argument("--dates", type=int, default=250)
    parser.add_argument("--peer-pairs", type=int, default=158, help="pairs of date and column that SciPy computes")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args(arguments)
    N, D = args.stocks, args.dates
    bars, listed = market(WARM_UP + D + 1, N)
    panel = as_panel(weekdays(WARM_UP + D + 1), np.array([f"S{n:05d}" for n in range(N)]), bars, listed)
    block = Alpha158().compute(panel)[WARM_UP:-1]
    F = block.shape[2]
    label = bars["close"][WARM_UP + 1 :] / bars["close"][WARM_UP:-1] - 1
    rng = np.random.default_rng(0)
    columns = rng.permutation(np.arange(args.peer_pairs) % F)
    dates = np.linspace(0, D - 1, args.peer_pairs).astype(int)
    found = np.empty(args.peer_pairs)

    def peer() -> None:
        for k, (d, f) in enumerate(zip(dates, columns, strict=True)):
            both = ~(np.isnan(block[d, :, f]) | np.isnan(label[d]))
            found[k] = spearmanr(block[d, both, f], label[d, both]).statistic

    warnings.simplefilter("ignore", ConstantInputWarning)
    rank_ic_block(block[:1], label[:1])
    ours, theirs = [], []
    for _ in range(args.repeats):
        ours.append(cpu(lambda: rank_ic_block(block, label)) / (D * F))
        theirs.append(cpu(peer) / args.peer_pairs)
    values, _ = rank_ic_block(block, label)
    error = float(np.nanmax(np.abs(values[dates, columns] - found)))
    own, other = (1e6 * statistics.median(times) for times in (ours, theirs))
    rows = [
        {"program": "alphaloom", "us a date and column": own, "times slower": 1.0},
        {"program": "scipy.stats.spearmanr", "us a date and column": other, "times slower": other / own},
    ]
    facts = {"ratio": other / own, "stocks": N, "dates": D, "columns": F, "largest_difference": error}
    notes = [
        f"{N:,} stocks x {D} dates x {F} columns, one core; medians of {args.repeats} runs in turn.",
        f"SciPy ran {args.peer_pairs} pairs of date and column; the values differ by at most {error:.1e}.",
    ]
    save("rank_ic", "RankIC: CPU time of one core", rows, facts, notes)
    return 0
