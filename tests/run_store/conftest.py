"""A folder of runs, written without training."""

import json

import pytest
import yaml

from alphaloom.report.runs import RunFolder


@pytest.fixture
def make_run(tmp_path):
    """Return the function that writes a run's folder."""

    def make(name, *, rank_ic=None, data_hash="d1", recipe_hash=None, universe=("listed",), done=True):
        recipe = {"name": f"recipe of {name}", "universe": list(universe), "data": {}}
        folder = RunFolder.open(tmp_path / name, yaml.safe_dump(recipe), recipe_hash or f"r-{name}", data_hash)
        if rank_ic is not None:
            test = {"mean": rank_ic, "low": rank_ic - 0.01, "high": rank_ic + 0.01, "t_newey_west": 100 * rank_ic}
            portfolio = {"annual_return": 0.1, "excess_annual_return": 2 * rank_ic, "information_ratio": 0.5}
            metrics = {
                "headline": "ridge",
                "verdict": {"grade": "weak", "words": "Weak evidence for skill"},
                "signals": {"ridge": {"primary": "1", "horizons": {"1": {"rank_ic": test}}}},
                "portfolios": {"topk": {"metrics": portfolio}},
            }
            (folder.path / "metrics.json").write_text(json.dumps(metrics))
        if done:
            folder.finish()
        return folder

    return make
