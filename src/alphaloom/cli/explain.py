"""The command that tells what a run's models learned."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alphaloom.cli.display import Progress, print_json, print_table
from alphaloom.cli.runs import JsonOpt, RunArg, StoreArg
from alphaloom.cli.study import ThreadsOpt, thread_count

if TYPE_CHECKING:
    from alphaloom.explain import Explanation

TOP = 20


def explain(
    run: RunArg,
    store: StoreArg,
    model: Annotated[str | None, typer.Option("--model", help="One of the run's models; all when left out.")] = None,
    window: Annotated[str | None, typer.Option("--window", help="One of its windows; all when left out.")] = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", help="Name, or {name: ..., setting: ...}; may be repeated. All that suit by default."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Page to write (.html).")] = None,
    threads: ThreadsOpt = 0,
    json: JsonOpt = False,
) -> None:
    """Tell what a run's models learned: permutation importance, SHAP values, integrated gradients, attention.

    Results are kept in the run's folder and reused; `alphaloom report` shows them in the run's report.
    """
    import yaml

    from alphaloom.data.store import Store
    from alphaloom.errors import UsageError
    from alphaloom.explain import explain as explain_run
    from alphaloom.report.explain_page import write_explanation

    if out is not None and out.suffix != ".html":
        raise UsageError(f"--out {out}: the page is HTML; give a file that ends in .html.")
    try:
        asked = [yaml.safe_load(item) for item in method or []]
    except yaml.YAMLError:
        raise UsageError(f"--method {method}: give a name, or settings as {{name: permutation, repeats: 3}}.") from None
    progress = Progress(quiet=json)
    with progress.running():
        done = explain_run(
            run, Store(store), asked, model=model, window=window, threads=thread_count(threads), progress=progress
        )
    if out is not None:
        write_explanation(done.found, done.notes, out, title=f"{run.name}: interpretation")
    for sentence in done.discarded:
        typer.echo(sentence, err=True)
    if json:
        print_json(_plain(done, out))
        return
    _print(done)
    if out is not None:
        typer.echo(str(out))


def _plain(done: "Explanation", out: Path | None) -> dict[str, object]:
    return {
        "computed": done.computed,
        "reused": done.reused,
        "notes": list(done.notes),
        "discarded": list(done.discarded),
        "page": None if out is None else str(out),
        "methods": {item.method.name: item.summary().to_dicts() for item in done.found},
    }


def _print(done: "Explanation") -> None:
    import polars as pl

    for item in done.found:
        summary = item.summary()
        for model in item.models():
            rows = summary.filter(pl.col("model") == model).drop("model")
            shown = f", first {TOP} of {rows.height} rows" if rows.height > TOP else ""
            print_table(rows.head(TOP), f"{item.method.name}: {model}{shown}")
    for note in done.notes:
        typer.echo(note)
    if done.reused:
        typer.echo(f"{done.reused} of {done.reused + done.computed} results lay in the run's folder and were reused.")


COMMANDS = (explain,)
