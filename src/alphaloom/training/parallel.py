"""The processes that train one network together: who they are, and what they tell each other.

Every process goes through the same work and meets the others at the same points. What one of them does alone (its part
of a batch, a file that only the first writes) may fail there; the next meeting then tells all, so that none waits for
one that has given up.
"""

import atexit
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from alphaloom.errors import AlphaloomError, PeerError, RunError, UsageError
from alphaloom.training.network import best_device
from alphaloom.training.torchrun import Place

TIMEOUT, TIMEOUT_SECONDS = "ALPHALOOM_PEER_TIMEOUT", 300.0
"""Environment variable, and its default: how many seconds a step waits for the gradients of the other processes."""
PATIENCE = timedelta(days=30)
"""How long the others wait for what the first does alone, such as fitting trees; a process that ends is noticed."""
FAREWELL = timedelta(seconds=10)
"""How long a process stays after an error, so that the first one can print it before torchrun ends all."""
T = TypeVar("T")


class Peers:
    """The processes of one run. A lone one talks to nobody: everything below is then what it would be without."""

    def __init__(self, place: Place | None = None, talk: dist.ProcessGroup | None = None, timeout: float = 0.0) -> None:
        """Keep this process's place, the group for messages, and the timeout of a step, for messages about it."""
        self.place = place or Place()
        self._talk, self._timeout = talk, timeout
        self._agreed: Exception | None = None

    @property
    def rank(self) -> int:
        """Which process this is, from 0."""
        return self.place.rank

    @property
    def size(self) -> int:
        """Number of processes."""
        return self.place.size

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and prints."""
        return self.place.is_first

    @contextmanager
    def agree(self) -> Iterator[None]:
        """Run the block on every process; an error on one of them is raised on all.

        Raises:
            PeerError: on the processes beside the first, which raises the error itself.
        """
        error: Exception | None = None
        try:
            yield
        except Exception as problem:
            if self.size == 1 or problem is self._agreed:
                raise
            error = problem
        if self.size > 1:
            self._tell(error)

    def gather(self, work: Callable[[], T]) -> list[T]:
        """Return what the work gave on each process, in their order; errors as with `agree`."""
        if self.size == 1:
            return [work()]
        with self.agree():
            mine = work()
        found: list[Any] = [None] * self.size
        with self._reachable():
            dist.all_gather_object(found, mine, group=self._talk)
        return found

    def told(self, work: Callable[[], T]) -> T:
        """Return what the work gave on the first process, which alone does it; errors as with `agree`."""
        if self.size == 1:
            return work()
        box: list[Any] = [None]
        with self.agree():
            if self.is_first:
                box = [work()]
        with self._reachable():
            dist.broadcast_object_list(box, src=0, group=self._talk)
        value: T = box[0]
        return value

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sum over processes, which takes the place of the values."""
        if self.size > 1:
            with self._reachable():
                dist.all_reduce(values)
        return values

    def _tell(self, error: Exception | None) -> None:
        """Tell the others of this process's error, and raise the first one that any of them had."""
        known = error is None or type(error).__module__ == AlphaloomError.__module__
        mine = error if known else RunError(f"{type(error).__name__}: {error}")
        found: list[Any] = [None] * self.size
        try:
            with self._reachable():
                dist.all_gather_object(found, mine, group=self._talk)
        except RunError as lost:
            self._agreed = error or lost
            raise self._agreed from lost
        failed = [rank for rank, problem in enumerate(found) if problem is not None]
        if not failed:
            return
        first: AlphaloomError = found[failed[0]]
        if self.rank:
            self._agreed = PeerError(str(first))
            self._agreed.exit_code = first.exit_code
        elif error is not None:
            self._agreed = error
        else:
            self._agreed = first
            first.add_note(f"on process {failed[0]} of {self.size}, counted from 0")
        raise self._agreed from error

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        """Say what became of a process that no longer answers."""
        try:
            yield
        except RuntimeError as error:
            raise RunError(
                f"A process of this run has ended, or did not answer within {self._timeout:g} seconds "
                f"({TIMEOUT} in the environment sets that time). What it said before is above; the same command goes "
                "on from the last checkpoint."
            ) from error

    def leave(self) -> None:
        """Close the connections; after an error stay until the first process has printed it and gone."""
        if self.rank and isinstance(self._agreed, PeerError):
            with suppress(RuntimeError):
                dist.broadcast(torch.zeros(1), src=0, group=self._talk, async_op=True).wait(FAREWELL)
        dist.destroy_process_group()


@cache
def joined() -> Peers:
    """Return the processes that torchrun started with this one, or a lone one; the first call connects them.

    Gradients go by NCCL between GPUs, each process having the GPU of its local rank, and by gloo between CPUs; messages
    always go by gloo. On a single machine gloo talks on the loopback interface, unless GLOO_SOCKET_IFNAME says another.

    Raises:
        UsageError: there are fewer GPUs than processes, or ALPHALOOM_PEER_TIMEOUT is no positive number.
    """
    place = Place.here()
    if place.size == 1:
        return Peers()
    timeout = _timeout()
    names = [name for _, name in socket.if_nameindex()] if sys.platform == "linux" else []
    if place.local_size == place.size and "lo" in names:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    device = None
    if best_device().type == "cuda":
        if place.local_rank >= torch.cuda.device_count():
            raise UsageError(
                f"torchrun started {place.local_size} processes on a machine with {torch.cuda.device_count()} GPUs, "
                "and each needs one of its own: lower --nproc-per-node."
            )
        device = torch.device("cuda", place.local_rank)
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        wait = timedelta(seconds=timeout)
        dist.init_process_group("nccl" if device else "gloo", timeout=wait, device_id=device)
    peers = Peers(place, dist.new_group(backend="gloo", timeout=PATIENCE), timeout)
    atexit.register(peers.leave)
    return peers


def _timeout() -> float:
    given = os.environ.get(TIMEOUT, str(TIMEOUT_SECONDS))
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f"The environment says {TIMEOUT}={given!r}, which should be a positive number of seconds.")
    return seconds
