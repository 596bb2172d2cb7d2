"""What every executor promises: values, attempts and logs are the same, wherever tasks run."""

import errno
from pathlib import Path

import pytest
from executor_tasks import (
    calls,
    disk_full,
    double,
    fail_until,
    leave,
    raise_of,
    refuse,
    speak_and_fail,
)

from alphaloom.errors import SettingError
from alphaloom.executors.attempt import LOG_LINES
from alphaloom.executors.base import Executor, Outcome, Task, executors, with_overrides


def outcomes_of(executor: Executor, tasks: list[Task]) -> list[Outcome]:
    """Return the outcomes in the order of the tasks."""
    with executor.open() as pool:
        for task in tasks:
            pool.submit(task)
        ended = [pool.next() for _ in tasks]
    by_task = {id(outcome.task): outcome for outcome in ended}
    return [by_task[id(task)] for task in tasks]


def test_values_belong_to_their_tasks_in_whatever_order_they_end(executor):
    """Tasks of different lengths: each value is that of its task, after one attempt."""
    tasks = [Task(f"double {k}", double, {"x": k, "seconds": 0.05 * (k % 3)}) for k in range(9)]
    outcomes = outcomes_of(executor, tasks)
    assert [outcome.value for outcome in outcomes] == [2 * k for k in range(9)]
    assert all(outcome.failure is None and outcome.attempts == 1 for outcome in outcomes)
    assert all(outcome.seconds >= 0.05 * (k % 3) for k, outcome in enumerate(outcomes))
    assert all(len(outcome.place.split()) == 2 for outcome in outcomes)


def test_a_task_that_fails_is_tried_again(executor, tmp_path):
    """It fails twice and then succeeds: one outcome, three attempts; others are not run again."""
    tasks = [Task("frail", fail_until, {"folder": tmp_path, "name": "frail", "success": 3})]
    tasks += [Task(f"double {k}", double, {"x": k}) for k in range(3)]
    frail, *others = outcomes_of(executor, tasks)
    assert (frail.value, frail.failure, frail.attempts) == ("attempt 3", None, 3)
    assert [outcome.attempts for outcome in others] == [1, 1, 1]


def test_retries_end(executor, tmp_path):
    """A task that always fails is tried `retries` times more, and the last error is told."""
    task = Task("hopeless", fail_until, {"folder": tmp_path, "name": "hopeless", "success": 99})
    (outcome,) = outcomes_of(executor.model_copy(update={"retries": 1}), [task])
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.message) == ("error", "ValueError: attempt 2 came to nothing")
    assert (outcome.value, outcome.attempts, calls(tmp_path, "hopeless")) == (None, 2, 2)


def test_what_alphaloom_refuses_is_not_tried_again(executor, tmp_path):
    """Another attempt would meet the same error."""
    (outcome,) = outcomes_of(executor, [Task("wrong", refuse, {"folder": tmp_path, "name": "wrong"})])
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.message) == ("refused", "windows.valid_share 2 is above 1")
    assert (outcome.attempts, calls(tmp_path, "wrong")) == (1, 1)


def test_errors_of_storage_are_told_apart(executor):
    """A full or read-only disk is `storage`, also behind an error of alphaloom's own; a missing file is not."""
    tasks = [
        (Task("full", disk_full, {"name": "x"}), "storage"),
        (Task("read-only, wrapped", raise_of, {"code": errno.EROFS, "wrapped": True}), "storage"),
        (Task("missing", raise_of, {"code": errno.ENOENT}), "error"),
        (Task("missing, wrapped", raise_of, {"code": errno.ENOENT, "wrapped": True}), "refused"),
    ]
    outcomes = outcomes_of(executor, [task for task, _ in tasks])
    assert [outcome.failure and outcome.failure.kind for outcome in outcomes] == [kind for _, kind in tasks]
    assert [outcome.attempts for outcome in outcomes] == [1 if kind == "refused" else 3 for _, kind in tasks]


def test_the_log_has_the_traceback_and_what_was_printed(executor):
    """Down to the line that failed, with the last lines of both streams and no more."""
    (outcome,) = outcomes_of(executor, [Task("talk", speak_and_fail, {"lines": 150})])
    assert outcome.failure is not None
    assert outcome.failure.message == "ZeroDivisionError: division by zero"
    trace, said = outcome.failure.log.split("The last lines that the task printed:\n")
    assert "return a / b" in trace
    assert trace.rstrip().endswith("ZeroDivisionError: division by zero")
    assert said.splitlines() == [*(f"epoch {k}" for k in range(150 - LOG_LINES + 1, 150)), "loss is nan"]


def test_a_task_that_exits_fails(executor, tmp_path):
    """`sys.exit` in a task ends neither the worker nor the driver."""
    exits, after = outcomes_of(
        executor.model_copy(update={"retries": 0}),
        [Task("exit", leave, {"folder": tmp_path, "name": "exit"}), Task("after", double, {"x": 2})],
    )
    assert exits.failure is not None
    assert (exits.failure.kind, exits.failure.message) == ("error", "SystemExit: licence expired")
    assert after.value == 4


def test_running_tells_names(executor):
    """Names are those of tasks that were given; none is left at the end."""
    with executor.open() as pool:
        assert pool.running() == []
        for k in range(3):
            pool.submit(Task(f"double {k}", double, {"x": k}))
        for _ in range(3):
            assert set(pool.running()) <= {"double 0", "double 1", "double 2"}
            pool.next()
        assert pool.running() == []


@pytest.mark.parametrize("name", executors.names())
def test_settings_round_trip_and_refuse_misspelling(name: str) -> None:
    """Default settings exist, read back to an equal record, and wrong ones are refused by name."""
    made = executors[name]()
    assert executors.parse(made.describe()) == made
    with pytest.raises(SettingError, match="unknown setting 'core'"):
        executors.parse({"name": name, "core": 1})
    with pytest.raises(SettingError, match=r"gpus.*whole number.*1\.5"):
        executors.parse({"name": name, "gpus": 1.5})
    with pytest.raises(SettingError, match="cores"):
        executors.parse({"name": name, "cores": 0})


def test_storage_is_recognised_in_what_libraries_say(tmp_path: Path) -> None:
    """NumPy, Polars, safetensors and PyTorch raise errors of their own when a disk is full or read-only."""
    from alphaloom.executors.attempt import failure_of

    said = {
        "storage": [
            OSError("1000000 requested and 25584 written"),
            RuntimeError("parquet: underlying IO error: No space left on device (os error 28)"),
            RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),
            PermissionError("Permission denied (os error 13): /x/b.parquet"),
        ],
        "error": [
            RuntimeError("No such file or directory (os error 2): /x/b.parquet"),
            FileNotFoundError(errno.ENOENT, "No such file", "x"),
            ValueError("5 rows requested and 3 known"),
        ],
    }
    for kind, errors in said.items():
        assert {failure_of(error).kind for error in errors} == {kind}


def test_another_executor_keeps_what_all_have():
    """Where results lie and what tasks need stays; what only the other one has goes."""
    given = {"name": "ray", "address": "127.0.0.1:6379", "cores": 4, "storage": "s3://bucket/study", "retries": 1}
    local = with_overrides(given, {"name": "local", "workers": 2})
    assert local == {"name": "local", "workers": 2, "cores": 4, "storage": "s3://bucket/study", "retries": 1}
    assert executors.parse(local).storage == "s3://bucket/study"
    assert with_overrides(given, {}) == given
    assert with_overrides({}, {"name": "local", "workers": 2}) == {"name": "local", "workers": 2}
