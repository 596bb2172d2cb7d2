"""Comparing values before and after later data changed."""

from collections.abc import Sequence

import numpy as np

from alphaloom.audit.report import Finding
from alphaloom.kernels.cross_order import pooled_medians
from alphaloom.typing import Array, Symbols


def differences(
    kind: str,
    name: str,
    columns: Sequence[str],
    before: Array,
    after: Array,
    change: str,
    dates: Array,
    symbols: Sequence[str] | Symbols,
    *,
    tolerance: float = 1e-6,
) -> list[Finding]:
    """Return one finding for each column in which a value differs, at the first such date.

    Values differ when one is NaN and the other is not, or when they are further apart than `tolerance` times the larger
    of them and of the column's median absolute deviation.

    Args:
        kind: what kind of thing is compared.
        name: its name.
        columns: names of the F columns.
        before: `[T, N, F]` or `[T, N]`.
        after: the same, computed on other later data.
        change: what was done to them.
        dates: the T dates.
        symbols: the N symbols.
        tolerance: relative.
    """
    shape = (*before.shape[:2], len(columns))
    a, b = before.reshape(shape), after.reshape(shape)
    with np.errstate(invalid="ignore"):
        size = np.maximum(np.maximum(np.abs(a), np.abs(b)), _spread(a))
        near = np.abs(a.astype(np.float64) - b) <= tolerance * size
    differs = ~(near | (a == b) | (np.isnan(a) & np.isnan(b)))
    names = [str(symbol) for symbol in symbols]
    out = []
    for f in np.flatnonzero(differs.any(axis=(0, 1))):
        t, n = np.argwhere(differs[:, :, f])[0]
        cells = int(differs[:, :, f].sum())
        values = float(a[t, n, f]), float(b[t, n, f])
        out.append(Finding(kind, name, columns[int(f)], dates[t], names[n], *values, change, cells))
    return out


def _spread(block: Array) -> Array:
    """Median distance from the median of each column `[F]`, 0 where it has no value; outliers do not move it."""
    flat = np.ascontiguousarray(block, dtype=np.float32)
    spread: Array = np.nan_to_num(pooled_medians(flat, np.ones(flat.shape[:2], dtype=np.bool_))[1])
    return spread
