"""Transforms in a row: which are fitted, how they are fitted and applied, and their states on disk."""

import os
import tempfile
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from alphaloom.errors import AlignmentError, DataError, UnsafeFileError, UsageError
from alphaloom.panel import Panel
from alphaloom.transforms.base import State, Transform
from alphaloom.typing import Floats, Ints, PathLike

_CHUNK_BYTES = 8 << 20
"""Dates are worked on in chunks of about this size, so that a chain's later passes find them in the cache."""


def required_fields(transforms: Sequence[Transform]) -> list[str]:
    """Return the panel fields that the transforms read, sorted, each once."""
    return sorted({name for transform in transforms for name in transform.required})


def split_chain(transforms: Sequence[Transform]) -> tuple[list[Transform], list[Transform]]:
    """Return the leading cross-sectional transforms, and the rest from the first fitted one on.

    The first part may be applied once for all training windows; the second is fitted for each.
    """
    first = next((k for k, transform in enumerate(transforms) if transform.is_fitted), len(transforms))
    return list(transforms[:first]), list(transforms[first:])


def apply_cross_sectional(
    transforms: Sequence[Transform], block: Floats, panel: Panel, *, in_place: bool = False, threads: int = 1
) -> Floats:
    """Return the block `[T, N, F]` after cross-sectional transforms; the given one is untouched unless `in_place`.

    Each date is worked on alone, so any number of threads gives the same bits.

    Raises:
        UsageError: one of the transforms is fitted.
        AlignmentError: block and panel differ in dates or symbols.
        MissingFieldError: the panel lacks a field that a transform reads.
    """
    fitted = [transform.name for transform in transforms if transform.is_fitted]
    if fitted:
        raise UsageError(
            f"{', '.join(fitted)} must be fitted on a training window first: use fit_chain and apply_chain."
        )
    return apply_chain(transforms, [{}] * len(transforms), block, panel, in_place=in_place, threads=threads)


def fit_chain(
    transforms: Sequence[Transform],
    block: Floats,
    panel: Panel,
    rows: slice | Ints,
    *,
    names: Sequence[str] | None = None,
) -> list[State]:
    """Return one state a transform, learned from the dates `rows` of block and panel alone; `{}` for the unfitted.

    Each transform is fitted on the window as those before it leave it. `block` is not changed. `names [F]` serves the
    error messages.

    Raises:
        DataError: the window is empty, or a fitted transform found no value of a column in it.
    """
    _check(block, panel)
    where = np.arange(panel.dates.size)[rows]
    if where.size == 0 or not panel.universe[where].any():
        raise DataError(f"The training window has {where.size} dates and no universe member: there is nothing to fit.")
    window = _take(panel.select(required_fields(transforms)), where)
    last = max((k for k, transform in enumerate(transforms) if transform.is_fitted), default=-1)
    work = np.ascontiguousarray(block[where]) if last >= 0 else block
    if last >= 0 and np.shares_memory(work, block):
        work = work.copy()
    states: list[State] = []
    for k, transform in enumerate(transforms):
        state = transform.fit(work, window) if transform.is_fitted else {}
        _refuse_unknown_state(transform, state, window, names)
        states.append(state)
        if k < last:
            transform.apply(work, window, state)
    return states


def apply_chain(
    transforms: Sequence[Transform],
    states: Sequence[State],
    block: Floats,
    panel: Panel,
    *,
    in_place: bool = False,
    threads: int = 1,
) -> Floats:
    """Return the block `[T, N, F]` after all transforms with their states; untouched itself unless `in_place`.

    Raises:
        UsageError: not one state for each transform.
        AlignmentError: block and panel differ in dates or symbols.
        MissingFieldError: the panel lacks a field that a transform reads.
    """
    if len(states) != len(transforms):
        raise UsageError(f"{len(transforms)} transforms need as many states; given {len(states)}.")
    _check(block, panel)
    out = block if in_place else np.array(block, dtype=np.float32, order="C", copy=True)
    if not out.flags.writeable or not out.flags.c_contiguous:
        raise UsageError("A block changed in place must be writeable and contiguous; leave in_place off for a copy.")
    fields = panel.select(required_fields(transforms))
    T, N, F = out.shape
    size = max(1, _CHUNK_BYTES // max(1, 4 * N * F))

    def work(start: int) -> None:
        stop = min(start + size, T)
        some = fields.rows(start, stop)
        for transform, state in zip(transforms, states, strict=True):
            transform.apply(out[start:stop], some, state)

    starts = range(0, T if transforms else 0, size)
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(work, starts):
                pass
    else:
        for start in starts:
            work(start)
    return out


def save_states(path: PathLike, transforms: Sequence[Transform], states: Sequence[State]) -> None:
    """Write the states as one `.npz` of plain arrays, aside first, then renamed."""
    arrays: dict[str, np.ndarray] = {
        "transforms": np.array([transform.name for transform in transforms], dtype=np.str_)
    }
    for k, state in enumerate(states):
        arrays.update({f"{k}.{name}": np.asarray(array, dtype=np.float32) for name, array in state.items()})
    path = Path(path)
    handle, aside = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def load_states(path: PathLike, transforms: Sequence[Transform]) -> list[State]:
    """Return the states saved for these transforms.

    Raises:
        DataError: no such file, or it was saved for other transforms.
        UnsafeFileError: the file is damaged or holds anything but plain arrays.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist: the run holds no fitted transforms there.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, ValueError, EOFError, OSError) as error:
        raise UnsafeFileError(f"{path} is damaged or no archive of plain arrays: {error}") from error
    saved = [str(name) for name in arrays.pop("transforms", np.empty(0, dtype=np.str_))]
    wanted = [transform.name for transform in transforms]
    if saved != wanted:
        raise DataError(f"{path} holds states of {saved}; the recipe's transforms are {wanted}.")
    states: list[dict[str, Floats]] = [{} for _ in transforms]
    for name, array in arrays.items():
        k, _, key = name.partition(".")
        states[int(k)][key] = array
    return list(states)


def _take(panel: Panel, where: Ints) -> Panel:
    fields = {name: panel[name][where] for name in panel.names}
    return Panel(panel.dates[where], panel.symbols, panel.universe[where], fields, panel.categories)


def _check(block: Floats, panel: Panel) -> None:
    if block.ndim != 3 or block.shape[:2] != panel.shape:
        raise AlignmentError(f"A block on {panel.shape} dates x symbols must be [T, N, F]; it is {block.shape}.")
    if block.dtype != np.float32:
        raise DataError(f"A block holds float32; it is {block.dtype}.")


def _refuse_unknown_state(transform: Transform, state: State, window: Panel, names: Sequence[str] | None) -> None:
    for key, array in state.items():
        unknown = np.flatnonzero(np.isnan(np.atleast_1d(array)).reshape(-1, np.atleast_1d(array).shape[-1]).any(axis=0))
        if unknown.size:
            listed = ", ".join(names[k] if names is not None else f"number {k}" for k in unknown[:5])
            raise DataError(
                f"{transform.name} found no {key} for {unknown.size} of the columns between {window.dates[0]} and "
                f"{window.dates[-1]}, first {listed}: no universe member has a value there. Leave the columns out, "
                "fill them before, or start the training window later."
            )
