"""Run folders: what a run leaves on disk, written aside and renamed, and the list of them."""

import datetime as dt
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import polars as pl
import yaml

from alphaloom.errors import UsageError
from alphaloom.report.files import write_frame, write_text

STATE = "run.json"


@dataclass(frozen=True)
class RunFolder:
    """A run on disk.

    Holds `recipe.yaml`, `scores.parquet`, `weights.parquet`, `metrics.json`, `report.html`, `models/`, `log.jsonl` and
    `run.json` (recipe hash, data hash, status).
    """

    path: Path

    @classmethod
    def open(cls, path: Path, recipe_yaml: str, recipe_hash: str, data_hash: str, *, overwrite: bool = False) -> Self:
        """Return a folder ready for a run: new, or left by an interrupted run of the same recipe on the same data.

        Raises:
            UsageError: the folder holds another run, or something that is no run at all.
        """
        folder = cls(Path(path))
        if folder.path.exists() and overwrite and (folder.path / STATE).is_file():
            shutil.rmtree(folder.path)
        if (folder.path / STATE).is_file():
            state = folder.state()
            for what, mine, theirs in (
                ("recipe", recipe_hash, state["recipe_hash"]),
                ("data", data_hash, state["data_hash"]),
            ):
                if mine != theirs:
                    raise UsageError(
                        f"{folder.path} holds a run of another {what} (hash {theirs}, this one {mine}). "
                        "Give another --out, or --overwrite to replace it."
                    )
        elif folder.path.exists() and any(folder.path.iterdir()):
            raise UsageError(f"{folder.path} is not empty and holds no run. Give an empty or new folder with --out.")
        folder.models.mkdir(parents=True, exist_ok=True)
        write_text(folder.path / "recipe.yaml", recipe_yaml)
        started = folder.state().get("started") if (folder.path / STATE).is_file() else None
        folder.write_json(
            STATE,
            {
                "status": "running",
                "recipe_hash": recipe_hash,
                "data_hash": data_hash,
                "started": started or _now(),
                "finished": None,
            },
        )
        return folder

    @classmethod
    def existing(cls, path: Path) -> Self:
        """Return a finished run's folder.

        Raises:
            UsageError: no run there, or one that was interrupted.
        """
        folder = cls(Path(path))
        if not (folder.path / STATE).is_file():
            raise UsageError(f"{path} holds no run (no {STATE}). `alphaloom runs FOLDER` lists the runs of a folder.")
        if folder.state()["status"] != "done":
            raise UsageError(f"The run in {path} was interrupted. Run the same `alphaloom run` command again first.")
        return folder

    @property
    def models(self) -> Path:
        """Folder of the windows' tasks."""
        return self.path / "models"

    def state(self) -> dict[str, Any]:
        """Return the content of `run.json`."""
        state: dict[str, Any] = json.loads((self.path / STATE).read_text(encoding="utf-8"))
        return state

    def finish(self) -> None:
        """Mark the run as done."""
        self.write_json(STATE, self.state() | {"status": "done", "finished": _now()})

    def log(self, event: str, **facts: Any) -> None:
        """Append one line to `log.jsonl`."""
        line = json.dumps({"time": _now(), "event": event, **facts}, ensure_ascii=False, default=str)
        with (self.path / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def write_json(self, name: str, data: Mapping[str, Any]) -> None:
        """Write a JSON file, aside first."""
        write_text(self.path / name, json.dumps(data, indent=1, ensure_ascii=False, default=str))

    def write_frame(self, name: str, frame: pl.DataFrame) -> None:
        """Write a Parquet file, aside first."""
        write_frame(self.path / name, frame)

    def read_text(self, name: str) -> str:
        """Return a text file's content."""
        return (self.path / name).read_text(encoding="utf-8")

    def read_json(self, name: str) -> dict[str, Any]:
        """Return a JSON file's content."""
        data: dict[str, Any] = json.loads(self.read_text(name))
        return data

    def read_frame(self, name: str) -> pl.DataFrame:
        """Return a Parquet file's content."""
        return pl.read_parquet(self.path / name)


def list_runs(root: Path) -> pl.DataFrame:
    """Return one row a run found in a folder (or in the folder itself): name, status, dates, hashes, headline figures.

    Raises:
        UsageError: the folder does not exist.
    """
    root = Path(root)
    if not root.is_dir():
        raise UsageError(f"There is no folder {root}. Runs lie where `alphaloom run ... --out` put them.")
    rows = []
    for state_file in sorted([*root.glob(STATE), *root.glob(f"*/{STATE}"), *root.glob(f"*/*/{STATE}")]):
        folder = RunFolder(state_file.parent)
        state = folder.state()
        recipe = yaml.safe_load(folder.read_text("recipe.yaml"))
        metrics = folder.read_json("metrics.json") if (folder.path / "metrics.json").is_file() else {}
        rows.append(
            {
                "run": str(folder.path),
                "recipe": recipe["name"],
                "status": state["status"],
                "started": state["started"],
                "recipe_hash": state["recipe_hash"],
                "data_hash": state["data_hash"],
                **_headline(metrics),
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def _headline(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the headline figures of a run's metrics: verdict, traded signal, first portfolio; empty for an old run."""
    signal = metrics.get("signals", {}).get(metrics.get("headline"))
    if signal is None:
        return {}
    test = signal["horizons"][signal["primary"]]["rank_ic"]
    portfolios = [item["metrics"] for item in metrics["portfolios"].values()]
    portfolio: Mapping[str, Any] = portfolios[0] if portfolios else {}
    return {
        "verdict": metrics["verdict"]["words"],
        "signal": metrics["headline"],
        "rank_ic": test["mean"],
        "t_newey_west": test["t_newey_west"],
        "annual_return": portfolio.get("annual_return"),
        "excess_annual_return": portfolio.get("excess_annual_return"),
    }


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
