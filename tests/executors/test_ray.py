"""A real cluster of two nodes on this machine: where tasks run, and what is left of them when parts of it die."""

import os
import signal
import sys
import threading

import executor_driver
import pytest
from executor_tasks import (
    calls,
    counted,
    double,
    is_alive,
    kill_itself,
    on_node,
    surroundings,
    unfit_value,
    until,
)
from object_store import content_of, fetch_and_read, publish

from alphaloom.errors import MissingLibraryError, UsageError
from alphaloom.executors.base import Outcome, Task
from alphaloom.executors.ray import Ray

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]


def ended(pool, tasks: list[Task]) -> dict[str, Outcome]:
    """Return the outcomes by the tasks' names."""
    for task in tasks:
        pool.submit(task)
    outcomes = [pool.next() for _ in tasks]
    return {outcome.task.name: outcome for outcome in outcomes}


def test_tasks_run_on_all_nodes_with_their_threads(cluster, tmp_path):
    """Both nodes work, each in a process of its own; numeric libraries are told the task's cores."""
    tasks = [Task(f"t{k}", on_node, {"folder": tmp_path, "name": f"t{k}", "seconds": 0.5}) for k in range(6)]
    with Ray(address=cluster.address).open() as pool:
        assert pool.slots == 4
        outcomes = ended(pool, tasks)
        found = ended(pool, [Task("look", surroundings)])["look"].value
    assert {outcome.value for outcome in outcomes.values()} == {"127.0.0.2", "127.0.0.3"}
    assert len({outcome.place for outcome in outcomes.values()}) >= 2
    assert all(outcome.attempts == 1 for outcome in outcomes.values())
    assert set(found["threads"].values()) == {"1"}
    assert found["pid"] != os.getpid()


def test_a_killed_process_costs_its_own_task_an_attempt(cluster, tmp_path):
    """One that is killed once is done at the second attempt; one that always is, is lost; the others are done once."""
    tasks = [Task(f"t{k}", counted, {"folder": tmp_path, "name": f"t{k}"}) for k in range(5)]
    tasks.insert(1, Task("once", kill_itself, {"folder": tmp_path, "name": "once", "times": 1}))
    tasks.insert(4, Task("always", kill_itself, {"folder": tmp_path, "name": "always", "times": 99}))
    with Ray(address=cluster.address, retries=1).open() as pool:
        outcomes = ended(pool, tasks)
    once, always = outcomes.pop("once"), outcomes.pop("always")
    assert (once.value, once.failure, once.attempts) == (2, None, 2)
    assert always.failure is not None
    assert (always.failure.kind, always.attempts, calls(tmp_path, "always")) == ("lost", 2, 2)
    assert "process or its machine died" in always.failure.message
    assert {name: outcome.value for name, outcome in outcomes.items()} == {f"t{k}": f"t{k}" for k in range(5)}
    assert all(outcome.attempts == 1 and calls(tmp_path, name) == 1 for name, outcome in outcomes.items())


def test_a_dead_node_is_survived(cluster, tmp_path):
    """A node ends in the middle of its task: everything is done on what is left, the lost task by another attempt."""
    doomed = cluster.nodes[-1]
    tasks = [Task(f"t{k}", on_node, {"folder": tmp_path, "name": f"t{k}", "seconds": 1.0}) for k in range(6)]

    def strike() -> None:
        assert until(lambda: any(tmp_path.glob(f"*@{doomed.ip}.*")), 120)
        doomed.kill()

    killer = threading.Thread(target=strike)
    killer.start()
    with Ray(address=cluster.address).open() as pool:
        outcomes = ended(pool, tasks)
    killer.join()
    try:
        assert [outcome.failure for outcome in outcomes.values()] == [None] * 6
        assert 1 <= sum(outcome.attempts - 1 for outcome in outcomes.values()) <= 2
        assert all(outcome.value == "127.0.0.2" for outcome in outcomes.values() if outcome.attempts > 1)
    finally:
        cluster.add_node()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_tasks_end_with_their_driver_and_the_cluster_stays(cluster, tmp_path, number):
    """Ctrl-C returns to the terminal without a traceback; after either, the cluster serves the next driver."""
    driver = executor_driver.start(tmp_path, {"name": "ray", "address": cluster.address}, 600)
    try:
        assert until(lambda: len(executor_driver.noted(tmp_path)) == 2, 120)
        pids = executor_driver.noted(tmp_path)
        os.killpg(driver.pid, number)
        said, errors = driver.communicate(timeout=60)
    finally:
        driver.kill()
    assert until(lambda: not any(map(is_alive, pids)), 120)
    if number == signal.SIGINT:
        assert driver.returncode == 130
        assert said.endswith("interrupted\n"), said  # Ray itself prints news of the cluster there
        assert "Traceback" not in said + errors
    with Ray(address=cluster.address).open() as pool:
        assert ended(pool, [Task("after", double, {"x": 2})])["after"].value == 4


def test_drivers_share_a_cluster_without_mixing(cluster, tmp_path):
    """Two drivers at the same time: each gets its own results, and one's end does not end the other's tasks."""
    (tmp_path / "other").mkdir()
    other = executor_driver.start(tmp_path / "other", {"name": "ray", "address": cluster.address}, 0.2)
    with Ray(address=cluster.address).open() as pool:
        outcomes = ended(pool, [Task(f"t{k}", double, {"x": k, "seconds": 0.3}) for k in range(20)])
        assert [outcomes[f"t{k}"].value for k in range(20)] == [2 * k for k in range(20)]
        said, _ = other.communicate(timeout=120)
        assert (said, other.returncode) == ("['task-0', 'task-1']\n", 0)
        assert ended(pool, [Task("after", double, {"x": 2})])["after"].value == 4


def test_nodes_share_results_through_a_bucket(cluster, object_storage):
    """What a task published on one machine is what another one fetches."""
    files = {name: {"model.bin": name.encode() * 1000, "parts/x": b"1"} for name in ("a", "b", "c")}
    with Ray(address=cluster.address).open() as pool:
        done = ended(
            pool,
            [Task(name, publish, {"storage": object_storage, "name": name, "files": files[name]}) for name in files],
        )
        read = ended(pool, [Task(name, fetch_and_read, {"storage": object_storage, "name": name}) for name in files])
    assert [outcome.failure for outcome in done.values()] == [None] * 3
    assert {name: outcome.value for name, outcome in read.items()} == files
    assert content_of(object_storage.fetch("a")) == files["a"]


def test_a_connection_that_was_there_is_kept(cluster, monkeypatch):
    """In a notebook that joined the cluster before, leaving the pool leaves the connection; `auto` finds a cluster."""
    import ray

    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    with Ray(address="auto").open() as pool:
        assert ended(pool, [Task("one", double, {"x": 1})])["one"].value == 2
    assert not ray.is_initialized()
    ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
    try:
        with Ray().open() as pool:
            assert pool.slots == 4
            pool.submit(Task("left behind", double, {"x": 1, "seconds": 600}))
        assert ray.is_initialized()
        with Ray(slots=1).open() as pool:
            assert pool.slots == 1
            assert len(ended(pool, [Task(f"{k}", double, {"x": 1}) for k in range(5)])) == 5
    finally:
        ray.shutdown()


def test_what_cannot_travel_is_refused(cluster):
    """Arguments and values that cannot be pickled: one attempt, and the reason."""
    tasks = [Task("argument", double, {"x": threading.Lock()}), Task("value", unfit_value)]
    with Ray(address=cluster.address).open() as pool:
        outcomes = ended(pool, tasks)
    for outcome in outcomes.values():
        assert outcome.failure is not None
        assert (outcome.failure.kind, outcome.attempts) == ("refused", 1)
        assert "lock" in outcome.failure.message


@pytest.mark.parametrize(
    ("settings", "asked"),
    [({"cores": 3}, "3 cores"), ({"gpus": 0.5}, r"0\.5 GPUs"), ({"memory": 4000}, "4000 GB")],
)
def test_what_no_node_has_is_told(cluster, settings, asked):
    """With what the machines have; unless machines may be added, which `slots` says."""
    message = rf"{asked}.*no machine.*127\.0\.0\.2: 1 cores, 0 GPUs.*executor\.slots"
    with pytest.raises(UsageError, match=message), Ray(address=cluster.address, **settings).open():
        pass
    with Ray(address=cluster.address, slots=7, **settings).open() as pool:
        assert pool.slots == 7


def test_a_wrong_token_is_told(cluster, tmp_path, monkeypatch):
    """With what to set, on this machine."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 32)
    monkeypatch.setenv("RAY_NUM_REDIS_GET_RETRIES", "2")  # of 20
    driver = executor_driver.start(tmp_path, {"name": "ray", "address": cluster.address}, 0)
    said, errors = driver.communicate(timeout=120)
    assert driver.returncode == 2, errors
    assert f"the cluster at {cluster.address} cannot be joined" in said
    assert "RAY_AUTH_MODE=token" in said


def test_a_ray_of_its_own_is_started_and_ended(tmp_path):
    """Without an address: it starts for the tasks' time, and no process of it is left."""
    driver = executor_driver.start(tmp_path, {"name": "ray"}, 1)
    said, errors = driver.communicate(timeout=300)
    assert (said, driver.returncode) == ("['task-0', 'task-1']\n", 0), errors
    assert "Traceback" not in errors
    assert until(lambda: not any(map(is_alive, executor_driver.noted(tmp_path))))


@pytest.mark.parametrize("address", ["127.0.0.2:1", "no-such-host.invalid:6379", "127.0.0.2:port"])
def test_an_address_where_nothing_answers_is_told(address):
    """At once, and before Ray looks for it."""
    with (
        pytest.raises(UsageError, match=rf"nothing answers at {address}.*ray start --head"),
        Ray(address=address).open(),
    ):
        pass


def test_a_missing_library_is_told(monkeypatch):
    """With how to install it."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'alphaloom\[ray\]'"), Ray().open():
        pass
