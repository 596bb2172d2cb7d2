"""What a label is, and the registry of all of them."""

from abc import ABC, abstractmethod
from typing import ClassVar

from alphaloom.panel import Panel
from alphaloom.registry import Registry
from alphaloom.spec import Component
from alphaloom.typing import Dates, Floats, Ints


class Label(Component, ABC):
    """What a model learns to predict: the only place where the future may be read.

    The label of row t reads rows t - `lookback` to `ends(dates)[t]`; purging is derived from the rows after t.
    """

    inputs: ClassVar[tuple[str, ...]] = ()
    """Panel fields that any setting may read; see `required` for the ones this setting does."""

    @property
    def required(self) -> tuple[str, ...]:
        """Panel fields that `compute` reads with these settings."""
        return self.inputs

    @property
    def lookback(self) -> int:
        """How many rows before t the label of t may read, beside those from t on."""
        return 0

    @abstractmethod
    def entries(self, dates: Dates) -> Ints:
        """Return for each row t the row at whose price the position is entered (> t); -1 when beyond the data."""

    @abstractmethod
    def ends(self, dates: Dates) -> Ints:
        """Return for each row t the last row that the label reads; the number of dates when it is beyond the data."""

    @abstractmethod
    def compute(self, panel: Panel) -> Floats:
        """Return the label `[T, N]`, a fraction; NaN where either end does not trade or lies beyond the data."""


labels: Registry[Label] = Registry("label", Label, "alphaloom.labels")
