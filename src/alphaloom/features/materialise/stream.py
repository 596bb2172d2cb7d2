"""Features as long frames, one stretch of dates at a time within a memory budget."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from alphaloom.data.feature_folder import column_labels
from alphaloom.errors import DataError
from alphaloom.features.base import FeatureFamily
from alphaloom.features.materialise.pieces import DEFAULT_MEMORY, Pieces, layout, resident_bytes
from alphaloom.features.materialise.run import Progress, check_request, part_names
from alphaloom.panel import Panel

STEP = 16
"""Rows by which a stretch is lengthened as far as memory allows."""
COPIES = 2.5
"""A stretch's values are held as a block, as the rows of the universe, and as the frame."""


def feature_frames(
    families: Sequence[FeatureFamily],
    panel: Panel,
    *,
    start_row: int = 0,
    stop_row: int | None = None,
    memory: int = DEFAULT_MEMORY,
    progress: Progress | None = None,
) -> Iterator[pl.DataFrame]:
    """Yield the long frame of the panel's rows from `start_row` to `stop_row` - 1 in parts: date, symbol, columns.

    There is one row for every stock-day of the panel's universe, by date, then symbol. A column name that two families
    share is written `family:name`.

    Raises:
        SettingError, DataError: as `materialise`; also, at the end, when a feature has
            no value at all.
    """
    stop_row = panel.shape[0] if stop_row is None else stop_row
    check_request(families, panel, start_row, stop_row)
    if not panel.universe[start_row:stop_row].any():
        raise DataError(f"No stock is listed from {panel.dates[start_row]} to {panel.dates[stop_row - 1]}.")
    pieces = [Pieces(family) for family in families]
    columns = [item.lineage.columns for item in pieces]
    names = column_labels(list(zip(part_names(families), columns, strict=True)))
    n_symbols, room = panel.shape[1], memory - resident_bytes()
    held = int(COPIES * 4 * n_symbols * len(names))
    fits = [layout(item, n_symbols, room - STEP * held, STEP) for item in pieces]
    rows = min(fit.rows for fit in fits)
    rows = max(STEP, min(rows, room // 2 // held // STEP * STEP))
    known = np.zeros(len(names), dtype=np.bool_)
    for a in range(start_row, stop_row, rows):
        if progress:
            progress("features", a - start_row, stop_row - start_row)
        b = min(a + rows, stop_row)
        blocks = [item.compute(panel, a, b, group=fit.stocks) for item, fit in zip(pieces, fits, strict=True)]
        whole = blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=2)
        del blocks
        frame = Panel.from_block(panel.rows(a, b), names, whole).to_frame(universe_only=True, drop_empty=False)
        known |= np.array([frame[name].null_count() < frame.height for name in names])
        yield frame
    if progress:
        progress("features", stop_row - start_row, stop_row - start_row)
    if not known.all():
        _refuse_empty(families, names, known, f"{panel.dates[start_row]} to {panel.dates[stop_row - 1]}")


def _refuse_empty(families: Sequence[FeatureFamily], names: list[str], known: np.ndarray, span: str) -> None:
    first = int(np.flatnonzero(~known)[0])
    sizes = np.cumsum([len(family.columns()) for family in families])
    family = families[int(np.searchsorted(sizes, first, side="right"))]
    others = f" (and {int((~known).sum()) - 1} more)" if (~known).sum() > 1 else ""
    raise DataError(
        f"Feature {names[first]!r}{others} of {family.name!r} has no value for any listed stock from {span}. Check the "
        f"fields it reads: {', '.join(family.required)}."
    )
