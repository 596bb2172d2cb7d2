"""Worker processes of this machine."""

import faulthandler
import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle, islice
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO, Annotated, Any

from pydantic import Field

from alphaloom.errors import RunError, UsageError
from alphaloom.executors import machine
from alphaloom.executors.attempt import (
    Attempt,
    is_tried_again,
    last_lines,
    lost,
    run_attempt,
    thread_variables,
    unsent,
)
from alphaloom.executors.base import Executor, Outcome, Pool, Task, executors

CHECK_SECONDS = 1.0
"""How often driver and workers look whether the other one is still there, beside the end of the pipe that tells it."""


@executors.register("local")
class Local(Executor):
    """Tasks run in worker processes of this machine; a process takes one task after another.

    Each worker has `cores` threads and, if GPUs are asked for, its own in `CUDA_VISIBLE_DEVICES`. A worker that is
    killed costs its task an attempt, and no other task anything. Workers end with the driver, however that ends.
    """

    workers: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Worker processes; None takes as many as the machine has cores, memory and GPUs for."""

    @contextmanager
    def open(self) -> Iterator[Pool]:
        """Return the workers; each process starts with its first task.

        Raises:
            UsageError: the machine lacks the cores, the memory or the GPUs that a task asks for.
        """
        shares = self._gpu_shares(machine.gpu_devices() if self.gpus else [])
        threads = os.environ | thread_variables(self.cores)
        environments = [threads | gpus for gpus in islice(cycle(shares), self._how_many(len(shares)))]
        pool = _LocalPool(environments, self.retries)
        try:
            yield pool
        finally:
            pool.close()

    def _gpu_shares(self, devices: list[str]) -> list[dict[str, str]]:
        """Return what tells each of the workers that there are GPUs for which are its own."""
        if self.gpus == 0:
            return [{}]
        if self.gpus < 1:
            own = devices * int(1 / self.gpus + 1e-9)
        else:
            own = [",".join(share) for share in zip(*[iter(devices)] * int(self.gpus), strict=False)]
        return [{"CUDA_VISIBLE_DEVICES": share} for share in own]

    def _how_many(self, gpu_shares: int) -> int:
        if self.gpus and gpu_shares < (self.workers or 1):
            raise UsageError(
                f"executor local: {self.workers or 1} workers with executor.gpus {self.gpus:g} each are asked for, but "
                f"this machine's GPUs are enough for {gpu_shares}. Set executor.workers or executor.gpus lower."
            )
        if self.workers is not None:
            return self.workers
        room = [gpu_shares] if self.gpus else []
        for setting, has, unit in (("cores", machine.cores(), "cores"), ("memory", machine.memory_gb(), "GB")):
            asked = getattr(self, setting)
            if asked is not None:
                room.append(int(has // asked))
                if asked > has:
                    raise UsageError(
                        f"executor local: a task asks for executor.{setting} {asked:g}, but this machine has {has:.4g} "
                        f"{unit}. Set it lower; or set executor.workers, and that many run at once all the same."
                    )
        return min(room)


@dataclass
class _Given:
    task: Task
    attempts: int = 0


class _LocalPool(Pool):
    """A thread for each worker gives it one task at a time, so that it is known whose process was killed."""

    def __init__(self, environments: list[dict[str, str]], retries: int) -> None:
        self.slots = len(environments)
        self._retries = retries
        self._given: queue.SimpleQueue[_Given | None] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[Outcome | Exception] = queue.SimpleQueue()
        self._at_work: dict[int, str] = {}
        self._processes: dict[int, _Process] = {}
        self._closing = False
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, args=(k, environment), daemon=True)
            for k, environment in enumerate(environments)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, task: Task) -> None:
        self._given.put(_Given(task))

    def next(self) -> Outcome:
        ended = self._ended.get()
        if isinstance(ended, Exception):
            raise ended
        return ended

    def running(self) -> list[str]:
        return list(self._at_work.copy().values())

    def close(self) -> None:
        """Kill the workers and what they started."""
        with self._lock:
            self._closing = True
            for process in self._processes.values():
                process.kill()
        for _ in self._threads:
            self._given.put(None)
        for thread in self._threads:
            thread.join(timeout=5)

    def _work(self, slot: int, environment: dict[str, str]) -> None:
        try:
            self._take_tasks(slot, environment)
        except Exception as error:  # noqa: BLE001 - raised by `next`, in the thread that waits
            self._ended.put(error)
        finally:
            self._end_process(slot)

    def _take_tasks(self, slot: int, environment: dict[str, str]) -> None:
        while (given := self._given.get()) is not None:
            self._at_work[slot] = given.task.name
            attempt = self._attempt(slot, environment, given.task)
            if self._closing or attempt is None:
                return
            del self._at_work[slot]
            given.attempts += 1
            if is_tried_again(attempt.failure, given.attempts, self._retries):
                self._given.put(given)
            else:
                self._ended.put(attempt.outcome(given.task, given.attempts))

    def _attempt(self, slot: int, environment: dict[str, str], task: Task) -> Attempt | None:
        """Return what the slot's process makes of the task; None when the pool is closing."""
        try:
            request = pickle.dumps(task)
        except Exception as error:  # noqa: BLE001 - pickling runs code of the arguments
            return unsent(f"Task {task.name} cannot be sent to another process", error)
        with self._lock:
            if self._closing:
                return None
            process = self._processes.get(slot)
            if process is None:
                process = self._processes[slot] = _Process(environment)
        attempt = process.run(request)
        if attempt.failure is not None and attempt.failure.kind == "lost":
            self._end_process(slot)
        return attempt

    def _end_process(self, slot: int) -> None:
        with self._lock:
            process = self._processes.pop(slot, None)
        if process is not None:
            process.kill()
            process.close()


class _Ended(Exception):  # noqa: N818 - no error: it tells that there will be no reply
    """The process ended before it replied."""


class _Process:
    """A worker process, its pipes, and a file that holds what it prints."""

    def __init__(self, environment: dict[str, str]) -> None:
        start = f"import sys; sys.path[:] = {sys.path!r}; from alphaloom.executors.local import serve"
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._is_ready = False
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-c", f"{start}; serve({os.getpid()})"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._printed,
                env=environment,
                start_new_session=True,  # Ctrl-C is for the driver; and what a task starts is killed with it
            )
        except OSError as error:
            raise RunError(f"A worker process cannot be started: {error}. Lower executor.workers.") from error

    def run(self, request: bytes) -> Attempt:
        """Return what the process makes of a pickled task.

        Raises:
            RunError: the process ended by itself before it could take a task.
        """
        started = time.monotonic()
        try:
            if not self._is_ready:
                self._reply()
                self._is_ready = True
            os.ftruncate(self._printed.fileno(), 0)
            os.lseek(self._printed.fileno(), 0, os.SEEK_SET)  # the process shares this position
            self._send(request)
            reply = self._reply()
        except _Ended:
            code = self._process.wait()
            if not self._is_ready and code >= 0:
                raise RunError(f"A worker process ended with exit code {code} at its start:\n{self._log()}") from None
            return lost(_why_ended(code), self._log(), self._process.pid, time.monotonic() - started)
        try:
            attempt: Attempt = pickle.loads(reply)
        except Exception as error:  # noqa: BLE001 - unpickling runs code of the value
            return unsent("What the task returned cannot be read here", error)
        return attempt

    def kill(self) -> None:
        """End the process and what it started."""
        with suppress(ProcessLookupError, PermissionError):  # macOS forbids it when all have ended
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Wait for the killed process to be gone, and close the pipes and the file."""
        self._process.wait()
        with suppress(BrokenPipeError):
            self._pipe(self._process.stdin).close()
        self._pipe(self._process.stdout).close()
        self._printed.close()

    def _send(self, request: bytes) -> None:
        pipe = self._pipe(self._process.stdin)
        try:
            pickle.dump(request, pipe)
            pipe.flush()
        except BrokenPipeError:
            raise _Ended from None

    def _reply(self) -> bytes:
        """Wait for the next reply. A child of the process may keep the pipe open, so its end is not waited for."""
        pipe = self._pipe(self._process.stdout)
        while not wait([pipe.fileno()], CHECK_SECONDS):
            if self._process.poll() is not None:
                raise _Ended
        try:
            reply: bytes = pickle.load(pipe)
        except (EOFError, pickle.UnpicklingError):
            raise _Ended from None
        return reply

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe

    def _log(self) -> str:
        file = self._printed.fileno()
        size = os.fstat(file).st_size
        text = os.pread(file, 1_000_000, max(0, size - 1_000_000)).decode(errors="replace")
        return f"The last lines that its process printed:\n{last_lines(text)}" if text else "It printed nothing."


def _why_ended(code: int) -> str:
    if code < 0:
        return (
            f"its process was killed by signal {-code} ({signal.strsignal(-code)}), perhaps for want of memory. Set "
            "executor.memory to what a task needs, or executor.workers lower."
        )
    return f"its process ended by itself in the middle of the task, with exit code {code}"


def serve(driver: int) -> None:
    """Do what a worker process does: take pickled tasks from standard input, and reply on standard output.

    Ends with the driver, the process of that number.
    """
    tasks, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what is printed must not come between replies
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    with suppress(OSError):  # when memory runs out, Linux is to kill a worker and not the driver
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(tasks, requests, driver), daemon=True).start()
    _write(replies, b"ready")
    while True:
        _write(replies, _answer(requests.get()))


def _receive(tasks: IO[bytes], requests: "queue.SimpleQueue[bytes]", driver: int) -> None:
    """Pass tasks on until the driver is gone, then end this process and what it started."""
    try:
        with suppress(EOFError, pickle.UnpicklingError):
            while os.getppid() == driver:
                if wait([tasks.fileno()], CHECK_SECONDS):
                    requests.put(pickle.load(tasks))
    finally:  # also when there is no memory for a task
        os.killpg(os.getpgrp(), signal.SIGKILL)


def _answer(request: bytes) -> bytes:
    try:
        task: Task = pickle.loads(request)
    except Exception as error:  # noqa: BLE001 - unpickling imports modules and runs code of the arguments
        return pickle.dumps(unsent("The task cannot be read in another process", error))
    attempt: Any = run_attempt(task)
    try:
        return pickle.dumps(attempt)
    except Exception as error:  # noqa: BLE001 - pickling runs code of the value
        return pickle.dumps(unsent(f"What task {task.name} returned cannot be sent to the driver", error))


def _write(stream: IO[bytes], content: bytes) -> None:
    for printed in (sys.stdout, sys.stderr):
        with suppress(OSError):  # no room for it
            printed.flush()
    pickle.dump(content, stream)
    stream.flush()
