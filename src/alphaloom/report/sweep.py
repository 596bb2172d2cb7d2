"""A sweep as the report takes it: portfolios of the same scores and where each stands on the axes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from alphaloom.backtest.result import BacktestResult
from alphaloom.evaluation.inference import MeanTest
from alphaloom.evaluation.validity.judge import Validity, judge_trials
from alphaloom.evaluation.validity.trials import Trials
from alphaloom.report.verdict import excess_test

FIGURES = (
    "annual_return", "excess_annual_return", "universe_excess_annual_return", "volatility", "tracking_error", "sharpe",
    "information_ratio", "max_drawdown", "excess_max_drawdown", "turnover_annual", "cost_annual", "impact_annual",
    "cash_weight_mean", "holdings_mean", "unfilled_mean",
)  # fmt: skip
"""Metrics of a backtest that a sweep's table holds."""


@dataclass(frozen=True, eq=False)
class SweepPoint:
    """One portfolio of a sweep."""

    name: str
    labels: tuple[str, ...] | None
    """Where it stands on each axis; None beside the grid."""
    result: BacktestResult
    """Its replay; the orders lie in the point's folder and are not held."""
    decisions: Mapping[str, float]
    """`decisions`, how many `relaxed` a limit, mean `names`, `cash` and two-way `turnover` of the targets."""
    unfilled: pl.DataFrame
    """`sections_orders.unfilled_frame` of its orders."""

    @cached_property
    def excess(self) -> MeanTest | None:
        """The mean daily excess over the benchmark with its uncertainty; None without a benchmark."""
        return excess_test(self.result.nav) if self.result.nav["excess_ret"].is_not_null().any() else None


@dataclass(frozen=True, eq=False)
class SweepReport:
    """All points of a sweep; those of the grid stand before those beside it, the first axis slowest."""

    title: str
    description: str
    axes: Mapping[str, tuple[str, ...]]
    """Labels of the values of each axis, by its short name."""
    points: list[SweepPoint]
    annual_days: float
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def grid(self) -> list[SweepPoint]:
        """The points of the grid."""
        return [point for point in self.points if point.labels is not None]

    @property
    def reference(self) -> SweepPoint:
        """The point that details are shown of: the middle of the grid, which no result has chosen, or the first."""
        grid = self.grid
        if not grid:
            return self.points[0]
        middle = tuple(values[(len(values) - 1) // 2] for values in self.axes.values())
        return next(point for point in grid if point.labels == middle)

    @cached_property
    def validity(self) -> Validity | None:
        """What remains of the best point once the search is counted; None with a single point."""
        if len(self.points) < 2:
            return None
        column = "excess_ret" if self.has_benchmark else "ret"
        trials = Trials.of({point.name: point.result.nav.slice(1) for point in self.points}, column)
        return judge_trials(trials, resamples=500)

    @property
    def has_benchmark(self) -> bool:
        """Whether returns are measured against an index."""
        return self.points[0].excess is not None

    def values(self, metric: str, rest: tuple[str, ...] = ()) -> np.ndarray:
        """Return a metric over the first two axes `[rows, columns]` at the given labels of the further axes."""
        shape = [len(values) for values in self.axes.values()]
        found = np.array([point.result.metrics.get(metric, np.nan) for point in self.grid], dtype=np.float64)
        cube = found.reshape(shape)
        for axis, label in zip(list(self.axes.values())[2:], rest, strict=True):
            cube = cube[:, :, axis.index(label)]
        return cube[:, None] if cube.ndim == 1 else cube

    def table(self) -> pl.DataFrame:
        """Return one row a point: its place on each axis (null beside the grid), figures, uncertainty, decisions."""
        rows = []
        for point in self.points:
            labels = point.labels or (None,) * len(self.axes)
            test, days = point.excess, self.annual_days
            rows.append(
                {
                    "point": point.name,
                    **dict(zip(self.axes, labels, strict=True)),
                    **{name: _or_none(point.result.metrics.get(name)) for name in FIGURES},
                    "excess_low": None if test is None else _or_none(test.low * days),
                    "excess_high": None if test is None else _or_none(test.high * days),
                    "excess_t": None if test is None else _or_none(test.t_newey_west),
                    **point.decisions,
                }
            )
        return pl.DataFrame(rows, infer_schema_length=None)

    def yearly(self) -> pl.DataFrame:
        """Return one row a point and calendar year: the columns of `BacktestResult.yearly` after `point`."""
        return pl.concat(
            [point.result.yearly.select(pl.lit(point.name).alias("point"), pl.all()) for point in self.points]
        )


def _or_none(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
