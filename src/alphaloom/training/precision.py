"""Half precision in training: what runs in it, whether it pays, and the scale that keeps float16 gradients alive."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch

from alphaloom.training.adamw import State

Precision = Literal["float32", "bfloat16", "float16"]
TIMED_STEPS = 3
"""Steps in each precision that `faster_precision` times, after one that warms up."""
WORTH = 0.95
"""Half precision is taken where it needs less than this share of float32's time."""
FIRST_SCALE, SMALLEST_SCALE, GROWS_AFTER = 2.0**16, 2.0**-24, 2000
"""The loss's scale in float16: where it begins, where overflow is divergence, after how many steps it doubles."""


@contextmanager
def half_precision(precision: Precision, device: torch.device) -> Iterator[None]:
    """Run matrix products in half precision meanwhile (not for float32).

    Weights stay in float32, and so do normalisation, softmax and reductions: autocast casts products alone.
    Losses leave it themselves (see `Loss.__call__`). On a processor that does not multiply bfloat16, oneDNN is left
    aside: its LSTM refuses bfloat16 there, where torch's own kernels are as slow as its others and right.
    """
    dtype = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(precision, torch.bfloat16)
    onednn: Any = torch.backends.mkldnn
    before = onednn.enabled
    if precision != "float32" and device.type == "cpu" and onednn.is_available():
        onednn.enabled = before and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    try:
        with torch.autocast(device.type, dtype=dtype, enabled=precision != "float32"):
            yield
    finally:
        onednn.enabled = before


def faster_precision(step: Callable[[Precision], None], device: torch.device) -> tuple[Precision, dict[str, float]]:
    """Return the precision in which a training step is faster, and the seconds of a step in each.

    Args:
        step: takes one training step in a precision and leaves no trace.
        device: on a GPU without bfloat16 the half precision is float16.
    """
    half: Precision = "float16" if device.type == "cuda" and not torch.cuda.is_bf16_supported() else "bfloat16"
    tried: Sequence[Precision] = ("float32", half)
    seconds: dict[str, float] = {}
    for precision in tried:
        step(precision)
        _wait(device)
        began = time.perf_counter()
        for _ in range(TIMED_STEPS):
            step(precision)
        _wait(device)
        seconds[precision] = (time.perf_counter() - began) / TIMED_STEPS
    chosen = half if seconds[half] < WORTH * seconds["float32"] else "float32"
    return chosen, seconds


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class LossScale:
    """The factor on the loss that keeps small float16 gradients from becoming zero; 1 and idle in other precisions.

    Source: Micikevicius et al. 2018, section 3.2 (as in seed 000's AMP notes). A step whose gradients overflow is
    skipped and halves the scale.
    """

    def __init__(self, precision: Precision) -> None:
        self.is_used = precision == "float16"
        self.value = FIRST_SCALE if self.is_used else 1.0
        self._sound = 0

    def unscale(self, gradients: State) -> bool:
        """Divide the gradients by the scale; return whether the step is to be taken."""
        if not self.is_used:
            return True
        torch._foreach_div_(list(gradients.values()), self.value)
        norms = torch.stack(torch._foreach_norm(list(gradients.values())))
        if bool(torch.isfinite(norms).all()) or self.value < SMALLEST_SCALE:
            self._sound += 1
            if self._sound == GROWS_AFTER:
                self.value, self._sound = 2 * self.value, 0
            return True
        self.value, self._sound = self.value / 2, 0
        return False

    def state(self) -> tuple[float, int]:
        """Return the scale and how many sound steps it has seen."""
        return self.value, self._sound

    def restore(self, state: tuple[float, int]) -> None:
        """Take over what `state` gave."""
        self.value, self._sound = state
