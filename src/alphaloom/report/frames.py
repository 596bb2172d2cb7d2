"""Frames to files, whole or not at all."""

import os
from pathlib import Path

import polars as pl

from alphaloom.errors import UsageError


def write_frame(frame: pl.DataFrame, path: Path) -> None:
    """Write a frame as Parquet or CSV, by the file's ending; aside first, then renamed.

    Raises:
        UsageError: another ending.
    """
    path = Path(path)
    if path.suffix not in {".parquet", ".csv"}:
        raise UsageError(f"{path}: write to a .parquet or .csv file, not {path.suffix or 'one without an ending'}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    try:
        if path.suffix == ".parquet":
            frame.write_parquet(aside, compression="zstd")
        else:
            frame.write_csv(aside)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
