"""The process of a job, for real: it runs a recipe, tells how it fails, stops when interrupted and goes on."""

import os
import signal
import time

import polars as pl
import pytest

from alphaloom.recipe import parse_recipe
from alphaloom.run_store.index import RunStore
from alphaloom.web.jobs import Jobs

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("end_to_end")]
ENDS = {"done", "stopped", "failed"}


@pytest.fixture(scope="module")
def queue(tmp_path_factory, market):
    """Return a queue of real jobs with room for three."""
    root = tmp_path_factory.mktemp("jobs") / "runs"
    root.mkdir()
    return Jobs(root, {"market": market}, 3)


def ended(queue, job, seconds=300):
    """Return a job once it has ended."""
    deadline = time.monotonic() + seconds
    while queue.get(job.id).status not in ENDS:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return queue.get(job.id)


def test_jobs_run_fail_stop_and_resume(queue, recipe_text):
    """A stopped and resumed job ends with the scores of an undisturbed one; a failed one says why."""
    recipe = parse_recipe(recipe_text, "tiny")
    late = parse_recipe(recipe_text, "tiny", overrides=["data.start=2050-01-01"])
    whole, halted = (queue.add(recipe, "market", name, 1) for name in ("whole", "halted"))
    failing = queue.add(late, "market", "failing", 1)
    queue.launch()
    deadline = time.monotonic() + 200
    while queue.get(halted.id).stage in {"", "loading libraries", "market data"}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert queue.stop(halted.id).status in {"running", "stopped"}
    assert ended(queue, halted).status == "stopped"
    assert "What is finished is kept" in queue.output(halted.id)
    told = ended(queue, failing)
    assert told.status == "failed"
    assert "after the last trading day" in told.message
    assert ended(queue, whole).status == "done"
    assert queue.get(whole.id).stage == "done"
    queue.resume(halted.id)
    queue.launch()
    assert ended(queue, halted).status == "done"
    scores = [pl.read_parquet(queue.runs / name / "scores.parquet") for name in ("whole", "halted")]
    assert scores[0].equals(scores[1])
    assert [row.name for row in RunStore(queue.runs).rows() if row.status == "done"] == ["halted", "whole"]


def test_a_job_started_where_interrupts_are_ignored_can_be_stopped(queue, recipe_text):
    """A server in the background hands on an ignored SIGINT; its jobs heed one all the same."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        job = queue.add(parse_recipe(recipe_text, "tiny", overrides=["seed=99"]), "market", "background", 1)
        queue.launch()
    finally:
        signal.signal(signal.SIGINT, before)
    file = queue.folder / job.id / "progress.jsonl"
    deadline = time.monotonic() + 100
    while not file.is_file():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    queue.stop(job.id)
    assert ended(queue, job).status == "stopped"
    assert os.getpid() != int((queue.folder / job.id / "pid").read_text())
