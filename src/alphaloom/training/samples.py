"""Samples: trading days of one market, handed out as rows to estimators and as day batches of windows to networks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

import numpy as np
import torch
from numba import njit

from alphaloom.errors import DataError, UsageError
from alphaloom.models.base import Batch, Rows
from alphaloom.typing import Array, Bools, Floats, Ints

ShortHistory = Literal["exclude", "zero"]
"""What becomes of a stock without any feature at its oldest step: left out, or its empty steps are zero."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Sample dates of a panel; one trading day is the unit. The arrays are shared, not copied, and never written to.

    Raises:
        DataError: shapes or types disagree, or the rows are not increasing rows of the panel.
    """

    block: Floats
    """Features `[T, N, F]` of all panel rows, C-contiguous; may be memory-mapped. NaN is missing."""
    label: Floats
    """Labels `[T, N]`; NaN where there is none."""
    member: Bools
    """Universe `[T, N]`: may be scored."""
    rows: Ints
    """Panel rows of the D sample dates, increasing."""
    extras: Mapping[str, Floats] = field(default_factory=dict)
    """What fits read beside features and label `[T, N]`, by name (see `Model.extras`); NaN is unknown."""

    def __post_init__(self) -> None:
        if self.block.ndim != 3 or self.block.dtype != np.float32 or not self.block.flags.c_contiguous:
            raise DataError(
                f"The feature block must be a C-contiguous float32 array [T, N, F]; given {self.block.dtype} "
                f"{self.block.shape}. np.ascontiguousarray(block, dtype=np.float32) makes it one."
            )
        for name, array in (("label", self.label), ("member", self.member), *self.extras.items()):
            if array.shape != self.block.shape[:2]:
                raise DataError(f"{name} has shape {array.shape}; the feature block needs {self.block.shape[:2]}.")
        if self.member.dtype != np.bool_:
            raise DataError(f"member must be boolean, not {self.member.dtype}.")
        rows = np.asarray(self.rows, dtype=np.int64)
        if rows.ndim != 1 or (rows.size and (rows[0] < 0 or rows[-1] >= len(self.block) or (np.diff(rows) <= 0).any())):
            raise DataError(f"Sample rows must increase within 0 to {len(self.block) - 1}; given {_brief(rows)}.")
        object.__setattr__(self, "rows", rows)

    @property
    def n_features(self) -> int:
        """F, the number of features."""
        return int(self.block.shape[2])

    def subset(self, rows: Ints) -> Self:
        """Return samples of other dates of the same panel; nothing is copied."""
        return type(self)(self.block, self.label, self.member, rows, self.extras)

    def extra(self, name: str) -> Floats:
        """Return one of the extras `[T, N]`.

        Raises:
            DataError: the samples do not carry it.
        """
        if name not in self.extras:
            raise DataError(
                f"The fit reads {name!r} of every stock, for its loss or for early stopping, but the samples carry "
                f"{', '.join(self.extras) or 'no extras'}."
            )
        return self.extras[name]

    def scorable(self, steps: int = 1, stride: int = 1, short_history: ShortHistory = "exclude") -> Bools:
        """Return which stocks can be scored on each sample date `[D, N]`: members that have a feature that day.

        With `exclude` they must also have one at their oldest step, `(steps - 1) * stride` rows before. Only rows of
        the window itself decide, so the answer is the same on any part of the panel that holds the window.

        Raises:
            DataError: a window is longer than the data before it.
        """
        reach = (steps - 1) * stride
        early = int((self.rows < reach).sum())
        if early:
            raise DataError(
                f"A window is longer than the data: {steps} steps of {stride} rows reach {reach} rows back, but "
                f"{early} sample dates lie before panel row {reach} (first: row {self.rows[0]}). Begin the samples at "
                f"row {reach}, load earlier data, or lessen steps or stride."
            )
        found = self.member[self.rows] & _any_feature(self.block, self.rows)
        if reach and short_history == "exclude":
            found &= _any_feature(self.block, self.rows - reach)
        return np.asarray(found, dtype=np.bool_)


def estimator_rows(samples: Samples, extras: Sequence[str] = ()) -> Rows:
    """Return the labelled rows of the sample dates: members with a label and at least one feature; NaN stays.

    Raises:
        DataError: a feature or a label is infinite, or one of the extras is not there.
    """
    keep = samples.scorable() & ~np.isnan(samples.label[samples.rows])
    offsets = np.zeros(samples.rows.size + 1, dtype=np.int64)
    np.cumsum(keep.sum(axis=1), out=offsets[1:])
    x = np.empty((offsets[-1], samples.n_features), dtype=np.float32)
    y = np.empty(offsets[-1], dtype=np.float32)
    for d, row in enumerate(samples.rows):
        part, stocks = slice(offsets[d], offsets[d + 1]), np.flatnonzero(keep[d])
        np.take(samples.block[row], stocks, axis=0, out=x[part], mode="clip")
        y[part] = samples.label[row, stocks]
        if np.isinf(x[part]).any():
            raise _infinite(samples, row, stocks)
        if np.isinf(y[part]).any():
            raise DataError(f"A label is infinite at panel row {row}: check the prices of that date.")
    return Rows(x, y, offsets, {name: samples.extra(name)[samples.rows][keep] for name in extras})


class DayBatches:
    """Batches of whole days for a network: windows gathered from the panel into buffers made once.

    A window at row t holds rows `t - (L - 1) * stride, ..., t - stride, t` of one stock. Only the day's scorable
    members are gathered. Days without any, or with fewer than `min_labels` labels, are in no batch. `epoch(k)` gives
    the days in an order drawn from the seed and k alone, or in time order without `shuffle`. `extras` are gathered like
    labels.
    """

    def __init__(
        self,
        samples: Samples,
        *,
        steps: int = 1,
        stride: int = 1,
        days_per_step: int = 1,
        seed: int = 0,
        shuffle: bool = False,
        device: torch.device | str = "cpu",
        short_history: ShortHistory = "exclude",
        min_labels: int = 0,
        extras: Sequence[str] = (),
    ) -> None:
        if min(steps, stride, days_per_step) < 1:
            raise UsageError(f"steps, stride and days_per_step must be 1 or more: {steps}, {stride}, {days_per_step}.")
        self.samples, self.steps, self.stride = samples, steps, stride
        self.days_per_step, self.seed, self.shuffle = days_per_step, seed, shuffle
        self.device = torch.device(device)
        self._extras = {name: samples.extra(name) for name in extras}
        self._block: Floats = np.asarray(samples.block)  # the plain view of a memory map: numba takes no subclass
        self._score = samples.scorable(steps, stride, short_history)
        self.labelled: Bools = self._score & ~np.isnan(samples.label[samples.rows])
        """Stocks with a score and a label `[D, N]`."""
        sizes = self._score.sum(axis=1)
        self.days: Ints = np.flatnonzero((sizes > 0) & (self.labelled.sum(axis=1) >= min_labels))
        """Sample dates that are in a batch, as positions in `Samples.rows`."""
        largest = int(sizes[self.days].max(initial=0))
        rows = min(days_per_step, self.days.size) * largest
        pin = self.device.type == "cuda"
        self._x = torch.empty(rows * steps * samples.n_features, dtype=torch.float32, pin_memory=pin)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return int(np.ceil(self.days.size / self.days_per_step))

    def epoch(self, epoch: int = 0) -> Iterator[Batch]:
        """Yield the batches of one epoch; each one's `x` overwrites the last one's.

        Raises:
            DataError: a feature is infinite.
        """
        order = self.days
        if self.shuffle:
            order = np.random.default_rng((self.seed, epoch)).permutation(order)
        for first in range(0, order.size, self.days_per_step):
            yield self._batch(order[first : first + self.days_per_step])

    def _batch(self, days: Ints) -> Batch:
        members = [np.flatnonzero(self._score[d]) for d in days]
        width = max(m.size for m in members)
        shape = (days.size, width, self.steps, self.samples.n_features)
        x = self._x[: int(np.prod(shape))].view(shape)
        out: Floats = x.numpy()
        y = np.zeros(shape[:2], dtype=np.float32)
        stocks = np.full(shape[:2], -1, dtype=np.int64)
        extras = {name: np.zeros(shape[:2], dtype=np.float32) for name in self._extras}
        for k, (day, columns) in enumerate(zip(days, members, strict=True)):
            row, n = self.samples.rows[day], columns.size
            if _gather(self._block, row, self.stride, columns, out[k, :n]):
                raise _infinite(self.samples, row, columns, self.steps, self.stride)
            out[k, n:] = 0.0
            y[k, :n] = self.samples.label[row, columns]
            for name, values in self._extras.items():
                extras[name][k, :n] = values[row, columns]
            stocks[k, :n] = columns
        there = stocks >= 0
        labelled = there & ~np.isnan(y)
        y[~labelled] = 0.0
        return Batch(
            x.to(self.device),
            self._send(y),
            self._send(there),
            self._send(labelled),
            np.asarray(days),
            stocks,
            {name: self._send(values) for name, values in extras.items()},
        )

    def _send(self, array: Array) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device)


@njit(cache=True, error_model="numpy", nogil=True)
def _gather(block, row, stride, stocks, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Fill `out [n, L, F]` with the windows that end at the row, NaN as 0; return whether a value is infinite."""
    n, steps, features = out.shape
    infinite = 0
    for i in range(n):
        for step in range(steps):
            source = block[row - (steps - 1 - step) * stride, stocks[i]]
            target = out[i, step]
            for f in range(features):
                value = source[f]
                value = value if value == value else np.float32(0.0)  # noqa: PLR0124
                target[f] = value
                infinite |= abs(value) == np.float32(np.inf)
    return infinite != 0


@njit(cache=True, error_model="numpy", nogil=True)
def _first_features(block, rows, found):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for d in range(rows.size):
        for n in range(block.shape[1]):
            for f in range(block.shape[2]):
                if not np.isnan(block[rows[d], n, f]):
                    found[d, n] = True
                    break


def _any_feature(block: Floats, rows: Ints) -> Bools:
    """Return which stocks have at least one feature at these rows `[D, N]`."""
    found = np.zeros((rows.size, block.shape[1]), dtype=np.bool_)
    _first_features(np.asarray(block), rows, found)
    return found


def _infinite(samples: Samples, row: int, stocks: Ints, steps: int = 1, stride: int = 1) -> DataError:
    window = row - np.arange(steps)[::-1] * stride
    step, stock, feature = np.argwhere(np.isinf(samples.block[np.ix_(window, stocks)]))[0]
    return DataError(
        f"Feature number {feature} is infinite for stock number {stocks[stock]} at panel row {window[step]} (counted "
        "from 0). Clip it, or make it missing, with a transform."
    )


def _brief(rows: Ints) -> str:
    return str(rows.tolist()) if rows.size <= 6 else f"{rows[:3].tolist()} ... {rows[-3:].tolist()}"
