"""Labelled rows of all dates, written once on each machine, of which every fold and window takes its part."""

import json
import shutil
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from alphaloom.executors.storage import Storage
from alphaloom.models.base import Rows, SharedRows
from alphaloom.spec import fingerprint
from alphaloom.training.inputs import Inputs, Source
from alphaloom.training.samples import Samples, estimator_rows
from alphaloom.typing import Ints

SHARED = "shared"
"""Folder of such rows beside the results; no longer needed when all searches have ended."""


def shared_rows(
    source: Source, storage: Storage, span: tuple[int, int], edges: int, extras: Sequence[str]
) -> SharedRows:
    """Return the rows of all sample dates within a span of panel rows, memory-mapped; made if this machine lacks them.

    Args:
        source: inputs without fitted transforms.
        storage: says where a machine keeps what it made.
        span: first and last panel row.
        edges: last panel row of the first window: libraries take the edges of their bins from rows up to it.
        extras: what fits read beside features and label.
    """
    inputs = source.get()
    key = fingerprint([inputs.key, [str(inputs.panel.dates[row]) for row in (*span, edges)], list(extras)])
    return _opened(storage.work(f"{SHARED}/rows-{key}"), source, span, edges, tuple(extras))


@lru_cache(maxsize=2)
def _opened(folder: Path, source: Source, span: tuple[int, int], edges: int, extras: tuple[str, ...]) -> SharedRows:
    inputs = source.get()
    dates = inputs.rows[(inputs.rows >= span[0]) & (inputs.rows <= span[1])]
    kept = folder / "rows"
    with SharedRows.lock(folder):
        if not (kept / "facts.json").is_file():
            _write(inputs, dates, extras, kept)
    count = json.loads((kept / "facts.json").read_text())["extras"]
    rows = Rows(
        np.load(kept / "x.npy", mmap_mode="r"),
        np.load(kept / "y.npy", mmap_mode="r"),
        np.load(kept / "offsets.npy"),
        {name: np.load(kept / f"extra-{k}.npy", mmap_mode="r") for k, name in enumerate(count)},
    )
    known = int(np.searchsorted(dates, edges, side="right"))
    return SharedRows(rows, dates, int(rows.offsets[known]), folder)


def _write(inputs: Inputs, dates: Ints, extras: Sequence[str], folder: Path) -> None:
    aside = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    first, stop = int(dates[0]), int(dates[-1]) + 1
    part = inputs.panel.rows(first, stop)
    given = {name: inputs.extras[name][first:stop] for name in extras}
    samples = Samples(
        inputs.block[first:stop], inputs.label[first:stop], part.universe, dates - first, given, dates=part.dates
    )
    rows = estimator_rows(samples, extras)
    np.save(aside / "x.npy", rows.x)
    np.save(aside / "y.npy", rows.y)
    np.save(aside / "offsets.npy", rows.offsets)
    for k, name in enumerate(extras):
        np.save(aside / f"extra-{k}.npy", rows.extras[name])
    (aside / "facts.json").write_text(json.dumps({"extras": list(extras)}))
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)
