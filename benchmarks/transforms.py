"""Outlier clip, industry fill, neutralisation and z-score of 123 columns, against one regression a date and column.

The chain of seed 001: median absolute deviations hold outliers, the industry's mean fills holes, the residual on
industry dummies and log market value is standardised. The peer does the same with NumPy: one `lstsq` with a dummy for
every industry, for each date and column. It runs on the first dates of the same block, and its time is scaled.
"""

import argparse
import statistics

import numpy as np

from alphaloom.panel import Panel
from alphaloom.transforms.base import transforms
from alphaloom.transforms.chain import apply_cross_sectional
from benchmarks.alpha158 import cpu
from benchmarks.peers.awkward import weekdays
from benchmarks.record import save

CHAIN = ({"name": "mad_clip", "k": 5.0}, "industry_fill", "neutralise", "zscore")


def sample(T: int, N: int, F: int, groups: int, seed: int = 0) -> tuple[np.ndarray, Panel]:
    """Return a block with heavy tails and 2 % holes, and a panel of industries and log market values; all are members.

    Values lean on industry and size and persist from date to date, as factors do.
    """
    rng = np.random.default_rng(seed)
    industry = np.broadcast_to(rng.integers(0, groups, N).astype(np.float32), (T, N)).copy()
    log_cap = (rng.normal(23, 1.2, N) + rng.normal(0, 0.02, (T, N)).cumsum(axis=0)).astype(np.float32)
    lean = rng.normal(size=(groups, F)).astype(np.float32)[industry[0].astype(int)]
    block = np.empty((T, N, F), np.float32)
    kept = rng.standard_t(4, size=(N, F)).astype(np.float32)
    for t in range(T):
        kept = 0.95 * kept + 0.3 * rng.standard_normal((N, F), dtype=np.float32)
        block[t] = kept + 0.5 * lean + 0.3 * (log_cap[t, :, None] - 23)
        block[t][rng.random((N, F), dtype=np.float32) < 0.02] = np.nan
    symbols = np.array([f"S{n:05d}" for n in range(N)])
    universe = np.ones((T, N), bool)
    return block, Panel(weekdays(T), symbols, universe, {"industry": industry, "log_cap": log_cap})


def peer(x: np.ndarray, industry: np.ndarray, log_cap: np.ndarray) -> np.ndarray:
    """Return the chain's result for one date `[N, F]`, with one regression a column."""
    dummies = (industry[:, None] == np.unique(industry)).astype(np.float64)
    centre = np.nanmedian(x, axis=0)
    reach = 5.0 * np.nanmedian(np.abs(x - centre), axis=0)
    x = np.clip(x, centre - reach, centre + reach).astype(np.float64)
    known = ~np.isnan(x)
    means = (dummies.T @ np.where(known, x, 0.0)) / (dummies.T @ known)
    x = np.where(known, x, means[dummies.argmax(axis=1)])
    design = np.column_stack([dummies, log_cap])
    for f in range(x.shape[1]):
        x[:, f] -= design @ np.linalg.lstsq(design, x[:, f], rcond=None)[0]
    return (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--stocks", type=int, default=4300)
    parser.add_argument("--dates", type=int, default=60)
    parser.add_argument("--columns", type=int, default=123)
    parser.add_argument("--industries", type=int, default=31)
    parser.add_argument("--peer-dates", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args(arguments)
    T, some = args.dates, args.peer_dates
    block, panel = sample(T, args.stocks, args.columns, args.industries)
    chain = [transforms.parse(what) for what in CHAIN]
    names = ", ".join(transform.name for transform in chain)
    first = panel.rows(0, some)
    result = apply_cross_sectional(chain, block[:some], first)
    work, out = block.copy(), np.empty_like(block)
    ours, theirs, copy = [], [], []
    for _ in range(args.repeats):
        np.copyto(work, block)
        ours.append(cpu(lambda: apply_cross_sectional(chain, work, panel, in_place=True)) / T)
        expected: list[np.ndarray] = []
        theirs.append(
            cpu(
                lambda expected=expected: expected.extend(
                    peer(block[t], panel["industry"][t], panel["log_cap"][t]) for t in range(some)
                )
            )
            / some
        )
        copy.append(cpu(lambda: np.copyto(out, block)) / T)
    error = float(np.abs(result - np.array(expected)).max())
    own, other, plain = (1e3 * statistics.median(times) for times in (ours, theirs, copy))
    rows = [
        {"program": f"alphaloom: {names}", "ms a date": own, "times slower": 1.0},
        {"program": "NumPy, one lstsq a date and column", "ms a date": other, "times slower": other / own},
        {"program": "copy of the block", "ms a date": plain, "times slower": plain / own},
    ]
    facts = {"ratio": other / own, "of_a_copy": own / plain, "largest_difference": error}
    notes = [
        f"{args.stocks:,} stocks x {args.columns} columns, {args.industries} industries, one core.",
        f"Medians of {args.repeats} runs in turn: ours and the copy over {T} dates, the peer over {some} of them.",
        f"ours takes {own / plain:.1f} times a copy; the results differ by at most {error:.1e} standard deviations.",
    ]
    save("transforms", "Seed 001's transforms: CPU time of one core", rows, facts, notes)
    return 0
