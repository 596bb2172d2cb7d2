"""Finished runs to MLflow, for those who keep their experiments there; the folders stay the truth."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from alphaloom.errors import MissingLibraryError
from alphaloom.report.runs import RunFolder
from alphaloom.run_store.index import RunStore
from alphaloom.run_store.row import NUMBERS, RunRow
from alphaloom.run_store.select import Selection

KEY = "alphaloom.run"
"""MLflow tag by which an exported run is known again: recipe and data hash."""
LONGEST = 6000
"""Characters that MLflow allows a parameter."""
ARTEFACTS = ("recipe.yaml", "metrics.json", "environment.json", "report.html")


def export(root: Path, tracking: str, experiment: str) -> dict[str, int]:
    """Write each finished run of a store to an MLflow experiment: settings, figures, tags, files.

    Returns:
        How many were `written`, and how many were there `already`.

    Raises:
        MissingLibraryError: MLflow is not installed.
    """
    try:
        from mlflow import MlflowClient
    except ImportError:
        raise MissingLibraryError(
            'Export to MLflow needs mlflow-skinny: pip install "alphaloom[track]" (and sqlalchemy for a database).'
        ) from None
    client = MlflowClient(tracking)
    known = client.get_experiment_by_name(experiment)
    home = known.experiment_id if known else client.create_experiment(experiment)
    present = {run.data.tags.get(KEY) for run in client.search_runs([home], max_results=50_000)}
    counts = {"written": 0, "already": 0}
    for row in RunStore(root).rows(Selection(filters=["status=done"], sort="started")):
        key = f"{row.recipe_hash} {row.data_hash}"
        if key in present:
            counts["already"] += 1
            continue
        _write(client, home, row, key)
        present.add(key)
        counts["written"] += 1
    return counts


def _write(client: Any, home: str, row: RunRow, key: str) -> None:
    folder = RunFolder(Path(row.run))
    own = {KEY: key, "alphaloom.folder": row.name, "verdict": row.verdict or "", **dict.fromkeys(row.tags, "")}
    made = client.create_run(home, run_name=row.name, tags=own).info.run_id
    for name, value in _settings(folder).items():
        client.log_param(made, name, value[:LONGEST])
    for name in sorted(NUMBERS):
        value = getattr(row, name)
        if value is not None:
            client.log_metric(made, name, value)
    for file in ARTEFACTS:
        if (folder.path / file).is_file():
            client.log_artifact(made, str(folder.path / file))
    client.set_terminated(made)


def _settings(folder: RunFolder) -> dict[str, str]:
    """Return the recipe's top settings as text; nested ones as JSON."""
    recipe: Mapping[str, Any] = yaml.safe_load(folder.read_text("recipe.yaml"))
    return {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        for key, value in recipe.items()
        if key != "name" and value not in (None, [], {}, "")
    }
