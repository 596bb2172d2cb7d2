"""The queue of jobs: on disk, one process each, told from outside by a lock."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from alphaloom.errors import UnknownNameError, UsageError
from alphaloom.recipe import parse_recipe
from alphaloom.web import jobs as jobs_module
from alphaloom.web.jobs import FOLDER, INTERRUPTED, Jobs, write_end

SLEEPER = """
import signal, sys, time
from pathlib import Path
home = Path(sys.argv[1])
(home / "pid").write_text(str(__import__("os").getpid()))
{handler}
try:
    time.sleep({seconds})
    code = 0
except KeyboardInterrupt:
    code = 130
(home / "end.json").write_text('{{"code": %d, "message": "", "time": "2030-01-01T00:00:00+00:00"}}' % code)
"""


@pytest.fixture
def recipe(recipe_text):
    """Return a small recipe."""
    return parse_recipe(recipe_text, "tiny")


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """Return a queue whose processes sleep instead of training; they are ended after the test."""
    made = []

    def make(seconds=60, handler="signal.signal(signal.SIGINT, signal.default_int_handler)", at_once=1):
        class Sleeping(subprocess.Popen):
            def __init__(self, words, **kwargs):
                code = SLEEPER.format(handler=handler, seconds=seconds)
                super().__init__([sys.executable, "-c", code, words[3]], **kwargs)
                made.append(self)

        monkeypatch.setattr(jobs_module.subprocess, "Popen", Sleeping)
        (tmp_path / "runs").mkdir(exist_ok=True)
        return Jobs(tmp_path / "runs", {"market": tmp_path}, at_once)

    yield make
    for process in made:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(condition, seconds=20):
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def begun(queue, job):
    """Wait until a job's process has said who it is."""
    until(lambda: (queue.folder / job.id / "pid").is_file() and (queue.folder / job.id / "pid").read_text())


def test_jobs_wait_for_a_place(queue, recipe):
    """With one place the second job waits until the first is over."""
    line = queue()
    first, second = (line.add(recipe, "market", name, 1) for name in ("a", "b"))
    assert [job.status for job in line.all()] == ["queued", "queued"]
    line.launch()
    line.launch()
    assert (line.get(first.id).status, line.get(second.id).status) == ("running", "queued")
    begun(line, first)
    line.stop(first.id)
    until(lambda: line.get(first.id).status == "stopped")
    line.launch()
    assert line.get(second.id).status == "running"


def test_a_job_outlives_its_server(queue, recipe):
    """Another server over the same folder sees the job run, keeps its place, and can stop it."""
    line = queue()
    job = line.add(recipe, "market", "a", 1)
    line.launch()
    begun(line, job)
    later = Jobs(line.runs, line.stores, 1)
    waiting = later.add(recipe, "market", "b", 1)
    later.launch()
    assert (later.get(job.id).status, later.get(waiting.id).status) == ("running", "queued")
    later.stop(job.id)
    until(lambda: later.get(job.id).status == "stopped")
    with pytest.raises(UsageError, match="nothing to stop"):
        later.stop(job.id)


def test_a_stopped_job_can_go_on(queue, recipe):
    """Resuming queues the same job again, with the same run."""
    line = queue(seconds=0.2)
    job = line.add(recipe, "market", "a", 1)
    assert line.stop(job.id).status == "stopped"
    line.launch()
    assert line.get(job.id).status == "stopped"
    resumed = line.resume(job.id)
    assert (resumed.status, resumed.run) == ("queued", "a")
    line.launch()
    until(lambda: line.get(job.id).status == "done")
    with pytest.raises(UsageError, match="nothing to resume"):
        line.resume(job.id)


def test_a_job_that_does_not_heed_is_killed_by_a_second_stop(queue, recipe, monkeypatch):
    """And one that dies without a word is told as failed."""
    monkeypatch.setattr(jobs_module, "INSIST_SECONDS", 0.1)
    line = queue(handler="signal.signal(signal.SIGINT, signal.SIG_IGN)")
    job = line.add(recipe, "market", "a", 1)
    line.launch()
    begun(line, job)
    line.stop(job.id)
    time.sleep(0.3)
    assert line.get(job.id).status == "running"
    line.stop(job.id)
    until(lambda: line.get(job.id).status == "failed")
    assert "killed" in line.get(job.id).message


def test_progress_output_and_the_end_are_told(queue, recipe):
    """The last whole line of progress counts; a half-written one does not."""
    line = queue()
    job = line.add(recipe, "market", "a", 1)
    home = line.runs / FOLDER / job.id
    write_end(home, 1, "It failed.")
    lines = [json.dumps({"stage": name, "done": k, "total": 9}) for k, name in enumerate("xyz")]
    (home / "progress.jsonl").write_text("\n".join([*lines, '{"stage": "half']))
    (home / "output.txt").write_bytes(b"\xff" + b"printed" * 10_000)
    told = line.get(job.id)
    assert (told.status, told.message, told.stage, told.done) == ("failed", "It failed.", "z", 2)
    assert line.output(job.id).endswith("printed")
    assert len(line.output(job.id)) <= 20_000
    write_end(home, INTERRUPTED, "")
    assert line.get(job.id).status == "stopped"


def test_a_damaged_job_does_not_hide_the_others(queue, recipe):
    """It is told as failed, and the queue goes on."""
    line = queue(seconds=0.1)
    damaged, sound = (line.add(recipe, "market", name, 1) for name in "ab")
    (line.folder / damaged.id / "job.json").write_text("{")
    assert {job.id: job.status for job in line.all()} == {damaged.id: "failed", sound.id: "queued"}
    assert "cannot be read" in line.get(damaged.id).message
    line.launch()
    until(lambda: line.get(sound.id).status == "done")


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "-x", "a b", "x" * 81, "<script>", "a\n", "a\x00"])
def test_names_that_no_run_may_have(queue, recipe, name):
    """A name is one plain folder."""
    with pytest.raises(UsageError, match="cannot name a run"):
        queue().add(recipe, "market", name, 1)


def test_what_cannot_be_queued(queue, recipe):
    """Unknown stores, names in use, unknown jobs."""
    line = queue()
    with pytest.raises(UnknownNameError, match="no store"):
        line.add(recipe, "other", "a", 1)
    line.add(recipe, "market", "a", 1)
    with pytest.raises(UsageError, match="already"):
        line.add(recipe, "market", "a", 1)
    (line.runs / "b").mkdir()
    with pytest.raises(UsageError, match="already"):
        line.add(recipe, "market", "b", 1)
    for wrong in ("none", "..", "../../x", "20260101-000000-000000"):
        with pytest.raises(UnknownNameError):
            line.get(wrong)
