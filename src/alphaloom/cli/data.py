"""`alphaloom data ...`: import, info, check, simulate, export."""

from pathlib import Path
from typing import Annotated

import typer

from alphaloom.cli.display import Progress, print_import, print_json, print_rich

app = typer.Typer(help="Build, look at and check stores of market data.", no_args_is_help=True, rich_markup_mode=None)

StoreArg = Annotated[Path, typer.Argument(help="Store of market data.", metavar="STORE")]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print machine-readable results.")]


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="File or folder to read.", metavar="SOURCE")],
    store: Annotated[Path, typer.Argument(help="Store to build or extend.", metavar="STORE")],
    form: Annotated[str | None, typer.Option("--format", help="Form of the source; recognised when left out.")] = None,
    mapping: Annotated[Path | None, typer.Option("--map", help="YAML file that maps columns to the store's.")] = None,
    quarantine: Annotated[
        bool, typer.Option("--quarantine", help="Set broken rows aside instead of refusing.")
    ] = False,
    sort: Annotated[bool, typer.Option("--sort", help="Accept rows whose dates are out of order.")] = False,
    json: JsonOpt = False,
) -> None:
    """Build a store from market data, or extend it; nothing is written when the input is wrong."""
    from alphaloom.data.import_ import import_data

    report = import_data(source, store, form, mapping, quarantine=quarantine, sort=sort)
    if json:
        print_json(report.to_dict())
    else:
        print_import(report)


@app.command()
def info(store: StoreArg, json: JsonOpt = False) -> None:
    """Summarise a store: span, columns, types, missing and distinct values, distribution, coverage, head and tail."""
    from alphaloom.data.info import info as summarise
    from alphaloom.data.store import Store

    summary = summarise(Store(store))
    if json:
        print_json(summary.to_dict())
    else:
        print_rich(summary.render())


@app.command()
def check(store: StoreArg, json: JsonOpt = False) -> None:
    """Report duplicates, bar violations, moves beyond the limits and gaps, with counts and examples."""
    from alphaloom.data.check import check as inspect
    from alphaloom.data.store import Store

    report = inspect(Store(store))
    if json:
        print_json(report.to_dict())
    else:
        print_rich(report.render())
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def simulate(
    store: Annotated[Path, typer.Argument(help="Store to make.", metavar="STORE")],
    stocks: Annotated[int, typer.Option("--stocks", help="Number of stocks ever listed.")] = 300,
    years: Annotated[int, typer.Option("--years", help="Length in calendar years.")] = 3,
    seed: Annotated[int, typer.Option("--seed", help="Equal seeds make equal markets.")] = 777,
    alpha: Annotated[
        str, typer.Option("--alpha", help="Planted: none, linear, nonlinear, sequential, cross, operators, all.")
    ] = "all",
    json: JsonOpt = False,
) -> None:
    """Make a simulated market whose truth (alpha, exposures, factor returns, covariance) lies in STORE/truth."""
    from alphaloom.data.simulate import SimulatedMarket
    from alphaloom.data.simulate import simulate as make

    settings = SimulatedMarket.parse({"stocks": stocks, "years": years, "seed": seed, "alpha": alpha})
    progress = Progress(quiet=json)
    with progress.running():
        made = make(settings, store, progress=progress.years)
    if json:
        print_json({"store": str(made.path), "tables": made.tables(), "settings": settings.dump()})
    else:
        typer.echo(f"{made.path}: {', '.join(made.tables())}, truth")


@app.command()
def export(
    store: StoreArg,
    out: Annotated[Path, typer.Argument(help="Folder or file to write.", metavar="OUT")],
    form: Annotated[str, typer.Option("--format", help="qlib, parquet, csv or frame.")] = "parquet",
) -> None:
    """Write a store in another form."""
    from alphaloom.data.export import export as write
    from alphaloom.data.store import Store

    write(Store(store), out, form)
    typer.echo(str(out))
