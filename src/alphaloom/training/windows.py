"""Where a network's windows come from: the panel in memory, or the panel on the device that trains."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np
import torch

from alphaloom.kernels.windows import gather_windows
from alphaloom.training.samples import Gaps, Samples, infinite_feature
from alphaloom.typing import Array, Bools, Floats, Ints

DEVICE_SHARE = 0.6
"""The panel moves to a GPU if it takes at most this share of the memory that is free there."""


@dataclass(frozen=True)
class WindowForm:
    """Which rows make one input: `steps` rows, `stride` apart, the last at t; and what becomes of empty ones."""

    steps: int
    stride: int
    gaps: Gaps


@dataclass(frozen=True)
class Pairs:
    """All (sample date, stock) pairs that can be scored, date-major: what batches are made of."""

    day: Ints
    """Position of the date in `Samples.rows` `[P]`."""
    stock: Ints
    """Column of the panel `[P]`."""
    offsets: Ints
    """Where each sample date starts `[D + 1]`."""

    @classmethod
    def of(cls, scorable: Bools) -> "Pairs":
        """Return the pairs of a table `[D, N]`."""
        day, stock = np.nonzero(scorable)
        return cls(day, stock, np.concatenate([[0], np.cumsum(scorable.sum(axis=1))]))

    def of_day(self, day: int) -> slice:
        """Return where a date's pairs lie."""
        return slice(int(self.offsets[day]), int(self.offsets[day + 1]))


class HostWindows:
    """Windows gathered by one compiled pass into a buffer made once, then sent to the device if it is another."""

    def __init__(
        self, samples: Samples, pairs: Pairs, form: WindowForm, extras: Sequence[str], device: torch.device
    ) -> None:
        self.samples, self.form, self.device = samples, form, device
        self._pairs = pairs
        self._extras = {name: samples.extra(name) for name in extras}
        self._block: Floats = np.asarray(samples.block)  # the plain view of a memory map: numba takes no subclass
        carries = form.gaps == "carry_forward"
        self._carried: Bools = samples.present if carries else np.empty((0, 0), dtype=np.bool_)
        self._buffer = torch.empty(0)

    def whole_days(self, parts: Sequence[slice], width: int) -> dict[str, Any]:
        """Return the fields of a batch of whole days, each a slice of the pairs, padded to one width."""
        days, stocks = (np.full((len(parts), width), fill, dtype=np.int64) for fill in (0, -1))
        for k, part in enumerate(parts):
            days[k] = self._pairs.day[part.start]
            stocks[k, : part.stop - part.start] = self._pairs.stock[part]
        return self._fields(days, stocks)

    def begin(self, order: Ints) -> None:
        """Take the order of an epoch's pairs."""
        self._order = order

    def some_rows(self, first: int, stop: int) -> dict[str, Any]:
        """Return the fields of a batch of rows: those from `first` to `stop - 1` in the epoch's order, as one day."""
        chosen = self._order[first:stop]
        return self._fields(self._pairs.day[None, chosen], self._pairs.stock[None, chosen])

    def _fields(self, days: Ints, stocks: Ints) -> dict[str, Any]:
        samples, rows = self.samples, self.samples.rows[days]
        there = stocks >= 0
        label = np.where(there, samples.label[rows, stocks], np.float32(np.nan))
        labelled = ~np.isnan(label)
        fields: dict[str, Any] = {
            "x": self._windows(rows, stocks),
            "y": self._send(np.where(labelled, label, np.float32(0.0))),
            "score_mask": self._send(there),
            "label_mask": self._send(labelled),
            "extras": {
                name: self._send(np.where(there, values[rows, stocks], np.float32(0.0)))
                for name, values in self._extras.items()
            },
        }
        if self.form.gaps == "mask":
            back = np.arange(self.form.steps)[::-1] * self.form.stride
            fields["step_mask"] = self._send(
                samples.present[rows[..., None] - back, stocks[..., None]] & there[..., None]
            )
        if samples.further:
            labels = [np.where(there, values[rows, stocks], np.float32(np.nan)) for values in samples.further]
            fields["further"] = self._send(np.stack(labels, axis=-1))
        return fields

    def _windows(self, rows: Ints, stocks: Ints) -> torch.Tensor:
        steps, stride = self.form.steps, self.form.stride
        shape = (*stocks.shape, steps, self.samples.n_features)
        size = int(np.prod(shape))
        if self._buffer.numel() < size:
            self._buffer = torch.empty(size, dtype=torch.float32, pin_memory=self.device.type == "cuda")
        x = self._buffer[:size].view(shape)
        flat_rows, flat_stocks = rows.reshape(-1), stocks.reshape(-1)
        out: Floats = x.view(-1, *shape[2:]).numpy()
        if gather_windows(self._block, flat_rows, flat_stocks, stride, self._carried, out):
            raise infinite_feature(self.samples, flat_rows, flat_stocks, steps, stride)
        return x.to(self.device)

    def _send(self, array: Array) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


class DeviceWindows:
    """The same windows from a panel that lies on the device, so that no step of training copies from the host.

    Missing features are made zero once, and infinite ones in the windows refused at once.
    """

    def __init__(
        self, samples: Samples, pairs: Pairs, form: WindowForm, extras: Sequence[str], device: torch.device
    ) -> None:
        self.form, self.device = form, device
        self._rows = torch.from_numpy(samples.rows[pairs.day]).to(device)
        self._stocks = torch.from_numpy(pairs.stock).to(device)
        self._back = torch.arange(form.steps - 1, -1, -1, device=device) * form.stride
        self._samples = samples  # keeps the block alive under whose identity the panel on the device is shared
        self._block, infinite = _panel_on(device, samples)
        if infinite.any() and infinite[self._rows[:, None] - self._back, self._stocks[:, None]].any():
            raise infinite_feature(samples, samples.rows[pairs.day], pairs.stock, form.steps, form.stride)
        self._present = torch.from_numpy(samples.present).to(device) if form.gaps in {"carry_forward", "mask"} else None
        self._label = self._at(samples.label)
        self._extras = {name: self._at(samples.extra(name)) for name in extras}
        self._further = [self._at(values) for values in samples.further]

    def whole_days(self, parts: Sequence[slice], width: int) -> dict[str, Any]:
        """Return the fields of a batch of whole days, each a slice of the pairs, padded to one width."""
        places = torch.arange(width, device=self.device)
        starts = torch.stack([torch.full((), part.start, device=self.device) for part in parts])
        sizes = torch.stack([torch.full((), part.stop - part.start, device=self.device) for part in parts])
        there = places < sizes[:, None]
        return self._fields(torch.where(there, starts[:, None] + places, 0), there)

    def begin(self, order: Ints) -> None:
        """Take the order of an epoch's pairs: the one copy from the host in an epoch."""
        self._order = torch.from_numpy(order).to(self.device)

    def some_rows(self, first: int, stop: int) -> dict[str, Any]:
        """Return the fields of a batch of rows: those from `first` to `stop - 1` in the epoch's order, as one day."""
        chosen = self._order[None, first:stop]
        return self._fields(chosen, torch.ones_like(chosen, dtype=torch.bool))

    def _fields(self, pairs: torch.Tensor, there: torch.Tensor) -> dict[str, Any]:
        label = torch.where(there, self._label[pairs], torch.nan)
        labelled = ~label.isnan()
        rows, stocks = self._rows[pairs][..., None] - self._back, self._stocks[pairs][..., None]
        present = None if self._present is None else self._present[rows, stocks]
        if present is not None and self.form.gaps == "carry_forward":
            rows = rows.gather(-1, _last_present(present))
        x = self._block[rows, stocks]
        fields: dict[str, Any] = {
            "x": x.masked_fill_(~there[..., None, None], 0.0),
            "y": torch.where(labelled, label, 0.0),
            "score_mask": there,
            "label_mask": labelled,
            "extras": {name: torch.where(there, values[pairs], 0.0) for name, values in self._extras.items()},
        }
        if present is not None and self.form.gaps == "mask":
            fields["step_mask"] = present & there[..., None]
        if self._further:
            labels = torch.stack([values[pairs] for values in self._further], dim=-1)
            fields["further"] = torch.where(there[..., None], labels, torch.nan)
        return fields

    def _at(self, values: Floats) -> torch.Tensor:
        """Return a plane's values at all pairs `[P]`, on the device."""
        plane = torch.from_numpy(np.array(values)).to(self.device)
        return plane[self._rows, self._stocks]


class _Panel(NamedTuple):
    """A panel on a device, missing features zero `[T, N, F]`, and which cells hold an infinite one `[T, N]`."""

    block: torch.Tensor
    infinite: torch.Tensor


def _panel_on(device: torch.device, samples: Samples) -> _Panel:
    """Return the panel on the device: the one that other samples of the same block put there, while there are any."""
    key = (id(samples.block), samples.block.shape, str(device))
    block = _PANELS.get(key)
    if block is None:
        block = torch.from_numpy(np.array(samples.block)).to(device)
        _PANELS[key] = block
    infinite = torch.stack([row.isinf().any(dim=-1) for row in block])  # row by row: no second panel for a moment
    for row in block:
        row.copy_(torch.where(row.isnan(), 0.0, row))
    return _Panel(block, infinite)


_PANELS: WeakValueDictionary[tuple[object, ...], torch.Tensor] = WeakValueDictionary()


def _last_present(present: torch.Tensor) -> torch.Tensor:
    """Return for each step the latest step up to it that holds a feature `[..., L]`; itself where there is none."""
    steps = torch.arange(present.shape[-1], device=present.device).expand(present.shape)
    latest = torch.where(present, steps, -1).cummax(dim=-1).values
    return torch.where(latest < 0, steps, latest)


def window_source(
    samples: Samples, pairs: Pairs, form: WindowForm, extras: Sequence[str], device: torch.device
) -> HostWindows | DeviceWindows:
    """Return the panel on the device where that is a GPU with room for it, else the panel in memory."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if samples.block.nbytes <= DEVICE_SHARE * free:
            return DeviceWindows(samples, pairs, form, extras, device)
    return HostWindows(samples, pairs, form, extras, device)
