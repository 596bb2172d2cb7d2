"""What a feature family is, and the registry of all of them."""

from abc import ABC, abstractmethod
from typing import ClassVar

from alphaloom.panel import Panel
from alphaloom.registry import Registry
from alphaloom.spec import Component
from alphaloom.typing import Floats


class FeatureFamily(Component, ABC):
    """A set of features computed together from the panel's fields.

    The value at row t is a function of rows t - `lookback` to t alone, of each stock alone unless the family says
    otherwise; reordering symbols reorders the output. NaN where it cannot be computed. The universe is not applied.
    """

    inputs: ClassVar[tuple[str, ...]] = ()
    """Panel fields it reads; `compute` receives a panel with at least these."""

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
