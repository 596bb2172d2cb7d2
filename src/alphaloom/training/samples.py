"""Samples: trading days of one market, of which estimators get rows and networks batches of windows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, Self

import numpy as np
from numba import njit

from alphaloom.errors import DataError
from alphaloom.models.base import Rows
from alphaloom.typing import Array, Bools, Dates, Floats, Ints

ShortHistory = Literal["exclude", "zero"]
"""What becomes of a stock without any feature at its oldest step: left out, or its empty steps are zero."""
Gaps = Literal["zero", "exclude", "carry_forward", "mask"]
"""What becomes of an empty step later on: zeros, the stock is left out, the step before it again, or it is masked."""


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
    further: tuple[Floats, ...] = ()
    """Labels that networks learn beside the first `[T, N]` each; NaN where there is none."""
    dates: Dates | None = None
    """The panel's dates `[T]`, to name days in messages; None names their rows."""
    traded: Bools | None = None
    """Which stocks traded on each row `[T, N]`; a step without trading is empty. None: one without any feature is."""

    def __post_init__(self) -> None:
        if self.block.ndim != 3 or self.block.dtype != np.float32 or not self.block.flags.c_contiguous:
            raise DataError(
                f"The feature block must be a C-contiguous float32 array [T, N, F]; given {self.block.dtype} "
                f"{self.block.shape}. np.ascontiguousarray(block, dtype=np.float32) makes it one."
            )
        others: list[tuple[str, Array]] = [(f"further label {k + 1}", array) for k, array in enumerate(self.further)]
        if self.traded is not None:
            others.append(("traded", self.traded))
        for name, array in (("label", self.label), ("member", self.member), *self.extras.items(), *others):
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
        return replace(self, rows=rows)

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

    def day(self, rows: Ints) -> str:
        """Return what to call the days at these panel rows in a message."""
        few = np.unique(rows)
        names = [str(row) for row in few[:3]] if self.dates is None else [str(self.dates[row]) for row in few[:3]]
        more = f" and {few.size - 3} more days" if few.size > 3 else ""
        return ("panel row " if self.dates is None else "") + ", ".join(names) + more

    @cached_property
    def present(self) -> Bools:
        """Which stocks have at least one feature on each panel row, and traded as far as that is known `[T, N]`.

        Features alone would not do: counts and sums over a window exist on a suspended day as well.
        """
        found = any_feature(self.block, np.arange(len(self.block)))
        return found if self.traded is None else found & self.traded

    def scorable(
        self, steps: int = 1, stride: int = 1, short_history: ShortHistory = "exclude", gaps: Gaps = "zero"
    ) -> Bools:
        """Return which stocks can be scored on each sample date `[D, N]`: members that have a feature that day.

        With `short_history: exclude` they must also have one at their oldest step, `(steps - 1) * stride` rows before;
        with `gaps: exclude` no later step may be empty (see `present`). Only rows of the window itself decide, so the
        answer is the same on any part of the panel that holds the window.

        Raises:
            DataError: a window is longer than the data before it.
        """
        self._check_reach(steps, stride)
        reach = (steps - 1) * stride
        found = self.member[self.rows] & any_feature(self.block, self.rows)
        if reach and short_history == "exclude":
            found &= any_feature(self.block, self.rows - reach)
        if reach and gaps == "exclude":
            found &= ~self._has_gap(steps, stride)
        return np.asarray(found, dtype=np.bool_)

    def window_counts(self, steps: int, stride: int) -> dict[str, int]:
        """Return how many windows there are on the sample dates, and how many begin too early or hold a gap.

        `windows`: members with a feature that day; `short_history`: those without any at their oldest step; `gaps`:
        those with an empty step after their first one. What becomes of the latter two is the model's setting.
        """
        candidates = self.scorable()
        reach = (steps - 1) * stride
        early = candidates & ~any_feature(self.block, self.rows - reach)
        broken = candidates & self._has_gap(steps, stride)
        return {name: int(a.sum()) for name, a in (("windows", candidates), ("short_history", early), ("gaps", broken))}

    def _check_reach(self, steps: int, stride: int) -> None:
        reach = (steps - 1) * stride
        early = int((self.rows < reach).sum())
        if early:
            raise DataError(
                f"A window is longer than the data: {steps} steps of {stride} rows reach {reach} rows back, but "
                f"{early} sample dates lie before panel row {reach} (first: row {self.rows[0]}). Begin the samples at "
                f"row {reach}, load earlier data, or lessen steps or stride."
            )

    def _has_gap(self, steps: int, stride: int) -> Bools:
        """Return which stocks have an empty step from the first one on that has any feature `[D, N]`."""
        begun = np.zeros((self.rows.size, self.block.shape[1]), dtype=np.bool_)
        gap = begun.copy()
        for step in range(steps):
            rows = self.rows - (steps - 1 - step) * stride
            begun |= any_feature(self.block, rows)
            gap |= begun & ~self.present[rows]
        return gap


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
            raise infinite_feature(samples, np.full(stocks.size, row), stocks)
        if np.isinf(y[part]).any():
            raise DataError(f"A label is infinite on {samples.day(row)}: check the prices of that date.")
    return Rows(x, y, offsets, {name: samples.extra(name)[samples.rows][keep] for name in extras})


@njit(cache=True, error_model="numpy", nogil=True)
def _first_features(block, rows, found):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for d in range(rows.size):
        for n in range(block.shape[1]):
            for f in range(block.shape[2]):
                if not np.isnan(block[rows[d], n, f]):
                    found[d, n] = True
                    break


def any_feature(block: Floats, rows: Ints) -> Bools:
    """Return which stocks have at least one feature at these rows `[D, N]`."""
    found = np.zeros((rows.size, block.shape[1]), dtype=np.bool_)
    _first_features(np.asarray(block), rows, found)
    return found


def infinite_feature(samples: Samples, rows: Ints, stocks: Ints, steps: int = 1, stride: int = 1) -> DataError:
    """Return the error that names the first infinite feature in the windows of these stocks that end at these rows."""
    back = np.arange(steps)[::-1] * stride
    there = stocks >= 0
    rows, stocks = rows[there], stocks[there]
    for row, stock in zip(rows, stocks, strict=True):
        wrong = np.argwhere(np.isinf(samples.block[row - back, stock]))
        if wrong.size:
            step, feature = wrong[0]
            return DataError(
                f"Feature number {feature} is infinite for stock number {stock} on {samples.day(row - back[step])} "
                "(counted from 0). Clip it, or make it missing, with a transform."
            )
    raise AssertionError("no window holds an infinite feature")


def _brief(rows: Ints) -> str:
    return str(rows.tolist()) if rows.size <= 6 else f"{rows[:3].tolist()} ... {rows[-3:].tolist()}"
