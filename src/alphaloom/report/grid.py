"""A grid of recipes as the report takes it: one run a point, compared with a baseline date by date."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from alphaloom.errors import UsageError, unknown_name
from alphaloom.evaluation.inference import MeanTest, mean_test
from alphaloom.evaluation.paired import PairedTest, mean_by_date, paired_test

IC = {"date": pl.Date, "horizon": pl.String, "ic": pl.Float64, "rank_ic": pl.Float64, "n": pl.Int64}
RANK_IC = ("low", "high", "std", "ir", "t_newey_west")
FITS = ("in_sample_rank_ic", "out_of_sample_rank_ic", "in_sample_mse", "out_of_sample_mse")
PORTFOLIO = ("annual_return", "excess_annual_return", "information_ratio", "max_drawdown", "turnover_annual")
DIFFERENCE = ("difference", "difference_low", "difference_high", "t", "p")
EXCESS = ("excess_difference", "excess_low", "excess_high", "excess_t", "excess_p")


@dataclass(frozen=True, eq=False)
class GridPoint:
    """One recipe of a grid and what its run came to; all but name and labels is empty after a failure.

    Attributes:
        name: distinct within the grid.
        labels: its value on each axis.
        ic: `date, horizon, ic, rank_ic, n` of the traded signal.
        windows: the run's table of fits: `window, model, repeat`, RankIC and MSE in and out of sample, `seconds`.
        metrics: content of the run's `metrics.json`.
        nav: daily values of the first portfolio; empty without one.
        folder: relative address of the folder that holds the point's `report.html`; empty for no link.
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
            return pl.DataFrame(schema={"date": pl.Date, "value": pl.Float64})
        return mean_by_date([self.nav.slice(1).select("date", value="excess_ret")])


Pair = tuple[GridPoint, GridPoint]
Cell = tuple[str, ...]
"""Labels on all axes but the replicate."""


@dataclass(frozen=True, eq=False)
class GridReport:
    """The points of a grid, and what the choices they stand for are worth.

    Means are tested at the first horizon of the baseline, or of the first finished point where that failed, with
    Newey-West errors and bootstrap intervals that allow for overlapping returns (`evaluation.inference.mean_test`).

    Attributes:
        axes: labels of the values of each axis.
        baseline: name of the point that others are compared with.
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
        _refuse_twins("place", [", ".join(point.labels) for point in self.points if self.axes])
        for point in self.points:
            known = list(self.axes.values())
            fits = len(point.labels) == len(known)
            if not fits or any(x not in axis for x, axis in zip(point.labels, known, strict=True)):
                places = "; ".join(f"{axis}: {', '.join(labels)}" for axis, labels in self.axes.items())
                raise UsageError(
                    f"Point {point.name!r} stands at ({', '.join(point.labels)}); the axes of the grid are "
                    f"{places or 'none'}. Give each point one value of every axis."
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
    def base(self) -> GridPoint:
        """The point that others are compared with."""
        return next(point for point in self.points if point.name == self.baseline)

    @property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """The axes but the replicate."""
        return {axis: labels for axis, labels in self.axes.items() if axis != self.replicate}

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
        """Points by their labels on all axes but the replicate."""
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
        """Return a point's labels on all axes but the replicate."""
        return tuple(label for axis, label in zip(self.axes, point.labels, strict=True) if axis != self.replicate)

    def cell_name(self, cell: Cell) -> str:
        """Return the name of the one point of a cell, or axes and labels where replicates may make it several."""
        if self.replicate is None:
            return self.cells[cell][0].name
        return (
            ", ".join(f"{axis} {label}" for axis, label in zip(self.choices, cell, strict=True))
            or f"mean over {self.replicate}"
        )

    def mark(self, labels: Sequence[str]) -> str:
        """Return what names a point or a cell in a chart: its labels alone."""
        return " · ".join(labels) or (f"mean over {self.replicate}" if self.replicate else self.baseline)

    def places(self, cell: Cell) -> dict[str, str]:
        """Return a cell's labels under the columns that hold them, `axis NAME`."""
        return {f"axis {axis}": label for axis, label in zip(self.choices, cell, strict=True)}

    def test(self, series: pl.DataFrame) -> MeanTest:
        """Return the test of the mean of a `date, value` of RankIC."""
        return mean_test(series["value"].to_numpy(), steps=self.steps, level=self.level)

    def table(self) -> pl.DataFrame:
        """Return one row a point.

        Columns: `point`, `axis NAME` of each axis, `failure`; of RankIC `rank_ic, low, high, std, ir, t_newey_west, n,
        first, last`; means over windows of RankIC and MSE in and out of sample, and `gap`, RankIC in less out;
        `seconds` of all fits; figures of the first portfolio; and those of `comparisons` from `difference` on, of the
        point's cell. Null where there is no value.
        """
        return self._table

    @cached_property
    def _table(self) -> pl.DataFrame:
        frame = pl.DataFrame([self._row(point) for point in self.points], infer_schema_length=None)
        frame = _numbers(frame, ("rank_ic", *RANK_IC, *FITS, "gap", "seconds", *PORTFOLIO))
        against = self.comparisons()
        if not against.height:
            return frame
        keys = list(self.places(self.cell(self.base)))
        return frame.join(
            against.select(*keys, *DIFFERENCE, "p_holm", *EXCESS), on=keys, how="left", maintain_order="left"
        )

    def _row(self, point: GridPoint) -> dict[str, Any]:
        axes = {f"axis {axis}": label for axis, label in zip(self.axes, point.labels, strict=True)}
        row: dict[str, Any] = {"point": point.name, **axes, "failure": point.failure}
        series = self.series.get(point.name)
        test = None if series is None else self.test(series)
        row["rank_ic"] = test and test.mean
        row |= {key: test and getattr(test, key) for key in (*RANK_IC, "n")}
        row |= (
            {"first": None, "last": None}
            if series is None
            else {"first": series["date"][0], "last": series["date"][-1]}
        )
        fits = point.fits if point.failure is None else pl.DataFrame()
        means = {key: _mean(fits, key) for key in FITS}
        inside, outside = means["in_sample_rank_ic"], means["out_of_sample_rank_ic"]
        row |= {**means, "gap": None if inside is None or outside is None else inside - outside}
        row["seconds"] = point.windows["seconds"].sum() if "seconds" in point.windows.columns else None
        measured = point.portfolio.get("metrics", {})
        return row | {key: measured.get(key) for key in PORTFOLIO}

    @cached_property
    def _comparisons(self) -> pl.DataFrame:
        base = self.cell(self.base)
        rows = []
        for cell in self.cells:
            if cell != base:
                pairs = self._pairs(base, cell)
                row = {"point": self.cell_name(cell), **self.places(cell), "replicates": len(pairs)}
                rows.append(row | _test_row(self._paired(pairs)) | self._excess_row(pairs))
        return _with_holm(rows)

    def comparisons(self) -> pl.DataFrame:
        """Return one row a cell beside the baseline's: its RankIC less the baseline's, paired by date.

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
        result, then differenced, then tested.

        Columns: `axis, value, base` (the baseline's value), `pairs` (points of each value that went in), `possible`
        (points of the baseline's value), and those of `comparisons` from `n` to `p`, with `p_holm` over all rows.
        """
        return self._effects

    @cached_property
    def _effects(self) -> pl.DataFrame:
        own, rows = self.cell(self.base), []
        for k, (axis, labels) in enumerate(self.choices.items()):
            first = [cell for cell in self.cells if cell[k] == own[k]]
            for value in labels:
                if value != own[k]:
                    pairs = [pair for cell in first for pair in self._pairs(cell, (*cell[:k], value, *cell[k + 1 :]))]
                    row = {"axis": axis, "value": value, "base": own[k], "pairs": len(pairs)}
                    row["possible"] = sum(len(self.cells[cell]) for cell in first)
                    rows.append(row | _test_row(self._paired(pairs)))
        return _with_holm(rows)

    def _pairs(self, a: Cell, b: Cell) -> list[Pair]:
        """Return the points of two cells that have a result, by replicate."""
        second = {self._replicate(point): point for point in self.cells.get(b, []) if point.name in self.series}
        first = [point for point in self.cells[a] if point.name in self.series]
        return [(point, second[self._replicate(point)]) for point in first if self._replicate(point) in second]

    def _replicate(self, point: GridPoint) -> str:
        return "" if self.replicate is None else point.labels[list(self.axes).index(self.replicate)]

    def _paired(self, pairs: Sequence[Pair]) -> PairedTest | None:
        if not pairs:
            return None
        a, b = (mean_by_date([self.series[point.name] for point in side]) for side in zip(*pairs, strict=True))
        return paired_test(a, b, steps=self.steps, level=self.level)

    def _excess_row(self, pairs: Sequence[Pair]) -> dict[str, Any]:
        """Return the paired test of daily excess returns, a year."""
        days = self.base.portfolio.get("annual_days")
        series = [[point.excess() for point in side] for side in zip(*pairs, strict=True)]
        if days is None or not all(frame.height for side in series for frame in side) or not series:
            return dict.fromkeys(EXCESS)
        found = paired_test(*map(mean_by_date, series), level=self.level)
        if found is None:
            return dict.fromkeys(EXCESS)
        test = found.test
        values = (test.mean * days, test.low * days, test.high * days, test.t_newey_west, test.p_newey_west)
        return dict(zip(EXCESS, values, strict=True))


def _test_row(found: PairedTest | None) -> dict[str, Any]:
    keys = ("n", "first", "last", "mean", "base_mean", *DIFFERENCE)
    if found is None:
        return dict.fromkeys(keys)
    test = found.test
    own = (test.n, found.first, found.last, found.mean_b, found.mean_a)
    return dict(zip(keys, (*own, test.mean, test.low, test.high, test.t_newey_west, test.p_newey_west), strict=True))


def _with_holm(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return the rows with `p_holm`, and NaN as null."""
    from statsmodels.stats.multitest import multipletests

    frame = pl.DataFrame(rows, infer_schema_length=None)
    if not frame.height:
        return frame
    p = np.array([np.nan if row["p"] is None else row["p"] for row in rows], dtype=np.float64)
    holm = np.full(p.size, np.nan)
    if np.isfinite(p).any():
        holm[np.isfinite(p)] = multipletests(p[np.isfinite(p)], method="holm")[1]
    return _numbers(
        frame.with_columns(pl.Series("p_holm", holm)), ("mean", "base_mean", *DIFFERENCE, *EXCESS, "p_holm")
    )


def _numbers(frame: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Return the frame with those of the columns that it has as Float64, NaN as null."""
    known = [key for key in keys if key in frame.columns]
    return frame.with_columns(pl.col(known).cast(pl.Float64).fill_nan(None))


def _mean(frame: pl.DataFrame, key: str) -> float | None:
    if key not in frame.columns:
        return None
    known = frame[key].cast(pl.Float64).fill_nan(None).drop_nulls().to_numpy()
    return float(known.mean()) if known.size else None


def _refuse_twins(what: str, values: Sequence[str]) -> None:
    twice = [value for k, value in enumerate(values) if value in values[:k]]
    if twice:
        raise UsageError(f"Two points of the grid have the {what} {twice[0]!r}; each needs one of its own.")
