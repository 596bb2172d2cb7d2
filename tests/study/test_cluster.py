"""One study of 24 tasks on a two-node Ray cluster, in a folder and in a bucket: the same scores as locally."""

import os
import signal
import subprocess
import sys
import time

import polars as pl
import pytest
import yaml
from object_store import new_bucket, s3_server
from polars.testing import assert_frame_equal
from small_study import RECIPE

from alphaloom.data.store import Store
from alphaloom.study.run import run_study
from alphaloom.study.settings import StudySettings

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]

AXES = {"seed": [1, 2, 3], "models.0.num_leaves": [4, 8]}
TASKS = 24
"""3 seeds x 2 sizes x 2 windows x 2 models."""
MODELS = [RECIPE["models"][0], {"name": "gru", "steps": 3, "hidden": 8, "optimisation": {"epochs": 3}}]
TWO_MODELS = RECIPE | {"models": MODELS}


def settings(executor):
    """Return the study on an executor."""
    given = {"name": "24", "recipe": "r.yaml", "axes": AXES, "replicate": "seed", "executor": executor}
    return StudySettings.parse(given)


@pytest.fixture(scope="module")
def local(market, tmp_path_factory):
    """Return the folder of the study, run by two processes of this machine."""
    out = tmp_path_factory.mktemp("local") / "study"
    run_study(settings({"name": "local", "workers": 2}), TWO_MODELS, Store(market), out, threads=1)
    assert len(list(out.rglob("task.json"))) == TASKS
    return out


def same_scores(mine, theirs):
    """Compare all scores of two studies, bit for bit."""
    files = sorted(file.relative_to(theirs) for file in theirs.rglob("scores.parquet"))
    assert len(files) == TASKS + 6
    for file in files:
        assert_frame_equal(pl.read_parquet(mine / file), pl.read_parquet(theirs / file), check_exact=True)


def finished(out):
    """Return the finished tasks and when their results were written."""
    return {f.relative_to(out): f.stat().st_mtime_ns for f in out.rglob("task.json") if "partial" not in str(f)}


def start(out, folder, market, cluster):
    """Return a driver of the study on the cluster, a process of its own."""
    (folder / "r.yaml").write_text(yaml.safe_dump(TWO_MODELS))
    executor = {"name": "ray", "address": cluster.address}
    study = settings(executor).dump() | {"recipe": "r.yaml"}
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    words = ["study", str(folder / "study.yaml"), str(market), "--out", str(out), "--json", "--threads", "1"]
    if out.exists():
        words = ["resume", str(out), str(market), "--json", "--threads", "1"]
    with (folder / f"driver-{time.monotonic_ns()}.log").open("w") as log:
        return subprocess.Popen([sys.executable, "-m", "alphaloom", *words], stdout=log, stderr=subprocess.STDOUT)


def until(found, process, seconds=240):
    """Wait until something holds, or the driver ends."""
    ends = time.monotonic() + seconds
    while not found() and process.poll() is None and time.monotonic() < ends:
        time.sleep(0.05)


def test_a_worker_and_then_the_driver_are_killed(local, cluster, market, tmp_path):
    """No finished task is lost or made twice; resuming ends with the scores of the local study."""
    out = tmp_path / "study"
    process = start(out, tmp_path, market, cluster)
    until(lambda: len(finished(out)) >= 3, process)
    at_work = [pid for node in cluster.nodes for pid in node.pids("ray::") if "IDLE" not in command_of(pid)]
    workers = [pid for pid in at_work if "run_" in command_of(pid) or "attempt" in command_of(pid)] or at_work
    os.kill(workers[0], signal.SIGKILL)
    count = len(finished(out))
    until(lambda: len(finished(out)) >= count + 4, process)
    process.kill()
    process.wait()
    time.sleep(2)
    before = finished(out)
    logs = "".join(file.read_text() for file in tmp_path.glob("driver-*.log"))
    assert 7 <= len(before) < TASKS, logs
    process = start(out, tmp_path, market, cluster)
    assert process.wait(timeout=400) == 0, "".join(file.read_text() for file in tmp_path.glob("driver-*.log"))
    after = finished(out)
    assert {name: after[name] for name in before} == before
    assert len(after) == TASKS
    same_scores(out, local)


def command_of(pid):
    """Return a process's title; empty when it has ended."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def test_results_in_a_bucket(local, cluster, market, tmp_path, monkeypatch):
    """Inputs and results go through object storage; what comes home is the same, and so are the scores."""
    with s3_server() as server:
        bucket = new_bucket(server)
        monkeypatch.setenv("ALPHALOOM_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        executor = {
            "name": "local",
            "workers": 2,
            "storage": f"s3://{bucket}/study",
            "storage_options": {"endpoint_url": server},
        }
        run_study(settings(executor), TWO_MODELS, Store(market), tmp_path / "study", threads=1)
        same_scores(tmp_path / "study", local)
        before = finished(tmp_path / "study")
        run_study(settings(executor), TWO_MODELS, Store(market), tmp_path / "study", threads=1)
        assert set(finished(tmp_path / "study")) == set(before)
