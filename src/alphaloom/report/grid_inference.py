"""Tests of a grid's points: each alone, against the baseline, and what each choice does."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from alphaloom.evaluation.paired import PairedTest, mean_by_date, paired_test

if TYPE_CHECKING:
    from alphaloom.report.grid import Cell, GridPoint, GridReport

RANK_IC = ("low", "high", "std", "ir", "t_newey_west")
FITS = ("in_sample_rank_ic", "out_of_sample_rank_ic", "in_sample_mse", "out_of_sample_mse")
PORTFOLIO = ("annual_return", "excess_annual_return", "information_ratio", "max_drawdown", "turnover_annual")
DIFFERENCE = ("difference", "difference_low", "difference_high", "t", "p")
EXCESS = ("excess_difference", "excess_low", "excess_high", "excess_t", "excess_p")


def point_table(report: "GridReport") -> pl.DataFrame:
    """Return what `GridReport.table` returns."""
    rows = [{**_own_row(report, point), "cell": report.cell_name(report.cell(point))} for point in report.points]
    frame = _as_numbers(
        pl.DataFrame(rows, infer_schema_length=None),
        ("rank_ic", *RANK_IC, *FITS, "gap", "seconds", "search_seconds", *PORTFOLIO),
    )
    against = report.comparisons()
    if against.height:
        tests = against.select("point", *DIFFERENCE, "p_holm", *EXCESS).rename({"point": "cell"})
        frame = frame.join(tests, on="cell", how="left", maintain_order="left")
    return frame.drop("cell").with_columns(pl.col("failure").cast(pl.String))


def _own_row(report: "GridReport", point: "GridPoint") -> dict[str, Any]:
    row: dict[str, Any] = {"point": point.name, **places(report.axes, point.labels), "failure": point.failure}
    row |= dict.fromkeys(("rank_ic", *RANK_IC, "n", "first", "last"))
    series = report.series.get(point.name)
    if series is not None:
        test = report.test(series)
        row |= {"rank_ic": test.mean, **{key: getattr(test, key) for key in (*RANK_IC, "n")}}
        row |= {"first": series["date"][0], "last": series["date"][-1]}
    fits = point.fits if point.failure is None else pl.DataFrame()
    means = {key: _mean(fits, key) for key in FITS}
    inside, outside = means["in_sample_rank_ic"], means["out_of_sample_rank_ic"]
    row |= {**means, "gap": None if inside is None or outside is None else inside - outside}
    row["seconds"] = point.windows["seconds"].sum() if "seconds" in point.windows.columns else None
    searches = point.metrics.get("tuning", [])
    row["search_seconds"] = sum(search["seconds"] for search in searches) if searches else None
    measured = point.portfolio.get("metrics", {})
    return row | {key: measured.get(key) for key in PORTFOLIO}


def comparison_table(report: "GridReport") -> pl.DataFrame:
    """Return what `GridReport.comparisons` returns."""
    rows = []
    for cell in report.cells:
        if cell != report.base_cell:
            pairs = _pairs(report, report.base_cell, cell)
            row = {"point": report.cell_name(cell), **places(report.choices, cell.labels), "replicates": len(pairs)}
            rows.append(row | _test_row(_paired(report, pairs)) | _excess_row(report, pairs))
    return _with_holm(rows)


def effect_table(report: "GridReport") -> pl.DataFrame:
    """Return what `GridReport.effects` returns."""
    own, rows = report.base_cell.labels, []
    on_grid = [cell for cell in report.cells if not cell.beside]
    for k, (axis, values) in enumerate(report.choices.items()) if own else ():
        first = [cell for cell in on_grid if cell.labels[k] == own[k]]
        for value in values:
            if value != own[k]:
                others = [replace(cell, labels=(*cell.labels[:k], value, *cell.labels[k + 1 :])) for cell in first]
                pairs = [pair for a, b in zip(first, others, strict=True) for pair in _pairs(report, a, b)]
                row = {"axis": axis, "value": value, "base": own[k], "pairs": len(pairs)}
                row["possible"] = sum(len(report.cells[cell]) for cell in first)
                rows.append(row | _test_row(_paired(report, pairs)))
    return _with_holm(rows)


def places(axes: Iterable[str], labels: Sequence[str]) -> dict[str, str | None]:
    """Return labels under the columns that hold them, `axis NAME`; null where there are none, beside the grid."""
    return {f"axis {axis}": labels[k] if labels else None for k, axis in enumerate(axes)}


def _pairs(report: "GridReport", a: "Cell", b: "Cell") -> list[tuple["GridPoint", "GridPoint"]]:
    """Return the points of two cells that have a result, by replicate; one beside the grid goes with every other."""
    first, second = ([p for p in report.cells.get(cell, []) if p.name in report.series] for cell in (a, b))
    if report.replicate is None or a.beside or b.beside:
        return [(x, y) for x in first for y in second]
    axis = list(report.axes).index(report.replicate)
    others = {point.labels[axis]: point for point in second}
    return [(point, others[point.labels[axis]]) for point in first if point.labels[axis] in others]


def _paired(report: "GridReport", pairs: Sequence[tuple["GridPoint", "GridPoint"]]) -> PairedTest | None:
    if not pairs:
        return None
    a, b = (mean_by_date([report.series[point.name] for point in side]) for side in zip(*pairs, strict=True))
    return paired_test(a, b, steps=report.steps, level=report.level)


def _excess_row(report: "GridReport", pairs: Sequence[tuple["GridPoint", "GridPoint"]]) -> dict[str, Any]:
    """Return the paired test of daily excess returns, a year."""
    days = report.base.portfolio.get("annual_days")
    series = [[point.excess() for point in side] for side in zip(*pairs, strict=True)]
    if days is None or not series or not all(frame.height for side in series for frame in side):
        return dict.fromkeys(EXCESS)
    found = paired_test(*map(mean_by_date, series), level=report.level)
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
    frame = frame.with_columns(pl.Series("p_holm", holm))
    return _as_numbers(frame, ("mean", "base_mean", *DIFFERENCE, *EXCESS, "p_holm"))


def _as_numbers(frame: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Return the frame with those of the columns that it has as Float64, NaN as null."""
    known = [key for key in keys if key in frame.columns]
    return frame.with_columns(pl.col(known).cast(pl.Float64).fill_nan(None))


def _mean(frame: pl.DataFrame, key: str) -> float | None:
    if key not in frame.columns:
        return None
    known = frame[key].cast(pl.Float64).fill_nan(None).drop_nulls().to_numpy()
    return float(known.mean()) if known.size else None
