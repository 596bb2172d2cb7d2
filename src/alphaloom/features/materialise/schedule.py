"""Schedule: which cells of which stored blocks must be computed, and which are still what a computation would give."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from alphaloom.data.blocks import BLOCK_ROWS, Block, Source, block_folder, load_symbols, read_block
from alphaloom.data.content_hash import PanelHashes
from alphaloom.errors import UnsafeFileError
from alphaloom.features.materialise.lineage import Lineage
from alphaloom.typing import Array, Bools, Ints, Symbols


@dataclass(frozen=True, eq=False)
class Need:
    """Cells to compute: rows of the panel from `start` to `stop` - 1, some stocks (None: all), some columns."""

    start: int
    stop: int
    symbols: Bools | None
    columns: tuple[int, ...]

    def cells(self, n_symbols: int) -> int:
        """Return how many there are."""
        stocks = n_symbols if self.symbols is None else int(self.symbols.sum())
        return (self.stop - self.start) * stocks * len(self.columns)


@dataclass(frozen=True, eq=False)
class BlockTask:
    """One block: what it is to hold, what is kept of the stored one and what is computed.

    `kept` are the rows of the panel that the stored block `old` has as well, `old_symbols [N]` and `old_columns [F]`
    the places there, -1 where it has none. `is_stored`: the stored block is what is wanted, nothing is written.
    """

    index: int
    start: int
    stop: int
    inputs: Array
    needs: tuple[Need, ...]
    old: Block | None = None
    kept: tuple[int, int] = (0, 0)
    old_symbols: Ints | None = None
    old_columns: tuple[int, ...] = ()
    is_stored: bool = False
    stored_row: int = 0
    """Row of the stored block at which the kept ones begin."""
    damage: str = ""
    """Why the stored block could not be used."""

    def likeness(self) -> tuple[object, ...]:
        """Return what equal needs of neighbouring blocks have in common; the index where rows are only in part new."""
        if any((need.start, need.stop) != (self.start, self.stop) for need in self.needs):
            return (self.index,)
        return tuple((b"" if need.symbols is None else need.symbols.tobytes(), need.columns) for need in self.needs)


class Scheduler:
    """Makes the tasks of one folder from the panel's content hashes; `symbols` is the hash of the panel's symbols."""

    def __init__(self, root: Path, hashes: PanelHashes, symbols: str) -> None:
        self.root = root
        self.hashes = hashes
        self.panel = hashes.panel
        self.symbols = symbols
        self._old_symbols: Callable[[str], Symbols] = cache(lambda digest: load_symbols(root, digest))
        self._places: Callable[[str], Ints] = cache(self._find_places)

    def tasks(self, part: str, lineage: Lineage, start_row: int, stop_row: int) -> list[BlockTask]:
        """Return one task for each block of a family that holds rows from `start_row` to `stop_row` - 1."""
        made = []
        for index in range(start_row // BLOCK_ROWS, -(-stop_row // BLOCK_ROWS)):
            start, stop = max(start_row, index * BLOCK_ROWS), min(stop_row, (index + 1) * BLOCK_ROWS)
            made.append(self._task(part, lineage, index, start, stop))
        return made

    def _task(self, part: str, lineage: Lineage, index: int, start: int, stop: int) -> BlockTask:
        inputs = self._inputs(lineage.sources, start, stop)
        columns = tuple(range(len(lineage.columns)))
        damage = ""
        try:
            old = read_block(block_folder(self.root / part, index))
            places = None if old is None else self._places(old.symbols)
        except UnsafeFileError as error:
            old, places, damage = None, None, str(error)
        whole = BlockTask(index, start, stop, inputs, (Need(start, stop, None, columns),), damage=damage)
        if old is None or places is None:
            return whole
        a, b = self._rows(old)
        kept = max(a, start), min(b, stop)
        if kept[0] >= kept[1]:
            return whole
        sources = inputs if (a, b) == (start, stop) else self._inputs(lineage.sources, a, b)
        changed, old_columns = self._changed(lineage, old, places, sources)
        if changed.all():
            return whole
        needs = [Need(*rows, None, columns) for rows in ((start, kept[0]), (kept[1], stop)) if rows[0] < rows[1]]
        needs += _grouped(changed, kept)
        same = (
            not needs
            and (a, b) == (start, stop)
            and old.symbols == self.symbols
            and (old.columns, old.keys, old.source, old.sources)
            == (lineage.columns, lineage.keys, lineage.source, lineage.sources)
        )
        if not same:
            try:
                old.check()  # what is copied is hashed again: damage must not pass into the new block
            except UnsafeFileError as error:
                return BlockTask(index, start, stop, inputs, whole.needs, damage=str(error))
        return BlockTask(
            index, start, stop, inputs, tuple(needs), old, kept, places, old_columns, same, stored_row=kept[0] - a
        )

    def _inputs(self, sources: Sequence[Source], start: int, stop: int) -> Array:
        """Return the hash of what each source holds for rows `start` to `stop` - 1 of each stock `[S, N]`."""
        made = np.empty((len(sources), self.panel.shape[1]), dtype=np.uint64)
        for s, source in enumerate(sources):
            made[s] = self.hashes.of(source.inputs, max(0, start - source.lookback), stop)
            if not source.is_local:
                made[s] = self.hashes.together(made[s])
        return made

    def _rows(self, old: Block) -> tuple[int, int]:
        """Return the rows of the panel that have the stored block's dates; (0, 0) where the panel's dates differ."""
        a = int(np.searchsorted(self.panel.dates, old.dates[0]))
        b = a + old.dates.size
        return (a, b) if np.array_equal(self.panel.dates[a:b], old.dates) else (0, 0)

    def _find_places(self, digest: str) -> Ints:
        """Return where each of the panel's stocks stands in another list of symbols, -1 where it is not in it."""
        if digest == self.symbols:
            return np.arange(self.panel.shape[1])
        place = {name: k for k, name in enumerate(self._old_symbols(digest).tolist())}
        return np.array([place.get(name, -1) for name in self.panel.symbols.tolist()], dtype=np.int64)

    def _changed(self, lineage: Lineage, old: Block, places: Ints, sources: Array) -> tuple[Bools, tuple[int, ...]]:
        """Return where the stored values are not what is wanted `[F, N]`, and each column's place in the stored block.

        `sources [S, N]` are the present hashes over the stored block's rows.
        """
        known = {key: k for k, key in enumerate(old.keys)}
        old_columns = tuple(known.get(key, -1) for key in lineage.keys)
        changed = np.ones((len(lineage.columns), places.size), dtype=np.bool_)
        for j, (s, place) in enumerate(zip(lineage.source, old_columns, strict=True)):
            if place >= 0 and old.sources[old.source[place]] == lineage.sources[s]:
                stored = old.inputs[old.source[place]][np.maximum(places, 0)]
                changed[j] = (places < 0) | (stored != sources[s])
        return changed, old_columns


def _grouped(changed: Bools, rows: tuple[int, int]) -> list[Need]:
    """Return the changed cells `[F, N]`, columns with the same stocks together."""
    groups: dict[bytes, list[int]] = {}
    for j in np.flatnonzero(changed.any(axis=1)):
        groups.setdefault(changed[j].tobytes(), []).append(int(j))
    masks = {key: changed[columns[0]] for key, columns in groups.items()}
    return [Need(*rows, None if masks[key].all() else masks[key], tuple(columns)) for key, columns in groups.items()]
