"""`alphaloom placebo`: the same training on labels that mean nothing."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from alphaloom.cli.display import Progress, print_json
from alphaloom.cli.study import ThreadsOpt, thread_count


def placebo(
    run: Annotated[Path, typer.Argument(help="Folder of a run.", metavar="RUN")],
    store: Annotated[Path, typer.Argument(help="Store that the run was made from.", metavar="STORE")],
    kind: Annotated[
        Literal["names", "dates"],
        typer.Option("--kind", help="Permute labels over names, once for all dates, or within each date."),
    ] = "names",
    repeats: Annotated[int, typer.Option("--repeats", help="Trainings on permuted labels.", min=1)] = 20,
    threads: ThreadsOpt = 0,
    json: Annotated[bool, typer.Option("--json", help="Print machine-readable results.")] = False,
) -> None:
    """Fit a run's models again on permuted labels: how often does nothing come to as much as the run found?

    Each repeat takes as long as the run's own training. Finished repeats are kept; more may be added later.
    """
    from alphaloom.data.store import Store
    from alphaloom.placebo import run_placebo

    progress = Progress(quiet=json)
    with progress.running():
        found = run_placebo(
            run, Store(store), kind=kind, repeats=repeats, threads=thread_count(threads), progress=progress
        )
    if json:
        print_json(found.to_dict())
    else:
        typer.echo(found.sentence())


COMMANDS = (placebo,)
