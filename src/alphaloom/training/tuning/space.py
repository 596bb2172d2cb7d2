"""Which settings are searched over which values, and the spaces that come with the program."""

from collections.abc import Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
import yaml
from pydantic import BeforeValidator, Field, model_validator

from alphaloom.errors import SettingError, unknown_name
from alphaloom.models.base import Model, models
from alphaloom.spec import Spec, with_value

if TYPE_CHECKING:
    import optuna

Value = bool | int | float | str | None


class Range(Spec):
    """Numbers between two ends, or the values of a list."""

    low: float | None = None
    """Least value."""
    high: float | None = None
    """Greatest value."""
    log: bool = False
    """Whether equal ratios count as equal distances, as for learning rates."""
    integer: bool = False
    """Whether values are whole numbers."""
    step: Annotated[float, Field(gt=0)] | None = None
    """Distance between neighbouring values; None is any."""
    values: tuple[Value, ...] | None = None
    """The values themselves, instead of two ends; numbers in increasing order are narrowed like a range."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.values is not None:
            if not self.values or (self.low, self.high, self.step) != (None, None, None) or self.log or self.integer:
                raise ValueError("a list of values needs at least one, and takes neither ends, step, log nor integer")
            return self
        if self.low is None or self.high is None:
            raise ValueError("give low and high, or a list of values")
        if self.low >= self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs low above 0, and no step")
        if self.integer and (self.low % 1 or self.high % 1 or (self.step or 1) % 1):
            raise ValueError("the ends and the step of whole numbers must be whole")
        return self

    def points(self, count: int) -> list[Value]:
        """Return so many values over the range, evenly spaced in its own measure; fewer where it holds fewer."""
        if self.values is not None:
            chosen = np.linspace(0, len(self.values) - 1, min(count, len(self.values))).round().astype(int)
            return [self.values[k] for k in chosen]
        low, high = self._ends()
        raw = np.geomspace(low, high, count) if self.log else np.linspace(low, high, count)
        step = self.step or (1.0 if self.integer else None)
        if step is not None:
            raw = low + np.round((raw - low) / step) * step
            raw = raw[raw <= high + 1e-9]
        short = [float(np.clip(float(f"{value:.6g}"), low, high)) for value in raw.tolist()]
        return list(dict.fromkeys(round(value) if self.integer else value for value in short))

    def between(self, low: Value, high: Value) -> "Range":
        """Return the part from one of the points to another."""
        if self.values is not None:
            first, last = self.values.index(low), self.values.index(high)
            return Range(values=self.values[first : last + 1])
        if low == high:
            return Range(values=(low,))
        return self.model_copy(update={"low": low, "high": high})

    def distribution(self) -> "optuna.distributions.BaseDistribution":
        """Return the range as Optuna has it."""
        import optuna

        if self.values is not None:
            return optuna.distributions.CategoricalDistribution(self.values)
        low, high = self._ends()
        if self.integer:
            return optuna.distributions.IntDistribution(int(low), int(high), log=self.log, step=int(self.step or 1))
        return optuna.distributions.FloatDistribution(low, high, log=self.log, step=self.step)

    def nearest(self, value: Value) -> Value:
        """Return the value of the range that is nearest; of a list of other things than numbers, its first."""
        if self.values is not None:
            if value in self.values:
                return value
            numbers = [v for v in self.values if isinstance(v, int | float)]
            if not numbers or not isinstance(value, int | float):
                return self.values[0]
            return min(numbers, key=lambda v: abs(v - value))
        low, high = self._ends()
        if not isinstance(value, int | float):
            return self.points(3)[1]
        clipped = float(np.clip(value, low, high))
        if self.integer or self.step:
            step = self.step or 1.0
            clipped = min(low + round((clipped - low) / step) * step, high)
        return int(clipped) if self.integer else clipped

    def _ends(self) -> tuple[float, float]:
        if self.low is None or self.high is None:
            raise SettingError("A list of values has no ends.")
        return self.low, self.high


def _listed(value: Any) -> Any:
    return {"values": value} if isinstance(value, list | tuple) else value


Space = Mapping[str, Annotated[Range, BeforeValidator(_listed)]]
"""A range for each setting that is searched, by its path in the model: `learning_rate`, `optimisation.lr`."""


class Spaces(Spec):
    """Search spaces by kind of model."""

    spaces: Mapping[str, Space]


def presets() -> list[str]:
    """Return the names of the spaces that come with the program."""
    folder = files("alphaloom.training.tuning") / "presets"
    return sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml"))


def preset(name: str) -> Mapping[str, Space]:
    """Return the spaces of one preset, by kind of model.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name not in presets():
        raise unknown_name("preset of search spaces", name, presets())
    text = (files("alphaloom.training.tuning") / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
    return Spaces.parse({"spaces": yaml.safe_load(text)}, where=f"preset {name}").spaces


def with_settings(model: Model, values: Mapping[str, Value]) -> Model:
    """Return the model with other settings, by path.

    Raises:
        SettingError: it does not take them.
    """
    data: dict[str, Any] = model.describe()
    for path, value in values.items():
        data = with_value(data, path, value, where=f"tuning.spaces.{data['name']}: {path}")
    return models.parse(data, where=f"tuning, {', '.join(f'{k} {v}' for k, v in values.items())}")


def setting(model: Model, path: str) -> Value:
    """Return a model's setting, by path.

    Raises:
        SettingError: it has none there.
    """
    place: Any = model.describe()
    for key in path.split("."):
        if not isinstance(place, dict) or key not in place:
            raise SettingError(f"tuning.spaces.{type(model).name}: there is no setting {path!r}.")
        place = place[key]
    if isinstance(place, dict | list):
        raise SettingError(f"tuning.spaces.{type(model).name}: {path!r} holds settings of its own; name one of them.")
    value: Value = place
    return value
