"""Blocks of features on disk: one folder a family and stretch of dates, written aside and renamed, mapped when read.

    OUT/
      meta.json                  families, columns, dates, blocks; "status": "complete" or "unfinished"
      dates.npy  listed.npy      datetime64[D] [T]; bool [T, N]: where a stock was listed
      symbols-HASH.npy           str [N]
      alpha158/00012/            block 12: rows 768 to 831 of the store's calendar
        values.npy               float32 [rows, N, F], C order
        inputs.npy               uint64 [S, N]: what each source of the columns read, stock by stock
        block.json               dates, symbols (their hash), columns, keys, sources, hash of the values

A block says by itself what it was made from, so blocks of an interrupted update can stand beside older ones. The
folder as a whole is read through `alphaloom.data.feature_folder`.
"""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alphaloom.data.content_hash import digest, number
from alphaloom.data.files import amount, read_json
from alphaloom.errors import RunError, UnsafeFileError, UsageError
from alphaloom.typing import Array, Dates, Floats, Symbols

BLOCK_ROWS = 64
"""Rows of the store's calendar in one block."""
META = "meta.json"


@dataclass(frozen=True)
class Source:
    """What some columns read: panel fields, rows before each row, and whether of the own stock alone."""

    inputs: tuple[str, ...]
    lookback: int
    is_local: bool


@dataclass(frozen=True, eq=False)
class Block:
    """The record of one stored block; `values` maps its content.

    `keys` name what each column computes, `source` which of the `sources` it reads, `inputs [S, N]` the content of
    that source on the block's rows and the look-back before them, `empty` the places of columns without any value.
    """

    folder: Path
    dates: Dates
    symbols: str
    columns: tuple[str, ...]
    keys: tuple[str, ...]
    source: tuple[int, ...]
    sources: tuple[Source, ...]
    inputs: Array
    stocks: int
    empty: tuple[int, ...] = ()
    content: str = ""
    """Hash of the stored values."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, N, F."""
        return self.dates.size, self.stocks, len(self.columns)

    def values(self) -> Floats:
        """Return the block `[rows, N, F]`, memory-mapped.

        Raises:
            UnsafeFileError: the file is absent, cut short or of another shape.
        """
        return read_array(self.folder / "values.npy", self.shape, np.dtype(np.float32))

    def check(self) -> None:
        """Read the whole block and compare it with its hash.

        Raises:
            UnsafeFileError: it is not what was written.
        """
        if digest(self.values()) != self.content:
            raise damaged(self.folder / "values.npy", "its values are not those that were written")


def block_folder(part: Path, index: int) -> Path:
    """Return the folder of a family's block."""
    return part / f"{index:05d}"


def write_block(block: Block, values: Floats) -> None:
    """Write a block `[rows, N, F]` and its record aside, then put it in place of the one that was there.

    Raises:
        RunError: it could not be written (a full disk); nothing half-written is left.
    """
    part = block.folder.parent
    part.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".aside-", dir=part))
    try:
        with failing(f"Block {block.folder} ({values.nbytes / 1e6:,.0f} MB)"):
            _save(aside / "values.npy", values)
            _save(aside / "inputs.npy", block.inputs)
            record = {
                "dates": np.datetime_as_string(block.dates).tolist(),
                "symbols": block.symbols,
                "stocks": block.stocks,
                "columns": block.columns,
                "keys": block.keys,
                "source": block.source,
                "sources": [asdict(source) for source in block.sources],
                "empty": block.empty,
                "content": digest(values),
            }
            (aside / "block.json").write_text(json.dumps(record, ensure_ascii=False))
            aside.chmod(0o755)  # a folder made by mkdtemp is closed to everybody else
            if block.folder.exists():
                block.folder.rename(Path(tempfile.mkdtemp(prefix=".aside-", dir=part)) / "old")
            aside.rename(block.folder)
    finally:
        remove_asides(part)


def remove_asides(part: Path) -> None:
    """Remove what an interrupted write left in a family's folder."""
    for left in part.glob(".aside-*"):
        shutil.rmtree(left, ignore_errors=True)


def read_block(folder: Path) -> Block | None:
    """Return the record of a stored block, None when there is none.

    Raises:
        UnsafeFileError: a file of it is damaged, cut short or absent.
    """
    if not folder.is_dir():
        return None
    record = read_json(folder / "block.json")
    try:
        sources = tuple(
            Source(tuple(item["inputs"]), int(item["lookback"]), bool(item["is_local"])) for item in record["sources"]
        )
        block = Block(
            folder,
            np.array(record["dates"], dtype="datetime64[D]"),
            str(record["symbols"]),
            tuple(record["columns"]),
            tuple(record["keys"]),
            tuple(record["source"]),
            sources,
            read_array(folder / "inputs.npy", (len(sources), int(record["stocks"])), np.dtype(np.uint64)),
            int(record["stocks"]),
            tuple(record["empty"]),
            str(record["content"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(folder / "block.json", repr(error)) from None
    block.values()
    return block


def read_array(file: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return an array file of a known shape, memory-mapped and read-only.

    Raises:
        UnsafeFileError: the file is absent, damaged, cut short or of another shape.
    """
    try:
        array: np.memmap[Any, Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise damaged(file, str(error)) from None
    if array.shape != shape or array.dtype != dtype:
        raise damaged(file, f"it holds {array.dtype} {array.shape}, not {dtype} {shape}")
    size = file.stat().st_size
    if size != array.offset + array.nbytes:
        raise damaged(file, f"it has {size - array.offset:,} bytes for {array.nbytes:,} of values")
    return array


def damaged(file: Path, reason: str) -> UnsafeFileError:
    """Return the error for a file that cannot be trusted, with what to do."""
    return UnsafeFileError(
        f"{file} is damaged ({reason}). Run the same `alphaloom features compute` again: it computes what is not whole."
    )


def save_symbols(root: Path, symbols: Symbols) -> str:
    """Write the list of symbols under its hash, unless it is there, and return the hash."""
    name = f"{int(number(chr(10).join(symbols.tolist()).encode())):016x}"
    if not (root / f"symbols-{name}.npy").is_file():
        save_array(root / f"symbols-{name}.npy", symbols)
    return name


def load_symbols(root: Path, name: str) -> Symbols:
    """Return a list of symbols by its hash.

    Raises:
        UnsafeFileError: the file is absent or damaged.
    """
    file = root / f"symbols-{name}.npy"
    try:
        symbols = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise damaged(file, str(error)) from None
    return np.asarray(symbols, dtype=np.str_)


def save_array(file: Path, array: Array) -> None:
    """Write an array aside and rename it.

    Raises:
        RunError: it could not be written.
    """
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with failing(str(file)):
            _save(aside, array)
            aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)


def _save(file: Path, array: Array) -> None:
    with file.open("wb") as stream:
        np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)


@contextmanager
def failing(what: str) -> Iterator[None]:
    """Tell an error of the file system as one of the work, with what to do."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{what} could not be written: {error.strerror or error}. Finished blocks are kept; make room on the disk "
            "and run the same command again."
        ) from error


@contextmanager
def sole_writer(root: Path) -> Iterator[None]:
    """Let one process at a time write into the folder; the mark goes with the process, however it ends.

    Raises:
        UsageError: another process is writing there.
    """
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"Another process is computing into {root}; wait for it, or choose another place."
            ) from None
        yield


def check_room(root: Path, needed: int, what: Sequence[str]) -> None:
    """Check that the disk has room for some bytes more.

    Raises:
        RunError: it has not.
    """
    free = shutil.disk_usage(root).free
    if needed > free:
        raise RunError(
            f"{amount(needed)} are needed in {root} for {', '.join(what)}; {amount(free)} are free. Make room, choose "
            "another place, fewer families or a later --from."
        )
