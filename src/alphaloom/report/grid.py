"""A grid of recipes as the report takes it: one run a point, compared with a baseline date by date."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from alphaloom.errors import UsageError, unknown_name
from alphaloom.evaluation.inference import MeanTest, mean_test
from alphaloom.evaluation.paired import mean_by_date
from alphaloom.report import grid_inference

IC = {"date": pl.Date, "horizon": pl.String, "ic": pl.Float64, "rank_ic": pl.Float64, "n": pl.Int64}
SERIES = {"date": pl.Date, "value": pl.Float64}


@dataclass(frozen=True, eq=False)
class GridPoint:
    """One recipe of a grid and what its run came to; all but name and labels is empty after a failure.

    Attributes:
        name: distinct within the grid.
        labels: its value on each axis; empty for a point beside the grid.
        ic: `date, horizon, ic, rank_ic, n` of the traded signal.
        windows: the run's table of fits: `window, model, repeat`, RankIC and MSE in and out of sample, `seconds`.
        metrics: content of the run's `metrics.json`.
        nav: daily values of the first portfolio; empty without one.
        folder: relative address of the point's `report.html`; empty for no link.
        failure: why there is no result; None for a finished run.
    """

    name: str
    labels: tuple[str, ...]
    ic: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=IC))
    windows: pl.DataFrame = field(default_factory=pl.DataFrame)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    nav: pl.DataFrame = field(default_factory=pl.DataFrame)
    folder: str = ""
    failure: str | None = None

    @property
    def signal(self) -> Mapping[str, Any]:
        """The numbers of the traded signal."""
        found: Mapping[str, Any] = self.metrics["signals"][self.metrics["headline"]]
        return found

    @property
    def portfolio(self) -> Mapping[str, Any]:
        """The numbers of the first portfolio; empty without one."""
        return next(iter(self.metrics.get("portfolios", {}).values()), {})

    @property
    def fits(self) -> pl.DataFrame:
        """The fits of the traded model; of all models where an ensemble is traded."""
        if "model" not in self.windows.columns:
            return self.windows
        own = self.windows.filter(pl.col("model") == self.metrics["headline"])
        return own if own.height else self.windows

    def rank_ic(self, horizon: str) -> pl.DataFrame:
        """Return `date, value` of RankIC at a horizon, without missing values."""
        return mean_by_date([self.ic.filter(pl.col("horizon") == horizon).select("date", value="rank_ic")])

    def excess(self) -> pl.DataFrame:
        """Return `date, value` of the first portfolio's daily return over its benchmark, without missing values."""
        if not self.nav.height:
            return pl.DataFrame(schema=SERIES)
        return mean_by_date([self.nav.slice(1).select("date", value="excess_ret")])


@dataclass(frozen=True)
class Cell:
    """Where points stand that are repetitions of each other.

    Attributes:
        labels: on all axes but the replicate.
        beside: name of the one point, if it stands beside the grid.
    """

    labels: tuple[str, ...]
    beside: str = ""


@dataclass(frozen=True, eq=False)
class GridReport:
    """The points of a grid, and what the choices they stand for are worth.

    Means are tested at the first horizon of the baseline, or of the first finished point where that failed, with
    Newey-West errors and bootstrap intervals that allow for overlapping returns (`evaluation.inference.mean_test`).

    Attributes:
        axes: labels of the values of each axis.
        baseline: name of the point that others are compared with.
        points: those of the grid, and those beside it.
        replicate: axis whose values are repetitions, such as a seed: averaged over by date in comparisons.
        provenance: nested plain data.
        level: coverage of the intervals.
    """

    title: str
    description: str
    axes: Mapping[str, tuple[str, ...]]
    baseline: str
    points: Sequence[GridPoint]
    replicate: str | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    level: float = 0.95

    def __post_init__(self) -> None:
        names = [point.name for point in self.points]
        if self.baseline not in names:
            raise unknown_name("point", self.baseline, names, "baseline of the grid")
        if self.replicate is not None and self.replicate not in self.axes:
            raise unknown_name("axis", self.replicate, self.axes, "replicate of the grid")
        _refuse_twins("name", names)
        _refuse_twins("place", [", ".join(point.labels) for point in self.points if point.labels])
        known = list(self.axes.values())
        for point in self.points:
            is_whole = len(point.labels) in {0, len(known)}
            if not is_whole or any(label not in axis for label, axis in zip(point.labels, known, strict=False)):
                places = "; ".join(f"{axis}: {', '.join(labels)}" for axis, labels in self.axes.items())
                raise UsageError(
                    f"Point {point.name!r} stands at ({', '.join(point.labels)}); the axes of the grid are "
                    f"{places or 'none'}. Give each point one value of every axis, or none at all beside the grid."
                )

    @property
    def finished(self) -> list[GridPoint]:
        """The points that have a result."""
        return [point for point in self.points if point.failure is None]

    @property
    def failed(self) -> list[GridPoint]:
        """The points that have none."""
        return [point for point in self.points if point.failure is not None]

    @property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """The axes but the replicate."""
        return {axis: labels for axis, labels in self.axes.items() if axis != self.replicate}

    @property
    def base(self) -> GridPoint:
        """The point that others are compared with."""
        return next(point for point in self.points if point.name == self.baseline)

    @property
    def base_cell(self) -> Cell:
        """Where it stands."""
        return self.cell(self.base)

    @cached_property
    def horizon(self) -> str:
        """The horizon at which points are compared; empty when none is finished."""
        first = [self.base] if self.base.failure is None else self.finished
        return str(first[0].signal["primary"]) if first else ""

    @cached_property
    def steps(self) -> int:
        """How many neighbouring dates share returns at that horizon: the most of any point."""
        found = (point.signal["horizons"].get(self.horizon, {}).get("steps", 1) for point in self.finished)
        return max(found, default=1)

    @cached_property
    def series(self) -> dict[str, pl.DataFrame]:
        """`date, value` of each point's RankIC, by name; points without a value are absent."""
        every = {point.name: point.rank_ic(self.horizon) for point in self.finished}
        return {name: frame for name, frame in every.items() if frame.height}

    @cached_property
    def cells(self) -> dict[Cell, list[GridPoint]]:
        """Points by where they stand."""
        found: dict[Cell, list[GridPoint]] = {}
        for point in self.points:
            found.setdefault(self.cell(point), []).append(point)
        return found

    @cached_property
    def cell_series(self) -> dict[Cell, pl.DataFrame]:
        """`date, value` of the mean RankIC over each cell's points with a value, on dates that all of these have."""
        known = {cell: [p.name for p in points if p.name in self.series] for cell, points in self.cells.items()}
        return {cell: mean_by_date([self.series[name] for name in names]) for cell, names in known.items() if names}

    def cell(self, point: GridPoint) -> Cell:
        """Return where a point stands."""
        if not point.labels:
            return Cell((), point.name)
        labels = zip(self.axes, point.labels, strict=True)
        return Cell(tuple(label for axis, label in labels if axis != self.replicate))

    def cell_name(self, cell: Cell) -> str:
        """Return the name of the one point of a cell, or axes and labels where replicates may make it several."""
        if cell.beside or self.replicate is None:
            return self.cells[cell][0].name
        named = zip(self.choices, cell.labels, strict=True)
        return ", ".join(f"{axis} {label}" for axis, label in named) or f"mean over {self.replicate}"

    def cell_mark(self, cell: Cell) -> str:
        """Return what names a cell in a chart: its labels alone."""
        return " · ".join(cell.labels) or self.cell_name(cell)

    def test(self, series: pl.DataFrame) -> MeanTest:
        """Return the test of the mean of a `date, value` of RankIC."""
        return mean_test(series["value"].to_numpy(), steps=self.steps, level=self.level)

    def table(self) -> pl.DataFrame:
        """Return one row a point.

        Columns: `point`, `axis NAME` of each axis, `failure`; of RankIC `rank_ic, low, high, std, ir, t_newey_west, n,
        first, last`; means over windows of RankIC and MSE in and out of sample, and `gap`, RankIC in less out;
        `seconds` of all fits and `search_seconds` of all candidates tried; figures of the first portfolio; and those of
        `comparisons` from `difference` on, of the cell that the point stands in. Null where there is no value.
        """
        return self._table

    def comparisons(self) -> pl.DataFrame:
        """Return one row a cell other than the baseline's: its RankIC less the baseline's, paired by date.

        Columns: `point`, `axis NAME` of each axis but the replicate, `replicates` (those that both cells have, averaged
        by date), `n, first, last` (common dates), `mean, base_mean`, `difference, difference_low, difference_high, t,
        p`, and of the first portfolios' daily excess returns, times the trading days of a year, `excess_difference,
        excess_low, excess_high, excess_t, excess_p`; `p_holm` is p after Holm's correction over all rows that have one.
        Null where there is nothing to compare; t and p also where the two never differ.
        """
        return self._comparisons

    def effects(self) -> pl.DataFrame:
        """Return what each value of an axis does in place of the baseline's, all else equal: one row a value.

        RankIC is averaged by date over the points with either value whose other settings agree and that both have a
        result, then differenced, then tested. Points beside the grid have no part in it.

        Columns: `axis, value, base` (the baseline's value), `pairs` (points of each value that went in), `possible`
        (points of the baseline's value), and those of `comparisons` from `n` to `p`, with `p_holm` over all rows.
        """
        return self._effects

    @cached_property
    def _table(self) -> pl.DataFrame:
        return grid_inference.point_table(self)

    @cached_property
    def _comparisons(self) -> pl.DataFrame:
        return grid_inference.comparison_table(self)

    @cached_property
    def _effects(self) -> pl.DataFrame:
        return grid_inference.effect_table(self)


def _refuse_twins(what: str, values: Sequence[str]) -> None:
    twice = [value for k, value in enumerate(values) if value in values[:k]]
    if twice:
        raise UsageError(f"Two points of the grid have the {what} {twice[0]!r}; each needs one of its own.")
