"""What a style factor is, and the registry of all of them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar, Self

import numpy as np
from pydantic import model_validator

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
    """Published weight of each descriptor, by name."""
    after: ClassVar[tuple[str, ...]] = ()
    """Styles whose standardised exposures `descriptors` reads through `known`."""
    orthogonal_to: ClassVar[tuple[str, ...]] = ()
    """Styles that the combined descriptors are regressed on; the residual is the style."""
    sources: ClassVar[tuple[str, ...]] = ()
    """Values of the setting `source`, where a style has it, the preferred one first."""

    without: tuple[str, ...] = ()
    """Descriptors left out; their weights are shared among the rest."""

    @model_validator(mode="after")
    def _something_left(self) -> Self:
        unknown = [name for name in self.without if name not in self.weights]
        if unknown:
            raise ValueError(f"without: there is no descriptor {unknown[0]!r}; there are: {', '.join(self.weights)}")
        if not self.used:
            raise ValueError(f"without: every descriptor is left out ({', '.join(self.without)}); keep one at least")
        return self

    @property
    def used(self) -> tuple[str, ...]:
        """The descriptors that are not left out."""
        return tuple(name for name in self.weights if name not in self.without)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Panel fields it reads."""
        reads = self.reads()
        return tuple(dict.fromkeys(field for name in self.used for field in reads[name]))

    @property
    @abstractmethod
    def lookback(self) -> int:
        """How many rows before t the value at t may read."""

    @abstractmethod
    def reads(self) -> dict[str, tuple[str, ...]]:
        """Return the panel fields that each published descriptor reads, those left out included."""

    @abstractmethod
    def descriptors(self, panel: Panel, known: Mapping[str, Floats]) -> dict[str, Floats]:
        """Return the raw descriptors `[T, N]` in use by name, NaN where unknown; larger means more of the style."""


class WrittenStyle(Style):
    """A style whose descriptors are written in the factor language; fields and look-back follow from them."""

    @abstractmethod
    def expressions(self) -> dict[str, str]:
        """Return the texts of all published descriptors by name."""

    def reads(self) -> dict[str, tuple[str, ...]]:
        """Return the panel fields that each published descriptor reads."""
        return {name: _plan(((name, text),)).inputs for name, text in self.expressions().items()}

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
        texts = self.expressions()
        return _plan(tuple((name, texts[name]) for name in self.used))


@lru_cache(maxsize=128)
def _plan(expressions: tuple[tuple[str, str], ...]) -> Plan:
    return Plan.of({name: parse(text, look_ahead=False) for name, text in expressions})


styles: Registry[Style] = Registry("style", Style, "alphaloom.risk.styles")
