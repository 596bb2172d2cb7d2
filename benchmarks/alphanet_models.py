"""AlphaNet V1 to V4: CPU seconds of one training step on one day of 1,000 stocks, V4 with and without its filter.

The features are those of the family `alphanet` on random bars, each version's preset with its defaults, not scaled. A
step is the loss, its gradient and one update of the weights. V4's filter is settled on as many rows as in a fit.
"""

import argparse
import statistics
import time
from dataclasses import dataclass

import numpy as np
import torch

from alphaloom.features.alphanet import AlphaNet
from alphaloom.models.base import Batch, Network, Shape, models
from alphaloom.panel import Panel
from alphaloom.training.adamw import AdamW
from benchmarks.record import save

DAYS = 20
"""Days of which the filter sees all stocks."""
VERSIONS = (
    ("V1", "v1", {"name": "alphanet_v1"}),
    ("V2", "v2", {"name": "alphanet_v2"}),
    ("V3", "v3", {"name": "alphanet_v3"}),
    ("V4", "v4", {"name": "alphanet_v4"}),
    ("V4 without filter", "v4", {"name": "alphanet_v4", "spearman": "none"}),
    ("V4 without Transformers", "v4", {"name": "alphanet_v4", "transformers": False}),
)


def bars(T: int, N: int, seed: int = 0) -> Panel:
    """Return random bars with all that the family reads: 2 % moves, heavy-tailed volumes, turnover."""
    rng = np.random.default_rng(seed)
    moves = rng.standard_t(4, (T, N)) * 0.014
    close = 10 * np.exp(np.cumsum(moves, axis=0) + rng.normal(0, 0.6, N))
    open_ = close * (1 + rng.normal(0, 0.01, (T, N)))
    high = np.maximum(open_, close) * (1 + np.abs(rng.normal(0, 0.008, (T, N))))
    low = np.minimum(open_, close) * (1 - np.abs(rng.normal(0, 0.008, (T, N))))
    shares = np.exp(rng.normal(20, 1, N))
    volume = shares * np.exp(rng.normal(-4.5, 0.6, (T, N)))
    fields = {
        "adj_open": open_, "adj_high": high, "adj_low": low, "adj_close": close, "adj_vwap": (high + low + close) / 3,
        "adj_volume": volume, "turnover": volume / shares, "is_listed": np.ones((T, N)),
        "free_turnover": volume / shares / rng.uniform(0.4, 0.9, N),
    }  # fmt: skip
    dates = np.busday_offset("2020-01-01", np.arange(T), roll="forward").astype("datetime64[D]")
    held = {name: values.astype(np.float32) for name, values in fields.items()}
    return Panel(dates, np.array([f"S{n:05d}" for n in range(N)]), np.ones((T, N), dtype=np.bool_), held)


@dataclass(frozen=True)
class Step:
    """A network with its optimiser and one day of data."""

    model: Network
    module: torch.nn.Module
    optimiser: AdamW
    batch: Batch

    def __call__(self) -> None:
        """Take the step."""
        self.optimiser.clear()
        torch.autograd.backward(self.model.objective(self.module, self.batch)[1])
        self.optimiser.step(1e-4)


def make(model: Network, family: AlphaNet, panel: Panel) -> tuple[Step, float]:
    """Return one training step on the last day of the panel, and the CPU seconds of settling."""
    T, N = panel.shape
    block, names = np.nan_to_num(family.compute(panel)), tuple(family.columns())
    sample = block[-DAYS:].reshape(-1, len(names))
    started = time.process_time()
    settled = model.settle(sample, names)
    settling = time.process_time() - started
    torch.manual_seed(0)
    module = model.build(Shape(names, 1, settled)).train()
    rows = T - 1 - np.arange(model.steps)[::-1] * model.stride
    x = torch.from_numpy(np.ascontiguousarray(block[rows].transpose(1, 0, 2)[None]))
    there = torch.ones(1, N, dtype=torch.bool)
    batch = Batch(x, torch.randn(1, N), there, there, np.zeros(1, dtype=np.int64), np.arange(N)[None])
    return Step(model, module, AdamW(module, 0.0), batch), settling


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--stocks", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    panel = bars(26 + 44 + DAYS, args.stocks)
    steps: dict[str, Step] = {}
    settled: dict[str, float] = {}
    for title, preset, settings in VERSIONS:
        steps[title], settled[title] = make(models.parse(settings), AlphaNet(preset=preset), panel)
    seconds: dict[str, list[float]] = {title: [] for title in steps}
    for repeat in range(args.repeats + 1):  # the first run touches the memory
        for title, step in steps.items():
            started = time.process_time()
            step()
            if repeat:
                seconds[title].append(time.process_time() - started)
    table = [
        {
            "version": title,
            "columns read": sum(len(scale.columns) for scale, _ in step.module.entries()),
            "steps": step.model.steps,
            "parameters": f"{sum(weight.numel() for weight in step.module.parameters()):,}",
            "CPU s a step": statistics.median(seconds[title]),
            "CPU s settling": settled[title],
        }
        for title, step in steps.items()
    ]
    ratio = statistics.median(seconds["V4"]) / statistics.median(seconds["V4 without filter"])
    notes = [
        f"One day of {args.stocks:,} stocks a step, one thread; median of {args.repeats} runs in turn, float32.",
        f"The filter is settled on {DAYS * args.stocks:,} rows; with it a step takes {ratio:.2f} of the time.",
    ]
    facts = {"stocks": args.stocks, "seconds": seconds, "settling": settled, "filter_ratio": ratio}
    save("alphanet_models", "Training steps of AlphaNet V1 to V4", table, facts, notes)
    return 0
