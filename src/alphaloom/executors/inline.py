"""One task after another in this process."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from alphaloom.executors.attempt import is_tried_again, run_attempt
from alphaloom.executors.base import Executor, Outcome, Pool, Task, executors


@executors.register("inline")
class Inline(Executor):
    """Tasks run one after another in this process, so that a debugger can be used.

    `cores`, `gpus` and `memory` are what the process has: they are not limited here.
    """

    @contextmanager
    def open(self) -> Iterator[Pool]:
        """Return a pool of this process alone."""
        yield _InlinePool(self.retries)


class _InlinePool(Pool):
    slots = 1

    def __init__(self, retries: int) -> None:
        self._retries = retries
        self._waiting: deque[Task] = deque()

    def submit(self, task: Task) -> None:
        self._waiting.append(task)

    def next(self) -> Outcome:
        task = self._waiting.popleft()
        attempts = 0
        while True:
            attempts += 1
            attempt = run_attempt(task)
            if not is_tried_again(attempt.failure, attempts, self._retries):
                return attempt.outcome(task, attempts)

    def running(self) -> list[str]:
        return [task.name for task in list(self._waiting)[:1]]
