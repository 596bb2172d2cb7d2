"""Commands that run experiments: demo, run, predict, audit, schema."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from alphaloom.cli.display import Progress, print_json, print_run, print_table
from alphaloom.training.torchrun import Place

RecipeArg = Annotated[str, typer.Argument(help="Recipe file, or the name of a shipped recipe.", metavar="RECIPE")]
StoreArg = Annotated[Path, typer.Argument(help="Store of market data.", metavar="STORE")]
SetOpt = Annotated[list[str] | None, typer.Option("--set", help="Override a setting: a.b=c. May be repeated.")]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print machine-readable results.")]
ThreadsOpt = Annotated[
    int, typer.Option("--threads", help="Threads of each process; 0 for all cores, shared evenly.", min=0)
]
WorkersOpt = Annotated[
    int | None,
    typer.Option("--workers", help="Processes that fit side by side, one thread each (executor.cores).", min=1),
]


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the simulated market and the run.")] = Path("demo"),
    threads: ThreadsOpt = 0,
    json: JsonOpt = False,
) -> None:
    """Simulate a market, run the main job on it, and end with the report."""
    from alphaloom.data.simulate import SimulatedMarket, simulate
    from alphaloom.data.store import META, Store
    from alphaloom.pipeline import run as run_recipe
    from alphaloom.recipe import read_recipe

    progress = Progress(quiet=json)
    with progress.running():
        if (out / "store" / META).is_file():
            store = Store(out / "store")
        else:
            store = simulate(
                SimulatedMarket(stocks=300, years=4, alpha="all", alpha_ic=0.12), out / "store", progress=progress.years
            )
        done = run_recipe(read_recipe("demo"), store, out / "run", threads=thread_count(threads), progress=progress)
    _print_run(done.metrics, done.folder, as_json=json)


def run(
    recipe: RecipeArg,
    store: StoreArg,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the run; an interrupted one goes on.")] = None,
    scale: Annotated[str | None, typer.Option("--scale", help="A scale of the recipe, such as small; or full.")] = None,
    set_: SetOpt = None,
    threads: ThreadsOpt = 0,
    workers: WorkersOpt = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another run in the folder.")] = False,
    print_config: Annotated[bool, typer.Option("--print-config", help="Print the resolved recipe and stop.")] = False,
    json: JsonOpt = False,
) -> None:
    """Run one experiment, from market data to a report; torchrun may start several processes of it."""
    from alphaloom.recipe import read_recipe

    is_first = Place.here().is_first
    resolved = read_recipe(recipe, scale=scale, overrides=[*(set_ or []), *worker_settings(workers)])
    if print_config:
        if is_first:
            typer.echo(resolved.to_yaml(), nl=False)
        return
    from alphaloom.data.store import Store
    from alphaloom.pipeline import run as run_recipe

    progress = Progress(quiet=json or not is_first)
    with progress.running():
        done = run_recipe(
            resolved,
            Store(store),
            out or Path("runs") / f"{resolved.name}-{resolved.fingerprint()[:8]}",
            threads=thread_count(threads),
            progress=progress,
            overwrite=overwrite,
        )
    if is_first:
        _print_run(done.metrics, done.folder, as_json=json)


def predict(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.", metavar="RUN")],
    store: StoreArg,
    date: Annotated[str, typer.Option("--date", help="Trading day to score, ISO.")],
    out: Annotated[Path, typer.Option("--out", help="Scores file (.parquet or .csv); weights lie beside it.")],
    json: JsonOpt = False,
) -> None:
    """Score a later date with a run's stored transforms and models; write scores and target weights."""
    from alphaloom.data.store import Store
    from alphaloom.report.files import write_frame
    from alphaloom.serving import predict as predict_date

    scores, weights = predict_date(run, Store(store), date)
    weights_file = out.with_name(f"{out.stem}-weights{out.suffix}")
    write_frame(out, scores)
    write_frame(weights_file, weights)
    if json:
        print_json({"scores": str(out), "weights": str(weights_file), "scored": scores.height, "held": weights.height})
        return
    print_table(scores.sort("score", descending=True).head(10), f"highest scores of {scores.height}, {date}")
    if weights.height:
        print_table(weights.sort("weight", descending=True).head(10), f"largest weights of {weights.height}")
    typer.echo(f"{out}\n{weights_file}")


def models(
    kind: Annotated[str | None, typer.Argument(help="Kind of component; all kinds when left out.")] = None,
    json: JsonOpt = False,
) -> None:
    """List models and every other kind of component with their settings."""
    from alphaloom.catalogue import component_table

    table = component_table(kind)
    if json:
        print_json({"components": table.to_dicts()})
    else:
        print_table(table)


def schema(
    out: Annotated[Path | None, typer.Option("--out", help="File to write; standard output when left out.")] = None,
) -> None:
    """Write the recipe's JSON Schema, for completion and checks in an editor."""
    import json as json_

    from alphaloom.recipe import Recipe

    text = json_.dumps(Recipe.model_json_schema(), indent=1, ensure_ascii=False)
    if out is None:
        typer.echo(text)
    else:
        out.write_text(text + "\n", encoding="utf-8")
        typer.echo(str(out))


def audit(
    run: Annotated[Path, typer.Argument(help="Folder of a run, or a recipe.", metavar="RUN")],
    store: StoreArg,
    cuts: Annotated[int, typer.Option("--cuts", help="Dates at which the data are cut and corrupted.", min=1)] = 5,
    json: JsonOpt = False,
) -> None:
    """Compute a run again with later data cut off and replaced; exit 1 when something knows the future.

    Features, transforms, labels, universe, store fields and windows; of a run also what its models were fitted on,
    scores and weights. Leaks of each kind are planted and must be caught. The run's report shows the result.
    """
    from alphaloom.audit.run import audit_recipe
    from alphaloom.data.store import Store

    report = audit_recipe(run, Store(store), cuts=cuts)
    if json:
        print_json(report.to_dict())
    else:
        print_table(report.table(), "look-ahead audit")
        typer.echo(report.verdict())
    if not report.passed:
        raise typer.Exit(1)


def _print_run(metrics: Mapping[str, Any], folder: Path, *, as_json: bool) -> None:
    if as_json:
        print_json({"run": str(folder), **metrics})
        return
    print_run(metrics)
    typer.echo(f"report: {folder / 'report.html'}")


def worker_settings(workers: int | None) -> list[str]:
    """Return the overrides of a recipe that make fits run in so many processes; none without a number."""
    return [] if workers is None else ["executor.name=local", f"executor.workers={workers}"]


def thread_count(asked: int) -> int:
    """Return the number of threads asked for; for 0 this process's share of the cores it may use."""
    from alphaloom.executors.machine import cores

    return asked or max(1, cores() // Place.here().local_size)


COMMANDS = (demo, run, predict, models, schema, audit)
