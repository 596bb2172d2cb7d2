"""`alphaloom bench train`: how fast networks train on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alphaloom.cli.display import Progress, print_json, print_table

if TYPE_CHECKING:
    from alphaloom.bench.sources import Source
    from alphaloom.bench.train import Speeds
    from alphaloom.recipe import Recipe

COLUMNS = (
    "size", "steps", "rows", "precision", "seconds_mean", "seconds_sd", "seconds_min", "seconds_max", "cpu_s",
    "waited_share", "rows_per_s", "loader_share", "resident_mb", "allocated_mb", "error",
)  # fmt: skip
"""Columns of the table that a terminal is shown."""

app = typer.Typer(help="Measure speed on this machine.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _bench() -> None:
    """Keep `train` a command of its own; typer would take a single one for the group."""


@app.command()
def train(
    out: Annotated[Path, typer.Option("--out", help="Folder for the table and the page; finished cells stay in it.")],
    store: Annotated[
        Path | None, typer.Argument(help="Store of market data; samples are made at random without.", metavar="[STORE]")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="Recipe that says what the samples are, and holds models.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Network, or models.0 of the recipe. Default: its first network, or transformer."),
    ] = None,
    sizes: Annotated[
        str | None, typer.Option("--sizes", help="Sizes, comma-separated; all that the network has by default.")
    ] = None,
    steps: Annotated[str, typer.Option("--steps", help="Look-back steps, comma-separated.")] = "5,21",
    rows: Annotated[str, typer.Option("--rows", help="Rows in a batch, comma-separated.")] = "512,1024,2048,4096",
    precision: Annotated[
        str, typer.Option("--precision", help="float32, bfloat16, float16 (GPU) or auto, comma-separated.")
    ] = "float32,bfloat16",
    repeats: Annotated[int, typer.Option("--repeats", help="Fits of each cell.", min=1)] = 3,
    epochs: Annotated[int, typer.Option("--epochs", help="Epochs of each fit.", min=1)] = 1,
    max_steps: Annotated[
        int | None, typer.Option("--max-steps", help="Batches in an epoch at most; the table says so.", min=1)
    ] = None,
    split: Annotated[
        int | None,
        typer.Option(
            "--split", help="Window of the recipe on the store, from 1. Default: 24 without a recipe, its last.", min=1
        ),
    ] = None,
    features: Annotated[int | None, typer.Option("--features", help="Features without a store. Default: 158.")] = None,
    stocks: Annotated[int | None, typer.Option("--stocks", help="Stocks without a store. Default: 1000.")] = None,
    days: Annotated[int | None, typer.Option("--days", help="Training days without a store. Default: 252.")] = None,
    threads: Annotated[int, typer.Option("--threads", help="Threads to use; 0 for all cores.", min=0)] = 0,
    profile: Annotated[
        bool, typer.Option("--profile", help="Also the arithmetic, against the machine's fastest product of matrices.")
    ] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Setting of the network: hidden=128. May be repeated.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print machine-readable results.")] = False,
) -> None:
    """Time the training loop: sizes x steps x batch sizes x precisions; a table and a page with figures.

    Interrupt it whenever you like: the same command goes on, and cells that are measured are not measured again.
    """
    from alphaloom.bench.grid import Grid, base_model, cells
    from alphaloom.bench.page import write_speeds
    from alphaloom.bench.train import Job, measure_speeds
    from alphaloom.executors.machine import cores
    from alphaloom.recipe import read_recipe

    found = read_recipe(recipe) if recipe else None
    grid = Grid(
        sizes=tuple(_names(sizes or "")),
        steps=_numbers("--steps", steps),
        rows=_numbers("--rows", rows, least=2),
        precisions=tuple(_names(precision)),
        repeats=repeats,
        epochs=epochs,
        max_steps=max_steps,
    )
    every = cells(base_model(model, found, set_ or []), grid)
    source = _source(store, found, split, {"features": features, "stocks": stocks, "days": days})
    job = Job(every, grid, source, threads or cores(), profile=profile)
    progress = Progress(quiet=json)
    with progress.running():
        speeds = measure_speeds(job, out, progress)
    files = write_speeds(speeds, out)
    if json:
        print_json(speeds.to_dict() | {"files": {file.suffix[1:]: str(file) for file in files}})
        return
    _print(speeds)
    typer.echo(str(files[0]))


def _source(store: Path | None, recipe: "Recipe | None", split: int | None, sizes: dict[str, int | None]) -> "Source":
    """Return where the samples come from.

    Raises:
        UsageError: an option of the other source was given.
    """
    from alphaloom.bench.sources import SEED_000, StoreSplit, Synthetic
    from alphaloom.data.store import Store
    from alphaloom.errors import UsageError
    from alphaloom.recipe import Recipe

    given = {key: value for key, value in sizes.items() if value is not None}
    if store is None:
        if split is not None:
            raise UsageError("--split needs a STORE: samples made at random have no windows.")
        if recipe is not None:
            given.setdefault("features", sum(len(family.columns()) for family in recipe.features))
        return Synthetic.parse(given, where="bench train")
    if given:
        raise UsageError(f"--{', --'.join(given)}: only for samples made at random; STORE has its own.")
    if recipe is not None:
        return StoreSplit(Store(store), recipe, split)
    return StoreSplit(Store(store), Recipe.parse(SEED_000 | {"models": ["transformer"]}), split or 24)


def _numbers(option: str, text: str, *, least: int = 1) -> tuple[int, ...]:
    from alphaloom.errors import SettingError

    words = _names(text)
    if not words or not all(word.isdigit() and int(word) >= least for word in words):
        raise SettingError(f"{option} {text!r}: write whole numbers of {least} or more, separated by commas.")
    return tuple(int(word) for word in words)


def _names(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _print(speeds: "Speeds") -> None:
    import polars as pl

    from alphaloom.bench.tables import fits_words, reading

    grid, kept = speeds.job.grid, [key for key in COLUMNS if speeds.table[key].is_not_null().any()]
    shown = speeds.table.select(kept).with_columns(pl.col("rows_per_s", "resident_mb").round(0))
    cut = f", {grid.max_steps:,} batches an epoch" if grid.max_steps else ""
    print_table(shown.rename(lambda key: key.replace("_", " ")), f"{fits_words(grid)}{cut}")
    for sentence in reading(speeds.table):
        typer.echo(sentence)
    if speeds.reused:
        typer.echo(f"{speeds.reused} of {speeds.table.height} cells were measured before.")
