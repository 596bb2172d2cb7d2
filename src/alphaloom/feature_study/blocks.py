"""A family's features block by block, with what they are judged against: memory does not grow with the dates."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from alphaloom.errors import DataError
from alphaloom.evaluation.inference import newey_west
from alphaloom.features.base import FeatureFamily
from alphaloom.kernels.cross_rank import rank_ic_block
from alphaloom.kernels.rolling_spans import in_blocks
from alphaloom.labels.base import Label
from alphaloom.panel import Panel
from alphaloom.typing import Bools, Doubles, Floats, Ints

BLOCK_BYTES = 100_000_000
"""Size of a block of features; computing one takes a few times as much."""
MIN_NAMES = 20
"""Fewest stocks with a value and a label for which a date has an IC."""


def required_fields(family: FeatureFamily, label: Label | None = None) -> list[str]:
    """Return the panel fields that judging a family, and against a label, reads."""
    return list(dict.fromkeys([*family.required, *(label.required if label else ()), "is_listed"]))


@dataclass(frozen=True, eq=False)
class Judged:
    """What features are judged against, on the rows from `first` to `stop` - 1 of the panel.

    `panel` has the listed stocks as its universe. `label [T, N]` is NaN where a stock is not listed; `ends [T]` the
    last row that each label reads; `steps` how many neighbouring labels overlap.
    """

    panel: Panel
    label: Floats
    ends: Ints
    steps: int
    first: int
    stop: int


def judged(
    panel: Panel, label: Label | None, lookback: int, *, start: object = None, end: object = None, min_rows: int = 60
) -> Judged:
    """Return the rows from `start` to `end` with their label, which is NaN everywhere where there is None.

    Without `start` the rows begin where the look-back is whole, or at the panel's first where too few would be left.

    Raises:
        DataError: fewer than `min_rows` rows are left, or no stock is listed on them.
    """
    panel = panel.with_universe(panel["is_listed"] == 1)
    first, stop = panel.span(start, end)
    if start is None and stop - lookback >= min_rows:
        first = lookback
    if stop - first < min_rows or not panel.universe[first:stop].any():
        raise DataError(
            f"From {start or panel.dates[0]} to {end or panel.dates[-1]} there are {stop - first} trading days with "
            f"{int(panel.universe[first:stop].any(axis=0).sum())} listed stocks; features are judged on at least "
            f"{min_rows} days."
        )
    if label is None:
        return Judged(panel, np.full(panel.shape, np.nan, np.float32), np.full(panel.shape[0], -1), 1, first, stop)
    values = np.where(panel.universe, label.compute(panel), np.float32(np.nan))
    ends, entries = label.ends(panel.dates), label.entries(panel.dates)
    known = (ends < panel.dates.size) & (entries >= 0)
    steps = int(np.median((ends - entries)[known])) if known.any() else 1
    return Judged(panel, values, ends, max(1, steps), first, stop)


@dataclass(frozen=True, eq=False)
class FeatureBlock:
    """Rows `start` to `stop` - 1 of the panel: features `[rows, N, F]` and the seconds that computing them took."""

    start: int
    stop: int
    values: Floats
    seconds: float


def feature_blocks(family: FeatureFamily, data: Judged) -> Iterator[FeatureBlock]:
    """Yield the features of the judged rows in blocks of about `BLOCK_BYTES`, in order of time."""
    fields = data.panel.select(family.required)
    family.compute(fields.rows(data.first, data.first + 2))  # so that no block's time holds the loading of kernels
    row_bytes = 4 * data.panel.shape[1] * max(1, len(family.columns()))
    size = max(BLOCK_BYTES // row_bytes, family.lookback // 2, 16)
    for start in range(data.first, data.stop, size):
        stop = min(start + size, data.stop)
        began = time.perf_counter()
        before = max(0, start - family.lookback)
        values = family.compute(fields.rows(before, stop))[start - before :]
        yield FeatureBlock(start, stop, values, time.perf_counter() - began)


def rank_ics(block: Floats, label: Floats) -> Doubles:
    """Return every column's RankIC on each date `[D, F]`; NaN with fewer than `MIN_NAMES` pairs. Uses all threads."""
    D, _, F = block.shape
    out = np.empty((D, F))

    def work(a: int, b: int) -> None:
        values, pairs = rank_ic_block(block[a:b], label[a:b])
        out[a:b] = np.where(pairs >= MIN_NAMES, values, np.nan)

    in_blocks(work, D, 8)
    return out


def sample_rows(first: int, stop: int, most: int) -> Ints:
    """Return at most `most` evenly spaced rows from `first` to `stop` - 1."""
    count = min(most, stop - first)
    return np.unique(np.linspace(first, stop - 1, count).round().astype(np.int64))


def mean_and_t(daily: Doubles, steps: int) -> tuple[float, float, float]:
    """Return the mean of a daily series, its Newey-West error (see `newey_west`), and their ratio; NaN left out."""
    known = daily[~np.isnan(daily)]
    if known.size < 3 or np.ptp(known) == 0.0:
        return (float(known.mean()) if known.size else float("nan")), float("nan"), float("nan")
    error = newey_west(known, steps)[0]
    mean = float(known.mean())
    return mean, error, mean / error


def listed_cells(data: Judged, start: int, stop: int) -> Bools:
    """Return the listed cells `[rows, N]`."""
    return data.panel.universe[start:stop]


def column_t(daily: Doubles, steps: int) -> tuple[Doubles, Doubles, Doubles]:
    """Return `mean_and_t` of each column of `daily [D, F]`, three `[F]`."""
    made: Sequence[tuple[float, float, float]] = [mean_and_t(daily[:, f], steps) for f in range(daily.shape[1])]
    mean, error, t = np.array(made, dtype=np.float64).reshape(-1, 3).T
    return mean, error, t
