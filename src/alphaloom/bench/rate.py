"""Arithmetic of a training step, and the fastest that this machine multiplies matrices."""

import time
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from alphaloom.models.base import FitContext, Network, Shape
from alphaloom.training.batches import RowBatches
from alphaloom.training.network import best_device, training_batches
from alphaloom.training.samples import Samples

PEAK_SECONDS = 0.5
"""How long products are repeated for the peak."""


def flops_per_step(model: Network, samples: Samples, context: FitContext) -> int:
    """Return the floating-point operations of matrix products in one full batch, forward and backward.

    A multiplication and an addition count as two; what is not a product (activations, normalisation, softmax, the
    optimiser) does not count. torch's counter is used.
    """
    device = best_device()
    batch = next(iter(training_batches(model, samples, device, context.seed).epoch(1)))
    shape = Shape(context.features, 1 + len(samples.further), _settled(model, samples, context))
    module = model.build(shape).to(device).train()
    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH):  # fused attention on a CPU is not counted
        _, loss = model.objective(module, batch)
        torch.autograd.backward(loss)
    return int(counter.get_total_flops())


def _settled(model: Network, samples: Samples, context: FitContext) -> dict[str, Any]:
    """Return what the network fixes from labelled rows of the samples before it is built."""
    if not model.settle_rows:
        return {}
    drawn = next(RowBatches(samples, model.settle_rows, seed=context.seed).epoch())
    return model.settle(drawn.x[0, :, 0].numpy(), context.features)


def matrix_peak(precision: str, device: torch.device) -> float:
    """Return the operations a second of the fastest product of two square matrices in this precision.

    On a CPU they are those of a processor second, all threads together, whatever else the machine does.
    """
    size, clock = (8192, time.perf_counter) if device.type == "cuda" else (2048, time.process_time)
    a, b = (torch.randn(size, size, device=device).to(getattr(torch, precision)) for _ in range(2))
    best, stop = float("inf"), time.perf_counter() + PEAK_SECONDS
    out = a @ b
    while time.perf_counter() < stop or best == float("inf"):
        _wait(device)
        began = clock()
        torch.mm(a, b, out=out)
        _wait(device)
        best = min(best, clock() - began)
    return 2 * size**3 / best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
