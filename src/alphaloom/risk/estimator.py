"""What a way to estimate risk is, and the registry of all of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from alphaloom.panel import Panel
from alphaloom.registry import Registry
from alphaloom.risk.forecast import RiskModel
from alphaloom.spec import Component

Progress = Callable[[str, int, int], None]
"""Called with what is being done, the steps done and their total."""


class RiskEstimator(Component, ABC):
    """Settings of a risk model; `fit` estimates it on a market and gives forecasts on the market's axes.

    A forecast of row t depends on rows up to t alone: fitted on the panel cut after t it is the same.
    """

    @property
    @abstractmethod
    def required(self) -> tuple[str, ...]:
        """Panel fields without which `fit` cannot work."""

    @property
    def wanted(self) -> tuple[str, ...]:
        """Panel fields that `fit` reads where the panel has them, beside the required ones."""
        return ()

    @abstractmethod
    def fit(self, panel: Panel, progress: Progress | None = None) -> RiskModel:
        """Return the fitted model, on the panel's dates and symbols.

        Raises:
            MissingFieldError: the panel lacks a required field.
            DataError: too few dates or stocks.
        """


risk_models: Registry[RiskEstimator] = Registry("risk model", RiskEstimator, "alphaloom.risk.models")
