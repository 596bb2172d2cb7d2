"""Batches for networks: whole days, or rows of many days."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Literal

import numpy as np
import torch

from alphaloom.errors import UsageError
from alphaloom.models.base import Batch
from alphaloom.training.samples import Gaps, Samples, ShortHistory
from alphaloom.training.windows import DeviceWindows, HostWindows, Pairs, WindowForm, window_source
from alphaloom.typing import Bools, Ints

LIKE = 1.125
"""Days in one batch differ in their number of stocks by about this factor at most."""


@dataclass(frozen=True, eq=False)
class Share:
    """What one of several processes takes of a batch; a single process takes the whole."""

    days: Ints
    """Sample dates of the whole batch, as in `Batch.days`."""
    size: int
    """How many of the batch's days or rows it holds; 0 is none."""
    part: float
    """Which part of the batch that is, from 0 to 1."""
    batch: Callable[[], Batch]
    """Gathers it; valid until the next one."""


class Batches(ABC):
    """Windows of the scorable members of the sample dates, batch by batch.

    A window at row t holds rows `t - (L - 1) * stride, ..., t - stride, t` of one stock. A batch's tensors are
    overwritten by the next one's.
    """

    samples: Samples
    labelled: Bools
    """Stocks with a score and a label `[D, N]`."""
    size: int
    """Number of what an epoch sees once: days or rows."""
    _pairs: Pairs

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of batches in an epoch."""

    @abstractmethod
    def shares(self, epoch: int = 0, rank: int = 0, size: int = 1, *, least: int = 1) -> Iterator[Share]:
        """Yield what process `rank` of `size` takes of each batch of one epoch.

        Of days it takes every `size`-th one; of rows a run of them, and no process takes fewer than `least`, so that a
        loss that needs as many counts each part. Some processes have nothing of a small batch.
        """

    @abstractmethod
    def further_are_whole(self, least: int) -> bool:
        """Return whether each further label is known on every row, or on every day by `least` stocks."""

    def epoch(self, epoch: int = 0) -> Iterator[Batch]:
        """Yield the batches of one epoch.

        Raises:
            DataError: a feature is infinite.
        """
        for share in self.shares(epoch):
            yield share.batch()

    def _further_known(self) -> list[Bools]:
        """Return which pairs have each further label `[P]`."""
        rows, stocks = self.samples.rows[self._pairs.day], self._pairs.stock
        return [~np.isnan(values[rows, stocks]) for values in self.samples.further]


class DayBatches(Batches):
    """Batches of whole days.

    Days without any scorable member, or with fewer than `min_labels` labels, are in no batch. `epoch(k)` gives the days
    in an order drawn from the seed and k alone, or in time order without `shuffle`. With several days a step, drawn
    days of like numbers of stocks share one. `extras` are gathered like labels.
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
        gaps: Gaps = "zero",
        min_labels: int = 0,
        extras: Sequence[str] = (),
        on_device: bool | None = None,
    ) -> None:
        if min(steps, stride, days_per_step) < 1:
            raise UsageError(f"steps, stride and days_per_step must be 1 or more: {steps}, {stride}, {days_per_step}.")
        self.samples, self.days_per_step, self.seed, self.shuffle = samples, days_per_step, seed, shuffle
        scorable = samples.scorable(steps, stride, short_history, gaps)
        self.labelled = scorable & ~np.isnan(samples.label[samples.rows])
        self._sizes = scorable.sum(axis=1)
        self.days: Ints = np.flatnonzero((self._sizes > 0) & (self.labelled.sum(axis=1) >= min_labels))
        """Sample dates that are in a batch, as positions in `Samples.rows`."""
        used = np.isin(np.arange(samples.rows.size), self.days)
        self._pairs = Pairs.of(scorable & used[:, None])
        self.size = self.days.size
        form = WindowForm(steps, stride, gaps)
        self._source = _source(samples, self._pairs, form, extras, torch.device(device), on_device)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return int(np.ceil(self.days.size / self.days_per_step))

    def shares(self, epoch: int = 0, rank: int = 0, size: int = 1, *, least: int = 1) -> Iterator[Share]:
        """Yield what one process takes of each batch of one epoch; `least` does not concern days."""
        for days in self._grouped(epoch):
            mine = days[rank::size]
            yield Share(days, mine.size, mine.size / days.size, partial(self._batch, mine))

    def further_are_whole(self, least: int) -> bool:
        """Return whether at least so many stocks have each further label on every day that is in a batch."""
        counts = [np.bincount(self._pairs.day[known], minlength=len(self._sizes)) for known in self._further_known()]
        return all((count[self.days] >= least).all() for count in counts)

    def _batch(self, days: Ints) -> Batch:
        parts = [self._pairs.of_day(day) for day in days]
        width = int(self._sizes[days].max())
        stocks = np.full((days.size, width), -1, dtype=np.int64)
        for k, part in enumerate(parts):
            stocks[k, : part.stop - part.start] = self._pairs.stock[part]
        return Batch(days=days, stocks=stocks, **self._source.whole_days(parts, width))

    def _grouped(self, epoch: int) -> list[Ints]:
        """Return the days of each batch of an epoch."""
        B = self.days_per_step
        cuts = range(B, self.days.size, B)
        if not self.shuffle:
            return np.split(self.days, cuts) if self.size else []
        rng = np.random.default_rng((self.seed, epoch))
        order = rng.permutation(self.days)
        if B == 1:
            return np.split(order, cuts) if self.size else []
        like = np.ceil(np.log(self._sizes[order]) / np.log(LIKE))
        grouped = np.split(order[np.argsort(like, kind="stable")], cuts) if self.size else []
        return [grouped[k] for k in rng.permutation(len(grouped))]


class RowBatches(Batches):
    """Batches of labelled rows (stock and day) from all sample dates, each handed over as one day of them.

    `epoch(k)` gives the rows in an order drawn from the seed and k alone (`random`), date by date (`time`) or stock by
    stock (`stock`), spread evenly over as few batches of at most `rows_per_step` as hold them.
    """

    def __init__(
        self,
        samples: Samples,
        rows_per_step: int,
        *,
        steps: int = 1,
        stride: int = 1,
        seed: int = 0,
        order: Literal["random", "time", "stock"] = "random",
        device: torch.device | str = "cpu",
        short_history: ShortHistory = "exclude",
        gaps: Gaps = "zero",
        extras: Sequence[str] = (),
        on_device: bool | None = None,
    ) -> None:
        if min(steps, stride, rows_per_step) < 1:
            raise UsageError(f"steps, stride and rows_per_step must be 1 or more: {steps}, {stride}, {rows_per_step}.")
        self.samples, self.rows_per_step, self.seed, self.order = samples, rows_per_step, seed, order
        scorable = samples.scorable(steps, stride, short_history, gaps)
        self.labelled = scorable & ~np.isnan(samples.label[samples.rows])
        self._pairs = Pairs.of(self.labelled)
        self.size = self._pairs.day.size
        form = WindowForm(steps, stride, gaps)
        self._source = _source(samples, self._pairs, form, extras, torch.device(device), on_device)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return int(np.ceil(self.size / self.rows_per_step))

    def shares(self, epoch: int = 0, rank: int = 0, size: int = 1, *, least: int = 1) -> Iterator[Share]:
        """Yield what one process takes of each batch of one epoch."""
        order = self._ordered(epoch)
        self._source.begin(order)
        edges = np.linspace(0, self.size, len(self) + 1).round().astype(int)
        for first, stop in pairwise(edges.tolist()):
            days = self._pairs.day[order[first:stop]]
            takers = max(1, min(size, days.size // least))
            cuts = [first + days.size * min(k, takers) // takers for k in (rank, rank + 1)]
            mine = cuts[1] - cuts[0]
            yield Share(days, mine, mine / days.size, partial(self._batch, order, *cuts))

    def further_are_whole(self, least: int) -> bool:
        """Return whether every row has each further label."""
        return all(known.all() for known in self._further_known())

    def _batch(self, order: Ints, first: int, stop: int) -> Batch:
        chosen = order[first:stop]
        fields = self._source.some_rows(first, stop)
        return Batch(days=self._pairs.day[chosen], stocks=self._pairs.stock[None, chosen], **fields)

    def _ordered(self, epoch: int) -> Ints:
        if self.order == "time":
            return np.arange(self.size)
        if self.order == "stock":
            return np.lexsort((self._pairs.day, self._pairs.stock))
        return np.random.default_rng((self.seed, epoch)).permutation(self.size)


def _source(
    samples: Samples,
    pairs: Pairs,
    form: WindowForm,
    extras: Sequence[str],
    device: torch.device,
    on_device: bool | None,
) -> HostWindows | DeviceWindows:
    """Return where windows come from: as told, or by where the panel fits."""
    if on_device is None:
        return window_source(samples, pairs, form, extras, device)
    return (DeviceWindows if on_device else HostWindows)(samples, pairs, form, extras, device)
