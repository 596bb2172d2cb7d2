"""What is measured: one cell for each size, number of steps, batch size and precision of one network."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_args

from pydantic import Field

from alphaloom.errors import SettingError, UsageError, unknown_name
from alphaloom.models.base import Network, Optimisation, models
from alphaloom.recipe import Recipe, overlay, override
from alphaloom.spec import Spec

AXES = {
    "size": "--sizes",
    "steps": "--steps",
    "optimisation.rows_per_step": "--rows",
    "optimisation.precision": "--precision",
    "optimisation.epochs": "--epochs",
}
"""Settings that the grid itself sets, and the options that say how."""
WHOLE_BATCH = 2
"""Least rows in a batch."""


class Grid(Spec):
    """The values of each axis, and how often and how long a cell is measured; the defaults are those of seed 000."""

    sizes: tuple[str, ...] = ()
    """Values of the network's setting `size`; all of them when empty."""
    steps: tuple[Annotated[int, Field(ge=1, le=1000)], ...] = Field((5, 21), min_length=1)
    """Look-back steps in one input."""
    rows: tuple[Annotated[int, Field(ge=WHOLE_BATCH)], ...] = Field((512, 1024, 2048, 4096), min_length=1)
    """Rows (stock and day) in one batch."""
    precisions: tuple[str, ...] = Field(("float32", "bfloat16"), min_length=1)
    """Type of the products; see `Optimisation.precision`."""
    repeats: Annotated[int, Field(ge=1)] = 3
    """Fits that are timed, after one that warms up."""
    epochs: Annotated[int, Field(ge=1)] = 1
    """Epochs of each fit (5 in seed 000)."""
    max_steps: Annotated[int, Field(ge=1)] | None = None
    """Batches in an epoch at most; None takes the whole epoch."""


@dataclass(frozen=True)
class Cell:
    """One place of the grid: the network exactly as it is trained."""

    size: str | None
    """None for a network without the setting."""
    steps: int
    rows: int
    precision: str
    model: Network

    @property
    def words(self) -> str:
        """What to call it while it is measured."""
        size = f"{self.size}, " if self.size else ""
        return f"{self.model.name} {size}{self.steps} steps, {self.rows} rows, {self.precision}"


def base_model(name: str | None, recipe: Recipe | None, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return the description of the network to be measured, before the axes of the grid are laid over it.

    Args:
        name: a network, `models.0`, or the name of one of the recipe's models; None takes the recipe's first network,
            or the Transformer.
        recipe: where `models.0` points to.
        overrides: settings as `hidden=128`.

    A network that is not the recipe's own trains by seed 000's loss, the IC of a batch's rows taken for one day.

    Raises:
        SettingError: an override is no setting, or one that an axis of the grid sets.
        UsageError: no such model, or none that this measures.
    """
    base = _of_recipe(name, recipe) or {
        "name": name or "transformer",
        "loss": {"name": "ic", "pooled": True},
        "optimisation": {"lr": 1e-5},
    }
    for text in overrides:
        path = text.partition("=")[0].strip()
        if path in AXES:
            raise SettingError(f"--set {text!r}: {path} is an axis of the table; give its values with {AXES[path]}.")
        base = override(base, text)
    measured = [cls.name for cls in models if issubclass(cls, Network) and not cls.mixes_stocks]
    if base["name"] not in measured:
        if base["name"] not in models:
            raise unknown_name("network", base["name"], measured)
        why = "scores the stocks of a day together" if issubclass(models[base["name"]], Network) else "is no network"
        raise UsageError(
            f"{base['name']} {why}: the table times networks on batches of rows from many days. Networks: "
            f"{', '.join(measured)}."
        )
    return base


def cells(base: Mapping[str, Any], grid: Grid) -> list[Cell]:
    """Return the cells, precision changing fastest: what is compared most is measured next to each other in time.

    Raises:
        SettingError: the network refuses a value of an axis, or a setting.
        UnknownNameError: no such size or precision.
    """
    sizes: list[str | None] = [*_sizes(str(base["name"]), grid.sizes)] or [None]
    allowed = get_args(Optimisation.model_fields["precision"].annotation)
    for precision in grid.precisions:
        if precision not in allowed:
            raise unknown_name("precision", precision, allowed)
    return [
        _cell(base, grid, size, steps, rows, precision)
        for size in sizes
        for steps in dict.fromkeys(grid.steps)
        for rows in dict.fromkeys(grid.rows)
        for precision in dict.fromkeys(grid.precisions)
    ]


def _cell(base: Mapping[str, Any], grid: Grid, size: str | None, steps: int, rows: int, precision: str) -> Cell:
    wanted: dict[str, Any] = {
        "steps": steps,
        "optimisation": {
            "rows_per_step": rows,
            "days_per_step": 1,
            "precision": precision,
            "epochs": grid.epochs,
        },
    }
    model = models.parse(overlay(base, wanted | ({"size": size} if size else {})), f"the network {base['name']}")
    assert isinstance(model, Network)
    return Cell(size, steps, rows, precision, model)


def _sizes(name: str, asked: Sequence[str]) -> list[str]:
    setting = models[name].model_fields.get("size")
    allowed = list(get_args(setting.annotation)) if setting else []
    if asked and not allowed:
        raise SettingError(
            f"--sizes {','.join(asked)}: {name} has no setting `size`; leave --sizes out and set its widths by --set "
            f"(`alphaloom models` lists its settings)."
        )
    for size in asked:
        if size not in allowed:
            raise unknown_name("size", size, allowed, name)
    return list(dict.fromkeys(asked or allowed))


def _of_recipe(name: str | None, recipe: Recipe | None) -> dict[str, Any] | None:
    """Return the description of the recipe's model that is meant, or None when the name is none of the recipe's."""
    place = re.fullmatch(r"models\.(\d+)", name or "")
    if recipe is None:
        if place:
            raise UsageError(f"--model {name} is a place in a recipe: name the recipe with --recipe.")
        return None
    if name is None:
        network = next((model for model in recipe.models if isinstance(model, Network)), None)
        if network is None:
            raise UsageError(f"The recipe {recipe.name} has no network; name one with --model.")
        return network.describe()
    if place:
        k = int(place[1])
        if k >= len(recipe.models):
            raise UsageError(
                f"--model {name}: the recipe {recipe.name} has models.0 to models.{len(recipe.models) - 1}."
            )
        return recipe.models[k].describe()
    return dict(zip(recipe.model_names(), (model.describe() for model in recipe.models), strict=True)).get(name)
