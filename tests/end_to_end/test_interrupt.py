"""Interrupting a run at any point and running it again gives the same scores; finished fits are not redone."""

import os
import signal
import subprocess
import time

import numpy as np
import polars as pl
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("end_to_end")]


def start(words: list[str]) -> subprocess.Popen[bytes]:
    """Return a running command in a process group of its own."""
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def finished(folder) -> dict[str, int]:
    """Return the finished fits and when each was written."""
    return {str(p.parent): p.stat().st_mtime_ns for p in folder.rglob("task.json") if not p.parent.name.startswith(".")}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_and_resumed_runs_end_the_same(how, finished_run, market, recipe_file, tmp_path, command_line):
    """Killed again and again, at other points each time, a run still ends with the scores of an undisturbed one."""
    out = tmp_path / "broken"
    words = command_line("run", recipe_file, market, "--out", out, "--threads", 1)
    kept: dict[str, int] = {}
    kills = 0
    for wait in (2.0, 3.3, 4.1, 5.2, 6.4):
        process = start(words)
        try:
            process.wait(timeout=wait)
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, how)
            process.wait()
            kills += 1
        now = finished(out)
        assert kept.items() <= now.items(), "a finished fit was done again"
        kept = now
    assert kills > 0
    process = start(words)
    assert process.wait(timeout=600) == 0
    assert kept.items() <= finished(out).items()
    whole = pl.read_parquet(finished_run / "scores.parquet")
    broken = pl.read_parquet(out / "scores.parquet")
    assert broken.equals(whole)
    assert not [p for p in out.rglob("*") if p.name.endswith(".partial")]
    weights = [pl.read_parquet(folder / "weights.parquet")["weight"].to_numpy() for folder in (finished_run, out)]
    np.testing.assert_array_equal(*weights)


def test_an_interrupt_says_how_to_go_on(market, recipe_file, tmp_path, command_line):
    """Ctrl-C ends with one line and exit code 130, and the folder says that the run is unfinished."""
    words = command_line("run", recipe_file, market, "--out", tmp_path / "r", "--threads", 1)
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "r" / "run.json").is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "the same command goes on from there" in errors
    assert "Traceback" not in errors
    done = subprocess.run(command_line("show", tmp_path / "r"), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "was interrupted" in done.stderr
