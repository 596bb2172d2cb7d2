"""What a universe rule is, and the registry of all of them."""

from abc import ABC, abstractmethod
from typing import ClassVar

from alphaloom.panel import Panel
from alphaloom.registry import Registry
from alphaloom.spec import Component
from alphaloom.typing import Bools


class UniverseRule(Component, ABC):
    """Says which stocks may be held or learned from on each date, from what was known at that date's close."""

    inputs: ClassVar[tuple[str, ...]] = ()
    """Panel fields that any setting may read; see `required` for the ones this setting does."""

    @property
    def required(self) -> tuple[str, ...]:
        """Panel fields that `keep` reads with these settings."""
        return self.inputs

    @property
    def lookback(self) -> int:
        """How many rows before t the answer at t may read."""
        return 0

    @abstractmethod
    def keep(self, panel: Panel) -> Bools:
        """Return true where the rule lets a stock stay `[T, N]`."""


universe_rules: Registry[UniverseRule] = Registry("universe rule", UniverseRule, "alphaloom.data.universe")
