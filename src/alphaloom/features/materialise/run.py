"""Features computed into a folder, block by block within a memory budget; what is there and still right is kept.

A block is computed anew exactly where something changed that it was made from: the fields of a stock on its rows or
in the look-back before them (for a feature that compares stocks: of any stock), an expression, or the code. What is
in the folder afterwards is bit for bit what a computation from nothing would put there.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from alphaloom import __version__
from alphaloom.data.blocks import (
    BLOCK_ROWS,
    META,
    Block,
    block_folder,
    check_room,
    failing,
    remove_asides,
    save_array,
    save_symbols,
    sole_writer,
    write_block,
)
from alphaloom.data.content_hash import PanelHashes
from alphaloom.data.feature_folder import FORMAT
from alphaloom.data.files import write_json
from alphaloom.errors import DataError, SettingError
from alphaloom.features.base import FeatureFamily
from alphaloom.features.materialise.assemble import assemble, compute_needs, empty_columns
from alphaloom.features.materialise.folder_state import check_folder, gone, remove_stale
from alphaloom.features.materialise.pieces import DEFAULT_MEMORY, Pieces, layout, resident_bytes
from alphaloom.features.materialise.schedule import BlockTask, Scheduler
from alphaloom.panel import Panel
from alphaloom.typing import PathLike

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many blocks are done, and how many there are."""


@dataclass(frozen=True)
class Update:
    """What a computation into a folder did.

    `columns`, `symbols` and `rows` count those of which some cell was computed; `computed` and `kept` are cells (a
    stock, date and column). `blocks` are those of all families, `blocks_kept` those that were there and right. `empty`
    names features without any value; `notes` say which dates and stocks were dropped as the data do not have them, and
    what was wrong with stored files that were made anew.
    """

    columns: int
    symbols: int
    rows: int
    computed: int
    kept: int
    blocks: int
    blocks_kept: int
    empty: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class _Part:
    """One family of the folder and what is to be done for it."""

    name: str
    pieces: Pieces
    tasks: list[BlockTask]


def materialise(
    families: Sequence[FeatureFamily],
    panel: Panel,
    folder: PathLike,
    *,
    start_row: int = 0,
    stop_row: int | None = None,
    memory: int = DEFAULT_MEMORY,
    progress: Progress | None = None,
) -> Update:
    """Compute the features of the panel's rows from `start_row` to `stop_row` - 1 into a folder.

    Finished blocks are kept whenever it is interrupted; the same call goes on from there. A folder that was computed
    from an earlier state of the data is brought up to date. Read it with `alphaloom.data.feature_folder.FeatureFolder`.

    Args:
        families: at least one; two of one name become `name` and `name-2`.
        panel: with the families' fields; its universe is the population of features that compare stocks, and what the
            long frame lists.
        folder: made if absent; else one that this function made.
        start_row: first row wanted.
        stop_row: row after the last one wanted; None for the panel's end.
        memory: bytes that the whole process may take.
        progress: called after every block.

    Raises:
        SettingError: no family, rows outside the panel, or a budget too small for the smallest piece.
        UsageError: the folder holds something else, features or dates that are not asked for, or is being written by
            another process.
        DataError: the panel is not longer than a family's look-back.
        RunError: the disk is full; finished blocks are kept.
    """
    began = time.monotonic()
    root = Path(folder)
    stop_row = panel.shape[0] if stop_row is None else stop_row
    check_request(families, panel, start_row, stop_row)
    parts = dict(zip(part_names(families), (Pieces(family) for family in families), strict=True))
    check_folder(root, list(parts), panel, start_row, stop_row)
    with sole_writer(root):
        lost = gone(root, panel)
        symbols = save_symbols(root, panel.symbols)
        for name in parts:
            remove_asides(root / name)
        scheduler = Scheduler(root, PanelHashes(panel), symbols)
        work = [
            _Part(name, pieces, scheduler.tasks(name, pieces.lineage, start_row, stop_row))
            for name, pieces in parts.items()
        ]
        _check_disk(root, work, panel.shape[1])
        meta = _meta(work, panel, symbols, start_row, stop_row)
        with failing(str(root / META)):
            write_json(root / META, {**meta, "status": "unfinished"})
        empty = _run(root, work, panel, symbols, memory, progress)
        save_array(root / "dates.npy", panel.dates[start_row:stop_row])
        save_array(root / "listed.npy", panel.universe[start_row:stop_row])
        update = _summary(work, panel, empty, lost, time.monotonic() - began)
        with failing(str(root / META)):
            write_json(root / META, {**meta, "status": "complete", "update": asdict(update)})
        remove_stale(root, {part.name: [task.index for task in part.tasks] for part in work}, symbols)
    return update


def part_names(families: Sequence[FeatureFamily]) -> list[str]:
    """Return the folders of the families: their names, the second of one name with `-2` behind it."""
    names: list[str] = []
    for family in families:
        count = sum(other.name == family.name for other in families[: len(names)])
        names.append(f"{family.name}-{count + 1}" if count else family.name)
    return names


def check_request(families: Sequence[FeatureFamily], panel: Panel, start_row: int, stop_row: int) -> None:
    """Check that there is a family, that the rows are the panel's, and that it is longer than every look-back.

    Raises:
        SettingError, DataError: one of these is not so.
    """
    if not families:
        raise SettingError("No feature family is given; name at least one, for example alpha158.")
    T = panel.shape[0]
    if not 0 <= start_row < stop_row <= T:
        raise SettingError(f"Rows {start_row} to {stop_row} are asked for; the panel has rows 0 to {T - 1}.")
    for family in families:
        if family.lookback >= T:
            raise DataError(
                f"Feature family {family.name!r} looks back {family.lookback} rows, so it needs at least "
                f"{family.lookback + 1}; the panel has {T}. Load an earlier start."
            )


def _check_disk(root: Path, work: Sequence[_Part], n_symbols: int) -> None:
    needed = 0
    for part in work:
        width = 4 * n_symbols * len(part.pieces.lineage.columns)
        new = [(task.stop - task.start) * width for task in part.tasks if not task.is_stored]
        old = [4 * int(np.prod(task.old.shape)) for task in part.tasks if task.old is not None and not task.is_stored]
        needed += sum(new) - sum(old) + max(new, default=0)
    check_room(root, needed, [part.name for part in work])


def _meta(work: Sequence[_Part], panel: Panel, symbols: str, start_row: int, stop_row: int) -> dict[str, Any]:
    tasks = work[0].tasks
    return {
        "format": FORMAT,
        "alphaloom": __version__,
        "block_rows": BLOCK_ROWS,
        "rows": stop_row - start_row,
        "from": str(panel.dates[start_row]),
        "to": str(panel.dates[stop_row - 1]),
        "stocks": panel.shape[1],
        "symbols": symbols,
        "blocks": [[task.index, task.start - start_row, task.stop - start_row] for task in tasks],
        "families": [
            {
                "part": part.name,
                "family": part.pieces.family.describe(),
                "columns": list(part.pieces.lineage.columns),
                "keys": list(part.pieces.lineage.keys),
                "sources": [asdict(source) for source in part.pieces.lineage.sources],
            }
            for part in work
        ],
    }


def _run(
    root: Path, work: Sequence[_Part], panel: Panel, symbols: str, memory: int, progress: Progress | None
) -> list[str]:
    """Compute and write all blocks that are not there; return the features without any value."""
    total = sum(len(part.tasks) for part in work)
    done = sum(task.is_stored for part in work for task in part.tasks)
    empty: list[str] = []
    for part in work:
        if progress:
            progress(part.name, done, total)
        without = [set(task.old.empty) for task in part.tasks if task.is_stored and task.old is not None]
        room = memory - resident_bytes()
        for tasks in _batches([task for task in part.tasks if not task.is_stored], part.pieces, panel, room):
            for block in _made(root / part.name, part.pieces, tasks, panel, symbols, room):
                without.append(set(block.empty))
                done += 1
                if progress:
                    progress(part.name, done, total)
        gone = set.intersection(*without)
        empty += [f"{part.name}:{part.pieces.lineage.columns[j]}" for j in sorted(gone)]
    return empty


def _batches(tasks: list[BlockTask], pieces: Pieces, panel: Panel, room: int) -> list[list[BlockTask]]:
    """Return neighbouring blocks with equal needs together, as many as one piece may hold."""
    batches: list[list[BlockTask]] = []
    if not tasks:
        return batches
    rows = layout(pieces, panel.shape[1], room, BLOCK_ROWS).rows
    for _, group in groupby(enumerate(tasks), key=lambda item: (item[1].index - item[0], item[1].likeness())):
        alike = [task for _, task in group]
        size = max(1, rows // BLOCK_ROWS)
        batches += [alike[k : k + size] for k in range(0, len(alike), size)]
    return batches


def _made(
    folder: Path, pieces: Pieces, tasks: Sequence[BlockTask], panel: Panel, symbols: str, room: int
) -> Iterator[Block]:
    """Yield the record of each of some blocks, neighbours with equal needs, once it is computed and written."""
    made = pieces.lineage
    fit = layout(pieces, panel.shape[1], room, BLOCK_ROWS)
    values = compute_needs(tasks, pieces, panel, fit)
    for task in tasks:
        content = assemble(task, tasks[0], values, panel.shape[1], len(made.columns))
        block = Block(
            block_folder(folder, task.index),
            panel.dates[task.start : task.stop],
            symbols,
            made.columns,
            made.keys,
            made.source,
            made.sources,
            task.inputs,
            panel.shape[1],
            empty_columns(content),
        )
        write_block(block, content)
        yield block


def _summary(
    work: Sequence[_Part], panel: Panel, empty: Sequence[str], lost: tuple[str, ...], seconds: float
) -> Update:
    columns: set[tuple[str, int]] = set()
    symbols, rows = np.zeros(panel.shape[1], dtype=np.bool_), np.zeros(panel.shape[0], dtype=np.bool_)
    computed = cells = 0
    for part in work:
        for task in part.tasks:
            cells += (task.stop - task.start) * panel.shape[1] * len(part.pieces.lineage.columns)
            for need in task.needs:
                computed += need.cells(panel.shape[1])
                columns.update((part.name, j) for j in need.columns)
                symbols |= True if need.symbols is None else need.symbols
                rows[need.start : need.stop] = True
    tasks = [task for part in work for task in part.tasks]
    return Update(
        len(columns),
        int(symbols.sum()),
        int(rows.sum()),
        computed,
        cells - computed,
        len(tasks),
        sum(task.is_stored for task in tasks),
        tuple(empty),
        (*lost, *(task.damage for task in tasks if task.damage)),
        round(seconds, 3),
    )
