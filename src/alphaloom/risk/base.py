"""What a style factor is, and the registry of all of them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar

import numpy as np

from alphaloom.language.parse import parse
from alphaloom.language.plan import Plan
from alphaloom.panel import Panel
from alphaloom.registry import Registry
from alphaloom.spec import Component
from alphaloom.typing import Floats


class Style(Component, ABC):
    """A style of stocks, made of one or more descriptors.

    Each descriptor is winsorised and standardised per date, then combined with `weights` (shared among the descriptors
    that a stock has), made orthogonal to `orthogonal_to`, and standardised again. The value at row t reads rows
    t - `lookback` to t alone.
    """

    weights: ClassVar[Mapping[str, float]] = {}
    """Weight of each descriptor, by name."""
    after: ClassVar[tuple[str, ...]] = ()
    """Styles whose standardised exposures `descriptors` reads through `known`."""
    orthogonal_to: ClassVar[tuple[str, ...]] = ()
    """Styles that the combined descriptors are regressed on; the residual is the style."""

    @property
    @abstractmethod
    def inputs(self) -> tuple[str, ...]:
        """Panel fields it reads."""

    @property
    @abstractmethod
    def lookback(self) -> int:
        """How many rows before t the value at t may read."""

    @abstractmethod
    def descriptors(self, panel: Panel, known: Mapping[str, Floats]) -> dict[str, Floats]:
        """Return the raw descriptors `[T, N]` by name, NaN where unknown; larger means more of the style."""


class WrittenStyle(Style):
    """A style whose descriptors are written in the factor language; fields and look-back follow from them."""

    @abstractmethod
    def expressions(self) -> dict[str, str]:
        """Return the descriptors' texts by name."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Panel fields that the descriptors read."""
        return self._plan.inputs

    @property
    def lookback(self) -> int:
        """How many rows before t the descriptors at t may read."""
        return self._plan.lookback

    def descriptors(self, panel: Panel, known: Mapping[str, Floats]) -> dict[str, Floats]:
        """Return the raw descriptors `[T, N]` by name, NaN where unknown and where a stock is not listed."""
        block = self._plan.compute(panel)
        return {name: np.ascontiguousarray(block[:, :, k]) for k, name in enumerate(self._plan.names)}

    @property
    def _plan(self) -> Plan:
        return _plan(tuple(self.expressions().items()))


@lru_cache(maxsize=64)
def _plan(expressions: tuple[tuple[str, str], ...]) -> Plan:
    return Plan.of({name: parse(text, look_ahead=False) for name, text in expressions})


styles: Registry[Style] = Registry("style", Style, "alphaloom.risk.styles")
