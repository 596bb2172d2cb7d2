"""The machines of a Ray cluster."""

import os
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from alphaloom.errors import MissingLibraryError, RunError, UsageError
from alphaloom.executors.attempt import (
    Attempt,
    is_tried_again,
    last_lines,
    run_attempt,
    thread_variables,
    unsent,
)
from alphaloom.executors.base import Executor, Failure, Outcome, Pool, Task, executors

STORE_BYTES = 200_000_000
"""Shared memory of a Ray that is started here: tasks read arrays from storage, so that little passes through it."""

AUTHENTICATION = (
    "Clusters that `ray start --head` made ask for a token: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to the "
    "cluster's, before the command. `ray get-auth-token` shows it on the head."
)


@executors.register("ray")
class Ray(Executor):
    """Tasks run on the machines of a Ray cluster, which must have alphaloom and see the same storage.

    Ray gives a task to a machine that has `cores`, `gpus` and `memory` to spare. A task whose process or machine dies
    is run elsewhere, which counts as an attempt. A cluster that was joined stays when the tasks have ended.
    """

    address: str | None = None
    """`HOST:PORT` of a cluster that this machine is part of, or `auto` to find it; None starts a Ray on this machine
    for the time of the tasks."""
    slots: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Tasks that are given to Ray at once; None gives it twice as many as the cluster can run. Set it for a cluster to
    which machines are added on demand: tasks then may wait for machines that are not there at the start."""

    @contextmanager
    def open(self) -> Iterator[Pool]:
        """Return the cluster's workers.

        Raises:
            MissingLibraryError: Ray is not installed.
            UsageError: the cluster cannot be joined, or none of its machines has what a task asks for.
        """
        library = _library()
        was_joined = library.is_initialized()
        if not was_joined:
            self._join(library)
        try:
            at_once = self._room(library)
            pool = _RayPool(library, self._remote(library), self.slots or 2 * at_once, at_once, self.retries)
            try:
                yield pool
            finally:
                pool.cancel()
        finally:
            if not was_joined:
                library.shutdown()

    def _join(self, library: Any) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        if self.address is not None and "://" not in self.address and ":" in self.address:
            _require_answer(self.address)
        own = {"include_dashboard": False, "object_store_memory": STORE_BYTES} if self.address is None else {}
        try:
            library.init(address=self.address or "local", log_to_driver=False, logging_level="WARNING", **own)
        except (ConnectionError, RuntimeError, ValueError, library.exceptions.RayError) as error:
            said = _text(error)
            if error.__cause__ is not None:
                said = f"{said}: {_text(error.__cause__)}"
            hint = AUTHENTICATION if "token" in said.lower() else "Ask `ray status` on one of its machines."
            raise UsageError(f"executor ray: {self._cluster()} cannot be joined: {said} {hint}") from error

    def _cluster(self) -> str:
        return f"the cluster at {self.address}" if self.address else "a Ray of this machine's own"

    def _room(self, library: Any) -> int:
        """Return how many tasks the cluster can run at once.

        Raises:
            UsageError: no machine has what a task asks for, and `slots` does not say that others may come.
        """
        nodes = [(node["NodeManagerAddress"], node["Resources"]) for node in library.nodes() if node["Alive"]]
        room = sum(self._room_on(resources) for _, resources in nodes)
        if room == 0 and self.slots is None:
            asked = f"{self.cores} cores, {self.gpus:g} GPUs and {self.memory or 0:g} GB"
            there = "; ".join(
                f"{name}: {has.get('CPU', 0):g} cores, {has.get('GPU', 0):g} GPUs, {has.get('memory', 0) / 1e9:.1f} GB"
                for name, has in nodes
            )
            raise UsageError(
                f"executor ray: a task asks for {asked} (executor.cores, gpus and memory), which no machine of "
                f"{self._cluster()} has ({there}). Set them lower; or set executor.slots if machines are added on "
                "demand."
            )
        return max(1, room)

    def _room_on(self, resources: dict[str, float]) -> int:
        rooms = [resources.get("CPU", 0.0) // self.cores]
        if self.gpus >= 1:
            rooms.append(resources.get("GPU", 0.0) // self.gpus)
        elif self.gpus:
            rooms.append(resources.get("GPU", 0.0) * int(1 / self.gpus + 1e-9))
        if self.memory is not None:
            rooms.append(resources.get("memory", 0.0) // (self.memory * 1e9))
        return int(min(rooms))

    def _remote(self, library: Any) -> Any:
        return library.remote(
            num_cpus=self.cores,
            num_gpus=self.gpus or None,
            memory=None if self.memory is None else int(self.memory * 1e9),
            max_retries=0,  # attempts are counted here
            runtime_env={"env_vars": thread_variables(self.cores)},
        )(run_attempt)


@dataclass
class _Given:
    task: Task
    attempts: int = 0


class _RayPool(Pool):
    def __init__(self, library: Any, call: Any, slots: int, at_once: int, retries: int) -> None:
        self.slots = slots
        self._ray = library
        self._call = call
        self._at_once = at_once
        self._retries = retries
        self._waiting: deque[_Given] = deque()
        self._in_flight: dict[Any, _Given] = {}
        self._ended: deque[Outcome] = deque()

    def submit(self, task: Task) -> None:
        self._waiting.append(_Given(task))
        self._fill()

    def next(self) -> Outcome:
        while not self._ended:
            (done, *_), _ = self._ray.wait(list(self._in_flight), num_returns=1)
            self._note(self._in_flight.pop(done), self._attempt(done))
            self._fill()
        return self._ended.popleft()

    def running(self) -> list[str]:
        """Return the names of the oldest tasks, as many as can run at once: Ray does not tell which do."""
        return [given.task.name for given in list(self._in_flight.values())[: self._at_once]]

    def cancel(self) -> None:
        """End what runs."""
        for reference in self._in_flight:
            with suppress(self._ray.exceptions.RayError):  # it ended meanwhile, or its machine did
                self._ray.cancel(reference, force=True)

    def _fill(self) -> None:
        while self._waiting and len(self._in_flight) < self.slots:
            given = self._waiting.popleft()
            try:
                reference = self._call.remote(given.task)
            except TypeError as error:  # of Ray's serialiser
                self._note(given, unsent(f"Task {given.task.name} cannot be sent to the cluster", error))
            else:
                self._in_flight[reference] = given

    def _note(self, given: _Given, attempt: Attempt) -> None:
        given.attempts += 1
        if is_tried_again(attempt.failure, given.attempts, self._retries):
            self._waiting.append(given)
        else:
            self._ended.append(attempt.outcome(given.task, given.attempts))

    def _attempt(self, reference: Any) -> Attempt:
        errors = self._ray.exceptions
        try:
            attempt: Attempt = self._ray.get(reference)
        except errors.LocalRayletDiedError as error:
            raise RunError(f"Ray ended on the machine of this command: {_text(error)}") from error
        except errors.RayTaskError as error:
            return unsent("The task or what it returned cannot be sent", error.cause or error)
        except errors.RuntimeEnvSetupError as error:
            raise RunError(f"Ray cannot prepare a worker process: {_text(error)}") from error
        except errors.RayError as error:
            message = f"its process or its machine died, perhaps for want of memory: {_text(error)}"
            return Attempt(None, Failure("lost", message, last_lines(str(error))), 0.0, "unknown")
        return attempt


def _library() -> Any:
    try:
        import ray
    except ImportError:
        raise MissingLibraryError("Executor ray needs Ray: pip install 'alphaloom[ray]'.") from None
    return ray


def _require_answer(address: str) -> None:
    """Refuse an address where nothing listens; Ray would look for it for long."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"executor ray: nothing answers at {address}: {error}. executor.address is the HOST:PORT that `ray start "
            "--head` shows, 6379 by default, or `auto` on one of the cluster's machines."
        ) from error


def _text(error: BaseException) -> str:
    return " ".join(str(error).split())[:1000] or type(error).__name__
