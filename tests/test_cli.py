"""The command line: light to start, plain in its errors, honest in its exit codes."""

import json
import subprocess
import sys

import pytest

import alphaloom
from alphaloom.cli import call, study
from alphaloom.cli.display import print_json

HEAVY = {
    "torch",
    "numba",
    "polars",
    "pandas",
    "scipy",
    "plotly",
    "lightgbm",
    "pyarrow",
    "statsmodels",
    "highspy",
    "numpy",
}


def test_help_loads_nothing_heavy():
    """`alphaloom --help` imports no numerical library: that keeps it under a third of a second."""
    code = "import sys, alphaloom.cli as c; rc = c.call(['--help']); print(rc, *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    code, *modules = done.stdout.split("\n")[-2].split()
    assert code == "0"
    assert HEAVY.isdisjoint(modules)
    for command in ("demo", "run", "predict", "data", "features", "bench", "models", "report", "runs", "show", "audit"):
        assert command in done.stdout


@pytest.mark.parametrize("rank", [0, 1])
def test_only_the_first_process_prints_the_recipe(monkeypatch, capsys, tmp_path, rank):
    """Under torchrun `run --print-config` prints once, not once a process."""
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setenv("WORLD_SIZE", "2")
    study.run("demo", tmp_path, print_config=True)
    assert bool(capsys.readouterr().out) == (rank == 0)


def test_public_names():
    """What `import alphaloom` offers is an assertion; each name loads."""
    expected = {
        "AlphaloomError",
        "Panel",
        "Recipe",
        "Store",
        "backtest",
        "compare_runs",
        "evaluate_signal",
        "list_runs",
        "load_panel",
        "predict",
        "read_recipe",
        "run",
        "show",
        "__version__",
    }
    assert set(alphaloom.__all__) == expected
    for name in expected:
        assert getattr(alphaloom, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = alphaloom.nothing


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nosuch"], 2, "No such command 'nosuch'"),
        (["run"], 2, "Missing argument"),
        (["run", "demmo", "x"], 2, "Did you mean 'demo'"),
        (["run", "demo", "no-store", "--threads", "1"], 2, "not a store"),
        (["show", "no-run"], 2, "holds no run"),
        (["runs", "no-folder"], 2, "no folder no-folder"),
        (["models", "modle"], 2, "Did you mean 'model'"),
        (["evaluate", "none.parquet", "no-store", "--out", "x"], 2, "not a store"),
        (["data", "simulate", "x", "--alpha", "some"], 2, "alpha"),
    ],
)
def test_mistakes_are_one_plain_paragraph(words, code, message, capsys, tmp_path, monkeypatch):
    """A wrong command says what was wrong on standard error, without a traceback, with exit code 2."""
    monkeypatch.chdir(tmp_path)
    assert call(words) == code
    output = capsys.readouterr()
    assert message in output.err
    assert "Traceback" not in output.err
    assert output.out == ""
    assert not list(tmp_path.iterdir())


def test_debug_shows_where():
    """With --debug, anywhere on the line, the error comes with its traceback."""
    words = [sys.executable, "-m", "alphaloom", "show", "--debug", "no-run"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_printed_json_is_json(capsys):
    """NaN and infinities, at any depth, are printed as null."""
    print_json({"a": float("nan"), "b": [1.5, {"c": (float("inf"), None)}], "d": "x"})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "a": None,
        "b": [1.5, {"c": [None, None]}],
        "d": "x",
    }
