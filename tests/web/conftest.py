"""A web page over a few written runs and one small store."""

import pytest
import yaml
from finished_runs import write_run
from studies import make_study

from alphaloom.data.simulate import SimulatedMarket, simulate
from alphaloom.report.runs import RunFolder
from alphaloom.report.write import write_report

RECIPE = {
    "name": "tiny",
    "universe": [{"name": "listed", "days": 20}, "not_suspended"],
    "features": ["alpha158"],
    "transforms": ["zscore", "fill"],
    "label": {"name": "forward_return", "horizon": 5, "price": "vwap"},
    "windows": {"train_months": 6, "test_months": 3},
    "models": [{"name": "ridge", "penalty": 10}],
    "evaluation": {"resamples": 100, "min_names": 5},
    "horizons": {"price": "vwap"},
    "portfolios": [{"name": "topk", "k": 5}],
    "backtest": {"capital": 10_000_000},
}
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="session")
def recipe_text():
    """Return a small recipe as YAML."""
    return yaml.safe_dump(RECIPE)


@pytest.fixture(scope="session")
def market(tmp_path_factory):
    """Return the folder of a tiny simulated store."""
    folder = tmp_path_factory.mktemp("data") / "market"
    return simulate(SimulatedMarket(stocks=30, years=2, seed=3), folder).path


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return a folder of runs: two finished, one of them with scripts wherever text may stand, one broken."""
    root = tmp_path_factory.mktemp("served") / "runs"
    study = make_study()
    for name, recipe in (("first", {"name": "plain"}), ("group/second", {"name": SCRIPT, "description": SCRIPT})):
        folder = write_run(root / name, study, recipe)
        metrics = folder.read_json("metrics.json")
        write_report(study, folder.path / "report.html")
        folder.write_json("metrics.json", metrics)
    evil = make_study(title=SCRIPT, market=SCRIPT, portfolios={})
    folder = write_run(root / SCRIPT.replace("/", "\\"), evil, {"name": SCRIPT})
    folder.write_json("tags.json", {"tags": [SCRIPT]})
    (root / "broken").mkdir()
    (root / "broken" / "run.json").write_text(SCRIPT)
    RunFolder.open(root / "unfinished", "name: unfinished", "r", "d")
    outside = write_run(root.parent / "outside", study, {"name": "classified"})
    (outside.path / "secret.txt").write_text("classified")
    (root / "link").symlink_to(outside.path)
    (root / "group" / "link").symlink_to(outside.path)
    return root
