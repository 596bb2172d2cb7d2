"""One cell measured, in a process of its own: its memory is its own, and running out of it ends this process alone.

`python -m alphaloom.bench.cell` reads a request as JSON from standard input and writes a line of JSON for each fit,
then one with the facts of the cell, or with the reason why it failed.
"""

import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from alphaloom.bench.machine import MB, load_1min, resident_mb, waited
from alphaloom.bench.rate import flops_per_step, matrix_peak
from alphaloom.bench.sources import read_samples
from alphaloom.errors import AlphaloomError, DataError
from alphaloom.models.base import FitContext, Network, models
from alphaloom.training.loop import train_network
from alphaloom.training.network import best_device, torch_settings, training_batches
from alphaloom.training.samples import Samples

Tell = Callable[[dict[str, Any]], None]
NO_MEMORY = "out of memory"
MEMORY_WORDS = ("out of memory", "can't allocate memory", "not enough memory")
"""How torch's errors speak of memory that is not there."""


def measure(request: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    """Return the facts of a cell, having told every timed fit.

    One fit of a single step comes first, so that compiled kernels, memory and the device are ready; it is reported
    apart as `warmup_s`. Of each timed fit `seconds` are those of its epochs: batches, steps and the checks between
    them; `setup_s` is the rest of the call (pairs of days and stocks, digests, the initial weights). The loader's time
    is that of the same batches gathered alone.

    Raises:
        DataError: the samples hold less than one batch, or the network cannot use them.
        SettingError: the machine cannot do what is asked.
        RunError: training diverged.
    """
    model = models.parse(request["model"])
    assert isinstance(model, Network)
    whole, features = read_samples(Path(request["samples"]))
    context = FitContext(request["seed"], request["threads"], features)
    samples = some_steps(whole, model, request["max_steps"], context.seed)
    load, (before, _) = load_1min(), resident_mb()
    once = model.model_copy(update={"optimisation": model.optimisation.model_copy(update={"epochs": 1})})
    warmup = _fit(once, some_steps(whole, model, 1, context.seed), context)
    for _ in range(request["repeats"]):
        tell({"event": "fit", **_fit(model, samples, context)})
    peak = resident_mb()[1]
    return {
        **_loading(model, samples, context),
        "parameters": warmup["parameters"],
        "ran_in": warmup["ran_in"],
        "warmup_s": warmup["seconds"] + warmup["setup_s"],
        "resident_mb": peak,
        "fit_mb": None if before is None else peak - before,
        "load_1min": load,
        **(_rates(model, samples, context, warmup["ran_in"]) if request["profile"] else {}),
    }


def some_steps(samples: Samples, model: Network, steps: int | None, seed: int) -> Samples:
    """Return samples whose epoch has so many batches at most: rows drawn by the seed from all days keep their labels.

    Raises:
        DataError: there are fewer labelled rows than one batch holds.
    """
    rows = model.optimisation.rows_per_step
    assert rows is not None
    known = samples.scorable(model.steps, model.stride, model.short_history, model.gaps)
    known &= ~np.isnan(samples.label[samples.rows])
    found = np.flatnonzero(known)
    if found.size < rows:
        raise DataError(f"The samples hold {found.size:,} labelled rows, fewer than one batch of {rows:,}.")
    if steps is None or steps * rows >= found.size:
        return samples
    chosen = np.random.default_rng(seed).choice(found, steps * rows, replace=False)
    day, stock = np.unravel_index(chosen, known.shape)
    label = np.full_like(samples.label, np.nan)
    label[samples.rows[day], stock] = samples.label[samples.rows[day], stock]
    return dataclasses.replace(samples, label=label)


def _fit(model: Network, samples: Samples, context: FitContext) -> dict[str, Any]:
    device = best_device()
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    began, busy, idle = time.perf_counter(), time.process_time(), waited()
    fitted = train_network(model, samples, samples.subset(samples.rows[:0]), context=context)
    total, busy = time.perf_counter() - began, time.process_time() - busy
    seconds = sum(record["seconds"] for record in fitted.history)
    return {
        "seconds": seconds,
        "setup_s": total - seconds,
        "cpu_s": busy,
        "waited_share": None if idle is None else ((waited() or 0.0) - idle) / total,
        "allocated_mb": torch.cuda.max_memory_allocated(device) / MB if on_gpu else None,
        "parameters": sum(weight.numel() for weight in fitted.module.parameters()),
        "ran_in": fitted.history[-1].get("precision", "float32"),
    }


def _loading(model: Network, samples: Samples, context: FitContext) -> dict[str, Any]:
    """Return what an epoch holds, and the seconds in which its batches are gathered without any step."""
    device = best_device()
    with torch_settings(context.threads):
        batches = training_batches(model, samples, device, context.seed)
        seconds = []
        for epoch in range(1, 4):
            began = time.perf_counter()
            for _ in batches.epoch(epoch):
                pass
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds.append(time.perf_counter() - began)
    return {"batches": len(batches), "epoch_rows": batches.size, "loader_s": statistics.median(seconds)}


def _rates(model: Network, samples: Samples, context: FitContext, precision: str) -> dict[str, Any]:
    with torch_settings(context.threads):
        return {
            "flops_per_row": flops_per_step(model, samples, context) / (model.optimisation.rows_per_step or 1),
            "peak_gflops": matrix_peak(precision, best_device()) / 1e9,
        }


def failure(error: BaseException) -> str:
    """Return why a cell failed, in one line."""
    text = str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(word in text.lower() for word in MEMORY_WORDS):
        return NO_MEMORY
    return text.strip().split("\n")[0] or type(error).__name__


def main() -> int:
    """Measure the cell that standard input asks for; the exit code is 1 when it failed."""

    def tell(line: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    request = json.load(sys.stdin)
    try:
        tell({"event": "done", **measure(request, tell)})
    except (AlphaloomError, MemoryError, RuntimeError) as error:
        tell({"event": "failed", "error": failure(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
