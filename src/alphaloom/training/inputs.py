"""What fits read: the arrays of an experiment, in memory or memory-mapped from storage, and the samples of a window."""

import json
import tempfile
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from alphaloom.executors.storage import Storage
from alphaloom.panel import Panel
from alphaloom.spec import fingerprint
from alphaloom.training.samples import Samples
from alphaloom.training.splits import Window
from alphaloom.transforms.base import Transform
from alphaloom.transforms.base import transforms as transform_registry
from alphaloom.transforms.chain import apply_chain, fit_chain, required_fields, save_states
from alphaloom.typing import Array, Bools, Floats, Ints

STATES = "transforms.npz"
"""File of a window's fitted transforms."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """What fits read, on one pair of axes.

    `block [T, N, F]` holds the features after the leading cross-sectional transforms; `transforms` are the rest, from
    the first fitted one on, fitted on each window. `label [T, N]` is what models fit.
    """

    panel: Panel
    features: tuple[str, ...]
    block: Floats
    label: Floats
    transforms: tuple[Transform, ...]
    rows: Ints
    """Sample dates, rows of the panel."""
    ends: Ints
    """Last row that some label of each row reads `[T]`."""
    key: str
    """Names the data and the settings that all of it came from: a result is reused only under the same key."""
    extras: Mapping[str, Floats] = field(default_factory=dict)
    """What fits read beside features and label `[T, N]` (see `Model.extras`)."""
    further: tuple[Floats, ...] = ()
    """Labels that networks learn beside the first `[T, N]`."""

    @cached_property
    def arrays(self) -> str:
        """Names these very arrays: under one `key` they begin earlier for models that look further back, and hold what
        the models ask for.
        """
        held = [*self.extras, *(["is_suspended"] if "is_suspended" in self.panel.names else [])]
        dates = self.panel.dates
        axes = [str(dates[0]), dates.size, self.panel.symbols.tolist()]
        return fingerprint([self.key, axes, sorted(held), len(self.further), len(self.rows)])

    def samples(self, window: Window, history: int) -> "WindowSamples":
        """Return one window's samples after its fitted transforms.

        Args:
            window: the transforms are fitted on its training dates.
            history: rows before a sample date that a model's input reaches back to.
        """
        first, stop = max(0, int(window.rows[0]) - history), int(window.rows[-1]) + 1
        part, block = self.panel.rows(first, stop), self.block[first:stop]
        states = None
        if self.transforms:
            states = fit_chain(self.transforms, block, part, window.train - first, names=self.features)
            block = apply_chain(self.transforms, states, block, part)
        samples = Samples(
            block,
            self.label[first:stop],
            part.universe,
            window.rows - first,
            {name: values[first:stop] for name, values in self.extras.items()},
            tuple(values[first:stop] for values in self.further),
            part.dates,
            traded(part),
        )
        return WindowSamples(samples, first, self.transforms, states)


@dataclass(frozen=True, eq=False)
class WindowSamples:
    """The samples of one window, and where they lie on the panel."""

    samples: Samples
    first: int
    """Panel row at which they begin."""
    transforms: tuple[Transform, ...]
    states: list[Mapping[str, Floats]] | None
    """Of the transforms; None without any."""

    def of(self, rows: Ints) -> Samples:
        """Return the samples of some panel rows; nothing is copied."""
        return self.samples.subset(rows - self.first)

    def keep_states(self, storage: Storage, folder: str) -> None:
        """Write the transforms' states where `load_states` finds them; nothing without transforms."""
        if self.states is None:
            return
        with tempfile.TemporaryDirectory() as aside:
            file = Path(aside) / STATES
            save_states(file, self.transforms, self.states)
            storage.write(f"{folder}/{STATES}", file.read_bytes())


def traded(panel: Panel) -> Bools | None:
    """Return which stocks traded `[T, N]`; None where the panel does not say."""
    return panel["is_suspended"] == 0 if "is_suspended" in panel.names else None


class Source(Hashable, Protocol):
    """Where a task gets its inputs."""

    def get(self) -> Inputs:
        """Return them."""


@dataclass(frozen=True, eq=False)
class Given:
    """Inputs in the memory of this process."""

    inputs: Inputs

    def get(self) -> Inputs:
        """Return them."""
        return self.inputs


@dataclass(frozen=True)
class Stored:
    """Inputs on storage: all processes of a machine map the same files, so that their memory counts once."""

    storage: Storage
    name: str

    def get(self) -> Inputs:
        """Return them, opened once in a process."""
        return _opened(self)


@lru_cache(maxsize=2)
def _opened(stored: Stored) -> Inputs:
    return open_inputs(stored.storage.fetch(stored.name))


def save_inputs(inputs: Inputs, folder: Path) -> None:
    """Write inputs into an existing folder, an array a file, for `open_inputs`."""
    needed = [*required_fields(inputs.transforms), "is_suspended"]
    inputs.panel.select([name for name in dict.fromkeys(needed) if name in inputs.panel.names]).save(folder / "panel")
    arrays: dict[str, Array] = {name: getattr(inputs, name) for name in ("block", "label", "rows", "ends")}
    arrays |= {f"further-{k}": values for k, values in enumerate(inputs.further)}
    arrays |= {f"extra-{k}": values for k, values in enumerate(inputs.extras.values())}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)
    facts = {
        "key": inputs.key,
        "features": list(inputs.features),
        "transforms": [transform.describe() for transform in inputs.transforms],
        "extras": list(inputs.extras),
        "further": len(inputs.further),
    }
    (folder / "inputs.json").write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")


def open_inputs(folder: Path) -> Inputs:
    """Return what `save_inputs` wrote, its arrays memory-mapped and read-only."""
    facts = json.loads((folder / "inputs.json").read_text(encoding="utf-8"))

    def array(name: str) -> Array:
        mapped: Array = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        return mapped

    return Inputs(
        panel=Panel.load(folder / "panel"),
        features=tuple(facts["features"]),
        block=array("block"),
        label=array("label"),
        transforms=tuple(transform_registry.parse(item) for item in facts["transforms"]),
        rows=np.asarray(array("rows")),
        ends=np.asarray(array("ends")),
        key=facts["key"],
        extras={name: array(f"extra-{k}") for k, name in enumerate(facts["extras"])},
        further=tuple(array(f"further-{k}") for k in range(facts["further"])),
    )
