"""Run folders: what a run leaves on disk, written aside and renamed."""

import datetime as dt
import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import polars as pl

from alphaloom.errors import UsageError
from alphaloom.report.environment import environment
from alphaloom.report.files import write_frame, write_text

STATE = "run.json"
TAGS = "tags.json"
TAG = re.compile(r"\w[\w.:+-]{0,39}")
"""What a tag may look like: up to 40 letters, digits and `_ . : + -`."""


@dataclass(frozen=True)
class RunFolder:
    """A run on disk.

    Holds `recipe.yaml`, `scores.parquet`, `ic.parquet`, `weights.parquet`, `metrics.json`, `report.html`, `models/`,
    `log.jsonl`, `environment.json` (of the last start; the log tells earlier ones), `run.json` (recipe hash, data hash,
    status) and, once it has some, `tags.json`; `nav-`, `orders-` and `decisions-` of each portfolio.
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
        made_with = environment()
        folder.write_json("environment.json", made_with)
        folder.log("started", **{key: made_with[key] for key in ("alphaloom", "python", "platform")})
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

    def windows(self) -> list[str]:
        """Return the names of the windows that hold a finished fit, sorted."""
        return sorted({file.parents[1].name for file in self.models.glob("*/*/task.json")})

    def state(self) -> dict[str, Any]:
        """Return the content of `run.json`."""
        state: dict[str, Any] = json.loads((self.path / STATE).read_text(encoding="utf-8"))
        return state

    def is_done(self) -> bool:
        """Return whether a finished run lies in the folder."""
        return (self.path / STATE).is_file() and self.state()["status"] == "done"

    def finish(self) -> None:
        """Mark the run as done."""
        self.write_json(STATE, self.state() | {"status": "done", "finished": _now()})

    def tags(self) -> list[str]:
        """Return the run's tags, in order of name."""
        return list(self.read_json(TAGS)["tags"]) if (self.path / TAGS).is_file() else []

    def tag(self, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> list[str]:
        """Return the run's tags after adding and removing some.

        Raises:
            UsageError: no run in the folder, or a tag of another form than `TAG`.
        """
        if not (self.path / STATE).is_file():
            raise UsageError(f"{self.path} holds no run (no {STATE}).")
        add = list(add)
        for name in add:
            if not TAG.fullmatch(name):
                raise UsageError(
                    f"The tag {name!r} must be 1 to 40 letters, digits or _ . : + -, and begin with a letter or digit."
                )
        tags = sorted({*self.tags(), *add} - set(remove))
        self.write_json(TAGS, {"tags": tags})
        return tags

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

    def find_json(self, name: str) -> dict[str, Any] | None:
        """Return a JSON file's content; None when there is no such file."""
        return self.read_json(name) if (self.path / name).is_file() else None

    def read_frame(self, name: str) -> pl.DataFrame:
        """Return a Parquet file's content."""
        return pl.read_parquet(self.path / name)


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
