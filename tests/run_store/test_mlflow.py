"""Export to MLflow."""

import pytest

from alphaloom.run_store.mlflow import export

mlflow = pytest.importorskip("mlflow", reason="mlflow-skinny is not installed (the extra `track`)")
pytest.importorskip("sqlalchemy", reason="MLflow needs sqlalchemy for a database file")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_finished_runs_are_written_once(make_run, tmp_path):
    """Figures, settings, tags and files arrive; a second export adds nothing."""
    make_run("runs/a", rank_ic=0.03).tag(add=["good"])
    make_run("runs/b", done=False)
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert export(tmp_path / "runs", address, "mine") == {"written": 1, "already": 0}
    assert export(tmp_path / "runs", address, "mine") == {"written": 0, "already": 1}
    client = mlflow.MlflowClient(address)
    (run,) = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert run.info.run_name == "a"
    assert run.data.metrics["rank_ic"] == 0.03
    assert run.data.params["universe"] == '["listed"]'
    assert run.data.tags["good"] == ""
