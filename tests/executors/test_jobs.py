"""Jobs over one pool: order, dependence, failures, and what stops everything."""

from collections.abc import Iterator

import pytest
from executor_tasks import calls, counted, disk_full, double, fail_until, kill_itself, refuse, until

from alphaloom.errors import RunError
from alphaloom.executors.base import Outcome, Pool, Task
from alphaloom.executors.inline import Inline
from alphaloom.executors.jobs import Job, Standing, run_jobs
from alphaloom.executors.local import Local


def doubling(start: float, rounds: int, tasks: int, got: list[float]) -> Job:
    """Double numbers, then their sum, and so on; what the last task gives is noted."""
    numbers = [start] * tasks
    for _ in range(rounds):
        outcomes = yield [Task(f"double {x}", double, {"x": x + k}) for k, x in enumerate(numbers)]
        values = [outcome.value for outcome in outcomes]
        assert values == [2 * (x + k) for k, x in enumerate(numbers)], "outcomes are not in the order of the tasks"
        numbers = [sum(values)] * tasks
    got.append(numbers[0])


def by_hand(start: float, rounds: int, tasks: int) -> float:
    """Return what `doubling` notes."""
    x = start
    for _ in range(rounds):
        x = sum(2 * (x + k) for k in range(tasks))
    return x


def test_jobs_go_on_with_what_their_tasks_gave(executor):
    """Several jobs of several rounds at the same time, each with its own numbers in its own order."""
    got: list[list[float]] = [[] for _ in range(4)]
    with executor.open() as pool:
        failed = run_jobs([doubling(k, 3, k + 1, got[k]) for k in range(4)], pool)
    assert failed == []
    assert got == [[by_hand(k, 3, k + 1)] for k in range(4)]


def outcomes_kept(tasks: list[Task], kept: list[Outcome]) -> Job:
    """Run the tasks and keep their outcomes."""
    kept.extend((yield tasks))


def test_a_failed_task_stops_no_other(executor, tmp_path):
    """Its job is told and goes on; other jobs do not notice; it is returned at the end, and counted."""
    kept: list[Outcome] = []
    got: list[float] = []
    seen: list[Standing] = []
    mixed = [
        Task("good", double, {"x": 1}),
        Task("bad", refuse, {"folder": tmp_path, "name": "bad"}),
        Task("frail", fail_until, {"folder": tmp_path, "name": "frail", "success": 2}),
    ]
    with executor.open() as pool:
        failed = run_jobs(
            [outcomes_kept(mixed, kept), doubling(1, 4, 2, got)], pool, lambda standing, _: seen.append(standing)
        )
    assert [outcome.task.name for outcome in failed] == ["bad"]
    assert [outcome.value for outcome in kept] == [2, None, "attempt 2"]
    assert got == [by_hand(1, 4, 2)]
    assert (seen[0].done, seen[0].failed) == (0, 0)
    assert (seen[-1].done, seen[-1].known, seen[-1].failed, seen[-1].running) == (11, 11, 1, ())


def test_results_that_cannot_be_written_stop_everything(executor, tmp_path):
    """The error names the task and what to do; tasks that were not given stay undone."""
    tasks = [Task("t", counted, {"folder": tmp_path, "name": f"t{k}", "seconds": 0.05}) for k in range(40)]
    tasks.insert(2, Task("model of 2017", disk_full, {"name": "model.bin"}))
    with (
        executor.open() as pool,
        pytest.raises(RunError, match=r"cannot be written.*model\.bin.*while model of 2017.*alphaloom resume"),
    ):
        run_jobs([outcomes_kept(tasks, [])], pool)
    assert sum(calls(tmp_path, f"t{k}") for k in range(40)) < 40


def test_a_lost_task_is_reported_with_the_rest_done(tmp_path):
    """A process that is killed at every attempt: all other tasks of its job are done."""
    kept: list[Outcome] = []
    tasks = [Task(f"t{k}", counted, {"folder": tmp_path, "name": f"t{k}"}) for k in range(5)]
    tasks.insert(1, Task("killed", kill_itself, {"folder": tmp_path, "name": "killed", "times": 9}))
    with Local(workers=2, retries=1).open() as pool:
        (failed,) = run_jobs([outcomes_kept(tasks, kept)], pool)
    assert failed.failure is not None
    assert (failed.task.name, failed.failure.kind, failed.attempts) == ("killed", "lost", 2)
    assert [outcome.value for outcome in kept if outcome.failure is None] == [f"t{k}" for k in range(5)]


def test_jobs_without_tasks_and_rounds_without_tasks_end():
    """A job may find that nothing is left to do, at its start or in the middle."""
    went_on: list[str] = []

    def empty() -> Job:
        yield from ()

    def pausing() -> Job:
        assert (yield []) == []
        (outcome,) = yield [Task("double", double, {"x": 4})]
        assert (yield []) == []
        went_on.append(outcome.value)

    with Inline().open() as pool:
        assert run_jobs([], pool) == []
        assert run_jobs([empty(), pausing()], pool) == []
    assert went_on == [8]


def test_first_jobs_go_first(tmp_path):
    """With one worker tasks run in the order of the jobs; later rounds of a job come after what was known before."""
    order: list[str] = []

    def job(name: str) -> Job:
        for turn in range(2):
            yield [Task(f"{name}{turn}", double, {"x": 0})]

    with Inline().open() as pool:
        run_jobs([job("a"), job("b")], pool, lambda _, outcome: order.append(outcome.task.name) if outcome else None)
    assert order == ["a0", "b0", "a1", "b1"]


def test_no_more_tasks_are_given_than_will_be_taken_soon():
    """At most two a slot wait in the pool, so that a stop leaves few behind."""

    class Counting(Pool):
        slots = 3

        def __init__(self) -> None:
            self.inside: list[Task] = []
            self.most = 0

        def submit(self, task: Task) -> None:
            self.inside.append(task)
            self.most = max(self.most, len(self.inside))

        def next(self) -> Outcome:
            return Outcome(self.inside.pop(), None, None, 1, 0.0, "here 1")

        def running(self) -> list[str]:
            return []

    pool = Counting()
    run_jobs([outcomes_kept([Task(str(k), double, {"x": k}) for k in range(50)], [])], pool)
    assert pool.most == 6


@pytest.fixture
def slow_pool(tmp_path) -> Iterator[Pool]:
    """Two workers."""
    with Local(workers=2).open() as pool:
        yield pool


def test_the_standing_tells_what_runs(slow_pool, tmp_path):
    """Names of running tasks are among those given; counts grow to what was known."""
    seen: list[Standing] = []

    def watch(standing: Standing, outcome: Outcome | None) -> None:
        if outcome is None:
            assert until(lambda: len(slow_pool.running()) == 2)
        seen.append(standing)

    tasks = [Task(f"t{k}", counted, {"folder": tmp_path, "name": f"t{k}", "seconds": 0.1}) for k in range(6)]
    run_jobs([outcomes_kept(tasks, [])], slow_pool, watch)
    assert [standing.done for standing in seen] == list(range(7))
    assert all(standing.known == 6 and len(standing.running) <= 2 for standing in seen)
    assert {name for standing in seen for name in standing.running} <= {f"t{k}" for k in range(6)}
