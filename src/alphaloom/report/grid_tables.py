"""Further tables of a grid: the single-factor rows, test windows, replicates, and what to be careful about."""

import numpy as np
import polars as pl

from alphaloom.report.grid import GridReport
from alphaloom.report.grid_inference import places


def factor_table(report: GridReport, horizon: str) -> pl.DataFrame:
    """Return the single-factor rows of RankIC at a horizon, one row a point, signs as shares of the dates.

    Columns: `point, mean, std, ir, t_stat` (naive), `t_newey_west, positive, negative, sig_positive, sig_negative,
    significance, skew, kurtosis, n`.

    Source: seed 001, table 5; see `evaluation.summary.factor_rows`.
    """
    rows = []
    for point in report.finished:
        item = point.signal["horizons"].get(horizon)
        if item is not None:
            n = item["rank_ic"]["n"]
            shares = {key: item["twelve_rows"][key] / n if n else None for key in ("positive", "negative")}
            test = {"t_newey_west": item["rank_ic"]["t_newey_west"], "n": n}
            rows.append({"point": point.name, **item["twelve_rows"], **shares, **test})
    return pl.DataFrame(rows, infer_schema_length=None)


def horizons(report: GridReport) -> list[str]:
    """Return the horizons that any point was measured at."""
    return list(dict.fromkeys(name for point in report.finished for name in point.signal["horizons"]))


def spread_table(report: GridReport) -> pl.DataFrame:
    """Return how RankIC differs between replicates, one row a cell; empty without replicates.

    Columns: `point`, `axis NAME` of each axis but the replicate, `replicates` (with a result), `mean`, `std` (null for
    one), `lowest, highest` of their means, and the interval `low, high` of the mean by date.
    """
    if report.replicate is None:
        return pl.DataFrame()
    rows = []
    for cell, series in report.cell_series.items():
        known = [report.series[point.name] for point in report.cells[cell] if point.name in report.series]
        means, test = np.array([frame["value"].to_numpy().mean() for frame in known]), report.test(series)
        rows.append(
            {
                "point": report.cell_name(cell),
                **places(report.choices, cell.labels),
                "replicates": means.size,
                "mean": float(means.mean()),
                "std": float(means.std(ddof=1)) if means.size > 1 else None,
                "lowest": float(means.min()),
                "highest": float(means.max()),
                "low": test.low,
                "high": test.high,
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def window_table(report: GridReport) -> pl.DataFrame:
    """Return the mean RankIC of each cell over the dates of each of its test windows.

    Columns: `point`, `mark` (its name in a chart), `test_start, rank_ic`.
    """
    parts = []
    for cell, series in report.cell_series.items():
        fits = next(point for point in report.cells[cell] if point.name in report.series).windows
        if {"test_start", "test_end"} <= set(fits.columns):
            spans = fits.select(_day("test_start"), _day("test_end")).unique().sort("test_start")
            placed = series.sort("date").join_asof(spans, left_on="date", right_on="test_start")
            inside = placed.filter(pl.col("date") <= pl.col("test_end"))
            means = inside.group_by("test_start").agg(pl.col("value").mean().alias("rank_ic")).sort("test_start")
            names = (pl.lit(report.cell_name(cell)).alias("point"), pl.lit(report.cell_mark(cell)).alias("mark"))
            parts.append(means.select(*names, "test_start", "rank_ic"))
    return pl.concat(parts) if parts else pl.DataFrame()


def cautions(report: GridReport) -> list[str]:
    """Return why numbers may not be comparable, one sentence each."""
    found = []
    if len({point.metrics.get("provenance", {}).get("data_hash") for point in report.finished}) > 1:
        found.append("The points read different data (their hashes differ): differences may come from the data.")
    if len({(frame["date"][0], frame["date"][-1]) for frame in report.series.values()}) > 1:
        found.append("The points were tested on different dates; paired differences use the common ones alone.")
    if len({point.signal["horizons"].get(report.horizon, {}).get("days") for point in report.finished}) > 1:
        found.append(f"Horizon {report.horizon} is not equally long in all points: they predict different returns.")
    lacking = [point.name for point in report.finished if point.name not in report.series]
    if lacking:
        found.append(f"Without a RankIC at horizon {report.horizon}, and so not compared: {', '.join(lacking)}.")
    return found


def _day(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.String).str.slice(0, 10).str.to_date()
