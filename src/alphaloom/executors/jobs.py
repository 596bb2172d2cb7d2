"""Runs many jobs over one pool: a job gives tasks, and goes on when they have ended."""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from alphaloom.errors import RunError
from alphaloom.executors.base import Failure, Outcome, Pool, Task

Job = Generator[Sequence[Task], list[Outcome], None]
"""Yields tasks that may run at the same time; is sent their outcomes, in the order of the tasks."""


@dataclass(frozen=True)
class Standing:
    """Where the jobs stand."""

    done: int
    """Tasks that ended."""
    known: int
    """Tasks that were given so far."""
    running: tuple[str, ...]
    failed: int


Watch = Callable[[Standing, Outcome | None], None]
"""Called at the start and after each task."""


class _Waiting:
    """A job and the outcomes that it waits for."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.tasks: list[Task] = []
        self.outcomes: list[Outcome | None] = []

    def advance(self, outcomes: list[Outcome] | None) -> bool:
        """Let the job go on; return whether it gave tasks."""
        try:
            while True:
                self.tasks = list(next(self.job) if outcomes is None else self.job.send(outcomes))
                if self.tasks:
                    self.outcomes = [None] * len(self.tasks)
                    return True
                outcomes = []
        except StopIteration:
            return False


def run_jobs(jobs: Sequence[Job], pool: Pool, watch: Watch | None = None) -> list[Outcome]:
    """Run all jobs to their end, and return the tasks that failed; what does not depend on them went on.

    Tasks of the first jobs go first. Each job gets its outcomes in the order of its tasks, so what it does with them
    does not depend on how many workers there are.

    Raises:
        RunError: results cannot be written. Finished ones stay.
    """
    waiting: dict[int, tuple[_Waiting, int]] = {}
    ready: deque[tuple[_Waiting, int]] = deque()
    failed: list[Outcome] = []
    done = known = 0

    def give(state: _Waiting, outcomes: list[Outcome] | None) -> None:
        nonlocal known
        if state.advance(outcomes):
            ready.extend((state, k) for k in range(len(state.tasks)))
            known += len(state.tasks)

    def fill() -> None:
        while ready and len(waiting) < 2 * pool.slots:
            state, k = ready.popleft()
            task = state.tasks[k]
            waiting[id(task)] = (state, k)
            pool.submit(task)

    for job in jobs:
        give(_Waiting(job), None)
    fill()
    if watch:
        watch(Standing(done, known, tuple(pool.running()), 0), None)
    while waiting:
        outcome = pool.next()
        state, k = waiting.pop(id(outcome.task))
        done += 1
        if outcome.failure is not None:
            _stop_if_unwritable(outcome.task, outcome.failure)
            failed.append(outcome)
        state.outcomes[k] = outcome
        known_all = [item for item in state.outcomes if item is not None]
        if len(known_all) == len(state.tasks):
            give(state, known_all)
        fill()
        if watch:
            watch(Standing(done, known, tuple(pool.running()), len(failed)), outcome)
    return failed


def _stop_if_unwritable(task: Task, failure: Failure) -> None:
    if failure.kind == "storage":
        raise RunError(
            f"Results cannot be written: {failure.message} (while {task.name}). What is finished is kept. Free space "
            "or make the folder writable, then `alphaloom resume` goes on from there."
        )
