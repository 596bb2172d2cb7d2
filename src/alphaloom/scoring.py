"""Scores of one date from a run's stored transforms and models."""

import json
from pathlib import Path
from typing import Any

from alphaloom.errors import UsageError
from alphaloom.panel import Panel, as_date
from alphaloom.preparation import Prepared, prepare
from alphaloom.recipe import Recipe
from alphaloom.report.runs import RunFolder
from alphaloom.training.ensemble import blend, model_weights
from alphaloom.training.rolling import window_scores
from alphaloom.transforms.chain import split_chain
from alphaloom.typing import Floats


def score_day(
    folder: RunFolder, recipe: Recipe, market: Panel, day: int, windows: list[str], *, threads: int
) -> tuple[Prepared, dict[str, Floats]]:
    """Return what was prepared for one row of the market, and its scores `[1, N]` by model, the traded one first.

    Args:
        folder: a run's folder.
        recipe: its recipe.
        market: the market with its universe; rows after `day` are not read by anything honest.
        day: row to score.
        windows: `windows_of` that date: the first one's fits score it, with as many before as the ensemble takes.
        threads: as many as the run used gives the run's own numbers.
    """
    names = windows[: recipe.ensemble.windows]
    prepared = prepare(recipe, market, threads=threads, only=day)
    _, fitted = split_chain(recipe.transforms)
    members: dict[str, list[Floats]] = {}
    for window in names:
        found = window_scores(
            prepared.market,
            prepared.block,
            prepared.rows,
            fitted,
            folder.models / window,
            recipe.model_names(),
            recipe.repeats,
            threads,
        )
        for model, scored in found.items():
            members.setdefault(model, []).append(scored)
    weights = model_weights(recipe.ensemble, recipe.model_names(), _tasks(folder.models / names[0]), names[0])
    return prepared, blend(recipe.ensemble, members, weights)


def windows_of(folder: RunFolder, date: str) -> list[str]:
    """Return the names of the windows whose test spans begin on or before the date, the last one first.

    Raises:
        UsageError: the date is before the run's first test window.
    """
    starts = {
        home.name: str(tasks[0]["test_start"])
        for home in sorted(path for path in folder.models.iterdir() if path.is_dir())
        if (tasks := _tasks(home))
    }
    known = [name for name, start in starts.items() if as_date(start) <= as_date(date)]
    if not known:
        raise UsageError(
            f"{as_date(date)} is before the first test window of {folder.path}, which begins on "
            f"{min(starts.values(), default='no date')}. A model never scores dates that it may have learned from."
        )
    return sorted(known, key=lambda name: starts[name], reverse=True)


def _tasks(home: Path) -> list[dict[str, Any]]:
    """Return the records of a window's finished fits."""
    return [json.loads(file.read_text()) for file in sorted(home.glob("*/task.json"))]
