"""What a folder of features may be used for, and what of it is no longer needed."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from alphaloom.data.blocks import META, block_folder, load_symbols
from alphaloom.data.feature_folder import read_meta
from alphaloom.errors import DataError, UsageError
from alphaloom.panel import Panel


def check_folder(root: Path, parts: Sequence[str], panel: Panel, start_row: int, stop_row: int) -> None:
    """Check that the folder is new or of features, and that none of its families and dates would be lost.

    Raises:
        UsageError: it is not so; nothing was touched.
    """
    if not (root / META).is_file():
        # What an interruption before the first record leaves is our own; anything else is not.
        strange = [item for item in root.iterdir() if not _is_own(item.name)] if root.is_dir() else []
        if strange or root.is_file():
            raise UsageError(f"{root} exists and holds no features; choose another place.")
        return
    meta = read_meta(root)
    others = [item["part"] for item in meta["families"] if item["part"] not in parts]
    if others:
        raise UsageError(
            f"{root} holds the features of {', '.join(others)} as well; name them too, or choose another folder: a "
            "folder's families stand on the same dates."
        )
    first, last = (np.datetime64(meta[key], "D") for key in ("from", "to"))
    lost = panel.dates[(panel.dates >= first) & (panel.dates <= last)]
    kept = panel.dates[start_row:stop_row]
    if lost.size and (lost[0] < kept[0] or lost[-1] > kept[-1]):
        raise UsageError(
            f"{root} holds the dates {first} to {last}, of which only {kept[0]} to {kept[-1]} are asked for; ask for "
            "all of them, or choose another folder."
        )


def gone(root: Path, panel: Panel) -> tuple[str, ...]:
    """Return in words which dates and stocks the folder holds that the data do not have; they will not be kept."""
    try:
        dates = np.load(root / "dates.npy", allow_pickle=False)
        symbols = load_symbols(root, read_meta(root)["symbols"])
    except (DataError, OSError, ValueError, EOFError):
        return ()  # a new folder, or one whose first computation was interrupted
    lost = {"dates": np.setdiff1d(dates, panel.dates), "stocks": np.setdiff1d(symbols, panel.symbols)}
    return tuple(
        f"{items.size:,} {what} that the folder held are not in the store and were dropped: {items[0]} to {items[-1]}"
        for what, items in lost.items()
        if items.size
    )


def _is_own(name: str) -> bool:
    return name == ".lock" or name.startswith(("symbols-", ".symbols-", f".{META}"))


def remove_stale(root: Path, blocks: Mapping[str, Sequence[int]], symbols: str) -> None:
    """Remove blocks of dates that the data no longer have, and lists of symbols that no block uses."""
    for part, indices in blocks.items():
        wanted = {block_folder(root / part, index).name for index in indices}
        for item in (root / part).iterdir():
            if item.name not in wanted:
                shutil.rmtree(item, ignore_errors=True)
    for file in root.glob("symbols-*.npy"):
        if file.stem != f"symbols-{symbols}":
            file.unlink(missing_ok=True)
