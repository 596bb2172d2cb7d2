"""Checkpoint of a network's training: everything the next epoch depends on, in one file that is never half-written."""

import os
import tempfile
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from alphaloom.errors import RunError, UnsafeFileError
from alphaloom.models.base import Record
from alphaloom.training.adamw import State

FORMAT = 2


@dataclass
class Progress:
    """Where training stands after an epoch: present and best weights, the optimiser, and the curve so far.

    No random state is kept: every epoch seeds its own generator from the run's seed and the epoch's number.
    """

    weights: State
    optimiser: dict[str, State]
    best_weights: State
    best_epoch: int = 0
    """Epoch of the best weights, from 1; 0 before the first."""
    best_value: float = float("-inf")
    history: list[Record] = field(default_factory=list)
    precision: str = ""
    """Precision that was chosen before the first step; empty before."""
    scale: tuple[float, int] = (1.0, 0)
    """State of the loss's scale."""
    settled: dict[str, Any] = field(default_factory=dict)
    """What `Network.settle` fixed before the first step."""


def save_checkpoint(path: Path, key: str, progress: Progress) -> None:
    """Write the checkpoint aside, then rename it: an interruption leaves the last whole one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save({"format": FORMAT, "key": key, **vars(progress)}, file)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def load_checkpoint(path: Path, key: str, device: torch.device) -> Progress | None:
    """Return what `save_checkpoint` wrote, or None when there is no file. Tensors alone are read, no code is run.

    Raises:
        UnsafeFileError: the file is damaged or holds something else than a checkpoint.
        RunError: it belongs to another fit: other settings, seed, features or data.
    """
    if not path.exists():
        return None
    data = BytesIO(path.read_bytes())
    try:
        content = torch.load(data, map_location=device, weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise UnsafeFileError(f"{path} is no readable checkpoint: delete it to train from the start.") from error
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise UnsafeFileError(f"{path} is no checkpoint of this version: delete it to train from the start.")
    if content.pop("key") != key:
        raise RunError(
            f"The checkpoint {path} belongs to another fit (other settings, seed, features or data): delete it, or "
            "give this fit a folder of its own."
        )
    return Progress(**content)
