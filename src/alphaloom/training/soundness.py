"""Whether training stays finite, step by step."""

import torch

from alphaloom.training.adamw import State
from alphaloom.typing import Ints


class Checks:
    """Whether scores, losses and gradients stayed finite, looked at every so many steps: each look waits for a GPU."""

    def __init__(self, every: int) -> None:
        self.every = every
        self._steps: list[tuple[Ints, list[str], torch.Tensor]] = []

    def add(self, days: Ints, sound: torch.Tensor, gradients: State) -> None:
        """Note a step's days, whether its scores and its loss are finite `[2]`, and its gradients."""
        norms = torch.stack(torch._foreach_norm(list(gradients.values())))
        self._steps.append((days, list(gradients), torch.cat([sound, torch.isfinite(norms)])))

    def wrong(self, *, now: bool = False) -> tuple[Ints, str] | None:
        """Return the days of the first step that went wrong and its tensor, if it is time to look, or `now`."""
        if not self._steps or not (now or len(self._steps) >= self.every):
            return None
        steps, self._steps = self._steps, []
        if bool(torch.stack([flags.all() for _, _, flags in steps]).all()):
            return None
        days, names, flags = next(step for step in steps if not step[2].all())
        tensors = ["the scores", "the loss", *(f"the gradient of {name}" for name in names)]
        return days, next(tensor for tensor, sound in zip(tensors, flags.tolist(), strict=True) if not sound)
