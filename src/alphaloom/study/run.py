"""Runs a study: all fits of all runs over one executor, then each run's results, then their comparison."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from alphaloom import __version__
from alphaloom.data.store import Store
from alphaloom.errors import RunError, UsageError
from alphaloom.executors.base import Outcome, with_overrides
from alphaloom.executors.storage import Storage
from alphaloom.pipeline import Kept, Stages, Started, finish, start
from alphaloom.report.files import write_frame, write_text
from alphaloom.report.grid import GridPoint, GridReport
from alphaloom.report.grid_page import write_grid_page
from alphaloom.report.runs import RunFolder
from alphaloom.run_store.index import RunStore
from alphaloom.spec import fingerprint
from alphaloom.study.settings import Point, StudySettings, baseline_of, points_of
from alphaloom.training.spread import Member, Spread

Progress = Callable[[str, int, int], None]
STATE = "study.json"
POINTS = "points"


@dataclass(frozen=True, eq=False)
class _Running:
    point: Point
    started: Started
    folder: RunFolder
    member: Member

    @property
    def models(self) -> Storage:
        """Where its fits lie."""
        return self.member.rolling.storage


def run_study(
    settings: StudySettings,
    recipe: Mapping[str, Any],
    store: Store,
    out: Path,
    *,
    threads: int,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> GridReport:
    """Run a study into the folder `out`, or finish what an interrupted one left there.

    Writes `study.json`, a run's folder for each point in `points`, `study.parquet` (a row a run), `effects.parquet`,
    `report.html` and `metrics.json`; logs of tasks that failed in `failed`. Fits found finished, of the same data,
    settings and code, are not made again. Runs whose fits failed are named in the report; the others are complete.

    Args:
        settings: what varies, and where fits run.
        recipe: what all have in common, as plain data.
        store: the market data.
        out: folder to write.
        threads: of this process, for features and reports.
        overwrite: whether another study in the folder may be replaced.
        progress: told what is being worked on.

    Raises:
        SettingError: a run that is no recipe; nothing was computed.
        UsageError: the folder holds another study, or something else.
        RunError: results cannot be written; or every run failed.
    """
    tell = progress or (lambda *_: None)
    points = points_of(settings, recipe)
    baseline = baseline_of(settings, points)
    data_hash = store.fingerprint()
    _open(out, settings, recipe, data_hash, overwrite=overwrite)
    kept, spread = Kept(), Spread(settings.executor, out)
    running = []
    for k, point in enumerate(points):
        tell(f"inputs of {point.name}", k, len(points))
        running.append(_begin(point, store, out, kept, spread, threads, overwrite=overwrite))
    failed = spread.run([item.member for item in running], progress, RunFolder(out).log)
    results = []
    for k, item in enumerate(running):
        tell(f"results of {item.point.name}", k, len(running))
        results.append(_result(item, store, threads, _reason(item, failed)))
    if all(point.failure is not None for point in results):
        raise RunError(
            f"Every run of the study failed, the first one because: {results[0].failure} The logs are in "
            f"{out / 'failed'}."
        )
    if not failed:
        spread.forget_inputs()
    tell("report", 0, 1)
    report = GridReport(
        title=settings.name,
        description=settings.description,
        axes=settings.labels(),
        baseline=baseline.name,
        points=results,
        replicate=settings.replicate,
        provenance={
            "data_hash": data_hash,
            "market": store.market,
            "data_notes": store.meta.get("notes", []),
            "alphaloom": __version__,
            "study": yaml.safe_dump(settings.dump(), sort_keys=False, allow_unicode=True),
        },
    )
    write_frame(out / "study.parquet", report.table())
    write_frame(out / "effects.parquet", report.effects())
    write_grid_page(report, out / "report.html")
    return report


def resume_study(out: Path, store: Store, overrides: Mapping[str, Any], **how: Any) -> GridReport:
    """Go on with an interrupted study.

    Args:
        out: its folder.
        store: the data that it was begun with.
        overrides: settings of the executor to replace.
        how: further arguments of `run_study`.

    Raises:
        UsageError: the folder holds no study.
    """
    state = _state(out)
    if state is None:
        raise UsageError(f"{out} holds no study ({STATE} is not there).")
    data = dict(state["settings"])
    data["executor"] = with_overrides(data["executor"], overrides)
    return run_study(StudySettings.parse(data, where="study"), state["recipe"], store, out, **how)


def is_study(folder: Path) -> bool:
    """Return whether a folder holds a study."""
    return (folder / STATE).is_file()


def _state(out: Path) -> dict[str, Any] | None:
    file = out / STATE
    state: dict[str, Any] | None = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
    return state


def _open(out: Path, settings: StudySettings, recipe: Mapping[str, Any], data_hash: str, *, overwrite: bool) -> None:
    """Refuse a folder that holds something else, and write down what the study is."""
    plain = {key: value for key, value in settings.dump().items() if key != "executor"}
    key = fingerprint([plain, recipe, data_hash])
    state = _state(out)
    if not overwrite and state is None and out.exists() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty and holds no study. Give an empty or new folder with --out.")
    if not overwrite and state is not None and state["key"] != key:
        raise UsageError(
            f"{out} holds another study ({state['settings']['name']}), other settings or other data. Give another "
            "--out, or --overwrite to replace it."
        )
    facts = {"key": key, "data_hash": data_hash, "settings": settings.dump(), "recipe": dict(recipe)}
    write_text(out / STATE, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")


def _begin(
    point: Point, store: Store, out: Path, kept: Kept, spread: Spread, threads: int, *, overwrite: bool
) -> _Running:
    """Return a run whose inputs lie where workers find them."""
    recipe, folder = point.recipe, RunFolder(out / POINTS / point.folder)
    started = start(recipe, store, threads=threads, tell=lambda _: None, kept=kept)
    member = spread.add(started.experiment, started.windows, folder.models)
    if overwrite or not folder.is_done() or member.rolling.unfinished():
        RunFolder.open(folder.path, recipe.to_yaml(), recipe.fingerprint(), started.data_hash, overwrite=overwrite)
        RunStore.note_run(folder.path)
    # From here on the features lie on disk for this process too: several sets of them would not fit in memory.
    prepared = replace(started.prepared, block=member.source.get().block)
    kept.swap(started.prepared, prepared)
    experiment = replace(started.experiment, inputs=replace(started.experiment.inputs, block=prepared.block))
    return _Running(point, replace(started, prepared=prepared, experiment=experiment), folder, member)


def _reason(item: _Running, failed: Sequence[Outcome]) -> str | None:
    """Return why a run failed; None if none of its tasks did."""
    for outcome in failed:
        if outcome.failure is not None and outcome.task.arguments["storage"] == item.models:
            return f"{outcome.task.name}: {outcome.failure.message}"
    return None


def _result(item: _Running, store: Store, threads: int, reason: str | None) -> GridPoint:
    """Return a run's results, made now unless they are there."""
    point, folder = item.point, item.folder
    labels = point.labels or ()
    link = f"{POINTS}/{point.folder}/report.html"
    if not item.member.rolling.is_finished():
        return GridPoint(
            point.name, labels, pl.DataFrame(), pl.DataFrame(), {}, pl.DataFrame(), link, reason or "not finished"
        )
    if not folder.is_done():
        stage = Stages(None)
        trained = item.member.rolling.result()
        finish(point.recipe, store, item.started, trained, folder, threads=threads, stage=stage, progress=None)
    metrics = folder.read_json("metrics.json")
    portfolios = list(metrics["portfolios"])
    return GridPoint(
        name=point.name,
        labels=labels,
        ic=folder.read_frame("ic.parquet").filter(pl.col("signal") == metrics["headline"]),
        windows=pl.DataFrame(metrics["windows"], infer_schema_length=None),
        metrics=metrics,
        nav=folder.read_frame(f"nav-{portfolios[0]}.parquet") if portfolios else pl.DataFrame(),
        folder=link,
        failure=None,
    )
