"""What runs and studies left behind that nothing needs any more."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from alphaloom.errors import UsageError
from alphaloom.report.runs import STATE, RunFolder

HOUR = 3600.0
STUDY = "study.json"
BETWEEN = {
    "inputs": "what fits read; all of them are finished",
    "shared": "rows that searches shared; all of them have ended",
}
"""Folders that are of use until a run or a study is finished."""


@dataclass(frozen=True)
class Waste:
    """A file or folder that may go."""

    path: Path
    why: str
    bytes: int


def find_waste(
    root: Path, *, older_hours: float = 24, candidates: bool = False, unfinished: bool = False
) -> list[Waste]:
    """Return what may be removed below a folder of runs and studies, the largest first; nothing is removed.

    - what was being written when a process was killed, and checkpoints of tasks that are finished since: if nothing in
      it changed for `older_hours`;
    - `inputs` and `shared` of runs and studies that are finished;
    - logs of failed tasks of those;
    - on request the candidates of finished searches (a longer search would try them again), and runs and studies that
      are not finished and did not change for `older_hours`. A study with a finished run stays, and of its others none
      goes while anything in the study changes.

    Raises:
        UsageError: there is no such folder.
    """
    if not root.is_dir():
        raise UsageError(f"There is no folder {root}.")
    there = [*_left_over(root, older_hours), *_of_finished(root, candidates=candidates)]
    if unfinished:
        there += [(home, "not finished") for home in _interrupted(root, older_hours)]
    found = [Waste(path, why, _size(path)) for path, why in there]
    outer = [item for item in found if not any(other.path in item.path.parents for other in found)]
    return sorted(outer, key=lambda item: (-item.bytes, str(item.path)))


def remove(waste: list[Waste]) -> int:
    """Remove what was found, and return how many bytes that freed."""
    for item in waste:
        if item.path.is_dir():
            shutil.rmtree(item.path)
        else:
            item.path.unlink(missing_ok=True)
    return sum(item.bytes for item in waste)


def _left_over(root: Path, older_hours: float) -> Iterator[tuple[Path, str]]:
    for path in root.rglob(".*.partial"):
        if _age_hours(path) >= older_hours:
            yield path, "was being written when its process ended"
    for path in root.rglob(".*.work"):
        result = path.with_name(path.name.removeprefix(".").removesuffix(".work"))
        if (result / "task.json").is_file() and _age_hours(path) >= older_hours:
            yield path, "checkpoint of a fit that is finished"


def _of_finished(root: Path, *, candidates: bool) -> Iterator[tuple[Path, str]]:
    for home in _homes(root):
        if not _is_finished(home):
            continue
        for place in (home, home / "models"):
            for name, why in BETWEEN.items():
                if (place / name).is_dir():
                    yield place / name, why
            if (place / "failed").is_dir():
                yield place / "failed", "logs of tasks that succeeded since"
            if candidates and (place / "candidates").is_dir():
                yield place / "candidates", "candidates of searches that have ended"


def _homes(root: Path) -> list[Path]:
    """Return the folders of runs and studies at or below a folder."""
    return sorted({file.parent for name in (STATE, STUDY) for file in root.rglob(name)})


def _interrupted(root: Path, older_hours: float) -> Iterator[Path]:
    """Yield runs and studies without any result in which nothing changed for so long."""
    for home in _homes(root):
        study = home.parent.parent
        whole = study if (study / STUDY).is_file() else home  # a run of a study that goes on waits for its turn
        if not _has_a_result(home) and _age_hours(whole) >= older_hours:
            yield home


def _is_finished(home: Path) -> bool:
    if (home / STUDY).is_file():
        return (home / "report.html").is_file() and all(run.is_done() for run in _runs(home))
    return RunFolder(home).is_done()


def _has_a_result(home: Path) -> bool:
    return any(run.is_done() for run in _runs(home)) if (home / STUDY).is_file() else RunFolder(home).is_done()


def _runs(study: Path) -> list[RunFolder]:
    return [RunFolder(file.parent) for file in (study / "points").glob(f"*/{STATE}")]


def _age_hours(path: Path) -> float:
    """Return the hours since anything in it changed."""
    last = max((item.lstat().st_mtime for item in [path, *path.rglob("*")]), default=0.0)
    return (time.time() - last) / HOUR


def _size(path: Path) -> int:
    return sum(item.lstat().st_size for item in [path, *path.rglob("*")] if item.is_file())
