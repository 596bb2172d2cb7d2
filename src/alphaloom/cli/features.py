"""`alphaloom features ...`: list and compute feature families."""

from pathlib import Path
from typing import Annotated

import typer

from alphaloom.cli.display import print_json, print_table

app = typer.Typer(help="List and compute feature families.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_(json: Annotated[bool, typer.Option("--json", help="Print machine-readable results.")] = False) -> None:
    """List the families: number of features, look-back, inputs."""
    import polars as pl

    from alphaloom.features.base import features

    rows = []
    for cls in features:
        family = cls()
        rows.append(
            {
                "family": cls.name,
                "features": len(family.columns()),
                "lookback": family.lookback,
                "inputs": ", ".join(family.required),
                "what": (cls.__doc__ or "").split("\n")[0],
            }
        )
    if json:
        print_json({"families": rows})
    else:
        print_table(pl.DataFrame(rows))


@app.command()
def compute(
    name: Annotated[str, typer.Argument(help="Feature family.", metavar="NAME")],
    store: Annotated[Path, typer.Argument(help="Store of market data.", metavar="STORE")],
    out: Annotated[Path, typer.Option("--out", help="Parquet or CSV file to write.")],
    start: Annotated[str | None, typer.Option("--from", help="First day, ISO.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last day, ISO.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print machine-readable results.")] = False,
) -> None:
    """Compute a family into a long frame (date, symbol, then columns by their published names)."""
    from alphaloom.data.store import Store
    from alphaloom.report.files import write_frame
    from alphaloom.stages import compute_family

    frame = compute_family(name, Store(store), start=start, end=end)
    write_frame(out, frame)
    facts = {"file": str(out), "rows": frame.height, "features": frame.width - 2}
    if json:
        print_json(facts)
    else:
        typer.echo(f"{out}: {frame.height:,} rows, {frame.width - 2} features")
