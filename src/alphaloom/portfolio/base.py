"""What a portfolio construction is, and the registry of all of them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from alphaloom.registry import Registry
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


@dataclass(frozen=True)
class Target:
    """Target weights `[N]` and what there is to say of them (solver status, relaxed limits, pinned weight)."""

    weights: Doubles
    notes: Mapping[str, float | str] = field(default_factory=dict)


class Construction(Component, ABC):
    """Turns the scores of one date into target weights."""

    inputs: ClassVar[tuple[str, ...]] = ()
    """Panel fields it reads through `Decision.fields`."""
    uses_risk: ClassVar[bool] = False
    """Whether it needs style exposures."""

    @abstractmethod
    def weigh(self, decision: Decision) -> Target:
        """Return target weights: non-negative unless long-short by name, summing to at most 1 (the rest is cash)."""


constructions: Registry[Construction] = Registry("portfolio", Construction, "alphaloom.portfolio")
