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
        self.left = 0

    def advance(self, outcomes: list[Outcome] | None) -> bool:
        """Let the job go on; return whether it gave tasks."""
        try:
            while True:
                self.tasks = list(next(self.job) if outcomes is None else self.job.send(outcomes))
                if self.tasks:
                    self.outcomes = [None] * len(self.tasks)
                    self.left = len(self.tasks)
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
    return _Run(pool, watch or (lambda *_: None)).run(jobs)


_Place = tuple[_Waiting, int]
"""A job, and which of the tasks that it gave last."""


class _Run:
    """All jobs of one pool, and the tasks that are under way for them."""

    def __init__(self, pool: Pool, watch: Watch) -> None:
        self._pool, self._watch = pool, watch
        self._flying: dict[int, list[_Place]] = {}  # by the task that was submitted: who waits for it
        self._submitted: dict[str, Task] = {}
        self._ready: deque[_Place] = deque()
        self._failed: list[Outcome] = []
        self._done = self._known = 0

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        for job in jobs:
            self._advance(_Waiting(job), None)
        self._submit()
        self._tell(None)
        while self._flying:
            outcome = self._pool.next()
            self._take(outcome)
            self._submit()
            self._tell(outcome)
        return self._failed

    def _advance(self, state: _Waiting, outcomes: list[Outcome] | None) -> None:
        if state.advance(outcomes):
            self._ready.extend((state, k) for k in range(len(state.tasks)))
            self._known += len(state.tasks)

    def _submit(self) -> None:
        while self._ready and len(self._flying) < 2 * self._pool.slots:
            state, k = self._ready.popleft()
            task = state.tasks[k]
            same = None if task.key is None else self._submitted.get(task.key)
            if same is not None:
                self._flying[id(same)].append((state, k))
                continue
            self._flying[id(task)] = [(state, k)]
            if task.key is not None:
                self._submitted[task.key] = task
            self._pool.submit(task)

    def _take(self, outcome: Outcome) -> None:
        places = self._flying.pop(id(outcome.task))
        if outcome.task.key is not None:
            del self._submitted[outcome.task.key]
        self._done += len(places)
        if outcome.failure is not None:
            _stop_if_unwritable(outcome.task, outcome.failure)
            self._failed.append(outcome)
        for state, k in places:
            state.outcomes[k] = outcome
            state.left -= 1
            if not state.left:
                self._advance(state, [item for item in state.outcomes if item is not None])

    def _tell(self, outcome: Outcome | None) -> None:
        running = tuple(self._pool.running())
        self._watch(Standing(self._done, self._known, running, len(self._failed)), outcome)


def _stop_if_unwritable(task: Task, failure: Failure) -> None:
    if failure.kind == "storage":
        error = RunError(
            f"Results cannot be written: {failure.message} (while {task.name}). What is finished is kept. Free space "
            "or make the folder writable, then `alphaloom resume` goes on from there."
        )
        error.add_note(failure.log)
        raise error
