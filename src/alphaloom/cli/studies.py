"""`alphaloom study` and `alphaloom resume`: many runs of one recipe, and going on with what was interrupted."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alphaloom.cli.display import Progress, print_json, print_run, print_table
from alphaloom.cli.study import ThreadsOpt, WorkersOpt, thread_count, worker_settings

if TYPE_CHECKING:
    from alphaloom.report.grid import GridReport

StoreArg = Annotated[Path, typer.Argument(help="Store of market data.", metavar="STORE")]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print machine-readable results.")]
SHOWN = {
    "point": "run", "rank_ic": "RankIC", "low": "from", "high": "to", "t_newey_west": "t",
    "in_sample_rank_ic": "in sample", "out_of_sample_rank_ic": "out",
    "difference": "less baseline", "difference_low": "from ", "difference_high": "to ", "p_holm": "p, Holm",
}  # fmt: skip
"""Columns of the printed table and their headings."""
EFFECTS = {
    "axis": "choice", "value": "value", "base": "instead of", "pairs": "pairs", "n": "dates", "difference": "RankIC",
    "difference_low": "from", "difference_high": "to", "t": "t", "p": "p", "p_holm": "p, Holm",
}  # fmt: skip


def study(
    study: Annotated[str, typer.Argument(help="Study file, or the name of a shipped study.", metavar="STUDY")],
    store: StoreArg,
    out: Annotated[Path, typer.Option("--out", help="Folder of the study; an interrupted one goes on.")],
    workers: WorkersOpt = None,
    threads: ThreadsOpt = 0,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a setting: executor.workers=4, set.data.start=2018-01-01."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another study in the folder.")] = False,
    json: JsonOpt = False,
) -> None:
    """Run one recipe over a grid of its settings, on all cores or a cluster; one table and page compare them."""
    from alphaloom.data.store import Store
    from alphaloom.study.run import run_study
    from alphaloom.study.settings import read_study

    settings, recipe = read_study(study, [*(set_ or []), *worker_settings(workers)])
    progress = Progress(quiet=json)
    with progress.running():
        report = run_study(
            settings,
            recipe,
            Store(store),
            out,
            threads=thread_count(threads),
            overwrite=overwrite,
            progress=progress,
        )
    _print(report, out, as_json=json)


def resume(
    folder: Annotated[Path, typer.Argument(help="Folder of an interrupted study or run.", metavar="FOLDER")],
    store: StoreArg,
    workers: WorkersOpt = None,
    threads: ThreadsOpt = 0,
    json: JsonOpt = False,
) -> None:
    """Go on with a study or a run that was interrupted, from what is finished; failed tasks are tried again."""
    import yaml

    from alphaloom.data.store import Store
    from alphaloom.errors import UsageError
    from alphaloom.executors.base import with_overrides
    from alphaloom.pipeline import run as run_recipe
    from alphaloom.recipe import Recipe
    from alphaloom.study.run import is_study, resume_study

    progress = Progress(quiet=json)
    executor: dict[str, Any] = {} if workers is None else {"name": "local", "workers": workers}
    if is_study(folder):
        with progress.running():
            report = resume_study(folder, Store(store), executor, threads=thread_count(threads), progress=progress)
        _print(report, folder, as_json=json)
        return
    if not (folder / "recipe.yaml").is_file():
        raise UsageError(f"{folder} holds no study and no run. `alphaloom runs FOLDER` lists the runs of a folder.")
    data = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    if executor:
        data["executor"] = with_overrides(data.get("executor") or {}, executor)
    with progress.running():
        done = run_recipe(
            Recipe.parse(data, where="recipe.yaml"),
            Store(store),
            folder,
            threads=thread_count(threads),
            progress=progress,
        )
    if json:
        print_json({"run": str(folder), **done.metrics})
        return
    print_run(done.metrics)
    typer.echo(f"report: {folder / 'report.html'}")


def _print(report: "GridReport", out: Path, *, as_json: bool) -> None:
    table, effects = report.table(), report.effects()
    if as_json:
        print_json({"study": str(out), "runs": table.to_dicts(), "effects": effects.to_dicts()})
        return
    shown = {name: title for name, title in SHOWN.items() if name in table.columns}
    print_table(table.select(*shown).rename(shown), "runs", digits=3)
    if effects.height:
        kept = {name: title for name, title in EFFECTS.items() if name in effects.columns}
        print_table(effects.select(*kept).rename(kept), "what each choice does, all else equal", digits=3)
    for point in report.points:
        if point.failure is not None:
            typer.echo(f"{point.name} failed: {point.failure}", err=True)
    typer.echo(f"report: {out / 'report.html'}")
    if any(point.failure is not None for point in report.points):
        raise typer.Exit(1)


COMMANDS = (study, resume)
