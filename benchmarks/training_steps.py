"""Training steps of the networks: against torch's own modules and the machine's matrix peak; half precision; compiled.

A step is what the training loop does with a batch: forward, IC loss, backward, gradients clipped by value, fused AdamW.
The peers are the same networks written with torch's modules and trained by torch.optim.AdamW(fused=True) on the IC loss
of one day. MASTER's peer has nn.MultiheadAttention in both blocks, which maps once more after the heads: MASTER does
not. Numbers too small for the normal form count as 0 for all programs alike: they would make products many times
slower, and do in MASTER's peer.

The peak is that of a float32 product of two 2,048 x 2,048 matrices in the same run. A step's operations are counted
from the definitions, 2 for a multiply and add of a matrix product: each product of the forward pass once, and twice
more backwards, for the weights and for the inputs. "needed" leaves out what no program has to compute: gradients by
the features, products with the zero state before the first step. "written" counts them, as publications mostly do, and
is what the acceptance lines are about. Elementwise functions, the loss and the optimiser count nothing.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from alphaloom.models.base import Batch, Network, Shape, models
from alphaloom.training.adamw import AdamW
from benchmarks.record import save
from benchmarks.torch_networks import peer_of

F = 123
RECURRENT = {"hidden": 128, "layers": 2, "steps": 5, "dropout": 0.0}
CASES: dict[str, tuple[dict[str, object], int]] = {
    "rnn": ({"name": "rnn", **RECURRENT}, 4096),
    "gru": ({"name": "gru", **RECURRENT}, 4096),
    "lstm": ({"name": "lstm", **RECURRENT}, 4096),
    "alstm": ({"name": "alstm", **RECURRENT}, 4096),
    "mlp": ({"name": "mlp", "dropout": 0.0}, 4096),
    "transformer small": ({"name": "transformer", "size": "small"}, 4096),
    "transformer medium": ({"name": "transformer", "size": "medium"}, 1024),
    "transformer large": ({"name": "transformer", "size": "large"}, 512),
    "master": ({"name": "master", "dropout": 0.0, "attention_dropout": 0.0}, 1024),
}
"""Settings, and the windows of a batch."""
GOALS = {"rnn": 0.4, "gru": 0.4, "lstm": 0.4, "transformer small": 0.25}
"""Least share of the matrix peak."""
HALF = ("gru", "transformer small", "transformer large")
COMPILED = ("gru", "transformer small")
SPREAD = 0.05
"""Differences below it are the spread of the runs: rnn and lstm are torch's own modules on both sides."""
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
SIZE = 2048
Step = Callable[[Batch], object]


def cpu(work: Callable[[], object]) -> float:
    """Return the CPU seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def day_batch(windows: int, steps: int, seed: int = 0) -> Batch:
    """Return one full day of normal features and labels."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(1, windows, steps, F, generator=draw)
    y = torch.randn(1, windows, generator=draw)
    there = torch.ones(1, windows, dtype=torch.bool)
    return Batch(x, y, there, there, np.zeros(1, np.int64), np.arange(windows)[None])


def training_step(model: Network, module: nn.Module, *, half: bool = False) -> Step:
    """Return a function that takes one step of the training loop on a batch."""
    optimiser, settings = AdamW(module, model.optimisation.weight_decay), model.optimisation

    def step(batch: Batch) -> None:
        optimiser.clear()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            _, loss = model.objective(module, batch)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_value_(module.parameters(), settings.clip_value)
        optimiser.step(settings.lr)

    return step


def plain_step(module: nn.Module) -> Step:
    """Return the same step as a short program in torch has it."""
    optimiser = torch.optim.AdamW(module.parameters(), 5e-4, weight_decay=1e-3, fused=True)

    def step(batch: Batch) -> None:
        optimiser.zero_grad(set_to_none=True)
        score, y = module(batch.x[0]), batch.y[0]
        score, y = score - score.mean(), y - y.mean()
        loss = -(score * y).sum() / (score.norm() * y.norm() + 1e-8)
        loss.backward()
        nn.utils.clip_grad_value_(module.parameters(), 3.0)
        optimiser.step()

    return step


def operations(model: Network, windows: int) -> tuple[float, float]:
    """Return the operations of a step by window: needed, and written (see the module's docstring)."""
    L, name, void = model.steps, model.name, 0
    if name in {"rnn", "gru", "lstm", "alstm"}:
        H, layers = model.hidden, model.layers
        G = GATES[model.cell if name == "alstm" else name] * H
        first, rest = L * F * G, H
        if name == "alstm":
            first, rest = L * F * H, L * H * G + L * (H + 1) * (H // 2) + L * H + 2 * H
        rest += layers * (L - 1) * H * G + (layers - 1) * L * H * G
        void = layers * H * G
    elif name == "transformer":
        D, layers, ff = (model.width(key) for key in ("d_model", "layers", "ff"))
        whole = L * (4 * D * D + 2 * D * ff + 2 * L * D)
        last = 2 * L * D * D + 2 * D * D + 2 * D * ff + 2 * L * D
        first, rest = L * F * D, (layers - 1) * whole + last + D
    elif name == "master":
        D = model.d_model
        first, rest = L * F * D, L * (10 * D * D + 2 * L * D + 2 * windows * D) + 2 * D * D + 2 * L * D + D
    else:
        widths = (*model.hidden, 1)
        first, rest = L * F * widths[0], sum(a * b for a, b in pairwise(widths))
    return 2.0 * (2 * first + 3 * rest), 2.0 * 3 * (first + rest + void)


def rounding(model: Network, batch: Batch) -> float:
    """Return how far bfloat16 moves the scores of fresh weights: root mean square, in deviations of the scores."""
    module = model.build(Shape.of(F)).eval()
    with torch.inference_mode():
        exact = module(batch.x, batch.score_mask)
        with torch.autocast("cpu", torch.bfloat16):
            rough = module(batch.x, batch.score_mask).float()
    return float((rough - exact).square().mean().sqrt() / exact.std())


def in_turn(works: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Return the CPU seconds of each work, in rounds to and fro; the first round is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for repeat in range(repeats + 1):
        order = list(works.items())
        for name, work in reversed(order) if repeat % 2 else order:  # what ran before leaves the caches its way
            taken = cpu(work)
            if repeat:
                seconds[name].append(taken)
    return seconds


def products() -> dict[str, Callable[[], object]]:
    """Return the products that set the peaks, in float32 and in bfloat16."""
    a, b, out = torch.randn(SIZE, SIZE), torch.randn(SIZE, SIZE), torch.empty(SIZE, SIZE)
    rough_a, rough_b, rough = a.bfloat16(), b.bfloat16(), out.bfloat16()
    return {
        "peak": lambda: torch.mm(a, b, out=out),
        "peak bfloat16": lambda: torch.mm(rough_a, rough_b, out=rough),
    }


def compiled(model: Network, batch: Batch) -> tuple[float, Step]:
    """Return the wall seconds that the first step of the compiled network takes, and its step."""
    with tempfile.TemporaryDirectory() as aside:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = aside  # nothing compiled earlier is taken
        step = training_step(model, torch.compile(model.build(Shape.of(F))))
        start = time.perf_counter()
        step(batch)
        return time.perf_counter() - start, step


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--without-compile", action="store_true", help="leave torch.compile out (minutes)")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    rows, facts = [], {}
    for case, (settings, windows) in CASES.items():
        torch.manual_seed(0)
        model = models.parse({**settings, "loss": "ic"})
        batch = day_batch(windows, model.steps)
        works = products() | {
            "ours": partial(training_step(model, model.build(Shape.of(F))), batch),
            "torch": partial(plain_step(peer_of(model, F)), batch),
        }
        compile_s = 0.0
        if case in HALF:
            works["half"] = partial(training_step(model, model.build(Shape.of(F)), half=True), batch)
        if case in COMPILED and not args.without_compile:
            compile_s, step = compiled(model, batch)
            works["compiled"] = partial(step, batch)
        seconds = in_turn(works, args.repeats)
        cost = {name: statistics.median(taken) for name, taken in seconds.items()}
        peak = 2 * SIZE**3 / cost["peak"]
        needed, written = operations(model, windows)
        found = {
            "needed": needed * windows / cost["ours"] / peak,
            "written": written * windows / cost["ours"] / peak,
            "ratio": float(statistics.median(np.divide(seconds["torch"], seconds["ours"]))),
            "half": cost["ours"] / cost["half"] if "half" in cost else None,
            "compiled": cost["ours"] / cost["compiled"] if "compiled" in cost else None,
            "compile_s": compile_s or None,
            "rounding": rounding(model, batch) if case in HALF else None,
        }
        facts[case] = found | {
            "gflops_peak": peak / 1e9,
            "gflops_peak_bfloat16": 2 * SIZE**3 / cost["peak bfloat16"] / 1e9,
            "seconds": seconds,
        }
        rows.append(
            {
                "network": case,
                "windows": windows,
                "ms a step": 1e3 * cost["ours"],
                "k windows/s": windows / cost["ours"] / 1e3,
                "torch's time over ours": found["ratio"],
                "share of peak, written": found["written"],
                "needed": found["needed"],
                "bfloat16, times faster": found["half"] or "",
                "compiled, times faster": found["compiled"] or "",
                "compile s": compile_s or "",
            }
        )
    shares = {case: facts[case]["written"] for case in GOALS}
    slower = [case for case in CASES if facts[case]["ratio"] < 1 - SPREAD]
    peaks = [facts[case]["gflops_peak"] for case in CASES]
    peaks_half = [facts[case]["gflops_peak_bfloat16"] for case in CASES]
    reached = ", ".join(f"{case} {shares[case]:.0%} (at least {goal:.0%})" for case, goal in GOALS.items())
    holds = "holds" if all(shares[case] >= goal for case, goal in GOALS.items()) else "MISSED"
    none_slower = f"MISSED by {', '.join(slower)}" if slower else "holds"
    rates = f"{statistics.median(peaks):.0f} GFLOP/s in float32 ({min(peaks):.0f} to {max(peaks):.0f} over the cases)"
    moved = ", ".join(f"{facts[case]['rounding']:.1%} ({case})" for case in HALF)
    notes = [
        f"{F} features, L = 5 (MASTER 8); recurrent networks of 2 layers of 128; sizes of the Transformer as set.",
        f"One core; medians of {args.repeats} runs, to and fro.",
        f"Matrix peak: {rates}, {statistics.median(peaks_half):.0f} in bfloat16.",
        f"Acceptance, share of the peak by written operations: {reached}: {holds}.",
        f"Acceptance, nothing slower than torch's modules beyond the runs' spread of {SPREAD:.0%}: {none_slower}.",
        f"bfloat16 moves the scores of fresh weights by {moved} of their deviation.",
        "compile s: wall seconds of the first compiled step, nothing cached. bfloat16: products alone, by autocast.",
        f"The processor's instructions for bfloat16: {', '.join(half_precision()) or 'none'}.",
    ]
    save("training_steps", "Training steps: CPU time of one core", rows, {"cases": facts, "peak": peaks}, notes)
    return 0


def half_precision() -> list[str]:
    """Return which instructions for bfloat16 the processor has."""
    capabilities = torch.cpu.get_capabilities()
    return [name for name in ("avx512_bf16", "amx_bf16") if capabilities.get(name)]
