"""What a loss is, the arithmetic that losses share, and the registry of all of them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch

from alphaloom.errors import UsageError
from alphaloom.registry import Registry
from alphaloom.spec import Component

RETURN = "return"
"""Name under which a loss finds the raw return: the label before its transforms, a fraction."""
VARIANCE_FLOOR = 1e-8
"""Added to both variances of a correlation, so that a constant score has a finite gradient."""

Extras = Mapping[str, torch.Tensor]
"""What a loss reads per stock beside score and label, `[B, N]` each, by name."""


class Loss(Component, ABC):
    """A differentiable score of a batch of days, averaged over days; lower is better.

    `score`, `label` and `mask` are `[B, N]`; the mask is true where both count. Entries outside the mask may hold
    anything and get gradient zero. Days with too few members are left out, never NaN.

    A loss that needs more per stock names it: panel fields in `required`, the raw return by `uses_return`, what the
    network itself must give in `from_network`. It finds all of them in `extras`, where NaN means unknown; what becomes
    of a stock with an unknown value is part of the loss's definition.
    """

    uses_return: ClassVar[bool] = False
    """Whether it reads the raw return, `extras["return"]`."""
    is_row_wise: ClassVar[bool] = False
    """Whether it is a mean over stocks of what each one's own score and label give, so that rows of many days may be
    taken for one without `pooled`."""
    from_network: ClassVar[tuple[str, ...]] = ()
    """Extras that the network gives beside its scores; a network without them refuses the loss."""
    pooled: bool = False
    """Take the labelled stocks of all days of a training batch for those of one day. A correlation then also rewards
    guessing the market's direction; it is meant for batches of rows from many days."""

    @property
    def required(self) -> tuple[str, ...]:
        """Panel fields that it reads with these settings."""
        return ()

    @property
    def extras(self) -> tuple[str, ...]:
        """Names of the extras that come from the data: the panel fields, and the raw return if it is used."""
        return (*self.required, *((RETURN,) if self.uses_return else ()))

    @property
    def min_members(self) -> int:
        """Days with fewer labelled members are skipped."""
        return 2

    @abstractmethod
    def per_day(self, score: torch.Tensor, label: torch.Tensor, mask: torch.Tensor, extras: Extras) -> torch.Tensor:
        """Return the loss of each day `[B]`, finite on an empty day as well.

        All inputs are float32 or float64 and hold zeros outside the mask; extras may hold NaN inside it.
        """

    def __call__(
        self, score: torch.Tensor, label: torch.Tensor, mask: torch.Tensor, extras: Extras | None = None
    ) -> torch.Tensor:
        """Return the mean over the days with at least `min_members` members; zero when there is none.

        It is computed in float32, or in float64 when the scores are.

        Raises:
            UsageError: an extra that the loss needs was not given.
        """
        found = {name: _required(type(self), name, extras) for name in (*self.extras, *self.from_network)}
        if self.pooled:
            score, label, mask = score.reshape(1, -1), label.reshape(1, -1), mask.reshape(1, -1)
            found = {name: values.reshape(1, -1) for name, values in found.items()}
        counts = mask.sum(dim=1) >= self.min_members
        mask = mask & counts[:, None]
        precision = torch.promote_types(score.dtype, torch.float32)
        if not score.numel():
            return score.to(precision).sum()

        def clean(values: torch.Tensor) -> torch.Tensor:
            return torch.where(mask, values.to(precision), 0.0)

        with torch.autocast(score.device.type, enabled=False):
            daily = self.per_day(clean(score), clean(label), mask, {name: clean(v) for name, v in found.items()})
        return torch.where(counts, daily, 0.0).sum() / counts.sum().clamp_min(1)


def _required(loss: type[Loss], name: str, extras: Extras | None) -> torch.Tensor:
    if extras is None or name not in extras:
        given = ", ".join(extras or ()) or "none"
        raise UsageError(f"The loss {loss.name} needs {name!r} of every stock; extras given: {given}.")
    return extras[name]


def mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the weighted mean of each day `[B]`; weights are 0 outside the mask, and an empty day gives 0."""
    total = weight.sum(dim=1)
    return (values * weight).sum(dim=1) / torch.where(total > 0, total, 1.0)


def correlation(score: torch.Tensor, label: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the weighted Pearson correlation of each day `[B]`, `VARIANCE_FLOOR` added to both variances."""
    score = score - mean(score, weight)[:, None]
    label = label - mean(label, weight)[:, None]
    variances = (mean(score.square(), weight) + VARIANCE_FLOOR) * (mean(label.square(), weight) + VARIANCE_FLOOR)
    return mean(score * label, weight) / variances.sqrt()


def ranks(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return each day's ranks from 1 for the lowest `[B, N]`, ties averaged; 0 outside the mask. No gradient.

    >>> ranks(torch.tensor([[0.5, 0.1, 0.5, 9.0]]), torch.tensor([[True, True, True, False]])).tolist()
    [[2.5, 1.0, 2.5, 0.0]]
    """
    values = torch.where(mask, values.detach(), torch.inf).contiguous()
    order = values.sort(dim=1).values
    below = torch.searchsorted(order, values)
    not_above = torch.searchsorted(order, values, right=True)
    return torch.where(mask, (below + not_above + 1) / 2, 0.0).to(values.dtype)


losses: Registry[Loss] = Registry("loss", Loss, "alphaloom.losses")
