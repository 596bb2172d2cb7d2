"""What a feature family is, and the registry of all of them."""

from abc import ABC, abstractmethod
from typing import ClassVar

from alphaloom.panel import Panel
from alphaloom.registry import Registry
from alphaloom.spec import Component
from alphaloom.typing import Floats


class FeatureFamily(Component, ABC):
    """A set of features computed together from the panel's fields.

    The value at row t is a function of rows t - `lookback` to t alone, of each stock alone where `is_local` says
    so; reordering symbols reorders the output. NaN where it cannot be computed. The universe is not applied.
    """

    inputs: ClassVar[tuple[str, ...]] = ()
    """Panel fields that any setting reads; see `required`."""

    @property
    def required(self) -> tuple[str, ...]:
        """Panel fields that it reads with these settings; `compute` receives a panel with at least these."""
        return self.inputs

    @property
    def is_local(self) -> bool:
        """Whether a stock's features depend on that stock alone; if not, on the other stocks of the same dates too."""
        return True

    @property
    @abstractmethod
    def lookback(self) -> int:
        """How many rows before t the value at t may read."""

    @abstractmethod
    def columns(self) -> list[str]:
        """Return the published names of the features, in order."""

    @abstractmethod
    def compute(self, panel: Panel) -> Floats:
        """Return the features `[T, N, F]` of every row of the panel."""


features: Registry[FeatureFamily] = Registry("feature", FeatureFamily, "alphaloom.features")
