"""Which of AlphaNet's operators stand where in a row of features, and from which parts their windows are joined."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple, Self

import numpy as np

from alphaloom.errors import SettingError, did_you_mean
from alphaloom.typing import Bools, Ints

OPERATORS = ("corr", "cov", "std", "zscore", "return", "decay_linear", "mean")
"""The operators, in the order of the columns of one window."""
CORR, COV, STD, ZSCORE, RETURN, DECAY, MEAN = range(7)
PAIRED = ("corr", "cov")
"""Operators of two inputs."""
LONGEST = 1000
"""The longest window."""


class Tables(NamedTuple):
    """An `OperatorLayout` as arrays, for the compiled code."""

    windows: Ints
    places: Ints
    steps: Ints
    levels: Ints
    scaled: Bools
    """`[n]`: whether an input is divided by its value on the window's last day."""


@dataclass(frozen=True, eq=False)
class OperatorLayout:
    """Which operators over which windows of how many inputs, and where in a row of F features each stands.

    Columns run window by window; within a window the operators follow the order of `OPERATORS`, and within one the
    inputs or the pairs i < j: (0, 1), (0, 2), ..., (n - 2, n - 1).
    """

    n: int
    """Number of inputs."""
    windows: tuple[int, ...]
    places: Ints
    """`[windows, operators]`: the first column of an operator over a window, -1 where it is left out."""
    width: int
    """F, the number of features."""
    steps: Ints
    """`[steps, 4]`: a window as newer and older part: numbers of the two (0 is one row, k + 1 is step k), lengths."""
    levels: Ints
    """`[windows]`: the number of each window among the parts."""

    @classmethod
    def of(
        cls, n: int, windows: Sequence[int], *, operators: Sequence[str] = OPERATORS[:6], corr_of_two: bool = True
    ) -> Self:
        """Return the layout of `operators` over `windows` of `n` inputs.

        Args:
            n: at least 2.
            windows: lengths in rows, 2 to `LONGEST`, none twice.
            operators: out of `OPERATORS`.
            corr_of_two: whether to keep the correlation over two rows, which is -1, 0 or 1.

        Raises:
            SettingError: too few inputs, no window, a repeated or impossible one, or an unknown operator.
        """
        if n < 2:
            raise SettingError(f"AlphaNet's operators need at least 2 inputs, got {n}.")
        lengths = tuple(int(d) for d in windows)
        if not lengths or len(set(lengths)) < len(lengths) or min(lengths) < 2 or max(lengths) > LONGEST:
            raise SettingError(f"windows are {list(windows)}; give different lengths of 2 to {LONGEST} rows.")
        if wrong := [name for name in operators if name not in OPERATORS]:
            hint = did_you_mean(wrong[0], OPERATORS)
            raise SettingError(f"{wrong[0]!r} is no AlphaNet operator.{hint} There are {', '.join(OPERATORS)}.")
        places = np.full((len(lengths), len(OPERATORS)), -1, dtype=np.int64)
        width = 0
        for w, d in enumerate(lengths):
            for k, name in enumerate(OPERATORS):
                if name in operators and (name != "corr" or d > 2 or corr_of_two):
                    places[w, k] = width
                    width += n * (n - 1) // 2 if name in PAIRED else n
        steps, levels = _joins(lengths)
        return cls(n, lengths, places, width, steps, levels)

    @property
    def reach(self) -> int:
        """How many rows before t the values at t read: those of `return` over the longest window."""
        return max(self.windows)

    def tables(self, scaled: Bools) -> Tables:
        """Return the layout as arrays, with the inputs `scaled [n]` to be divided by their last value."""
        return Tables(np.array(self.windows, dtype=np.int64), self.places, self.steps, self.levels, scaled)

    def columns(self, names: Sequence[str]) -> list[str]:
        """Return the names of the F features of inputs `names`, as `corr_close_volume_10` or `std_close_10`."""
        columns = []
        for w, d in enumerate(self.windows):
            for k, operator in enumerate(OPERATORS):
                if self.places[w, k] >= 0:
                    operands = combinations(names, 2) if operator in PAIRED else ((name,) for name in names)
                    columns += ["_".join((operator, *operand, str(d))) for operand in operands]
        return columns


def _joins(windows: Sequence[int]) -> tuple[Ints, Ints]:
    """Return the steps and levels of an `OperatorLayout`: long windows from the few shortest parts that suffice."""
    number = {1: 0}
    steps: list[tuple[int, int, int, int]] = []

    def join(a: int, b: int) -> None:
        steps.append((number[a], number[b], a, b))
        number[a + b] = len(steps)

    def make(d: int) -> None:
        while d not in number:
            longest = max(length for length in number if length < d)
            rest = d - longest
            if rest > longest:
                join(longest, longest)
            else:
                make(rest)
                join(longest, rest)

    for d in sorted(windows):
        make(d)
    return np.array(steps, dtype=np.int64), np.array([number[d] for d in windows], dtype=np.int64)
