"""`alphaloom run` under torchrun: the scores of one process, one report, one voice, and an end that all share."""

import os
import re
import signal
import subprocess
import time

import numpy as np
import polars as pl
import pytest
from several_processes import environment, torchrun

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("end_to_end")]
DIVISIBLE = ["dropout=0", "optimisation.days_per_step=4", "optimisation.epochs=8", "optimisation.patience=8"]
"""What makes the small recipe's GRU the same on several processes, and long enough to be interrupted."""


@pytest.fixture(scope="module")
def words(market, recipe_file):
    """Return the function that makes the words of a run into a folder."""
    return lambda out, *more: ["run", recipe_file, market, "--out", out, "--threads", 1, *more]


@pytest.fixture(scope="module")
def divisible():
    """Return the options that make the recipe divisible."""
    return [word for setting in DIVISIBLE for word in ("--set", f"models.1.{setting}")]


@pytest.fixture(scope="module")
def together(words, divisible, tmp_path_factory):
    """Return the folder of a run by two processes, and what they printed."""
    out = tmp_path_factory.mktemp("several") / "two"
    return out, finished(*words(out, *divisible))


def finished(*words: object) -> subprocess.CompletedProcess[str]:
    """Return the finished `alphaloom` of two processes."""
    command = torchrun("-m", "alphaloom", *words)
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=600, check=False)


def test_two_processes_make_the_run_of_one(alphaloom, words, divisible, together, tmp_path):
    """Scores agree within rounding, trees and ridge to the bit; the folder holds the files of any run."""
    out, done = together
    assert done.returncode == 0, done.stderr
    assert alphaloom(*words(tmp_path / "one", *divisible)).returncode == 0
    one, two = (pl.read_parquet(folder / "scores.parquet") for folder in (tmp_path / "one", out))
    assert one.drop(pl.col("^score.*$")).equals(two.drop(pl.col("^score.*$")))
    assert one["score_ridge"].equals(two["score_ridge"])
    np.testing.assert_allclose(two["score_gru"], one["score_gru"], atol=1e-4)
    names = [{path.relative_to(folder) for path in folder.rglob("*")} for folder in (tmp_path / "one", out)]
    assert names[0] == names[1]


def test_only_the_first_process_speaks(together):
    """The verdict, the report's place and each line of progress are printed once."""
    out, done = together
    assert done.stdout.count(f"report: {out / 'report.html'}") == 1
    assert done.stdout.count("windows") == 1
    stages = re.findall(r"\] (market data|features|evaluation|report)", done.stderr)
    assert stages == ["market data", "features", "evaluation", "report"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set", 'models=["mlp"]'], "normalises over the batch"),
        (["--set", "models.1.hiden=3"], "Did you mean 'hidden'?"),
    ],
)
def test_an_error_is_told_once_and_ends_all(words, tmp_path, more, message):
    """A refused network and a misspelt recipe end both processes with exit code 1 of torchrun, and one message."""
    done = finished(*words(tmp_path / "r", *more))
    assert done.returncode == 1
    assert done.stderr.count(message) == 1
    assert "Error: " in done.stderr


def test_a_run_whose_process_was_killed_goes_on(words, divisible, together, tmp_path):
    """A process killed in the middle of a fit ends the run; the same command goes on and ends with the same bits."""
    out = tmp_path / "broken"
    command = torchrun("-m", "alphaloom", *words(out, *divisible))
    silence = subprocess.DEVNULL
    with subprocess.Popen(command, env=environment(), stdout=silence, stderr=silence) as process:
        deadline = time.monotonic() + 200
        while not list(out.glob("models/*/.gru-s0.work/checkpoint.pt")) and time.monotonic() < deadline:
            time.sleep(0.01)
        children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, check=True)
        os.kill(int(children.stdout.split()[-1]), signal.SIGKILL)
        assert process.wait(timeout=60) == 1
    assert finished(*words(out, *divisible)).returncode == 0
    scores = [pl.read_parquet(folder / "scores.parquet") for folder in (out, together[0])]
    assert scores[0].equals(scores[1])
