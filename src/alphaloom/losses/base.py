"""What a loss is, and the registry of all of them."""

from abc import ABC, abstractmethod

import torch

from alphaloom.registry import Registry
from alphaloom.spec import Component


class Loss(Component, ABC):
    """A differentiable score of a batch of days, averaged over days; lower is better.

    `score`, `label` and `mask` are `[B, N]`; the mask is true where both count. Entries outside the mask may hold
    anything finite and must get gradient zero. Days with too few members are left out, never NaN.
    """

    @abstractmethod
    def per_day(self, score: torch.Tensor, label: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the loss of each day `[B]`, in float32; days that do not count hold NaN-free zeros."""

    @property
    def min_members(self) -> int:
        """Days with fewer labelled members are skipped."""
        return 2

    def __call__(self, score: torch.Tensor, label: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the mean over the days with at least `min_members` members; zero when there is none."""
        counts = mask.sum(dim=1) >= self.min_members
        score = torch.where(mask, score, torch.zeros_like(score)).float()
        label = torch.where(mask, label, torch.zeros_like(label)).float()
        daily = self.per_day(score, label, mask)
        return torch.where(counts, daily, torch.zeros_like(daily)).sum() / counts.sum().clamp_min(1)


losses: Registry[Loss] = Registry("loss", Loss, "alphaloom.losses")
