"""One run as a row: what its folder says of it, also when the folder is damaged."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from alphaloom.report.runs import STATE, TAGS, RunFolder
from alphaloom.spec import fingerprint

SOURCES = (STATE, "metrics.json", "recipe.yaml", TAGS)
"""Files that a row is read from."""
NUMBERS = frozenset({
    "rank_ic", "rank_ic_low", "rank_ic_high", "t_newey_west", "annual_return", "excess_annual_return",
    "information_ratio",
})  # fmt: skip
"""Columns that are numbers."""
BROKEN = "broken"
"""Status of a folder that cannot be read."""


@dataclass(frozen=True)
class RunRow:
    """A run in a list.

    Figures are of the traded signal at its first horizon and of the first portfolio; None where a run has none, as
    before it is finished. Returns are fractions a year.
    """

    name: str
    """Path of the folder below the store's, with `/`."""
    run: str
    """Path of the folder."""
    status: str
    """`running` (or interrupted), `done`, or `broken`."""
    recipe: str | None = None
    started: str | None = None
    finished: str | None = None
    tags: tuple[str, ...] = ()
    grade: str | None = None
    """`strong`, `weak`, `none`, `wrong` or `leaked`."""
    verdict: str | None = None
    signal: str | None = None
    rank_ic: float | None = None
    rank_ic_low: float | None = None
    rank_ic_high: float | None = None
    t_newey_west: float | None = None
    annual_return: float | None = None
    excess_annual_return: float | None = None
    information_ratio: float | None = None
    recipe_hash: str | None = None
    data_hash: str | None = None
    universe_hash: str | None = None
    """Equal for runs that choose from the same stocks on the same dates."""
    problem: str | None = None
    """Why the folder is broken."""


def read_row(folder: Path, name: str) -> RunRow:
    """Return the row of a run's folder; one that cannot be read gets the status `broken` and the reason."""
    try:
        return _read(RunFolder(folder), name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return RunRow(name=name, run=str(folder), status=BROKEN, problem=reason[:300])


def stamp_of(folder: Path) -> str:
    """Return a text that changes whenever a file that the row is read from does."""
    parts = []
    for source in SOURCES:
        file = folder / source
        if file.is_file():
            stat = file.stat()
            parts.append([source, stat.st_mtime_ns, stat.st_size])
    return json.dumps(parts)


def _read(folder: RunFolder, name: str) -> RunRow:
    state = folder.state()
    recipe = yaml.safe_load(folder.read_text("recipe.yaml"))
    metrics = folder.read_json("metrics.json") if (folder.path / "metrics.json").is_file() else {}
    return RunRow(
        name=name,
        run=str(folder.path),
        status=str(state["status"]),
        recipe=str(recipe["name"]),
        started=state["started"],
        finished=state.get("finished"),
        tags=tuple(map(str, folder.tags())),
        recipe_hash=state["recipe_hash"],
        data_hash=state["data_hash"],
        universe_hash=fingerprint([recipe.get("universe"), recipe.get("data")]),
        **_headline(metrics),
    )


def _headline(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the headline figures of a run's metrics: verdict, traded signal, first portfolio; empty for an old run."""
    signal = metrics.get("signals", {}).get(metrics.get("headline"))
    if signal is None:
        return {}
    test = signal["horizons"][signal["primary"]]["rank_ic"]
    portfolios = [item["metrics"] for item in metrics["portfolios"].values()]
    portfolio: Mapping[str, Any] = portfolios[0] if portfolios else {}
    return {
        "grade": metrics["verdict"]["grade"],
        "verdict": metrics["verdict"]["words"],
        "signal": metrics["headline"],
        "rank_ic": test["mean"],
        "rank_ic_low": test["low"],
        "rank_ic_high": test["high"],
        "t_newey_west": test["t_newey_west"],
        **{key: portfolio.get(key) for key in ("annual_return", "excess_annual_return", "information_ratio")},
    }
