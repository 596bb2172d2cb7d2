"""Reading Parquet files that others wrote, with errors that name the file."""

from pathlib import Path

import polars as pl

from alphaloom.errors import DataError, UnsafeFileError


def read_parquet(file: Path) -> pl.DataFrame:
    """Return the frame in a Parquet file.

    Raises:
        DataError: there is no such file.
        UnsafeFileError: the file is cut short, damaged or not Parquet.
    """
    if not file.is_file():
        raise DataError(f"{file} does not exist.")
    try:
        return pl.read_parquet(file, glob=False, hive_partitioning=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _damaged(file, error) from None


def parquet_columns(file: Path) -> list[str]:
    """Return the column names of a Parquet file.

    Raises:
        UnsafeFileError: the file is cut short, damaged or not Parquet.
    """
    try:
        return list(pl.read_parquet_schema(file))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _damaged(file, error) from None


def _damaged(file: Path, error: Exception) -> UnsafeFileError:
    return UnsafeFileError(
        f"{file} ({file.stat().st_size} bytes) is not a whole Parquet file: {str(error).splitlines()[0]}. "
        "It may have been cut short while it was copied; fetch it again."
    )
