"""Folders of finished runs, written from a study without training."""

import json

import yaml

from alphaloom.report.runs import RunFolder
from alphaloom.report.write import study_metrics
from alphaloom.stages import ic_frame


def write_run(path, study, recipe, data_hash="d1"):
    """Write a study as a finished run."""
    folder = RunFolder.open(path, yaml.safe_dump(recipe), json.dumps(recipe), data_hash)
    folder.write_json("metrics.json", study_metrics(study))
    folder.write_frame("ic.parquet", ic_frame(study.signals))
    for name, result in study.portfolios.items():
        folder.write_frame(f"nav-{name}.parquet", result.nav)
    folder.finish()
    return folder
