"""A sweep's settings and scores as the command line gives them: a run or a file, a settings file, overrides."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import polars as pl
import yaml

from alphaloom.data.store import Store
from alphaloom.errors import SettingError, UsageError, did_you_mean, unknown_name
from alphaloom.outside import read_frame
from alphaloom.recipe import Recipe, overlay, override, read_settings, shipped_files
from alphaloom.report.runs import STATE, RunFolder
from alphaloom.sweep.settings import SweepSettings

SCORE: Literal["score"] = "score"


def read_sweep(
    scores: Path, store: Store, *, file: str | None = None, grid: Sequence[str] = (), overrides: Sequence[str] = ()
) -> SweepSettings:
    """Return a sweep's settings: those of the run, under those of a settings file, under the command line's.

    Args:
        scores: folder of a run, whose first portfolio, risk, universe and backtest are the base; or a file of scores.
        store: whose market rules apply where nothing else is said.
        file: YAML of `SweepSettings`, or the name of a shipped one.
        grid: axes as `portfolio.num_stock=100,200`; they replace those of the file.
        overrides: settings as `backtest.capital=1e9`.

    Raises:
        SettingError: a wrong setting.
        UsageError: no such file.
    """
    data = _base(scores, store)
    if file is not None:
        data = _over(data, read_settings(find_sweep(file)))
    if grid:
        data["axes"] = dict(_axis(text) for text in grid)
    for text in overrides:
        data = override(data, text)
    return SweepSettings.parse(data, where="sweep")


def read_scores(scores: Path, column: str | None = None) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Return `date, symbol, score` of a run or of a file, and where they are from.

    Args:
        scores: folder of a run, or a file that `alphaloom evaluate` reads.
        column: of a run, which model's scores; the traded ones when None.

    Raises:
        UsageError: no finished run, or no such model.
    """
    if not (scores / STATE).is_file():
        if column is not None:
            raise UsageError(f"--score {column}: {scores.name} is no run; its column score is taken.")
        return read_frame(scores, SCORE), {"scores": scores.name}
    folder = RunFolder.existing(scores)
    frame = folder.read_frame("scores.parquet")
    recipe = Recipe.parse(yaml.safe_load(folder.read_text("recipe.yaml")), where="recipe.yaml")
    traded = str(folder.read_json("metrics.json")["headline"])
    names = {traded: SCORE} | {n: f"score_{n}" for n in recipe.model_names() if f"score_{n}" in frame.columns}
    if column is not None and column not in names:
        raise unknown_name("score", column, names, where=str(scores))
    picked = frame.select("date", "symbol", pl.col(names[column or traded]).alias(SCORE))
    return picked.filter(pl.col(SCORE).is_not_nan()), {"run": recipe.name, "score": column or traded}


def find_sweep(name: str) -> Path:
    """Return the file of a sweep given by path or by the name of a shipped one.

    Raises:
        UsageError: neither exists; the message lists the shipped ones.
    """
    if Path(name).is_file():
        return Path(name)
    shipped = shipped_sweeps()
    if name in shipped:
        return shipped[name]
    raise UsageError(
        f"There is no settings file {name!r}, and no shipped sweep of that name.{did_you_mean(name, shipped)} Shipped: "
        f"{', '.join(sorted(shipped))}."
    )


def shipped_sweeps() -> dict[str, Path]:
    """Return the sweeps that come with the program, by name."""
    return shipped_files("sweeps")


def _base(scores: Path, store: Store) -> dict[str, Any]:
    if not (scores / STATE).is_file():
        return {"name": scores.stem, "portfolio": {"name": "linear_programme"}, "backtest": {"market": store.market}}
    recipe = yaml.safe_load(RunFolder.existing(scores).read_text("recipe.yaml"))
    portfolios = recipe["portfolios"] or [{"name": "linear_programme"}]
    kept = {key: recipe[key] for key in ("name", "risk", "universe", "rebalance", "backtest") if key in recipe}
    return kept | {"portfolio": portfolios[0]}


def _over(data: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with those of a file on top; a portfolio of another kind replaces the base's."""
    given = over.get("portfolio", {})
    kind = given.get("name") if isinstance(given, Mapping) else given
    if kind is not None and kind != data["portfolio"]["name"]:
        return overlay(data, over) | {"portfolio": given}
    return overlay(data, over)


def _axis(text: str) -> tuple[str, list[Any]]:
    path, equals, raw = text.partition("=")
    if not equals or not raw.strip():
        raise SettingError(
            f"--grid {text!r}: write it as setting.part=value,value, such as portfolio.num_stock=100,200."
        )
    try:
        values = yaml.safe_load(f"[{raw}]")
    except yaml.YAMLError:
        raise SettingError(f"--grid {text!r}: {raw!r} is not a list of YAML values.") from None
    return path.strip(), values
