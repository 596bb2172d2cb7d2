"""Test days one at a time, in the form that a fitted model takes: rows for estimators, windows for networks."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch

from alphaloom.interpretation.base import Subject
from alphaloom.models.base import Batch, FittedEstimator, Network
from alphaloom.training.network import FittedNetwork, day_batches
from alphaloom.training.samples import Samples
from alphaloom.typing import Bools, Doubles, Floats, Ints

COPY_BYTES = {"cpu": 32 << 20, "cuda": 1 << 30}
"""Inputs that are scored in one call, by device; what a network makes of them is a few times larger."""
ROW_BYTES = 32 << 20
"""Rows that an estimator scores in one call."""


class Day(ABC):
    """One test day of a model, with its `n` scored stocks."""

    position: int
    """Which test date, as a position in `Samples.rows`."""
    stocks: Ints
    """Columns of the panel `[n]`."""

    @abstractmethod
    def scores(self) -> Doubles:
        """Return the scores of the stocks `[n]`, the mean over the fits."""

    @abstractmethod
    def permuted(self, changes: Sequence[Ints], order: Ints) -> Doubles:
        """Return the scores `[C, n]` when the k-th change's features are taken from other stocks: stock i's from
        `order[i]`, over the whole window.
        """

    @abstractmethod
    def varies(self) -> Bools:
        """Return which features differ between the stocks of the day `[F]`."""


def model_days(subject: Subject, most: int | None) -> Iterator[Day]:
    """Yield the test days on which the model scores any stock, in order of time; each is valid until the next.

    At most `most` stocks of each, drawn from the seed and the date; all for None, and for a network that scores the
    stocks of a day together.
    """
    networks = fitted_networks(subject)
    if networks:
        for batch in network_batches(subject, most):
            yield NetworkDay(networks, batch)
        return
    bodies = [fit.body for fit in subject.fits if isinstance(fit.body, FittedEstimator)]
    keep = subject.samples.scorable()
    for d in np.flatnonzero(keep.any(axis=1)):
        stocks = np.flatnonzero(keep[d])
        stocks = stocks[subject.chosen(int(d), stocks.size, most)]
        yield EstimatorDay(bodies, subject.samples, int(d), stocks, subject.threads)


def fitted_networks(subject: Subject) -> list[FittedNetwork]:
    """Return the fits of a network; none for an estimator."""
    return [fit.body for fit in subject.fits if isinstance(fit.body, FittedNetwork)]


def network_batches(subject: Subject, most: int | None = None) -> Iterator[Batch]:
    """Yield one batch a test day, on the network's device, with stocks as in `model_days`."""
    network = fitted_networks(subject)[0]
    for other in fitted_networks(subject):
        other.module.eval()
    device = next(network.module.parameters()).device
    for batch in day_batches(network.model, subject.samples, device).epoch():
        n = batch.x.shape[1]
        which = subject.chosen(int(batch.days[0]), n, None if network.model.mixes_stocks else most)
        yield batch if which.size == n else _some_stocks(batch, which)


def _some_stocks(batch: Batch, which: Ints) -> Batch:
    index = torch.from_numpy(which).to(batch.x.device)
    return replace(
        batch,
        x=batch.x[:, index],
        y=batch.y[:, index],
        score_mask=batch.score_mask[:, index],
        label_mask=batch.label_mask[:, index],
        stocks=batch.stocks[:, which],
        extras={name: values[:, index] for name, values in batch.extras.items()},
        step_mask=None if batch.step_mask is None else batch.step_mask[:, index],
        further=None if batch.further is None else batch.further[:, index],
    )


def forecast(model: Network, module: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """Return the scores `[B, N']` of a batch: the forecast of the first label."""
    found = model.forecast(module, batch)
    return found[..., 0] if found.dim() == 3 else found


class EstimatorDay(Day):
    """Rows `x [n, F]` of one day."""

    def __init__(
        self, bodies: Sequence[FittedEstimator], samples: Samples, position: int, stocks: Ints, threads: int
    ) -> None:
        self.bodies, self.position, self.stocks, self.threads = bodies, position, stocks, threads
        self.x: Floats = np.ascontiguousarray(samples.block[samples.rows[position], stocks])

    def scores(self) -> Doubles:
        """Return the scores of the stocks `[n]`."""
        return self._score(self.x)

    def permuted(self, changes: Sequence[Ints], order: Ints) -> Doubles:
        """Return the scores `[C, n]`; chunks of changes run on all threads."""
        n, F = self.x.shape
        size = max(1, ROW_BYTES // (4 * n * F))

        def work(first: int) -> Doubles:
            some = changes[first : first + size]
            x = np.broadcast_to(self.x, (len(some), n, F)).copy()
            for copy, columns in zip(x, some, strict=True):
                copy[:, columns] = self.x[np.ix_(order, columns)]
            return self._score(x.reshape(-1, F)).reshape(-1, n)

        starts = range(0, len(changes), size)
        with ThreadPoolExecutor(self.threads) as pool:
            return np.concatenate(list(pool.map(work, starts)))

    def varies(self) -> Bools:
        """Return which features differ between the stocks `[F]`; a missing value differs from a number."""
        same = (self.x == self.x[:1]) | (np.isnan(self.x) & np.isnan(self.x[:1]))
        return np.asarray(~same.all(axis=0))

    def _score(self, x: Floats) -> Doubles:
        return np.asarray(np.mean([body.predict(x) for body in self.bodies], axis=0, dtype=np.float64))


class NetworkDay(Day):
    """Windows `x [1, n, L, F]` of one day; a copy with a changed feature is one more day of the batch."""

    def __init__(self, networks: Sequence[FittedNetwork], batch: Batch) -> None:
        self.networks, self.batch = networks, batch
        self.position, self.stocks = int(batch.days[0]), batch.stocks[0]

    def scores(self) -> Doubles:
        """Return the scores of the stocks `[n]`."""
        return np.asarray(self._score(self.batch)[0])

    def permuted(self, changes: Sequence[Ints], order: Ints) -> Doubles:
        """Return the scores `[C, n]`, as many changes in one forward pass as memory allows."""
        x = self.batch.x
        taken = torch.from_numpy(order).to(x.device)
        size = max(1, COPY_BYTES[x.device.type] // (4 * x.numel()))
        parts = []
        for first in range(0, len(changes), size):
            some = changes[first : first + size]
            copies = x.expand(len(some), -1, -1, -1).clone()
            for copy, columns in zip(copies, some, strict=True):
                which = torch.from_numpy(columns).to(x.device)
                copy[..., which] = x[0, taken][..., which]
            parts.append(self._score(with_inputs(self.batch, copies)))
        return np.concatenate(parts)

    def varies(self) -> Bools:
        """Return which features differ between the stocks at any step `[F]`."""
        x = self.batch.x[0]
        return np.asarray((x != x[:1]).any(dim=0).any(dim=0).cpu().numpy())

    def _score(self, batch: Batch) -> Doubles:
        with torch.inference_mode():
            found = [forecast(net.model, net.module, batch).double().cpu().numpy() for net in self.networks]
        return np.asarray(np.mean(found, axis=0))


def with_inputs(batch: Batch, x: torch.Tensor) -> Batch:
    """Return a one-day batch with other inputs `[C, n, L, F]`: C days with the stocks and gaps of that one."""
    C = len(x)
    steps = None if batch.step_mask is None else batch.step_mask.expand(C, -1, -1)
    return replace(batch, x=x, score_mask=batch.score_mask.expand(C, -1), step_mask=steps)
