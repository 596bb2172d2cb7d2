"""The table as a whole: what is measured again, what a failed or killed cell leaves, what is refused."""

import json
import os
import signal
import sys

import pytest

from alphaloom.bench import train as train_module
from alphaloom.bench.grid import Grid, base_model, cells
from alphaloom.bench.page import speed_markdown, speed_page, write_speeds
from alphaloom.bench.sources import Synthetic
from alphaloom.bench.train import Job, measure_speeds, run_cell
from alphaloom.errors import RunError, UsageError
from alphaloom.report.page import render

FACTS = {
    "batches": 2, "epoch_rows": 16, "loader_s": 0.01, "parameters": 5, "ran_in": "float32", "warmup_s": 0.1,
    "resident_mb": 50.0, "fit_mb": 5.0, "load_1min": 1.0,
}  # fmt: skip


def job(rows=(24, 32), *, repeats=2, threads=1, days=5, model="gru"):
    """Return a job of two batch sizes and two precisions."""
    grid = Grid(steps=(2,), rows=rows, repeats=repeats)
    return Job(cells(base_model(model, None), grid), grid, Synthetic(features=2, stocks=9, days=days), threads)


@pytest.fixture
def asked(monkeypatch):
    """Which cells were measured, by rows and precision; a batch of 99 rows fails."""
    found = []

    def stand_in(request, tell):
        wanted = request["model"]["optimisation"]
        found.append((wanted["rows_per_step"], wanted["precision"]))
        if wanted["rows_per_step"] == 99:
            return {"error": "out of memory"}
        for k in range(request["repeats"]):
            tell({"seconds": 1.0 + k, "setup_s": 0.1, "cpu_s": 1.0, "waited_share": 0.01, "allocated_mb": None})
        return FACTS

    monkeypatch.setattr(train_module, "run_cell", stand_in)
    return found


def test_a_measured_cell_is_not_measured_again(asked, tmp_path):
    """The same job measures nothing; a longer axis only what is new, in the job's order; the samples are gone."""
    first = measure_speeds(job((24,)), tmp_path / "out")
    assert asked == [(24, "float32"), (24, "bfloat16")]
    asked.clear()
    again = measure_speeds(job((24,)), tmp_path / "out")
    assert asked == []
    assert (first.reused, again.reused) == (0, 2)
    assert again.table.equals(first.table)
    more = measure_speeds(job((20, 24)), tmp_path / "out")
    assert asked == [(20, "float32"), (20, "bfloat16")]
    assert more.table["rows"].to_list() == [20, 20, 24, 24]
    assert [item.name for item in (tmp_path / "out").iterdir()] == ["cells"]


@pytest.mark.parametrize("change", [{"repeats": 3}, {"threads": 2}, {"days": 6}, {"model": "lstm"}])
def test_other_settings_are_measured_anew(asked, tmp_path, change):
    """Repeats, threads (the machine), samples and the network's settings are all part of a cell's key."""
    measure_speeds(job((24,)), tmp_path)
    asked.clear()
    assert measure_speeds(job((24,), **change), tmp_path).reused == 0
    assert len(asked) == 2


def test_another_machine_is_measured_anew(asked, tmp_path, monkeypatch):
    """A folder carried to another machine keeps no cell."""
    measure_speeds(job((24,)), tmp_path)
    monkeypatch.setattr(train_module, "machine", lambda threads: {"processor": "another", "threads": threads})
    assert measure_speeds(job((24,)), tmp_path).reused == 0


def test_an_interrupted_table_goes_on(asked, tmp_path, monkeypatch):
    """Cells finished before the interruption are kept, the one in work is not, and the samples are removed."""
    whole = train_module.run_cell

    def interrupted(request, tell):
        if len(asked) == 3:
            tell({"seconds": 9.0})
            raise KeyboardInterrupt
        return whole(request, tell)

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "run_cell", interrupted)
        with pytest.raises(KeyboardInterrupt):
            measure_speeds(job(), tmp_path)
    assert [item.name for item in tmp_path.iterdir()] == ["cells"]
    asked.clear()
    assert measure_speeds(job(), tmp_path).reused == 3
    assert asked == [(32, "bfloat16")]


def test_a_failed_cell_is_told_and_tried_again(asked, tmp_path):
    """The rest goes on; the next call tries the failed ones alone."""
    speeds = measure_speeds(job((24, 99, 32)), tmp_path)
    assert speeds.table["error"].to_list() == [None, None, "out of memory", "out of memory", None, None]
    asked.clear()
    assert measure_speeds(job((24, 99, 32)), tmp_path).reused == 4
    assert asked == [(99, "float32"), (99, "bfloat16")]
    assert "out of memory" in speed_markdown(speeds)
    assert "2 failed" in render(speed_page(speeds))


def test_nothing_measured_is_an_error(asked, tmp_path):
    """When every cell failed the first reason is given."""
    with pytest.raises(RunError, match="out of memory"):
        measure_speeds(job((99,)), tmp_path)


def test_progress_counts_fits(asked, tmp_path):
    """From what is there already to all fits of all cells."""
    seen = []
    measure_speeds(job((24,)), tmp_path, lambda what, done, total: seen.append((what, done, total)))
    assert seen[0] == ("samples", 0, 4)
    assert seen[-1] == ("done", 4, 4)
    assert ("gru 2 steps, 24 rows, bfloat16", 3, 4) in seen
    seen.clear()
    measure_speeds(job((24, 99)), tmp_path, lambda what, done, total: seen.append(done))
    assert seen[0] == 4
    assert seen[-1] == 8


def test_folders_of_others_are_refused(asked, tmp_path):
    """A file, or a folder with something else in it, is left alone."""
    (tmp_path / "file").touch()
    for place, words in ((tmp_path / "file", "is a file"), (tmp_path, "holds no speed table")):
        with pytest.raises(UsageError, match=words):
            measure_speeds(job(), place)
    assert asked == []


def test_what_a_killed_run_left_is_removed(asked, tmp_path):
    """Samples of a run that was killed do not stay for ever."""
    (tmp_path / "cells").mkdir()
    (tmp_path / "samples-abc").mkdir()
    measure_speeds(job((24,)), tmp_path)
    assert not (tmp_path / "samples-abc").exists()


def test_files_hold_the_same_table(asked, tmp_path):
    """HTML, Markdown, JSON and Parquet beside the cells; the page asks for nothing outside."""
    import polars as pl

    speeds = measure_speeds(job(), tmp_path)
    files = write_speeds(speeds, tmp_path)
    assert [file.suffix for file in files] == [".html", ".md", ".json", ".parquet"]
    assert pl.read_parquet(files[3]).equals(speeds.table)
    facts = json.loads(files[2].read_text())
    assert set(facts) == {"machine", "samples", "settings", "reused", "cells"}
    assert facts["cells"][0]["seconds_mean"] == 1.5
    assert "| 2 | 24 | float32 | 1.500 |" in files[1].read_text()
    page = files[0].read_text()
    assert "Samples a second, 2 steps" in page
    assert "bfloat16 against float32" in page


def test_a_killed_process_is_a_failed_cell(monkeypatch, tmp_path):
    """Ended by signal 9, the cell ran out of memory; one that breaks otherwise gives its last words."""
    monkeypatch.setattr(sys, "executable", _program(tmp_path, f"os.kill(os.getpid(), {int(signal.SIGKILL)})"))
    assert run_cell({}, lambda line: None) == {"error": "out of memory (ended by the system)"}
    monkeypatch.setattr(sys, "executable", _program(tmp_path, "raise ValueError('broken')"))
    assert run_cell({}, lambda line: None) == {"error": "ValueError: broken"}


def _program(folder, body):
    """Return a program that ignores its arguments and runs a line of Python."""
    path = folder / f"program-{len(body)}"
    path.write_text(f"#!{os.path.realpath('/proc/self/exe')} -S\nimport os\n{body}\n")
    path.chmod(0o755)
    return str(path)
