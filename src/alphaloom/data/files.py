"""Files of a store: reading their columns, hashing, linking, small JSON records written whole."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from alphaloom.errors import UnsafeFileError


def schema_of(file: Path) -> Mapping[str, pl.DataType]:
    """Return a Parquet file's columns.

    Raises:
        UnsafeFileError: the file is damaged or cut short.
    """
    try:
        return pl.read_parquet_schema(file)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UnsafeFileError(f"{file} is not a whole Parquet file ({error}). Copy or import it again.") from None


def recover(folder: Path) -> None:
    """Finish or undo a table's change that was interrupted between its two renames."""
    for old in folder.glob(".old-*"):
        place = folder / old.name.removeprefix(".old-")
        if place.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(place)


def link(source: Path, target: Path) -> None:
    """Make the target the same file as the source, or a copy where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def hash_file(file: Path) -> str:
    """Return 32 hex digits of the BLAKE2 hash of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def read_json(file: Path) -> dict[str, Any]:
    """Return the record in a file; empty when it is absent or damaged, for records that can be made again."""
    if not file.is_file():
        return {}
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError:
        return {}
    return data if isinstance(data, dict) else {}


def write_json(file: Path, data: Mapping[str, Any]) -> None:
    """Write a record aside and rename it."""
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    aside.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    aside.replace(file)


def amount(size: float) -> str:
    """Return an amount of memory or of disk in words.

    >>> amount(3_200_000_000), amount(44_000_000), amount(9_000)
    ('3.2 GB', '44 MB', '0.01 MB')
    """
    if size >= 1e9:
        return f"{size / 1e9:,.1f} GB"
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else f"{size / 1e6:.2f} MB"
