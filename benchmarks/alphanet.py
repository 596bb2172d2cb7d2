"""AlphaNet's operators, 13 inputs x 4 windows = 832 features a row: CPU time of one core, against torch.

The peers compute the same features from the same inputs in torch, window by window on `unfold`: as published
replications write them, in a loop over pairs and operators, and with the pairs of a window as one matrix product. A row
is one stock on one day. A training sample holds the rows of 20 days: a network that computes the operators inside the
batch computes every row 20 times, once for each sample that holds it, and rows computed ahead only once.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from alphaloom.kernels.alphanet import operator_rows
from alphaloom.kernels.alphanet_layout import OperatorLayout
from benchmarks.record import save

INPUTS = 13
WINDOWS = (2, 5, 10, 22)
STEPS = 20
LEVELS = np.array([10, 10, 10, 10, 10, 1e6, 1e7, 0.02, 0.02, 0.02, 0.5, 30, 3])
PAIRS = torch.triu_indices(INPUTS, INPUTS, 1)


def series(T: int, N: int, seed: int = 0) -> np.ndarray:
    """Return inputs `[13, T, N]`: random walks with daily moves of 2 % on the levels of prices, volumes and ratios."""
    steps = np.random.default_rng(seed).normal(0, 0.02, (INPUTS, T, N))
    return (np.exp(np.cumsum(steps, axis=1)) * LEVELS[:, None, None]).astype(np.float32)


def pair_loop(x: torch.Tensor, d: int) -> torch.Tensor:
    """Return `[B, 208, R]` from `x [B, 13, R + d]`, one pair and one operator at a time."""
    w = x[:, :, 1:].unfold(2, d, 1)
    weight = torch.arange(1, d + 1, dtype=x.dtype)
    corr, cov, std, zscore, change, decay = [], [], [], [], [], []
    for i in range(INPUTS):
        for j in range(i + 1, INPUTS):
            a, b = w[:, i], w[:, j]
            c = ((a - a.mean(-1, keepdim=True)) * (b - b.mean(-1, keepdim=True))).sum(-1) / (d - 1)
            cov.append(c)
            corr.append(c / (a.std(-1) * b.std(-1) + 1e-8))
    for i in range(INPUTS):
        a = w[:, i]
        std.append(a.std(-1))
        zscore.append(a.mean(-1) / (a.std(-1) + 1e-8))
        change.append(a[..., -1] / x[:, i, :-d] - 1)
        decay.append((a * weight).sum(-1) / weight.sum())
    return torch.stack([*corr, *cov, *std, *zscore, *change, *decay], 1)


def matrix_products(x: torch.Tensor, d: int, damping: float = 1e-8) -> torch.Tensor:
    """Return `[B, R, 208]` from `x [B, 13, R + d]`, the pairs of a window as one product of centred windows."""
    w = x[:, :, 1:].unfold(2, d, 1)
    mean = w.mean(-1, keepdim=True)
    centred = (w - mean).transpose(1, 2)
    gram = centred @ centred.transpose(-1, -2) / (d - 1)
    std = gram.diagonal(dim1=-2, dim2=-1).sqrt()
    cov = gram[..., PAIRS[0], PAIRS[1]]
    corr = cov / (std[..., PAIRS[0]] * std[..., PAIRS[1]] + damping)
    weight = torch.arange(1, d + 1, dtype=x.dtype) * 2 / (d * (d + 1))
    change = (w[..., -1] / x[:, :, :-d] - 1).transpose(1, 2)
    zscore = mean[..., 0].transpose(1, 2) / (std + damping)
    return torch.cat([corr, cov, std, zscore, change, (w @ weight).transpose(1, 2)], -1)


def cpu(work: Callable[[], object]) -> float:
    """Return the CPU seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--stocks", type=int, default=1000)
    parser.add_argument("--days", type=int, default=79, help="rows of a block: 60 days and the 19 before them")
    parser.add_argument("--batch", type=int, default=256, help="samples of 20 rows that torch computes at once")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    T, N, B = args.days, args.stocks, args.batch
    layout = OperatorLayout.of(INPUTS, WINDOWS)
    inputs = series(T + layout.reach, N)
    out = np.zeros((T, N, layout.width), np.float32)
    day = np.zeros((1, N, layout.width), np.float32)
    whole = T + layout.reach
    sample = torch.from_numpy(np.ascontiguousarray(np.moveaxis(inputs[:, : STEPS + layout.reach, :B], 2, 0)))
    slices = {d: sample[:, :, layout.reach - d :] for d in WINDOWS}
    works: dict[str, Callable[[], object]] = {
        "rows": lambda: operator_rows(inputs, layout, layout.reach, whole, out, threads=1),
        "one day": lambda: operator_rows(inputs, layout, whole - 1, whole, day, threads=1),
        "fill": lambda: out.fill(1.0),
        "torch, loop over pairs": lambda: [pair_loop(slices[d], d) for d in WINDOWS],
        "torch, matrix products": lambda: [matrix_products(slices[d], d) for d in WINDOWS],
    }
    seconds: dict[str, list[float]] = {name: [] for name in works}
    with torch.inference_mode():
        for repeat in range(args.repeats + 1):  # the first run compiles and touches the memory
            for name, work in works.items():
                taken = cpu(work)
                if repeat:
                    seconds[name].append(taken)
        works["rows"]()
        errors = agreement(out[:STEPS, :B], [matrix_products(slices[d].double(), d, 0.0).numpy() for d in WINDOWS])
    cost = {name: statistics.median(taken) for name, taken in seconds.items()}
    row = {"rows": cost["rows"] / T / N, "one day": cost["one day"] / N, "fill": cost["fill"] / T / N}
    row |= {name: cost[name] / B / STEPS for name in works if name.startswith("torch")}
    own = row["rows"]
    table = [
        {
            "program": name,
            "us a row of 832": 1e6 * row[key],
            "times slower": row[key] / own,
            "us a sample of 20 rows": 1e6 * per_sample,
        }
        for name, key, per_sample in (
            ("alphaloom, a block of rows", "rows", own),
            (
                f"torch {torch.__version__}, matrix products",
                "torch, matrix products",
                STEPS * row["torch, matrix products"],
            ),
            (
                f"torch {torch.__version__}, loop over pairs",
                "torch, loop over pairs",
                STEPS * row["torch, loop over pairs"],
            ),
        )
    ]
    ratio = row["torch, loop over pairs"] / own
    facts = {
        "stocks": N,
        "days": T,
        "ratio_pair_loop": ratio,
        "us_a_row": own * 1e6,
        "us_a_row_one_day": row["one day"] * 1e6,
        "us_a_row_fill": row["fill"] * 1e6,
        "seconds": seconds,
        "error_over_std": errors,
        "os_load": os.getloadavg()[0],
    }
    notes = [
        f"{N:,} stocks x {T} days x {layout.width} features in one reused buffer ({out.nbytes / 1e9:.2f} GB).",
        f"One core; median of {args.repeats} runs in turn. torch computes {B} samples of {STEPS} rows at once.",
        f"Acceptance: {ratio:,.0f} times the loop over pairs (at least 100); {own * 1e6:.2f} us a row (at most 2).",
        f"Filling the buffer with a constant takes {row['fill'] * 1e6:.2f} us a row.",
        f"The last day alone: {row['one day'] * 1e6:.1f} us a row, {4300e3 * row['one day']:.0f} ms for 4,300 stocks.",
        "A sample of rows computed ahead costs one row, since the other 19 serve its neighbours.",
        f"Largest difference from torch in float64, over the feature's std: {max(errors.values()):.1e}.",
    ]
    save("alphanet", "AlphaNet's operators: CPU time of one core", table, facts, notes)
    return 0


def agreement(ours: np.ndarray, theirs: list[np.ndarray]) -> dict[str, float]:
    """Return, by window, the largest difference between `ours [R, B, 832]` and torch's `[B, R, 208]`, in stds.

    Windows that do not vary, where torch divides by 0, are left out.
    """
    found = {}
    for k, (d, block) in enumerate(zip(WINDOWS, theirs, strict=True)):
        truth = np.where(np.isfinite(block), block, np.nan)
        error = np.abs(ours[:, :, 208 * k : 208 * (k + 1)].transpose(1, 0, 2) - truth)
        found[str(d)] = float((np.nanmax(error, axis=(0, 1)) / np.nanstd(truth, axis=(0, 1))).max())
    return found
