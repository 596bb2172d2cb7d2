"""Worker processes: killed ones cost their own task an attempt, and none outlives its driver."""

import os
import signal
import subprocess
import sys

import executor_driver
import pytest
from executor_tasks import (
    calls,
    counted,
    double,
    exit_at_once,
    is_alive,
    kill_itself,
    surroundings,
    unfit_value,
    until,
    wait_with_child,
)

from alphaloom.errors import RunError, UsageError
from alphaloom.executors import machine
from alphaloom.executors.base import Failure, Outcome, Task
from alphaloom.executors.local import Local


def ended(pool, tasks: list[Task]) -> dict[str, Outcome]:
    """Return the outcomes by the tasks' names."""
    for task in tasks:
        pool.submit(task)
    outcomes = [pool.next() for _ in tasks]
    return {outcome.task.name: outcome for outcome in outcomes}


def test_a_killed_worker_loses_nothing(tmp_path):
    """A task whose process is killed once is done at its second attempt; all others are done once, in one attempt."""
    tasks = [Task(f"t{k}", counted, {"folder": tmp_path, "name": f"t{k}", "seconds": 0.1}) for k in range(8)]
    tasks.insert(3, Task("guilty", kill_itself, {"folder": tmp_path, "name": "guilty", "times": 1}))
    with Local(workers=2).open() as pool:
        outcomes = ended(pool, tasks)
    guilty = outcomes.pop("guilty")
    assert (guilty.value, guilty.failure, guilty.attempts) == (2, None, 2)
    assert {name: outcome.value for name, outcome in outcomes.items()} == {f"t{k}": f"t{k}" for k in range(8)}
    assert {outcome.attempts for outcome in outcomes.values()} == {1}
    assert {calls(tmp_path, f"t{k}") for k in range(8)} == {1}


def test_a_task_that_always_kills_its_process_is_reported_as_lost(tmp_path):
    """With the signal, what to do, and what its process printed last; the others are done once."""
    tasks = [Task(f"t{k}", counted, {"folder": tmp_path, "name": f"t{k}", "seconds": 0.05}) for k in range(6)]
    tasks.insert(2, Task("guilty", kill_itself, {"folder": tmp_path, "name": "guilty", "times": 99}))
    with Local(workers=2, retries=1).open() as pool:
        outcomes = ended(pool, tasks)
    guilty = outcomes.pop("guilty")
    assert guilty.failure is not None
    assert guilty.failure.kind == "lost"
    assert "killed by signal 9" in guilty.failure.message
    assert "executor.memory" in guilty.failure.message
    assert guilty.failure.log.splitlines() == ["The last lines that its process printed:", "guilty: call 2"]
    assert (guilty.attempts, calls(tmp_path, "guilty")) == (2, 2)
    assert all(outcome.failure is None and outcome.attempts == 1 for outcome in outcomes.values())
    assert {calls(tmp_path, f"t{k}") for k in range(6)} == {1}


def test_a_crash_leaves_where_it_happened(tmp_path):
    """A process that ends by a fault of the machine code leaves Python's stack in the log."""
    task = Task("crash", kill_itself, {"folder": tmp_path, "name": "crash", "times": 9, "number": signal.SIGSEGV})
    with Local(workers=1, retries=0).open() as pool:
        failure = ended(pool, [task])["crash"].failure
    assert failure is not None
    assert "signal 11" in failure.message
    assert "Fatal Python error: Segmentation fault" in failure.log
    assert "in kill_itself" in failure.log


def test_a_process_that_exits_by_itself_is_told():
    """`os._exit` runs no handler; the next task gets a fresh process."""
    with Local(workers=1, retries=0).open() as pool:
        outcomes = ended(pool, [Task("exit", exit_at_once, {"code": 3}), Task("after", double, {"x": 2})])
    failure = outcomes["exit"].failure
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.log) == ("lost", "It printed nothing.")
    assert "exit code 3" in failure.message
    assert outcomes["after"].value == 4


def test_a_worker_keeps_its_process_and_its_threads():
    """One process for all tasks of a worker; numeric libraries are told its cores before they are imported."""
    with Local(workers=1, cores=3).open() as pool:
        found = [outcome.value for outcome in ended(pool, [Task(f"{k}", surroundings) for k in range(3)]).values()]
    assert len({one["pid"] for one in found} | {os.getpid()}) == 2
    assert all(set(one["threads"].values()) == {"3"} for one in found)
    assert not any(one["numpy"] for one in found)


@pytest.mark.parametrize(
    ("gpus", "workers", "visible", "shares"),
    [
        (1, None, "4,5,7", ["4", "5", "7"]),
        (0.5, None, "0,1", ["0", "1", "0", "1"]),
        (0.3, None, "0,1", ["0", "1", "0", "1", "0", "1"]),
        (2, None, "0,1,2,3,4", ["0,1", "2,3"]),
        (1, 2, "0,1,2", ["0", "1"]),
        (0, 2, "0,1,2", [None, None]),
    ],
)
def test_workers_have_gpus_of_their_own(monkeypatch, gpus, workers, visible, shares):
    """No GPU is given to more workers than its parts allow, and none that the driver may not use."""
    monkeypatch.setattr(machine, "gpu_devices", lambda: visible.split(","))
    monkeypatch.setattr(machine, "cores", lambda: 64)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    executor = Local(gpus=gpus, workers=workers)
    with executor.open() as pool:
        assert pool.slots == len(shares)
    own = executor._gpu_shares(visible.split(",") if gpus else [])
    assert [own[k % len(own)].get("CUDA_VISIBLE_DEVICES") for k in range(len(shares))] == shares


def test_a_worker_sees_its_gpu(monkeypatch):
    """The share reaches the process."""
    monkeypatch.setattr(machine, "gpu_devices", lambda: ["6"])
    with Local(gpus=0.5, workers=1).open() as pool:
        assert ended(pool, [Task("look", surroundings)])["look"].value["gpus"] == "6"


@pytest.mark.parametrize(
    ("settings", "slots"),
    [
        ({}, 8),
        ({"cores": 3}, 2),
        ({"memory": 5}, 3),
        ({"cores": 2, "memory": 1}, 4),
        ({"workers": 11, "cores": 4, "memory": 9}, 11),
    ],
)
def test_as_many_workers_as_the_machine_has_room_for(monkeypatch, settings, slots):
    """Cores and memory limit them, unless their number is set."""
    monkeypatch.setattr(machine, "cores", lambda: 8)
    monkeypatch.setattr(machine, "memory_gb", lambda: 16.0)
    with Local(**settings).open() as pool:
        assert pool.slots == slots


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cores": 9}, r"executor\.cores 9, but this machine has 8 cores.*executor\.workers"),
        ({"memory": 17}, r"executor\.memory 17, but this machine has 16 GB"),
        ({"gpus": 3}, r"executor\.gpus 3 .*enough for 0"),
        ({"gpus": 1, "workers": 3}, r"3 workers with executor\.gpus 1 .*enough for 2"),
    ],
)
def test_what_the_machine_lacks_is_told(monkeypatch, settings, message):
    """Before anything starts, with the setting to change."""
    monkeypatch.setattr(machine, "cores", lambda: 8)
    monkeypatch.setattr(machine, "memory_gb", lambda: 16.0)
    monkeypatch.setattr(machine, "gpu_devices", lambda: ["0", "1"])
    with pytest.raises(UsageError, match=message), Local(**settings).open():
        pass


def test_what_cannot_travel_is_refused(tmp_path):
    """A function that is none of a module, and a value that cannot be pickled: one attempt, and the reason."""
    tasks = [Task("function", lambda: 1), Task("value", unfit_value), Task("after", double, {"x": 1})]
    with Local(workers=1).open() as pool:
        outcomes = ended(pool, tasks)
    for name in ("function", "value"):
        failure = outcomes[name].failure
        assert failure is not None
        assert (failure.kind, outcomes[name].attempts) == ("refused", 1)
        assert "pickle" in failure.message
    assert outcomes["after"].value == 2


def test_workers_that_cannot_start_are_told(monkeypatch):
    """A broken environment ends the work with what Python said, instead of losing every task."""
    monkeypatch.setattr(sys, "path", [])
    with Local(workers=1).open() as pool:
        pool.submit(Task("any", double, {"x": 1}))
        with pytest.raises(RunError, match=r"(?s)exit code 1 at its start.*ModuleNotFoundError"):
            pool.next()


def test_leaving_ends_workers_and_their_children(tmp_path):
    """At once, in the middle of a task, whatever it started."""
    with Local(workers=2).open() as pool:
        for k in range(2):
            pool.submit(Task(f"task-{k}", wait_with_child, {"folder": tmp_path, "name": f"task-{k}"}))
        assert until(lambda: len(executor_driver.noted(tmp_path)) == 4)
        pids = executor_driver.noted(tmp_path)
        assert sorted(pool.running()) == ["task-0", "task-1"]
        assert all(map(is_alive, pids))
    assert until(lambda: not any(map(is_alive, pids)))


@pytest.fixture
def driver(tmp_path):
    """A driver with two tasks that never end, both begun."""
    process = executor_driver.start(tmp_path, {"name": "local", "workers": 2})
    assert until(lambda: len(executor_driver.noted(tmp_path)) == 4)
    yield process
    process.kill()
    process.communicate()


def test_no_process_outlives_a_killed_driver(driver, tmp_path):
    """SIGKILL leaves the driver no last word; workers and their children end all the same."""
    pids = executor_driver.noted(tmp_path)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    assert until(lambda: not any(map(is_alive, pids)))


def test_control_c_returns_to_the_terminal(driver, tmp_path):
    """SIGINT to the terminal's process group: the driver ends soon, workers with it, and no traceback is printed."""
    pids = executor_driver.noted(tmp_path)
    os.killpg(driver.pid, signal.SIGINT)
    said, errors = driver.communicate(timeout=60)
    assert (driver.returncode, said, errors) == (130, "interrupted\n", "")
    assert until(lambda: not any(map(is_alive, pids)))


def test_a_script_needs_no_guard(tmp_path):
    """Workers do not run the main script again, so it needs no `if __name__ == "__main__"`."""
    script = tmp_path / "script.py"
    script.write_text(
        "from executor_tasks import double\n"
        "from alphaloom.executors import Task, executors\n"
        "with executors.parse({'name': 'local', 'workers': 1}).open() as pool:\n"
        "    pool.submit(Task('double', double, {'x': 21}))\n"
        "    print(pool.next().value)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("42\n", "")
