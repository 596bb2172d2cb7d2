"""Writing whole files: aside first, then renamed, so that nobody meets half a file."""

import errno
from pathlib import Path

import polars as pl

from alphaloom.errors import RunError, UsageError
from alphaloom.typing import PathLike


def write_text(path: PathLike, text: str) -> None:
    """Write UTF-8 text to `path`, replacing what is there only when all of it is written; folders are made.

    Raises:
        RunError: the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    try:
        aside.write_text(text, encoding="utf-8", newline="\n")
        aside.replace(path)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise RunError(f"{path} could not be written: the disk is full. Make room and run it again.") from error
    finally:
        aside.unlink(missing_ok=True)


def write_frame(path: PathLike, frame: pl.DataFrame) -> None:
    """Write a frame as Parquet or CSV, by the file's ending, in the same way.

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
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
