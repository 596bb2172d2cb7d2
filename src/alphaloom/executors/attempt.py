"""One attempt at a task in this process, and what is kept of it: the value, or why there is none."""

import io
import os
import re
import socket
import sys
import time
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, TextIO

from alphaloom.errors import AlphaloomError, UsageError
from alphaloom.executors.base import STORAGE_ERRORS, Failure, Outcome, Task

LOG_LINES, LOG_WIDTH = 100, 2000
"""How much of what a task printed is kept: lines, and characters of each."""

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
)
"""What numeric libraries read when they are imported."""

_CODE_IN_TEXT = re.compile(r"\(os error (\d+)\)")  # libraries written in Rust: Polars, safetensors
_CUT_SHORT = re.compile(r"\d+ requested and \d+ written|inline_container.*unexpected pos", re.DOTALL)  # NumPy, PyTorch


@dataclass(frozen=True)
class Attempt:
    """What one attempt gave. Fit to be pickled, whatever the task raised."""

    value: Any
    failure: Failure | None
    seconds: float
    place: str

    def outcome(self, task: Task, attempts: int) -> Outcome:
        """Return the task's outcome, this attempt being the last."""
        return Outcome(task, self.value, self.failure, attempts, self.seconds, self.place)


def run_attempt(task: Task) -> Attempt:
    """Run the task here. What it prints is passed on, and its last lines are kept for the log of a failure.

    `KeyboardInterrupt` passes through; every other exception becomes a `Failure`.
    """
    started = time.monotonic()
    said = _Tail()
    value, failure = None, None
    try:
        with redirect_stdout(_Echo(said, "stdout")), redirect_stderr(_Echo(said, "stderr")):
            value = task.call(**task.arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - also SystemExit, and panics of Rust libraries
        failure = failure_of(error, said.text())
    return Attempt(value, failure, time.monotonic() - started, place(os.getpid()))


def failure_of(error: BaseException, said: str = "") -> Failure:
    """Return the failure that an exception means; its log ends with what the task printed."""
    trace = "".join(traceback.format_exception(error)).rstrip()
    log = f"{trace}\n\nThe last lines that the task printed:\n{said}" if said else trace
    return Failure(_kind(error), _one_line(error), log)


def last_lines(text: str) -> str:
    """Return the end of a text, at most `LOG_LINES` lines of it."""
    tail = _Tail()
    tail.add(text)
    return tail.text()


def lost(message: str, log: str, pid: int, seconds: float) -> Attempt:
    """Return the attempt whose process was killed."""
    return Attempt(None, Failure("lost", message, log), seconds, place(pid))


def unsent(what: str, error: BaseException) -> Attempt:
    """Return the attempt at a task that could not travel between processes."""
    refusal = UsageError(
        f"{what}: {type(error).__name__}: {error}. Its function has to be one of a module that can be imported, and "
        "arguments and value have to be fit to be pickled."
    )
    refusal.__cause__ = error
    return Attempt(None, failure_of(refusal), 0.0, place(os.getpid()))


def is_tried_again(failure: Failure | None, attempts: int, retries: int) -> bool:
    """Return whether a task is given another attempt after so many."""
    return failure is not None and failure.kind != "refused" and attempts <= retries


def thread_variables(cores: int) -> dict[str, str]:
    """Return the environment in which numeric libraries use so many threads."""
    return dict.fromkeys(THREAD_VARIABLES, str(cores))


def place(pid: int) -> str:
    """Return how a process of this machine is called."""
    return f"{socket.gethostname()} {pid}"


def _kind(error: BaseException) -> Literal["error", "refused", "storage"]:
    if any(_is_of_storage(link) for link in _causes(error)):
        return "storage"
    return "refused" if isinstance(error, AlphaloomError) else "error"


def _causes(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__


def _is_of_storage(error: BaseException) -> bool:
    if isinstance(error, AlphaloomError):
        return False  # its text may quote anything; its cause tells
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in STORAGE_ERRORS
    text = str(error)
    code = _CODE_IN_TEXT.search(text)
    return (code is not None and int(code[1]) in STORAGE_ERRORS) or _CUT_SHORT.search(text) is not None


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, AlphaloomError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class _Tail:
    """The last lines of a text, as a terminal shows them: what progress bars drew over is gone."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=LOG_LINES)
        self._open = ""

    def add(self, text: str) -> None:
        *lines, self._open = (self._open + text).split("\n")
        self._lines.extend(_last_drawn(line) for line in lines)
        if self._open:
            self._open = _last_drawn(self._open) + ("\r" if self._open.endswith("\r") else "")

    def text(self) -> str:
        return "\n".join([*self._lines, *([_last_drawn(self._open)] if self._open else [])][-LOG_LINES:])


def _last_drawn(line: str) -> str:
    return line.rstrip("\r").rpartition("\r")[2][:LOG_WIDTH]


class _Echo(io.TextIOBase):
    """A stream that also keeps its last lines."""

    def __init__(self, tail: _Tail, name: Literal["stdout", "stderr"]) -> None:
        self._tail = tail
        self._stream: TextIO = getattr(sys, name)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    @property
    def buffer(self) -> BinaryIO:
        return self._stream.buffer

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str) -> int:
        self._tail.add(text)
        with suppress(OSError):  # whoever reads it is gone, or its disk is full: no matter of the task
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()
