"""One small simulated market and one small run on it, shared by the end-to-end tests."""

import contextlib
import io
import subprocess
import sys

import pytest
import yaml

from alphaloom.cli import call
from alphaloom.data.simulate import SimulatedMarket, simulate

RECIPE = {
    "name": "tiny",
    "seed": 7,
    "universe": [{"name": "listed", "days": 20}, "not_st", "not_suspended"],
    "features": ["alpha158"],
    "transforms": [
        "mad_clip",
        {"name": "industry_fill", "fallback": "cross_section"},
        "zscore",
        "robust_zscore",
        "fill",
    ],
    "label": {"name": "forward_return", "horizon": 5, "price": "vwap"},
    "label_transforms": ["rank_gauss"],
    "windows": {"train_months": 9, "test_months": 4, "valid_share": 0.25},
    "models": [
        {"name": "ridge", "penalty": 10},
        {"name": "gru", "steps": 3, "hidden": 8, "optimisation": {"epochs": 3, "patience": 3}},
    ],
    "evaluation": {"resamples": 200, "min_names": 10},
    "horizons": {"price": "vwap"},
    "risk": {"styles": ["size"], "benchmark": "SH000300"},
    "portfolios": [
        {"name": "linear_programme", "num_stock": 20, "turnover_limit": 0.5},
        {"name": "topk", "k": 10},
    ],
    "backtest": {"capital": 10_000_000},
}


@pytest.fixture(scope="session")
def market(tmp_path_factory):
    """Return the store of a small market with planted alpha."""
    folder = tmp_path_factory.mktemp("market") / "store"
    return simulate(SimulatedMarket(stocks=70, years=2, seed=11, alpha="all"), folder).path


@pytest.fixture(scope="session")
def recipe_file(tmp_path_factory):
    """Return the small recipe's file."""
    file = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    file.write_text(yaml.safe_dump(RECIPE))
    return file


def called(*words: object) -> subprocess.CompletedProcess[str]:
    """Return the finished `alphaloom` command, called in this process."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = call([str(word) for word in words])
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def command(*words: object, **kwargs: object) -> subprocess.CompletedProcess[str]:
    """Return the finished `alphaloom` command, run by a process of its own."""
    return subprocess.run(arguments(*words), capture_output=True, text=True, timeout=600, check=False, **kwargs)


def arguments(*words: object) -> list[str]:
    """Return the command line of `alphaloom` under this interpreter."""
    return [sys.executable, "-m", "alphaloom", *map(str, words)]


@pytest.fixture(scope="session")
def alphaloom():
    """Return the function that calls an `alphaloom` command."""
    return called


@pytest.fixture(scope="session")
def alphaloom_process():
    """Return the function that runs an `alphaloom` command by a process of its own."""
    return command


@pytest.fixture(scope="session")
def command_line():
    """Return the function that makes the command line of `alphaloom`."""
    return arguments


@pytest.fixture(scope="session")
def finished_run(market, recipe_file, tmp_path_factory):
    """Return the folder of the small recipe's run."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    done = command("run", recipe_file, market, "--out", out, "--threads", 1)
    assert done.returncode == 0, done.stderr
    return out
