"""Long frames written to a file part by part: never the whole frame in memory, never half a file."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from alphaloom.errors import DataError, RunError, UsageError
from alphaloom.typing import PathLike

ENDINGS = (".parquet", ".csv")


class _Writer(Protocol):
    def write(self, frame: pl.DataFrame) -> None: ...

    def close(self) -> None: ...


def write_frames(path: PathLike, frames: Iterable[pl.DataFrame]) -> int:
    """Write frames of one schema, one below the other, as Parquet or CSV by the file's ending; return the rows.

    A Parquet file holds one row group a frame. Written aside, then renamed.

    Raises:
        UsageError: another ending.
        DataError: there is no frame.
        RunError: the disk is full.
    """
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise UsageError(f"{path}: write to a .parquet or .csv file, not {path.suffix or 'one without an ending'}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    rows = 0
    writer: _Writer | None = None
    try:
        for frame in frames:
            if writer is None:
                writer = _Parquet(aside, frame) if path.suffix == ".parquet" else _Csv(aside)
            writer.write(frame)
            rows += frame.height
        if writer is None:
            raise DataError(f"There is nothing to write to {path}.")
        writer.close()
        aside.replace(path)
    except PermissionError:
        raise  # a place given wrongly, not a full disk
    except OSError as error:
        raise RunError(
            f"{path} could not be written: {error.strerror or error}. Make room and run it again."
        ) from error
    finally:
        aside.unlink(missing_ok=True)
    return rows


class _Parquet:
    """Values as streams of bytes (BYTE_STREAM_SPLIT, zstd): smaller and several times faster than dictionaries."""

    def __init__(self, file: Path, first: pl.DataFrame) -> None:
        import pyarrow.parquet as pq

        keys = [name for name, dtype in first.schema.items() if not dtype.is_float()]
        self.schema: Any = first.clear().to_arrow(compat_level=pl.CompatLevel.oldest()).schema
        self.writer: Any = pq.ParquetWriter(
            file,
            self.schema,
            compression="zstd",
            use_dictionary=keys,
            use_byte_stream_split=[name for name in first.columns if name not in keys],
        )

    def write(self, frame: pl.DataFrame) -> None:
        if frame.height:
            table = frame.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(self.schema)
            self.writer.write_table(table, row_group_size=frame.height)

    def close(self) -> None:
        self.writer.close()


class _Csv:
    def __init__(self, file: Path) -> None:
        self.file = file.open("wb")
        self.is_first = True

    def write(self, frame: pl.DataFrame) -> None:
        frame.write_csv(self.file, include_header=self.is_first)
        self.is_first = False

    def close(self) -> None:
        self.file.close()
