"""A run's portfolio judged among everything tried on the same data."""

import numpy as np
import pytest
from finished_runs import write_run
from studies import make_portfolio, make_study

from alphaloom.errors import UsageError
from alphaloom.run_store.judge import judge_run


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Three runs of two portfolios each on the same data, one on other data."""
    folder = tmp_path_factory.mktemp("runs")
    for k, data in enumerate(["d1", "d1", "d1", "d2"]):
        portfolios = {"good": make_portfolio(10 + k, drift=0.0008), "plain": make_portfolio(20 + k, drift=0.0)}
        study = make_study(portfolios=portfolios, decisions={})
        recipe = {"name": f"r{k}", "universe": [], "data": {}, "k": k}
        write_run(folder / f"run{k}", study, recipe, data)
    return folder


def test_every_portfolio_on_the_same_data_is_a_trial(root):
    """The first portfolio by default; six trials, those on other data left out; luck taken off its Sharpe ratio."""
    found = judge_run(root / "run1", root, resamples=200)
    assert found.chosen == "run1 good"
    assert found.sharpe.trials == 6
    assert "run3 good" not in found.names
    assert found.sharpe.deflated < found.sharpe.probabilistic
    assert found.overfitting is not None
    assert judge_run(root / "run1", root, portfolio="plain", resamples=200).sharpe.sharpe < found.sharpe.sharpe


def test_what_is_not_there_is_said(root, tmp_path):
    """An unknown portfolio; a folder of runs without the chosen one."""
    with pytest.raises(UsageError, match="no portfolio 'best'"):
        judge_run(root / "run1", root, portfolio="best")
    with pytest.raises(UsageError, match="holds no portfolio"):
        judge_run(root / "run3", root.parent / root.name, portfolio="worst")
    assert np.isfinite(judge_run(root / "run3", root, resamples=50).sharpe.sharpe)
