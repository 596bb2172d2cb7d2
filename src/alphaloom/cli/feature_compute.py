"""`alphaloom features compute`: features into a file or into a folder that is kept up to date."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alphaloom.cli.display import Progress, print_json
from alphaloom.errors import SettingError

if TYPE_CHECKING:
    from alphaloom.features.base import FeatureFamily
    from alphaloom.panel import Panel

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def compute(
    name: Annotated[
        str,
        typer.Argument(
            help="Feature family; several as a,b; all; or with settings: '{name: expressions, define: {gap: open / "
            "close}}'.",
            metavar="NAME",
        ),
    ],
    store: Annotated[Path, typer.Argument(help="Store of market data.", metavar="STORE")],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="Parquet or CSV file to write; or a folder, which holds dense blocks, goes on where it was "
            "interrupted and is brought up to date by the same command.",
        ),
    ],
    start: Annotated[str | None, typer.Option("--from", help="First day, ISO.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last day, ISO.")] = None,
    memory: Annotated[str, typer.Option("--memory", help="What the command may take, such as 500MB or 8GB.")] = "4GB",
    json: Annotated[bool, typer.Option("--json", help="Print machine-readable results.")] = False,
) -> None:
    """Compute features into a long frame (date, symbol, columns by their published names) or into a folder."""
    from alphaloom.data.store import Store
    from alphaloom.errors import DataError, UsageError
    from alphaloom.features.materialise import load_market, parse_families, split_available

    if out.suffix not in {"", ".parquet", ".csv"} and not out.is_dir():
        raise UsageError(f"--out {out}: write to a .parquet or .csv file, or to a folder (a name without an ending).")
    budget = parse_bytes(memory)
    market, families = Store(store), parse_families(name)
    skipped: dict[str, str] = {}
    if name.strip() == "all":
        families, skipped = split_available(families, market)
        if not families:
            raise DataError(f"The store {store} has the fields of no feature family.")
    panel = load_market(families, market)
    first, stop = panel.span(start, end)
    if first >= stop:
        raise DataError(
            f"There is no trading day{f' from {start}' if start else ''}{f' to {end}' if end else ''}; the store "
            f"{store} covers {panel.dates[0]} to {panel.dates[-1]}."
        )
    work = _to_folder if out.suffix == "" or out.is_dir() else _to_file
    words, facts = work(families, panel, out, first, stop, budget, quiet=json)
    if json:
        print_json(facts | {"skipped": skipped})
        return
    typer.echo(words)
    for text in facts.get("notes", []):
        typer.echo(f"  note: {text}")
    for family, reason in skipped.items():
        typer.echo(f"  skipped {family}: {reason}")


def parse_bytes(text: str) -> int:
    """Return the number of bytes that a text such as `500MB` or `8 GB` means; KB is 1,000 bytes.

    Raises:
        SettingError: it means none.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?B?)\s*", text.upper())
    unit = match.group(2) if match else ""
    unit = f"{unit}B" if unit in {"K", "M", "G", "T"} else unit
    if match is None or float(match.group(1)) == 0:
        raise SettingError(f"--memory {text!r} is no amount of memory; write it as 500MB or 8GB.")
    return int(float(match.group(1)) * UNITS[unit])


def _to_file(
    families: "list[FeatureFamily]", panel: "Panel", out: Path, first: int, stop: int, memory: int, *, quiet: bool
) -> tuple[str, dict[str, Any]]:
    from alphaloom.data.long_frame import write_frames
    from alphaloom.features.materialise import feature_frames

    progress = Progress(quiet=quiet)
    with progress.running():
        frames = feature_frames(families, panel, start_row=first, stop_row=stop, memory=memory, progress=progress)
        rows = write_frames(out, frames)
    count = sum(len(family.columns()) for family in families)
    return f"{out}: {rows:,} rows, {count} features", {"file": str(out), "rows": rows, "features": count}


def _to_folder(
    families: "list[FeatureFamily]", panel: "Panel", out: Path, first: int, stop: int, memory: int, *, quiet: bool
) -> tuple[str, dict[str, Any]]:
    from dataclasses import asdict

    from alphaloom.features.materialise import materialise

    progress = Progress(quiet=quiet)
    with progress.running():
        update = materialise(families, panel, out, start_row=first, stop_row=stop, memory=memory, progress=progress)
    count = sum(len(family.columns()) for family in families)
    cells = update.computed + update.kept
    words = (
        f"{out}: {count} features, {stop - first:,} dates ({panel.dates[first]} to {panel.dates[stop - 1]}) x "
        f"{panel.shape[1]:,} symbols\n"
        f"  {update.blocks_kept} of {update.blocks} blocks were there; computed {update.computed:,} of {cells:,} cells "
        f"({update.columns} columns, {update.symbols:,} symbols, {update.rows:,} dates) in {update.seconds:.1f} s"
    )
    notes = [*update.notes, *(f"feature {name} has no value on any date" for name in update.empty)]
    return words, {
        "folder": str(out),
        "rows": int(panel.universe[first:stop].sum()),
        "features": count,
        "update": asdict(update),
        "notes": notes,
    }
