"""Studies on a small market: what they leave, that they go on, and that failures stay with their run."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal
from small_study import RECIPE, TUNING
from typer.testing import CliRunner

from alphaloom.cli import app
from alphaloom.data.store import Store
from alphaloom.errors import UsageError
from alphaloom.pipeline import run
from alphaloom.recipe import Recipe
from alphaloom.study.run import resume_study, run_study
from alphaloom.study.settings import StudySettings

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("study")]

AXES = {
    "windows.mode": ["rolling", "expanding"],
    "tuning": {"defaults": {}, "tuned": {"tuning": TUNING}},
}


def study(out, market, *, executor=None, recipe=RECIPE, **settings):
    """Run a study of two workers."""
    given = {"name": "small", "recipe": "tiny", "executor": executor or {"name": "local", "workers": 2}}
    parsed = StudySettings.parse(given | ({"axes": AXES} | settings))
    return run_study(parsed, recipe, Store(market), out, threads=1)


@pytest.fixture(scope="module")
def finished(market, tmp_path_factory):
    """Return the folder of a finished study, and its report."""
    out = tmp_path_factory.mktemp("study") / "study"
    return out, study(out, market)


def test_each_point_is_the_run_that_it_would_be_alone(finished, market, tmp_path):
    """Shared inputs, shared candidates and two workers change no number, tuned or not."""
    out, report = finished
    assert [point.failure for point in report.points] == [None] * 4
    for mode in ("rolling", "expanding"):
        for name, tuning in (("defaults", None), ("tuned", TUNING)):
            data = RECIPE | {"windows": RECIPE["windows"] | {"mode": mode}, "tuning": tuning}
            run(Recipe.parse(data), Store(market), tmp_path / mode / name, threads=1)
            alone = pl.read_parquet(tmp_path / mode / name / "scores.parquet")
            point = out / "points" / f"mode_{mode},_tuning_{name}"
            assert_frame_equal(pl.read_parquet(point / "scores.parquet"), alone, check_exact=True)


def test_what_a_study_leaves(finished):
    """Tables, page, runs; nothing that only fits needed."""
    out, report = finished
    table = pl.read_parquet(out / "study.parquet")
    assert table.height == 4
    assert table["rank_ic"].is_not_null().all()
    assert (out / "report.html").stat().st_size > 10_000
    assert json.loads((out / "metrics.json").read_text())
    assert not (out / "inputs").exists()
    assert not (out / "shared").exists()
    assert not (out / "failed").exists()
    events = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    fitted = {(event["run"], event["window"]) for event in events if event["event"] == "task"}
    assert {run for run, _ in fitted} == {folder.relative_to(out).as_posix() for folder in out.glob("points/*/models")}
    assert len(fitted) == len(list(out.glob("points/*/models/*/*/task.json")))
    assert any(event["event"] == "candidate" for event in events)
    effects = pl.read_parquet(out / "effects.parquet")
    assert {"mode", "tuning"} <= set(effects["axis"])
    assert report.baseline == "mode rolling, tuning defaults"


def test_results_may_lie_in_another_folder(finished, market, tmp_path):
    """Workers leave them there; what comes home is whole, and is what it would be."""
    out, _ = finished
    executor = {"name": "local", "workers": 2, "storage": str(tmp_path / "elsewhere")}
    study(tmp_path / "out", market, executor=executor, axes={"windows.mode": ["rolling", "expanding"]})
    for mode in ("rolling", "expanding"):
        here, there = tmp_path / "out" / "points" / f"mode_{mode}", out / "points" / f"mode_{mode},_tuning_defaults"
        ours, theirs = (pl.read_parquet(folder / "scores.parquet") for folder in (here, there))
        assert_frame_equal(ours, theirs, check_exact=True)
        fits = {file.relative_to(there) for file in there.rglob("task.json")}
        assert fits == {file.relative_to(here) for file in here.rglob("task.json")}
        assert not list(here.rglob("*.partial"))


def test_runs_that_look_further_back_have_inputs_of_their_own(market, tmp_path):
    """Points whose models read more days do not take the others' arrays: each is the run that it would be alone."""
    gru = {"name": "gru", "steps": 2, "hidden": 4, "optimisation": {"epochs": 1, "days_per_step": 8}}
    recipe = RECIPE | {"models": [gru]}
    study(tmp_path / "out", market, recipe=recipe, axes={"models.0.steps": [2, 12]})
    for steps in (2, 12):
        data = RECIPE | {"models": [gru | {"steps": steps}]}
        run(Recipe.parse(data), Store(market), tmp_path / f"alone-{steps}", threads=1)
        alone = pl.read_parquet(tmp_path / f"alone-{steps}" / "scores.parquet")
        (point,) = (tmp_path / "out" / "points").glob(f"*_{steps}")
        assert_frame_equal(pl.read_parquet(point / "scores.parquet"), alone, check_exact=True)


def test_a_finished_study_is_only_read(finished, market):
    """No fit is made again, no run's results are written again."""
    out, _ = finished
    before = {file: file.stat().st_mtime_ns for file in out.rglob("scores.parquet")}
    resume_study(out, Store(market), {}, threads=1)
    assert {file: file.stat().st_mtime_ns for file in out.rglob("scores.parquet")} == before


def test_another_study_is_refused(finished, market):
    """The folder's study is named."""
    out, _ = finished
    with pytest.raises(UsageError, match="another study"):
        study(out, market, axes={"seed": [1, 2]})
    with pytest.raises(UsageError, match="holds no study"):
        resume_study(out / "points", Store(market), {})


def test_a_run_that_fails_leaves_the_others_alone(market, tmp_path):
    """Its reason stands in the table and on the page, its log in a file; the exit code is 1; resuming tries again."""
    broken = {"models.0": {"name": "gru", "steps": 2, "hidden": 4, "optimisation": {"lr": 1.0, "clip": "none"}}}
    axes = {"model": {"trees": {}, "gone": {**broken, "models.0.loss": "gaussian"}}}
    with pytest.raises(Exception, match="gaussian"):
        study(tmp_path / "refused", market, axes=axes)  # a recipe that cannot be is refused before any work
    axes = {"model": {"trees": {}, "strict": {"tuning": TUNING | {"folds": 45}}}}
    file = tmp_path / "study.yaml"
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(RECIPE))
    file.write_text(yaml.safe_dump({"recipe": "r.yaml", "axes": axes}))
    result = CliRunner().invoke(app, ["study", str(file), str(market), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1, result.output
    assert "model strict failed" in result.output
    table = pl.read_parquet(tmp_path / "out" / "study.parquet")
    assert table.filter(pl.col("rank_ic").is_not_null()).height == 1
    logs = list((tmp_path / "out" / "failed").glob("*.log"))
    assert logs
    assert "of 45 has no validation date" in logs[0].read_text()
    assert "strict" in (tmp_path / "out" / "report.html").read_text()


def command(out, file, market, **more):
    """Return a running `alphaloom study`."""
    words = [sys.executable, "-m", "alphaloom", "study", str(file), str(market), "--out", str(out)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)


def tasks(out):
    """Return the tasks finished, with the time of their results."""
    files = [*Path(out).rglob("task.json"), *Path(out).rglob("candidates/*.json")]
    return {file.relative_to(out): file.stat().st_mtime_ns for file in files if "partial" not in str(file)}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_study_goes_on(how, finished, market, tmp_path):
    """Finished tasks stay as they were, none is made twice, and the end is that of the study that ran through."""
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(RECIPE))
    given = {"name": "small", "recipe": "r.yaml", "axes": AXES, "executor": {"name": "local", "workers": 2}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(given, sort_keys=False))
    out = tmp_path / "out"
    process = command(out, tmp_path / "study.yaml", market)
    deadline = time.monotonic() + 240
    while len(tasks(out)) < 6 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    os.kill(process.pid, how)
    said = process.communicate(timeout=60)[0]
    before = tasks(out)
    assert 6 <= len(before) < len(tasks(finished[0])), said
    if how == signal.SIGINT:
        assert process.returncode == 130, said
        assert "goes on from there" in said
    done = CliRunner().invoke(app, ["resume", str(out), str(market), "--workers", "1", "--json"])
    assert done.exit_code == 0, done.output
    after = tasks(out)
    assert {name: after[name] for name in before} == before
    assert set(after) == set(tasks(finished[0]))
    for file in finished[0].rglob("points/*/scores.parquet"):
        mine = pl.read_parquet(out / file.relative_to(finished[0]))
        assert_frame_equal(mine, pl.read_parquet(file), check_exact=True)
