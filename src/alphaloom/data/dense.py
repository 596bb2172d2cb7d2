"""Dense folders: panel fields as plain arrays on disk, one file a field, to which later rows are added in place.

    fields-STORE-CODE/
      meta.json            facts about the content, plain data
      dates.npy            datetime64[D] [T]
      symbols.npy          str [N]
      universe.rows        bool [T, N]
      field-close.rows     float32 [T, N], C order, nothing else in the file
      field-industry.json  texts of a field of codes

A folder is complete or not there. How many rows of a file count is said by the folder's dates, so a file may be longer:
rows are added to a file that older folders share (as a hard link), beyond the rows that those read. A process killed
while it adds rows leaves such a longer file behind; the next one copies the rows that count and goes on from there.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self
from urllib.parse import quote, unquote

import numpy as np

from alphaloom.data.files import link, read_json, write_json
from alphaloom.errors import AlignmentError
from alphaloom.typing import Array, Bools, Dates, Floats, Symbols

META = "meta.json"
BLOCK_BYTES = 1 << 25
"""Size of the pieces in which a file is copied."""


@dataclass(frozen=True, eq=False)
class DenseFolder:
    """One folder of fields on the same dates and symbols; see the module. Arrays are read as memory maps."""

    path: Path
    dates: Dates
    symbols: Symbols
    meta: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path) -> Self | None:
        """Return the folder at a path, None where there is none."""
        meta = read_json(path / META)
        return cls(path, np.load(path / "dates.npy"), np.load(path / "symbols.npy"), meta) if meta else None

    @classmethod
    @contextmanager
    def making(cls, path: Path, dates: Dates, symbols: Symbols, meta: Mapping[str, Any]) -> Iterator[Self]:
        """Return a context in which a new folder is filled; it appears at its end, or not at all.

        A folder that appeared at the path in the meantime is left as it is.
        """
        aside = Path(tempfile.mkdtemp(prefix=".fields-", dir=path.parent))
        try:
            np.save(aside / "dates.npy", dates)
            np.save(aside / "symbols.npy", symbols)
            yield cls(aside, dates, symbols, meta)
            write_json(aside / META, meta)
            aside.chmod(0o755)
            if not path.exists():
                aside.rename(path)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    @property
    def shape(self) -> tuple[int, int]:
        """T and N."""
        return self.dates.size, self.symbols.size

    def fields(self) -> list[str]:
        """Return the names of the fields that are whole."""
        files = sorted(self.path.glob("field-*.rows"))
        return [unquote(file.stem.removeprefix("field-")) for file in files if self._is_whole(file)]

    def universe(self) -> Bools:
        """Return the universe `[T, N]`."""
        return map_rows(self._universe, self.shape, np.dtype(np.bool_))

    def field(self, name: str) -> Floats:
        """Return a field `[T, N]`."""
        return map_rows(self._field(name), self.shape, np.dtype(np.float32))

    def texts(self, name: str) -> tuple[str, ...] | None:
        """Return the texts of a field of codes; None for other fields."""
        file = self._field(name).with_suffix(".json")
        return tuple(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None

    def has(self, name: str) -> bool:
        """Return whether a field is there and whole."""
        return self._is_whole(self._field(name))

    def keep(self, name: str, values: Floats, texts: Sequence[str] | None = None) -> None:
        """Add a field `[T, N]`, written aside and renamed."""
        self._keep_texts(name, texts)
        write_rows(self._field(name), values)

    def keep_universe(self, values: Bools) -> None:
        """Add the universe `[T, N]`."""
        write_rows(self._universe, values)

    def extend(self, old: "DenseFolder", name: str, later: Floats, place: Array, earlier: Floats | None = None) -> None:
        """Add a field of an older folder with `later` rows `[T - T_old, N]` after its own.

        Args:
            old: folder of the first T_old dates.
            name: field of the old folder.
            later: rows of the new dates.
            place: column of this folder for each column of the old one `[N_old]`; the others are NaN on old dates.
            earlier: last rows of the old dates `[<= T_old, N]`, where they are not what the old folder has.
        """
        self._keep_texts(name, old.texts(name))
        self._extend(old, self._field(name).name, later, place, earlier)

    def extend_universe(self, old: "DenseFolder", later: Bools, place: Array) -> None:
        """Add the universe of an older folder with `later` rows; stocks it did not know are outside on its dates."""
        self._extend(old, self._universe.name, later, place, None)

    def _extend(self, old: "DenseFolder", file: str, later: Array, place: Array, earlier: Array | None) -> None:
        if later.shape != (self.dates.size - old.dates.size, self.symbols.size):
            raise AlignmentError(f"{file} needs rows {self.shape} less {old.shape} of {old.path}, got {later.shape}.")
        source, target = old.path / file, self.path / file
        held = old.dates.size
        same_columns = np.array_equal(place, np.arange(self.symbols.size))
        if same_columns and earlier is None and source.stat().st_size == held * old.symbols.size * later.itemsize:
            link(source, target)
            append_rows(target, held, later)
            return
        kept = held - (0 if earlier is None else len(earlier))
        with target.open("wb") as stream:
            for block in _blocks(map_rows(source, old.shape, later.dtype)[:kept]):
                _write(stream, block if same_columns else _placed(block, place, self.symbols.size))
            for rows in (earlier, later):
                if rows is not None:
                    _write(stream, rows)

    def _keep_texts(self, name: str, texts: Sequence[str] | None) -> None:
        if texts is not None:
            file = self._field(name).with_suffix(".json")
            aside = file.with_name(f".{file.name}.{os.getpid()}")
            aside.write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")
            aside.replace(file)

    def _is_whole(self, file: Path) -> bool:
        return file.is_file() and file.stat().st_size >= 4 * self.dates.size * self.symbols.size

    def _field(self, name: str) -> Path:
        return self.path / f"field-{quote(name, safe='')}.rows"

    @property
    def _universe(self) -> Path:
        return self.path / "universe.rows"


def map_rows(file: Path, shape: tuple[int, int], dtype: np.dtype[Any]) -> Array:
    """Return the first rows of a file as a read-only memory map `[T, N]`."""
    return np.memmap(file, dtype=dtype, mode="r", shape=shape)


def write_rows(file: Path, rows: Array) -> None:
    """Write rows `[T, N]` aside, then put them in place."""
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with aside.open("wb") as stream:
            for block in _blocks(rows):
                _write(stream, block)
        aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)


def append_rows(file: Path, held: int, rows: Array) -> None:
    """Write rows `[K, N]` into a file after the first `held` ones, in place."""
    with file.open("r+b") as stream:
        stream.seek(held * rows.shape[1] * rows.itemsize)
        _write(stream, rows)


def _write(stream: IO[bytes], rows: Array) -> None:
    stream.write(np.ascontiguousarray(rows).data)


def _blocks(rows: Array) -> Iterator[Array]:
    size = max(1, BLOCK_BYTES // max(1, rows.shape[1] * rows.itemsize))
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _placed(block: Array, place: Array, columns: int) -> Array:
    """Return a block with its columns at their new places, NaN (or False) in the others."""
    result = np.full((len(block), columns), np.nan if block.dtype.kind == "f" else False, dtype=block.dtype)
    result[:, place] = block
    return result
