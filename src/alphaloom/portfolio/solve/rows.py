"""Limits on weighted sums of the weights, without a dense row for every industry."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Protocol

import numpy as np

from alphaloom.typing import Doubles, Ints


class Block(Protocol):
    """Rows of one limit: `low <= row'w <= high` for each of its `names`."""

    @property
    def label(self) -> str:
        """Name of the limit."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the rows."""
        ...

    @property
    def low(self) -> Doubles:
        """Lower bounds `[R]`, minus infinity for none."""
        ...

    @property
    def high(self) -> Doubles:
        """Upper bounds `[R]`, infinity for none."""
        ...

    @property
    def falls_only(self) -> bool:
        """Whether a relaxed row may only fall short of its lower bound, never exceed its upper one."""
        ...

    def activity(self, weights: Doubles) -> Doubles:
        """Return the rows' sums `[R]`."""
        ...

    def priced(self, prices: Doubles) -> Doubles:
        """Return each stock's `[N]` entries, summed with the rows' prices `[R]`."""
        ...

    def take(self, stocks: Ints) -> "Block":
        """Return the rows over some of the stocks."""
        ...

    def fill(self, out: Doubles) -> None:
        """Write every stock's entries into `out [N, R]`, which holds zeros."""
        ...


@dataclass(frozen=True, eq=False)
class Dense:
    """Rows written out: `values [R, N]`."""

    label: str
    names: tuple[str, ...]
    values: Doubles
    low: Doubles
    high: Doubles
    falls_only: bool = False

    def activity(self, weights: Doubles) -> Doubles:
        """Return the rows' sums `[R]`."""
        return self.values @ weights

    def priced(self, prices: Doubles) -> Doubles:
        """Return each stock's `[N]` entries, summed with the rows' prices `[R]`."""
        return prices @ self.values

    def take(self, stocks: Ints) -> "Dense":
        """Return the rows over some of the stocks."""
        return Dense(self.label, self.names, self.values[:, stocks], self.low, self.high, self.falls_only)

    def fill(self, out: Doubles) -> None:
        """Write every stock's entries into `out [N, R]`, which holds zeros."""
        out[:] = self.values.T


@dataclass(frozen=True, eq=False)
class Groups:
    """A row for each group of stocks: the sum of its members' weights. `codes [N]` are 0 to R - 1."""

    label: str
    names: tuple[str, ...]
    codes: Ints
    low: Doubles
    high: Doubles
    falls_only: bool = False

    def activity(self, weights: Doubles) -> Doubles:
        """Return the rows' sums `[R]`."""
        return group_sums(self.codes, weights, len(self.names))

    def priced(self, prices: Doubles) -> Doubles:
        """Return each stock's `[N]` entries, summed with the rows' prices `[R]`."""
        return prices[self.codes]

    def take(self, stocks: Ints) -> "Groups":
        """Return the rows over some of the stocks."""
        return Groups(self.label, self.names, self.codes[stocks], self.low, self.high, self.falls_only)

    def fill(self, out: Doubles) -> None:
        """Write every stock's entries into `out [N, R]`, which holds zeros."""
        out[np.arange(self.codes.size), self.codes] = 1.0


def group_sums(codes: Ints, weights: Doubles, count: int) -> Doubles:
    """Return the sum of the weights `[N]` of each group `[count]`."""
    return np.asarray(np.bincount(codes, weights, minlength=count), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Rows:
    """All rows of a problem, block after block."""

    blocks: Sequence[Block]

    @cached_property
    def low(self) -> Doubles:
        """Lower bounds `[R]`."""
        return np.concatenate([np.zeros(0), *(block.low for block in self.blocks)])

    @cached_property
    def high(self) -> Doubles:
        """Upper bounds `[R]`."""
        return np.concatenate([np.zeros(0), *(block.high for block in self.blocks)])

    @cached_property
    def spans(self) -> tuple[slice, ...]:
        """Where each block's rows stand among all."""
        ends = accumulate((len(block.names) for block in self.blocks), initial=0)
        return tuple(slice(a, b) for a, b in pairwise(ends))

    @property
    def count(self) -> int:
        """R."""
        return self.spans[-1].stop if self.spans else 0

    def of(self, label: str) -> Ints:
        """Return the positions of the rows of one limit."""
        spans = [
            np.arange(span.start, span.stop)
            for block, span in zip(self.blocks, self.spans, strict=True)
            if block.label == label
        ]
        return np.concatenate([np.zeros(0, dtype=np.int64), *spans])

    @cached_property
    def named(self) -> tuple[tuple[str, str], ...]:
        """The label and the name of every row."""
        return tuple((block.label, name) for block in self.blocks for name in block.names)

    def activity(self, weights: Doubles) -> Doubles:
        """Return the rows' sums `[R]`."""
        return np.concatenate([np.zeros(0), *(block.activity(weights) for block in self.blocks)])

    def priced(self, prices: Doubles, size: int) -> Doubles:
        """Return each stock's entries `[N]`, summed with the rows' prices `[R]`; `size` is N."""
        out = np.zeros(size)
        for block, span in zip(self.blocks, self.spans, strict=True):
            if prices[span].any():
                out += block.priced(prices[span])
        return out

    def take(self, stocks: Ints) -> "Rows":
        """Return the rows over some of the stocks."""
        return Rows([block.take(stocks) for block in self.blocks])

    def fill(self, out: Doubles) -> None:
        """Write every stock's entries into `out [N, R]`, which holds zeros."""
        for block, span in zip(self.blocks, self.spans, strict=True):
            block.fill(out[:, span])
