"""Blocks put together from what is kept of the stored ones and what was computed."""

from collections.abc import Sequence

import numpy as np

from alphaloom.features.materialise.pieces import Layout, Pieces
from alphaloom.features.materialise.schedule import BlockTask
from alphaloom.panel import Panel
from alphaloom.typing import Floats


def compute_needs(tasks: Sequence[BlockTask], pieces: Pieces, panel: Panel, fit: Layout) -> list[Floats]:
    """Return the values of each need over all of the blocks, which are neighbours and alike."""
    return [
        pieces.compute(panel, need.start, end.stop, need.columns, symbols=need.symbols, group=fit.stocks)
        for need, end in zip(tasks[0].needs, tasks[-1].needs, strict=True)
    ]


def assemble(task: BlockTask, first: BlockTask, values: Sequence[Floats], n_symbols: int, n_columns: int) -> Floats:
    """Return one block `[rows, N, F]`; `values` begin with the needs of the first of its neighbours."""
    if task.old is None:
        return values[0][task.start - first.start : task.stop - first.start]
    out = np.empty((task.stop - task.start, n_symbols, n_columns), dtype=np.float32)
    _copy_kept(task, out)
    for need, earliest, computed in zip(task.needs, first.needs, values, strict=True):
        rows = out[need.start - task.start : need.stop - task.start]
        part = computed[need.start - earliest.start : need.stop - earliest.start]
        if need.symbols is None and len(need.columns) == n_columns:
            rows[:] = part
            continue
        stocks = np.arange(n_symbols) if need.symbols is None else np.flatnonzero(need.symbols)
        rows[np.ix_(np.arange(len(rows)), stocks, np.array(need.columns))] = part
    return out


def _copy_kept(task: BlockTask, out: Floats) -> None:
    """Copy the rows that the stored block has; cells that it lacks hold anything until they are computed."""
    assert task.old is not None
    assert task.old_symbols is not None
    old = task.old.values()
    first = task.kept[0] - task.start
    same_stocks = np.array_equal(task.old_symbols, np.arange(old.shape[1]))
    same_columns = task.old_columns == tuple(range(old.shape[2]))
    stocks, columns = np.maximum(task.old_symbols, 0), np.maximum(task.old_columns, 0)
    for r in range(task.kept[1] - task.kept[0]):
        row = old[task.stored_row + r]
        row = row if same_stocks else row[stocks]
        out[first + r] = row if same_columns else row[:, columns]


def empty_columns(values: Floats) -> tuple[int, ...]:
    """Return the places of the columns of `values [rows, N, F]` without any value."""
    known = np.zeros(values.shape[2], dtype=np.bool_)
    for row in values[::-1]:
        known |= ~np.isnan(row).all(axis=0)
        if known.all():
            break
    return tuple(np.flatnonzero(~known).tolist())
