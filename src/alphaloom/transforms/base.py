"""What a transform is, and the registry of all of them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from alphaloom.panel import Panel
from alphaloom.registry import Registry
from alphaloom.spec import Component
from alphaloom.typing import Floats

State = Mapping[str, Floats]
"""What `fit` learned: named arrays, stored with the model."""


class Transform(Component, ABC):
    """Rewrites a block of features (or labels) `[T, N, F]`.

    A cross-sectional transform treats each date alone: statistics come from the members of `panel.universe` on that
    date and are applied to every stock that has a value. A fitted one (`is_fitted = True`) learns its state from the
    universe members of a training window and applies it to any date.
    """

    inputs: ClassVar[tuple[str, ...]] = ()
    """Panel fields it reads besides the block, for example `industry` and `log_cap`; see `required`."""
    is_fitted: ClassVar[bool] = False

    @property
    def required(self) -> tuple[str, ...]:
        """Panel fields that `apply` and `fit` read with these settings."""
        return self.inputs

    def fit(self, block: Floats, panel: Panel) -> dict[str, Floats]:
        """Return the state learned from a training window; empty for cross-sectional transforms."""
        return {}

    @abstractmethod
    def apply(self, block: Floats, panel: Panel, state: State) -> None:
        """Rewrite the block in place. Axes of `panel` and block agree; the caller owns the block."""


transforms: Registry[Transform] = Registry("transform", Transform, "alphaloom.transforms")
