"""`alphaloom runs ...`: the list of runs, their tags, the index, export; and `alphaloom compare`."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from typer.core import TyperGroup

from alphaloom.cli.display import print_json, print_pairs, print_table

FolderArg = Annotated[Path, typer.Argument(help="Folder that holds runs.", metavar="FOLDER")]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print machine-readable results.")]
TagOpt = Annotated[list[str] | None, typer.Option("--tag", help="Runs with this tag. May be repeated.")]
FilterOpt = Annotated[
    list[str] | None,
    typer.Option("--filter", help="Such as rank_ic>0.02, status=done or recipe~alpha. May be repeated."),
]
SHOWN = {
    "run": "run", "recipe": "recipe", "status": "status", "started": "started", "verdict": "verdict",
    "rank_ic": "RankIC", "t_newey_west": "t", "annual_return": "return", "excess_annual_return": "excess",
    "information_ratio": "IR", "tags": "tags",
}  # fmt: skip
"""Columns for a terminal and their short headings; --json gives all."""

COMPARED = {
    "run": "run", "verdict": "verdict", "rank_ic": "RankIC", "low": "from", "high": "to", "t_newey_west": "t",
    "in_sample": "in sample", "out_of_sample": "out", "annual_return": "return", "excess_annual_return": "excess",
    "information_ratio": "IR",
}  # fmt: skip


class _ListByDefault(TyperGroup):
    """Takes `runs FOLDER` for `runs list FOLDER`."""

    def parse_args(self, ctx, args):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - click's own types are hidden
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ListByDefault,
    help="List the runs of a folder (`alphaloom runs FOLDER`), tag them, export them, make their index anew.",
    rich_markup_mode=None,
)


@app.command("judge")
def judge(
    run: Annotated[Path, typer.Argument(help="Folder of the run that was chosen.", metavar="RUN")],
    among: Annotated[Path, typer.Option("--among", help="Folder of all runs that were made.")] = Path("runs"),
    portfolio: Annotated[
        str | None, typer.Option("--portfolio", help="One of the run's; its first by default.")
    ] = None,
    json: JsonOpt = False,
) -> None:
    """Tell what remains of a run's portfolio once everything tried on the same data is counted.

    Deflated Sharpe ratio with the number of trials and how many independent ones they are worth, probability of
    overfitting, superiority.
    """
    from alphaloom.run_store.judge import judge_run

    found = judge_run(run, among, portfolio=portfolio).metrics()
    if json:
        print_json(found)
        return
    for part in ("sharpe", "overfitting", "superiority"):
        if found[part]:
            print_pairs(
                {key: str(value) if isinstance(value, tuple) else value for key, value in found[part].items()}, part
            )


@app.command("list")
def list_(
    folder: FolderArg = Path("runs"),
    sort: Annotated[str, typer.Option("--sort", help="Column; -rank_ic begins with the greatest.")] = "name",
    filter_: FilterOpt = None,
    tag: TagOpt = None,
    text: Annotated[str, typer.Option("--text", help="Text in name, recipe, verdict or tags.")] = "",
    json: JsonOpt = False,
) -> None:
    """List the runs of a folder with their headline figures."""
    import polars as pl

    from alphaloom.run_store.index import list_runs
    from alphaloom.run_store.select import Selection

    table = list_runs(folder, Selection(filter_ or (), tag or (), text, sort))
    if json:
        print_json({"runs": table.to_dicts()})
        return
    broken = table.filter(pl.col("status") == "broken")
    short = table.with_columns(pl.col("tags").list.join(" "), pl.col("started").str.slice(0, 16).str.replace("T", " "))
    print_table(short.select(SHOWN.keys()).rename(SHOWN), digits=3)
    for run, problem in broken.select("run", "problem").iter_rows():
        typer.echo(f"{run} is broken: {problem}")


@app.command()
def rebuild(folder: FolderArg = Path("runs")) -> None:
    """Make the index of a folder anew from the runs in it."""
    from alphaloom.run_store.index import RunStore

    typer.echo(f"{RunStore(folder).rebuild()} runs in the index of {folder}")


@app.command()
def gc(
    folder: FolderArg = Path("runs"),
    delete: Annotated[bool, typer.Option("--delete", help="Remove what is listed; without it nothing is.")] = False,
    older: Annotated[float, typer.Option("--older", help="Hours that left-overs must not have changed.", min=0)] = 24,
    candidates: Annotated[
        bool, typer.Option("--candidates", help="Also candidates of searches that have ended.")
    ] = False,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Also interrupted runs and studies without a result.")
    ] = False,
    json: JsonOpt = False,
) -> None:
    """List what runs and studies left behind that nothing needs, and remove it with --delete."""
    import polars as pl

    from alphaloom.run_store.waste import find_waste, remove

    waste = find_waste(folder, older_hours=older, candidates=candidates, unfinished=unfinished)
    rows = [{"path": str(item.path), "why": item.why, "bytes": item.bytes} for item in waste]
    if json:
        print_json({"waste": rows, "bytes": sum(item.bytes for item in waste), "deleted": delete})
    elif waste:
        table = pl.DataFrame(rows).with_columns((pl.col("bytes") / 1e6).alias("MB")).drop("bytes")
        print_table(table, digits=3)
    if delete:
        freed = remove(waste)
        if not json:
            typer.echo(f"{freed / 1e6:,.1f} MB freed")
    elif not json:
        total = sum(item.bytes for item in waste) / 1e6
        typer.echo(f"{total:,.1f} MB could go; --delete removes it" if waste else "Nothing to remove.")


@app.command()
def tag(
    run: Annotated[Path, typer.Argument(help="Folder of a run.", metavar="RUN")],
    add: Annotated[list[str] | None, typer.Option("--add", help="Tag to add. May be repeated.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", help="Tag to remove. May be repeated.")] = None,
) -> None:
    """Add tags to a run or remove them; print those that it has."""
    from alphaloom.report.runs import RunFolder
    from alphaloom.run_store.index import RunStore

    tags = RunFolder(run).tag(add=add or (), remove=remove or ())
    RunStore.note_run(run)
    typer.echo(" ".join(tags))


@app.command("export-mlflow")
def export_mlflow(
    folder: FolderArg,
    to: Annotated[str, typer.Option("--to", help="MLflow tracking address, such as sqlite:///mlflow.db.")],
    experiment: Annotated[str, typer.Option("--experiment", help="Name of the experiment.")] = "alphaloom",
    json: JsonOpt = False,
) -> None:
    """Write the finished runs of a folder to MLflow: settings, figures, tags, report; those there already are kept."""
    from alphaloom.run_store.mlflow import export

    counts = export(folder, to, experiment)
    if json:
        print_json(counts)
    else:
        print_pairs(counts)


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of two runs or more.", metavar="RUN...")],
    out: Annotated[Path, typer.Option("--out", help="Page to write; its numbers lie beside it (.json).")],
    json: JsonOpt = False,
) -> None:
    """Compare runs side by side: figures, paired differences with intervals, portfolios, settings, data."""
    from alphaloom.comparison.compare import compare_runs
    from alphaloom.comparison.page import write_comparison

    comparison = compare_runs(runs)
    write_comparison(comparison, out)
    if json:
        print_json(comparison.to_dict())
        return
    for sentence in [comparison.verdict(), *comparison.cautions]:
        typer.echo(sentence)
    print_table(comparison.overview().select(COMPARED.keys()).rename(COMPARED), "runs", digits=3)
    print_table(comparison.differences.drop("first", "last", "p_newey_west"), "b less a, on common dates", digits=3)
    typer.echo(f"page: {out}")


def choose(
    runs: Annotated[list[Path], typer.Argument(help="Folders of two runs or more.", metavar="RUN...")],
    out: Annotated[Path, typer.Option("--out", help="Scores file to write (.parquet or .csv).")],
    by: Annotated[
        Literal["out_of_sample", "gap", "earlier_out_of_sample", "earlier_gap"],
        typer.Option("--by", help="What chooses each window's run; earlier_... could be followed, the others not."),
    ] = "earlier_out_of_sample",
    json: JsonOpt = False,
) -> None:
    """Take each window's scores from the run that a rule chooses: RankIC out of sample, or a small gap to in sample."""
    from alphaloom.comparison.choose import RULES, choose_runs
    from alphaloom.report.files import write_frame

    found = choose_runs(runs, by)
    write_frame(out, found.scores)
    if json:
        print_json(
            {"windows": found.windows.to_dicts(), "tests": found.table().to_dicts(), "hindsight": found.is_hindsight}
        )
        return
    print_table(found.windows, f"chosen by {RULES[by]}", digits=3)
    print_table(found.table(), "RankIC of the label, by date", digits=3)
    if found.is_hindsight:
        typer.echo("Hindsight: these scores are no forecasts. Rules that begin with earlier could have been followed.")


COMMANDS = (compare, choose)
