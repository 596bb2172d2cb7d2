"""What a study varies, and the recipes that it comes to."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import Field, model_validator

from alphaloom.errors import SettingError, UsageError, did_you_mean
from alphaloom.executors.base import Executor, executors
from alphaloom.recipe import Recipe, find_recipe, overlay, read_settings, shipped_files
from alphaloom.spec import Spec, with_value

Changes = Mapping[str, Any]
"""Settings by path: `{windows.mode: expanding}`."""


class StudySettings(Spec):
    """One recipe, and the settings in which its runs differ."""

    name: str = "study"
    """Short name; the report's title."""
    description: str = ""
    """One or two sentences for the report."""
    recipe: str
    """File of a recipe, seen from the study's own folder, or the name of a shipped one."""
    scale: str | None = None
    """A scale of the recipe, such as small."""
    set: Changes = Field(default_factory=dict)
    """Settings of all runs, by path, on top of the recipe's."""
    axes: Mapping[str, tuple[Any, ...] | Mapping[str, Changes]] = Field(default_factory=dict)
    """What varies. Either values of one setting, `windows.mode: [rolling, expanding]`, or names of changes that go
    together, `loss: {mse: {}, ic: {models.0.objective: ic, models.1.objective: ic}}`. Every combination is a run."""
    beside: Mapping[str, Changes] = Field(default_factory=dict)
    """Further runs by name, each with the settings in which it differs from the recipe."""
    without: tuple[Mapping[str, str], ...] = ()
    """Combinations that are left out, by what they have in common: `{model: lightgbm, loss: ic}`."""
    baseline: Mapping[str, str] | str | None = None
    """What the others are compared with: its value on each axis, or its name; the first combination by default."""
    replicate: str | None = None
    """Axis whose values are repetitions, such as seeds: averaged over before anything is compared."""
    executor: Annotated[Executor, executors] = executors.parse("local")
    """Where fits run."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.axes and not self.beside:
            raise ValueError("nothing varies: give axes, such as {windows.mode: [rolling, expanding]}")
        for path, values in self.axes.items():
            if not values:
                raise ValueError(f"axis {path!r} has no value")
        if self.replicate is not None and self.replicate not in self.axis_names():
            raise ValueError(f"replicate: there is no axis {self.replicate!r}; axes are {', '.join(self.axis_names())}")
        names = self.axis_names()
        given = [*self.without, *([self.baseline] if isinstance(self.baseline, Mapping) else [])]
        for labels in given:
            for axis, label in labels.items():
                known = self.labels().get(axis)
                if known is None:
                    raise ValueError(f"there is no axis {axis!r}; axes are {', '.join(names)}")
                if label not in known:
                    raise ValueError(f"axis {axis!r} has no value {label!r}; it has {', '.join(known)}")
        return self

    def axis_names(self) -> list[str]:
        """Return a short distinct name for each axis: the path's last part where that tells it from the others."""
        last = [path.rsplit(".", 1)[-1] for path in self.axes]
        return [short if last.count(short) == 1 else path for short, path in zip(last, self.axes, strict=True)]

    def labels(self) -> dict[str, tuple[str, ...]]:
        """Return the values of each axis, as texts."""
        return {
            name: tuple(values) if isinstance(values, Mapping) else tuple(text_of(value) for value in values)
            for name, values in zip(self.axis_names(), self.axes.values(), strict=True)
        }


@dataclass(frozen=True, eq=False)
class Point:
    """One run of a study."""

    name: str
    labels: tuple[str, ...] | None
    """Its value on each axis; None beside the grid."""
    recipe: Recipe

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return re.sub(r"[^\w.,=+-]+", "_", self.name)


def points_of(settings: StudySettings, recipe: Mapping[str, Any]) -> list[Point]:
    """Return the runs of a study, the first axis slowest, then those beside the grid.

    Args:
        settings: what varies.
        recipe: the recipe as plain data, its scale applied.

    Raises:
        SettingError: a setting that the recipe does not take, or two runs of the same recipe or name.
    """
    base = _changed(dict(recipe), settings.set, "study.set")
    labels = settings.labels()
    choices = [
        [
            (label, values[label] if isinstance(values, Mapping) else {path: values[k]})
            for k, label in enumerate(labels[name])
        ]
        for (path, values), name in zip(settings.axes.items(), labels, strict=True)
    ]
    points = []
    for chosen in itertools.product(*choices) if choices else ():
        here = {axis: label for axis, (label, _) in zip(labels, chosen, strict=True)}
        if any(all(here[axis] == label for axis, label in item.items()) for item in settings.without):
            continue
        name = ", ".join(f"{axis} {label}" for axis, label in here.items())
        data = base
        for axis, (_, changes) in zip(labels, chosen, strict=True):
            data = _changed(data, changes, f"study, axis {axis}")
        points.append(_point(name, tuple(here.values()), data))
    for name, changes in settings.beside.items():
        points.append(_point(name, None, _changed(base, changes, f"study, {name}")))
    _check_distinct(points)
    return points


def baseline_of(settings: StudySettings, points: Sequence[Point]) -> Point:
    """Return the run that the others are compared with.

    Raises:
        SettingError: there is none such.
    """
    wanted = settings.baseline
    if wanted is None:
        return points[0]
    axes = settings.axis_names()
    for point in points:
        if isinstance(wanted, str) and point.name == wanted:
            return point
        if isinstance(wanted, Mapping) and point.labels is not None:
            here = dict(zip(axes, point.labels, strict=True))
            if all(here[axis] == label for axis, label in wanted.items()):
                return point
    raise SettingError(f"study.baseline: no run is {wanted!r}; runs are {', '.join(point.name for point in points)}.")


def read_study(name: str | Path, overrides: Sequence[str] = ()) -> tuple[StudySettings, dict[str, Any]]:
    """Return a study's settings and its recipe as plain data, its scale applied.

    Args:
        name: a YAML file, or the name of a shipped study.
        overrides: settings as `executor.workers=4` or `set.data.start=2018-01-01`.

    Raises:
        UsageError: no such file.
        SettingError: a wrong setting.
    """
    file = find_study(name)
    data = read_settings(file)
    for text in overrides:
        data = _override(data, text)
    if isinstance(data.get("executor"), Mapping):
        data["executor"] = {"name": "local", **data["executor"]}
    settings = StudySettings.parse(data, where="study")
    beside = file.parent / settings.recipe
    recipe = read_settings(beside if beside.is_file() else find_recipe(settings.recipe))
    scales = recipe.pop("scales", {}) or {}
    if settings.scale not in (None, "full"):
        if settings.scale not in scales:
            raise SettingError(
                f"study.scale: the recipe {settings.recipe} has no scale {settings.scale!r}; it has full, "
                f"{', '.join(scales)}."
            )
        recipe = overlay(recipe, scales[str(settings.scale)])
    return settings, recipe


def find_study(name: str | Path) -> Path:
    """Return the file of a study given by path or by the name of a shipped one.

    Raises:
        UsageError: neither exists; the message lists the shipped ones.
    """
    file, shipped = Path(name), shipped_studies()
    if file.is_file():
        return file
    if str(name) in shipped:
        return shipped[str(name)]
    raise UsageError(
        f"There is no study file {str(name)!r}, and no shipped study of that name.{did_you_mean(file.stem, shipped)} "
        f"Shipped: {', '.join(shipped) or 'none'}."
    )


def shipped_studies() -> dict[str, Path]:
    """Return the studies that come with the program, by name."""
    return shipped_files("studies")


def text_of(value: Any) -> str:
    """Return the text of an axis value: a component by its name and settings, a list by its items."""
    if isinstance(value, Mapping):
        words = [str(value["name"])] if "name" in value else []
        return " ".join(words + [f"{key}={text_of(item)}" for key, item in value.items() if key != "name"])
    if isinstance(value, list | tuple):
        return "+".join(text_of(item) for item in value) or "none"
    return "none" if value is None else str(value)


def _changed(data: Mapping[str, Any], changes: Changes, where: str) -> dict[str, Any]:
    out = dict(data)
    for path, value in changes.items():
        out = with_value(out, path, value, where=f"{where}: {path}")
    return out


def _point(name: str, labels: tuple[str, ...] | None, data: Mapping[str, Any]) -> Point:
    return Point(name, labels, Recipe.parse(dict(data), where=name))


def _check_distinct(points: Sequence[Point]) -> None:
    if not points:
        raise SettingError("study.without leaves no run.")
    folders = [point.folder for point in points]
    recipes = [point.recipe.fingerprint() for point in points]
    for k, point in enumerate(points):
        if folders.index(point.folder) < k:
            raise SettingError(f"The study has two runs named {point.name!r}; give each value once.")
        if recipes.index(recipes[k]) < k:
            other = points[recipes.index(recipes[k])].name
            raise SettingError(
                f"The runs {other!r} and {point.name!r} are the same recipe: what tells them apart changes nothing."
            )


def _override(data: dict[str, Any], text: str) -> dict[str, Any]:
    """Return the study with `a.b=c` applied; what stands under `set` keeps its path whole."""
    path, equals, raw = text.partition("=")
    if not equals:
        raise SettingError(f"--set {text!r}: write it as setting.part=value, for example executor.workers=4.")
    value = yaml.safe_load(raw)
    if path.startswith("set."):
        return data | {"set": {**data.get("set", {}), path.removeprefix("set."): value}}
    return with_value(data, path.strip(), value, where=f"--set {text!r}")
