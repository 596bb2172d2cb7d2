"""Pieces: a family's features on some rows, stocks and columns, computed within a memory budget."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from alphaloom.data.files import amount
from alphaloom.errors import DataError, SettingError
from alphaloom.features.base import FeatureFamily
from alphaloom.features.materialise.lineage import Lineage, lineage, lineage_of_nodes
from alphaloom.features.written import ExpressionFamily
from alphaloom.language.plan import Plan
from alphaloom.panel import Panel
from alphaloom.typing import Bools, Floats

DEFAULT_MEMORY = 4_000_000_000
"""Bytes that a computation may take where nothing is said."""
LARGEST_PIECE = 2_000_000_000
"""More at once brings no speed, and loses more work where it is interrupted."""
FEW_STOCKS = 256
"""Fewer at once make slow work."""
OWN_SHARE = 1.25
"""What a family takes beside its result and the copies of its inputs, as a multiple of the result."""


@dataclass(frozen=True)
class Pieces:
    """How a family is computed piece by piece: its lineage, its costs, and its values on any part of the panel."""

    family: FeatureFamily

    @cached_property
    def plan(self) -> Plan | None:
        """The expressions of a family that is nothing but its expressions."""
        written = isinstance(self.family, ExpressionFamily) and type(self.family).compute is ExpressionFamily.compute
        return self.family.plan if written else None  # type: ignore[attr-defined]

    @cached_property
    def lineage(self) -> Lineage:
        """What the columns are made from."""
        if self.plan is not None:
            return lineage_of_nodes(self.plan.names, self.plan.roots)
        return lineage(self.family)

    def bytes_per_row(self, n_symbols: int) -> int:
        """Return the memory that computing takes per row, in bytes: look-back rows cost as much."""
        if self.plan is not None:
            return self.plan.bytes_per_row(n_symbols)
        width = OWN_SHARE * len(self.lineage.columns) + 2 * len(self.family.required)
        return int(4 * n_symbols * width)

    def compute(
        self,
        panel: Panel,
        start: int,
        stop: int,
        columns: Sequence[int] | None = None,
        *,
        symbols: Bools | None = None,
        group: int | None = None,
    ) -> Floats:
        """Return the features of rows `start` to `stop` - 1, `[stop - start, n, F]`.

        Args:
            panel: with the family's fields.
            start: first row wanted.
            stop: row after the last one wanted.
            columns: places of the columns wanted; None for all.
            symbols: bool [N], the stocks wanted, where the columns are local; None for all.
            group: stocks to compute at a time, where the family is local; None for all.

        Raises:
            DataError: the family returned another shape or type than it should.
        """
        n_symbols = panel.shape[1]
        chosen = tuple(range(len(self.lineage.columns)) if columns is None else columns)
        if symbols is None and (group is None or group >= n_symbols):
            return self._values(panel, start, stop, chosen, None)
        wanted = np.arange(n_symbols) if symbols is None else np.flatnonzero(symbols)
        size = n_symbols if group is None else group
        out = np.empty((stop - start, wanted.size, len(chosen)), dtype=np.float32)
        for k in range(0, wanted.size, size):
            keep = np.zeros(n_symbols, dtype=np.bool_)
            keep[wanted[k : k + size]] = True
            out[:, k : k + size] = self._values(panel, start, stop, chosen, keep)
        return out

    def _values(self, panel: Panel, start: int, stop: int, columns: tuple[int, ...], keep: Bools | None) -> Floats:
        count = len(self.lineage.columns)
        plan, family = self.plan, self.family
        if plan is not None and len(columns) < count:
            plan = Plan(tuple(plan.names[j] for j in columns), tuple(plan.roots[j] for j in columns))
        first = max(0, start - (family.lookback if plan is None else plan.lookback))
        part = panel.select(family.required if plan is None else plan.inputs).rows(first, stop)
        part = part if keep is None else part.columns(keep)
        if plan is not None:
            return plan.compute(part, start_row=start - first)
        block = family.compute(part)
        expected = (*part.shape, count)
        if block.shape != expected or block.dtype != np.float32:
            raise DataError(
                f"Feature family {family.name!r} returned {block.dtype} {block.shape}; its {count} columns on "
                f"{part.shape[0]} dates x {part.shape[1]} symbols need float32 {expected}."
            )
        block = block[start - first :]
        return block if len(columns) == count else block[:, :, list(columns)]


@dataclass(frozen=True)
class Layout:
    """Rows computed at once, and stocks at once."""

    rows: int
    stocks: int


def layout(pieces: Pieces, n_symbols: int, memory: int, step: int) -> Layout:
    """Return the largest piece, a multiple of `step` rows, that fits into some bytes of memory.

    All stocks at once where that leaves room for at least as many rows as the look-back; else a local family is cut by
    stocks, so that the look-back is not computed over and over.

    Raises:
        SettingError: not even the smallest piece fits; the message says how much it needs.
    """
    lookback, is_local = pieces.family.lookback, pieces.family.is_local
    per_stock, result = max(1, pieces.bytes_per_row(1)), 4 * len(pieces.lineage.columns)
    rows = memory // (per_stock * n_symbols) - lookback
    if rows >= (max(step, min(lookback, 4 * step)) if is_local else step):
        enough = max(step, 2 * lookback, LARGEST_PIECE // (per_stock * n_symbols) - lookback)
        return Layout(min(rows, enough) // step * step, n_symbols)
    smallest = (lookback + step) * per_stock * n_symbols
    if is_local:
        # The result of all stocks is held beside the group of stocks that is being computed.
        for rows in range(max(step, 4 * lookback // step * step), 0, -step):
            stocks = (memory - rows * result * n_symbols) // ((lookback + rows) * per_stock)
            if stocks >= min(FEW_STOCKS, n_symbols) or (stocks >= 1 and rows == step):
                return Layout(rows, min(stocks, n_symbols))
        smallest = (lookback + step) * per_stock + step * result * n_symbols
    raise SettingError(
        f"Feature family {pieces.family.name!r} on {n_symbols:,} stocks needs at least {amount(smallest)} beside what "
        f"the program and its fields take; {amount(max(memory, 0))} are left for it. Raise --memory by at "
        f"least {amount(smallest - memory)}."
    )


def resident_bytes() -> int:
    """Return the memory that this process holds; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
