"""What a sweep varies: axes of settings, and portfolios beside them."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, model_validator

from alphaloom.backtest.settings import BacktestSettings
from alphaloom.data.universe.base import UniverseRule
from alphaloom.data.universe.base import universe_rules as universe_rule_registry
from alphaloom.errors import SettingError
from alphaloom.portfolio.base import Construction
from alphaloom.portfolio.base import constructions as construction_registry
from alphaloom.recipe import RiskSettings
from alphaloom.spec import Spec, distinct, fingerprint, with_value

MAY_VARY = ("portfolio", "backtest")


class SweepSettings(Spec):
    """Portfolios made of one set of scores, and the settings that are varied."""

    name: str = "sweep"
    """Short name; the report's title."""
    description: str = ""
    """One or two sentences for the report."""
    axes: Mapping[str, tuple[Any, ...]] = Field(default_factory=dict)
    """Settings to vary and their values: `portfolio.style_limit: [0.1, 0.2]`. Every combination is a point of the grid.
    The first axis makes the rows of a heat map, the second its columns; more axes make more maps."""
    beside: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    """Further portfolios by name, each with the settings in which it differs from the base: `{equal 100: {portfolio:
    {name: equal_weight}}}`."""
    portfolio: Annotated[Construction, construction_registry] = construction_registry.parse("linear_programme")
    """Base of all points."""
    risk: RiskSettings = RiskSettings()
    """Styles, benchmark and risk model; the same for all."""
    universe: tuple[Annotated[UniverseRule, universe_rule_registry], ...] = ()
    """Which scored stocks may be bought; the same for all."""
    rebalance: Annotated[int, Field(ge=1)] = 1
    """Portfolios are decided on the first date with scores and on every so many-th after it."""
    backtest: BacktestSettings = BacktestSettings()
    """How all are replayed, unless an axis says otherwise. Its capital is also that of the decisions."""

    @model_validator(mode="after")
    def _check(self) -> "SweepSettings":
        for path in [*self.axes, *(path for changes in self.beside.values() for path in changes)]:
            if path.split(".")[0] not in MAY_VARY:
                raise ValueError(
                    f"{path!r} cannot vary: settings of portfolio or backtest can, such as portfolio.num_stock or "
                    "backtest.capital. Scores, universe and benchmark are the same for all points of a sweep"
                )
        for path, values in self.axes.items():
            if not values:
                raise ValueError(f"axis {path!r} has no value")
        if not self.axes and not self.beside:
            raise ValueError("nothing varies: give axes, such as {portfolio.num_stock: [100, 200]}")
        return self


@dataclass(frozen=True, eq=False)
class Point:
    """One portfolio of a sweep."""

    name: str
    """`style_limit 0.1, num_stock 100`, or the name of one beside the grid."""
    labels: tuple[str, ...] | None
    """Where it stands on each axis; None beside the grid."""
    construction: Construction
    backtest: BacktestSettings

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return re.sub(r"[^\w.,=+ -]", "_", self.name).replace(" ", "_")

    @property
    def decisions_key(self) -> str:
        """Equal for points whose decisions are the same, whatever their replay."""
        return fingerprint([self.construction.describe(), self.backtest.capital])


def points_of(settings: SweepSettings) -> list[Point]:
    """Return the points of the grid, the first axis slowest, then those beside it.

    Raises:
        SettingError: a value that the portfolio or the backtest does not take, or two points of the same name.
    """
    base = {"portfolio": settings.portfolio.describe(), "backtest": settings.backtest.dump()}
    short = axis_names(settings.axes)
    points = []
    for values in itertools.product(*settings.axes.values()) if settings.axes else ():
        labels = tuple(label_of(value) for value in values)
        name = ", ".join(f"{axis} {label}" for axis, label in zip(short, labels, strict=True))
        points.append(_point(name, labels, base, dict(zip(settings.axes, values, strict=True))))
    points += [_point(name, None, base, changes) for name, changes in settings.beside.items()]
    folders = [point.folder for point in points]
    for name in folders:
        if folders.count(name) > 1:
            raise SettingError(f"The sweep has two points named {name!r}; give each value and portfolio once.")
    return points


def axis_names(axes: Mapping[str, Sequence[Any]]) -> list[str]:
    """Return a short distinct name for each axis: the last part of its path."""
    return distinct([path.rsplit(".", 1)[-1] for path in axes])


def label_of(value: Any) -> str:
    """Return the text of an axis value: a component by its name and settings, sums of money in millions."""
    if isinstance(value, Mapping):
        words = [str(value["name"])] if "name" in value else []
        return " ".join(words + [f"{key}={label_of(item)}" for key, item in value.items() if key != "name"])
    if isinstance(value, int | float) and abs(value) >= 1e6:
        return f"{value / 1e6:,.10g} m"
    return "none" if value is None else str(value)


def _point(name: str, labels: tuple[str, ...] | None, base: Mapping[str, Any], changes: Mapping[str, Any]) -> Point:
    data = dict(base)
    for path, value in changes.items():
        data = with_value(data, path, value, where=f"sweep, {name}: {path}")
    return Point(
        name,
        labels,
        construction_registry.parse(data["portfolio"], where=f"{name}: portfolio"),
        BacktestSettings.parse(data["backtest"], where=f"{name}: backtest"),
    )
