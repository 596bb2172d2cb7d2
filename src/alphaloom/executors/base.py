"""What a task and an executor are, and the registry of executors."""

import errno
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from alphaloom.registry import Registry
from alphaloom.spec import Component

STORAGE_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO})
"""Codes of an `OSError` that no other task would be spared: disk full, over quota, read-only, forbidden, broken."""


@dataclass(frozen=True)
class Task:
    """One piece of work that depends on nothing but its arguments and what it reads from storage.

    Running it again gives the same result, so that a task may be run twice where nobody knows whether it ended.
    """

    name: str
    """What to call it on a display, and in a message: `rolling mse / xgboost / 2017-01`."""
    call: Callable[..., Any]
    """Function of a module, so that other processes find it."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments: small, and fit to be pickled. Arrays lie on storage; an argument says where."""
    key: str | None = None
    """Tasks of the same key have the same outcome: while one of them is under way, the others wait for it."""


@dataclass(frozen=True)
class Failure:
    """Why a task came to nothing."""

    kind: Literal["error", "refused", "storage", "lost"]
    """`error`: an exception, which another attempt may not meet; `refused`: an error of alphaloom's own, which it
    would; `storage`: results cannot be written, so that nothing else can go on once attempts are spent; `lost`: the
    process was killed."""
    message: str
    """One line."""
    log: str = ""
    """Traceback, and the last of what the task printed."""


@dataclass(frozen=True)
class Outcome:
    """What became of a task."""

    task: Task
    value: Any
    """What the call returned; None after a failure."""
    failure: Failure | None
    attempts: int
    seconds: float
    """Wall time of the last attempt."""
    place: str
    """Machine and process of the last attempt: `node-2 4711`."""


class Pool(ABC):
    """Workers that are ready: give them tasks, take outcomes in the order in which they come."""

    slots: int
    """How many tasks can run at once; more may be given, and wait."""

    @abstractmethod
    def submit(self, task: Task) -> None:
        """Give a task to the next free worker."""

    @abstractmethod
    def next(self) -> Outcome:
        """Wait for a task to end, and return what became of it; failed ones were tried again before.

        Raises:
            RunError: there are no workers any more, and none can be started.
        """

    @abstractmethod
    def running(self) -> list[str]:
        """Return the names of tasks that are being worked on."""


def _share_or_whole(gpus: float) -> float:
    if gpus > 1 and gpus != int(gpus):
        raise ValueError(f"above 1 it has to be a whole number: tasks share one GPU, or have several (given: {gpus:g})")
    return gpus


class Executor(Component, ABC):
    """Where tasks run. Every task has the same share of a machine.

    Results do not depend on the executor: a task's threads are its `cores`, wherever it runs.
    """

    cores: Annotated[int, Field(ge=1, le=1024)] = 1
    """Cores, and threads, of each task."""
    gpus: Annotated[float, Field(ge=0, le=64), AfterValidator(_share_or_whole)] = 0
    """GPUs of each task; a half lets two tasks share one."""
    memory: Annotated[float, Field(gt=0)] | None = None
    """GB of memory that each task may need, to limit how many run on a machine at once; None does not limit them."""
    storage: str | None = None
    """Where tasks read their inputs and leave their results, if not in the run's own folder: an address that all
    machines reach, such as `s3://bucket/name`. Without it the run's folder has to be on a disk that they share."""
    storage_options: Mapping[str, Any] = Field(default_factory=dict)
    """What the library behind that address is told, such as `{endpoint_url: ...}`; no secrets, since the run keeps a
    copy of its recipe: they come from the environment."""
    retries: Annotated[int, Field(ge=0, le=20)] = 2
    """How often a task that failed is tried again. Errors that another attempt would meet again are not."""

    @abstractmethod
    def open(self) -> AbstractContextManager[Pool]:
        """Return the workers; leaving the block ends them, whatever they do.

        Raises:
            MissingLibraryError: the executor's library is not installed.
            UsageError: there is no such cluster, or no worker of it has what a task needs.
        """


def with_overrides(settings: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return an executor's settings with some replaced; of one of another name, what all executors have is kept."""
    name = settings.get("name")
    if overrides.get("name", name) != name:
        settings = {key: value for key, value in settings.items() if key in Executor.model_fields}
    return {**settings, **overrides}


executors: Registry[Executor] = Registry("executor", Executor, "alphaloom.executors")
