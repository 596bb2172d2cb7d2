"""What a split is, the registry of all of them, and the purge that they share."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from alphaloom.errors import DataError
from alphaloom.registry import Registry
from alphaloom.spec import Component
from alphaloom.typing import Bools, Dates, Ints

Path = list[tuple[int, Ints]]
"""A backtest path: which window scores which rows; in order of time, each sample date once at most."""


@dataclass(frozen=True)
class Window:
    """Rows (positions on the panel's dates) of one window, each set increasing.

    No label of `train` reads a row of a `valid` or `test` label's span or the other way round, and none of `valid` one
    of `test`'s. `train` precedes `valid`; both precede `test` unless the split trains on the future.
    """

    name: str
    train: Ints
    valid: Ints
    test: Ints
    purged: int
    """Sample dates left out of training or validation because their labels reach into another set."""

    @property
    def fit_rows(self) -> Ints:
        """Training and validation rows together, in order of time."""
        return np.concatenate([self.train, self.valid])

    @property
    def rows(self) -> Ints:
        """All rows, in order of time."""
        return np.sort(np.concatenate([self.train, self.valid, self.test]))


class Split(Component, ABC):
    """How the sample dates are cut into windows.

    Dates are cut, never rows of a panel: all stocks of a date go together.
    """

    trains_on_future: ClassVar[bool]
    """Whether some window is fitted on dates after its test dates. Such scores could not have been had at the time:
    they choose between models and say nothing of what would have been earned."""

    valid_share: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of the training dates, the latest ones, that serve early stopping; 0 for none."""
    embargo: Annotated[int, Field(ge=0)] = 0
    """Trading days left out beside validation and test dates, on top of the purge; the split says on which side."""

    @abstractmethod
    def windows(self, dates: Dates, rows: Ints, ends: Ints) -> list[Window]:
        """Return the windows in order of their first test date.

        Args:
            dates: all trading days `[T]`.
            rows: positions of the sample dates, increasing.
            ends: for every trading day the last row its label reads `[T]`, T where that lies beyond the data (see
                `Label.ends`).

        Raises:
            DataError: a window has no training or no validation date left.
        """

    def paths(self, windows: Sequence[Window]) -> list[Path]:
        """Return the ways to score every test date once; a single one unless dates are tested several times."""
        return [[(k, window.test) for k, window in enumerate(windows)]]


splits: Registry[Split] = Registry("split", Split, "alphaloom.training.splits")


def folds_of(rows: Ints, folds: int) -> list[Ints]:
    """Return the sample dates in so many runs of equal length, the first ones a date longer where that does not go up.

    Raises:
        DataError: fewer sample dates than folds.
    """
    if rows.size < folds:
        raise DataError(
            f"{rows.size} sample dates cannot be cut into {folds} folds. Load more dates or set fewer folds."
        )
    return [np.asarray(part) for part in np.array_split(rows, folds)]


def window_around(
    name: str, rows: Ints, test: Ints, ends: Ints, split: Split, *, before: int = 0, after: int = 0
) -> Window:
    """Return the window that fits on all sample dates whose labels are apart from those tested.

    Test dates are taken in runs of neighbouring sample dates; what lies between two runs may be fitted on. A date s
    stays if `ends[s]` lies more than `before` rows ahead of a run's first row, or s more than `after` rows beyond the
    last row that the run's labels read. The latest `valid_share` of those that stay are for validation.

    Raises:
        DataError: no training or no validation date is left.
    """
    T = ends.size
    stays: Bools = ends[rows] < T
    place = np.searchsorted(rows, test)
    for run in np.split(test, np.flatnonzero(np.diff(place) > 1) + 1):
        read = int(ends[run].max())
        stays &= (ends[rows] < run[0] - before) | (rows > read + after)
    known = rows[stays]
    train = known[: known.size - round(split.valid_share * known.size)]
    valid = known[train.size :]
    if valid.size:
        train = train[ends[train] < valid[0] - split.embargo]
    elif split.valid_share:
        raise DataError(
            f"Window {name} has no validation date left: {known.size} sample dates stay clear of the test dates, and "
            f"windows.valid_share {split.valid_share:g} of them is none. Load more dates, raise windows.valid_share, "
            f"or "
            "set it to 0 to fit without early stopping."
        )
    if train.size == 0:
        raise DataError(
            f"Window {name} has no training date left of {rows.size} sample dates: the labels of all others reach "
            f"into the "
            "validation or test dates. Load more dates, set fewer folds, or shorten the label or the embargo."
        )
    return Window(name, train, valid, test, rows.size - train.size - valid.size - test.size)


def window_before(name: str, span: Ints, test: Ints, ends: Ints, *, valid_share: float, embargo: int) -> Window:
    """Return the window that fits on a span of sample dates before those tested.

    The latest `valid_share` of the span are for validation. A date stays in a set if its label ends before the next
    set begins, less the embargo.

    Raises:
        DataError: no training or no validation date is left.
    """
    known = span[ends[span] < test[0] - embargo]
    n_valid = round(valid_share * span.size)
    cut = known.size - max(0, n_valid - (span.size - known.size))
    train, valid = known[:cut], known[cut:]
    if n_valid and not valid.size:
        raise DataError(
            f"Window {name} has no validation date left: the labels of its last {n_valid} sample dates, meant for "
            "validation, end inside the test window. Raise windows.valid_share, lengthen windows.train_months, shorten "
            "the label or the embargo, or set valid_share to 0 to fit without early stopping."
        )
    if valid.size:
        train = train[ends[train] < valid[0] - embargo]
    if train.size == 0:
        raise DataError(
            f"Window {name} has no training date left: {span.size} sample dates before it, all purged because their "
            "labels end inside the validation or test window. Lengthen windows.train_months or shorten the label."
        )
    return Window(name, train, valid, test, span.size - train.size - valid.size)
