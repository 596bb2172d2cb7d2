"""Plan: many expressions compiled together, ready to be computed on any panel that has their fields."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from alphaloom.errors import SettingError
from alphaloom.language.execute import execute
from alphaloom.language.nodes import FIELD, Node, in_order
from alphaloom.language.parse import parse
from alphaloom.language.steps import Step, steps_of
from alphaloom.panel import Panel
from alphaloom.typing import Floats

LISTED = "is_listed"
"""Field that says where a stock is listed: every plan reads it."""


@dataclass(frozen=True)
class Plan:
    """Expressions by name, as one graph in which equal subexpressions are computed once.

    Nothing is compiled for an expression: a plan is a few tables for `alphaloom.kernels.machine`, made in
    milliseconds.
    """

    names: tuple[str, ...]
    roots: tuple[Node, ...]

    @classmethod
    def of(cls, expressions: Mapping[str, Node | str]) -> "Plan":
        """Return the plan of named expressions, given as text or as nodes.

        Args:
            expressions: at least one.

        Raises:
            ExpressionError: a text is wrong; the message points at the character.
            SettingError: there is no expression, or one is a group, which is no number.
        """
        if not expressions:
            raise SettingError("A plan needs at least one expression, such as {'gap': 'open / delay(close, 1) - 1'}.")
        roots = []
        for name, given in expressions.items():
            root = parse(given) if isinstance(given, str) else given
            if root.unit.kind == "group":
                raise SettingError(f"Expression {name!r} is a group, not a number; a group can only stand after by=.")
            roots.append(root)
        return cls(tuple(expressions), tuple(roots))

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Panel fields that it reads, sorted, `is_listed` among them."""
        return tuple(sorted({LISTED, *(node.name for node in in_order(self.roots) if node.operator == FIELD)}))

    @cached_property
    def lookback(self) -> int:
        """Rows before t that the values at t may read."""
        return max(root.lookback for root in self.roots)

    @cached_property
    def lookahead(self) -> int:
        """Rows after t that the values at t may read; 0 for features."""
        return max(root.lookahead for root in self.roots)

    @cached_property
    def is_local(self) -> bool:
        """Whether a stock's values depend on that stock alone."""
        return all(root.is_local for root in self.roots)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """What is executed, in order."""
        return tuple(steps_of(self.roots))

    def bytes_per_row(self, n_symbols: int) -> int:
        """Return the memory that computing takes per row of the panel, in bytes: result, planes and input fields."""
        alive = most = 0
        for step in self.steps:
            alive += len(step.stage.planes) + len(step.stage.stored)
            most = max(most, alive)
            alive -= len(step.released)
        return 4 * n_symbols * (len(self.names) + len(self.inputs) + most)

    def compute(
        self, panel: Panel, *, start_row: int = 0, threads: int | None = None, out: Floats | None = None
    ) -> Floats:
        """Return the values `[T - start_row, N, F]` of the panel's rows from `start_row` on.

        NaN where a stock is not listed (`is_listed` is not 1) and where a value is infinite. Only the `lookback` rows
        before `start_row` and later ones are read; a row with less than the look-back before it has what its own rows
        give. The listed stocks of `panel.universe` are the population of cross-sectional operators.

        Args:
            panel: with the fields `inputs`.
            start_row: first row wanted.
            threads: None for numba's number; the result is the same bit for bit.
            out: memory for the result, `[T - start_row, N, F]`, C-contiguous; memory that was used before saves the
                system's first touch of it.

        Raises:
            MissingFieldError: the panel lacks a field.
            SettingError: `start_row` is outside the panel, fewer than one thread, or `out` does not fit.
        """
        T = panel.shape[0]
        if not 0 <= start_row < max(T, 1):
            raise SettingError(f"start_row is {start_row}; the panel has rows 0 to {T - 1}.")
        first = max(0, start_row - self.lookback)
        needed = panel.select(self.inputs).rows(first, T)
        reads_ahead = any(node.lookahead for node in in_order(self.roots))
        back = None if reads_ahead else self.lookback
        shape = (T - start_row, panel.shape[1], len(self.names))
        result = np.empty(shape, dtype=np.float32) if out is None else out
        if (
            result.shape != shape
            or result.dtype != np.float32
            or not (result.flags.c_contiguous and result.flags.writeable)
        ):
            raise SettingError(
                f"out must be writeable, C-contiguous float32 {shape}; it is {result.dtype} {result.shape}."
            )
        execute(self.steps, needed, back, start_row - first, threads, result)
        return result
