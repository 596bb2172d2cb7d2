"""What a portfolio construction is, and the registry of all of them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from alphaloom.registry import Registry
from alphaloom.risk.forecast import RiskForecast
from alphaloom.spec import Component
from alphaloom.typing import Bools, Doubles


@dataclass(frozen=True)
class Decision:
    """All that is known at one date's close, for one choice of weights. Arrays are `[N]`, weights are fractions.

    `score` is NaN where there is none; `current` are the weights held, drifted to this close; `can_buy`, `can_sell`
    say what is expected to trade (a suspended stock neither, a stock locked at its upper limit cannot be bought).
    """

    date: np.datetime64
    score: Doubles
    current: Doubles
    can_buy: Bools
    can_sell: Bools
    benchmark: Doubles
    """Benchmark weights, summing to 1; zeros when there is no benchmark."""
    exposures: Doubles
    """Style exposures `[K, N]`, standardised; K may be 0."""
    styles: tuple[str, ...]
    """Names of the K rows of `exposures`."""
    industry: Doubles
    """Industry code, NaN when unknown."""
    fields: Mapping[str, Doubles] = field(default_factory=dict)
    """The panel fields the construction asked for in `inputs`, at this date."""
    measured: Mapping[str, Doubles] = field(default_factory=dict)
    """The values of the expressions the construction asked for in `expressions`, at this date."""
    risk: RiskForecast | None = None
    """Forecast of the variance, for constructions that use one."""
    capital: float | None = None
    """Money that the weights are fractions of, in the market's currency; None when unknown."""
    last: object = None
    """What the last decision of the same construction left to start from (`Target.last`); never changes the optimum."""

    @property
    def is_first(self) -> bool:
        """Whether nothing is held yet."""
        return not self.current.any()


@dataclass(frozen=True)
class Target:
    """Target weights `[N]` and what there is to say of them (solver status, relaxed limits, pinned weight)."""

    weights: Doubles
    notes: Mapping[str, float | str] = field(default_factory=dict)
    last: object = None
    """What the next decision may start from."""


class Construction(Component, ABC):
    """Turns the scores of one date into target weights."""

    @property
    def label(self) -> str:
        """What a portfolio of this construction is called in reports and file names; its registered name unless set."""
        return type(self).name

    @property
    def inputs(self) -> tuple[str, ...]:
        """Panel fields it reads through `Decision.fields`."""
        return ()

    @property
    def expressions(self) -> tuple[str, ...]:
        """Expressions of the factor language it reads through `Decision.measured`; none may look ahead."""
        return ()

    @property
    def uses_risk(self) -> bool:
        """Whether it needs style exposures."""
        return False

    @property
    def uses_industry(self) -> bool:
        """Whether it reads the industries."""
        return self.uses_risk

    @property
    def uses_forecast(self) -> bool:
        """Whether it needs a forecast of the variance."""
        return False

    @property
    def is_long_only(self) -> bool:
        """Whether its weights are never negative."""
        return True

    @abstractmethod
    def weigh(self, decision: Decision) -> Target:
        """Return target weights: non-negative if `is_long_only`, then summing to at most 1 (the rest is cash)."""


constructions: Registry[Construction] = Registry("portfolio", Construction, "alphaloom.portfolio")
