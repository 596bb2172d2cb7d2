"""Where the samples of a measurement come from: made at random, or one split of a recipe on a store."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from alphaloom.data.store import Store
from alphaloom.data.universe.build import build_universe
from alphaloom.errors import UsageError
from alphaloom.models.base import Network, Shape
from alphaloom.preparation import load_market, make_experiment, prepare
from alphaloom.recipe import Recipe
from alphaloom.spec import Spec
from alphaloom.training.samples import Samples
from alphaloom.training.splits import Window

SEED_000: dict[str, Any] = {
    "name": "bench",
    "features": ["alpha158"],
    "transforms": ["zscore"],
    "label": {"name": "forward_return", "horizon": 10},
    "label_transforms": ["zscore"],
    "schedule": "daily",
    "windows": {"train_months": 12, "test_months": 1, "valid_share": 0.0},
}
"""What a store's samples are without a recipe: a year of days before each month, ten days ahead (seed 000)."""


class Source(ABC):
    """Samples for training, known before they are made."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Return what the samples depend on, as plain data."""

    @abstractmethod
    def words(self) -> str:
        """Return what the samples are, for a table's caption."""

    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Return the names of the F features."""

    @abstractmethod
    def make(self, model: Network, threads: int) -> Samples:
        """Return the samples, with the history that the inputs of `model` need before the first date."""


class Synthetic(Source, Spec):
    """Normal features and labels without any relation; every stock has all of them on every day."""

    features: Annotated[int, Field(ge=1)] = 158
    """F, the number of features."""
    stocks: Annotated[int, Field(ge=2)] = 1000
    """N, the number of stocks."""
    days: Annotated[int, Field(ge=1)] = 252
    """D, the number of sample dates."""
    seed: int = 777
    """Seed of the numbers."""

    def facts(self) -> dict[str, Any]:
        """Return the sizes."""
        return {"kind": "synthetic", **self.dump()}

    def words(self) -> str:
        """Return the sizes in words."""
        rows = self.stocks * self.days
        return (
            f"Synthetic samples: {self.features} features, {self.stocks:,} stocks x {self.days:,} days = {rows:,} rows"
        )

    def names(self) -> tuple[str, ...]:
        """Return names that say nothing."""
        return Shape.of(self.features).features

    def make(self, model: Network, threads: int) -> Samples:
        """Return the samples.

        Raises:
            UsageError: the network reads the names of its features, and these have none.
        """
        examples = type(model).example_features()
        if examples != Shape.of(len(examples)).features:
            raise UsageError(
                f"{model.name} reads the names of its features (such as {examples[0]}), which samples made at random "
                "lack: give a STORE, and with --recipe a recipe that makes them."
            )
        rng = np.random.default_rng(self.seed)
        history = (model.steps - 1) * model.stride
        T = self.days + history
        block = rng.standard_normal((T, self.stocks, self.features), dtype=np.float32)
        label = rng.standard_normal((T, self.stocks), dtype=np.float32)
        return Samples(block, label, np.ones((T, self.stocks), dtype=np.bool_), np.arange(history, T))


@dataclass(frozen=True, eq=False)
class StoreSplit(Source):
    """The training days of one window of a recipe on a store."""

    store: Store
    recipe: Recipe
    split: int | None = None
    """Which of the recipe's windows, counted from 1; None takes the last."""

    def facts(self) -> dict[str, Any]:
        """Return the hashes of the data and of the settings before the models."""
        parts = self.recipe.part(
            "data", "universe", "features", "transforms", "label", "further_labels", "label_transforms", "schedule",
            "windows",
        )  # fmt: skip
        return {
            "kind": "store",
            "data": self.store.fingerprint(),
            "recipe": self.recipe.name,
            "settings": parts,
            "split": self.split,
        }

    def words(self) -> str:
        """Return which split of what."""
        which = "Last split" if self.split is None else f"Split {self.split}"
        return f"{which} of the recipe {self.recipe.name} on the store {self.store.path.name}"

    def names(self) -> tuple[str, ...]:
        """Return the columns of the recipe's feature families."""
        return tuple(name for family in self.recipe.features for name in family.columns())

    def make(self, model: Network, threads: int) -> Samples:
        """Return the split's training days, their features after all transforms.

        Raises:
            UsageError: the recipe has fewer windows on this store.
        """
        recipe = Recipe.parse(self.recipe.dump() | {"models": [model.describe()]})
        market, _ = build_universe(recipe.universe, load_market(recipe, self.store))
        every = np.arange(market.span(recipe.data.start)[0], market.dates.size)
        # No schedule has more windows than every trading day: a split beyond them is refused before the features.
        self._chosen(recipe.windows.windows(market.dates, every, recipe.label.ends(market.dates)), "at most ")
        prepared = prepare(recipe, market, threads=threads)
        windows = recipe.windows.windows(prepared.market.dates, prepared.rows, prepared.ends)
        train = self._chosen(windows).train
        experiment = make_experiment(recipe, prepared, "")
        given = experiment.inputs.samples(Window("train", train, train[:0], train[:0], 0), experiment.history)
        return given.of(train)

    def _chosen(self, windows: Sequence[Window], words: str = "") -> Window:
        if self.split is not None and self.split > len(windows):
            raise UsageError(
                f"--split {self.split}: the recipe {self.recipe.name} has {words}{len(windows)} windows on this store, "
                f"tested from {windows[0].name} to {windows[-1].name}."
            )
        return windows[-1 if self.split is None else self.split - 1]


def write_samples(samples: Samples, features: Sequence[str], folder: Path) -> None:
    """Write samples and their features' names into an existing folder, an array a file, for `read_samples`."""
    arrays = {"block": samples.block, "label": samples.label, "member": samples.member, "rows": samples.rows}
    arrays |= {f"further-{k}": values for k, values in enumerate(samples.further)}
    arrays |= {f"extra-{k}": values for k, values in enumerate(samples.extras.values())}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", np.asarray(array), allow_pickle=False)
    names = {"features": list(features), "extras": list(samples.extras), "further": len(samples.further)}
    (folder / "samples.json").write_text(json.dumps(names))


def read_samples(folder: Path) -> tuple[Samples, tuple[str, ...]]:
    """Return the samples and names that `write_samples` wrote, in memory, as training has them in a run."""
    names = json.loads((folder / "samples.json").read_text())

    def array(name: str) -> Any:
        return np.load(folder / f"{name}.npy", allow_pickle=False)

    extras = {name: array(f"extra-{k}") for k, name in enumerate(names["extras"])}
    further = tuple(array(f"further-{k}") for k in range(names["further"]))
    samples = Samples(array("block"), array("label"), array("member"), array("rows"), extras, further)
    return samples, tuple(names["features"])
