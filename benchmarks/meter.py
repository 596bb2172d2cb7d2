"""CPU seconds and memory of a piece of work, and processes of their own in which to measure it."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from alphaloom.bench.machine import resident_mb


@dataclass
class Taken:
    """What a piece of work took."""

    cpu: float = 0.0
    """CPU seconds of the process, user and system."""
    wall: float = 0.0
    peak_mb: float = 0.0
    """Most resident memory during the work above what was resident before it."""
    kept_mb: float = 0.0
    """Memory of the process's own, files that it maps not counted, after the work above that before it."""


@contextmanager
def measured() -> Iterator[Taken]:
    """Measure the block; its figures are there when it ends. Linux alone tells the peak of a part of a process."""
    taken = Taken()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    before, _ = resident_mb()
    own = own_mb()
    started, began = time.process_time(), time.perf_counter()
    yield taken
    taken.cpu, taken.wall = time.process_time() - started, time.perf_counter() - began
    _, peak = resident_mb()
    assert before is not None
    taken.peak_mb, taken.kept_mb = peak - before, own_mb() - own


def own_mb() -> float:
    """Return the memory of this process in MB, without the files that it maps."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024 / 1e6


def in_child(call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Return what the function of a module gives in a fresh process, in which freed memory goes back to the system."""
    kept = os.environ.pop("GLIBC_TUNABLES", None)
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(call, *arguments, **named).result()
    finally:
        if kept is not None:
            os.environ["GLIBC_TUNABLES"] = kept


@contextmanager
def clocked(*methods: tuple[Any, str]) -> Iterator[list[float]]:
    """Add up the CPU seconds inside these methods or functions, given by owner and name, whoever calls them.

    What they call among themselves counts once.
    """
    total, depth = [0.0], 0

    def timed(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal depth
            depth += 1
            started = time.process_time()
            try:
                return method(*arguments, **named)
            finally:
                depth -= 1
                total[0] += time.process_time() - started if depth == 0 else 0.0

        return call

    own = [(owner, name, getattr(owner, name)) for owner, name in methods]
    for owner, name, method in own:
        setattr(owner, name, timed(method))
    try:
        yield total
    finally:
        for owner, name, method in own:
            setattr(owner, name, method)
