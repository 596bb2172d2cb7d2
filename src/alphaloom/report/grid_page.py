"""The page of a grid of recipes."""

from typing import Any

import polars as pl

from alphaloom.evaluation.signal import plain
from alphaloom.report import sections_grid
from alphaloom.report.content import Figure, Page, Section, count, number, probability
from alphaloom.report.grid import GridReport
from alphaloom.report.grid_tables import cautions, factor_table, horizons, spread_table, window_table
from alphaloom.report.page import write_page
from alphaloom.report.write import provenance_sections
from alphaloom.typing import PathLike

CLEAR = 0.05
"""Holm's p below which a difference is called beyond chance."""
N4 = number(4)


def write_grid_page(report: GridReport, path: PathLike) -> None:
    """Write the page of a grid to `path` and its numbers to `metrics.json` beside it."""
    write_page(grid_page(report), grid_metrics(report), path)


def grid_page(report: GridReport) -> Page:
    """Return the page: what the choices do, all points, factor analysis, windows, portfolios, failures, provenance."""
    sections: list[Section] = []
    if len(report.choices) > 1 and report.effects().height:
        sections.append(sections_grid.effects_section(report))
    sections.append(sections_grid.points_section(report))
    if report.replicate is not None and report.series:
        sections.append(sections_grid.replicates_section(report))
    if report.finished:
        sections.append(sections_grid.factor_section(report))
    windows = sections_grid.windows_section(report)
    if windows is not None:
        sections.append(windows)
    if any(point.portfolio for point in report.finished):
        sections.append(sections_grid.portfolios_section(report))
    if report.failed:
        sections.append(sections_grid.failures_section(report))
    sections += provenance_sections(report.provenance)
    subtitle = ". ".join(part.rstrip(".") for part in (report.description, _span(report)) if part)
    return Page(report.title, subtitle, "plain", verdict(report), findings(report), headline_figures(report), sections)


def verdict(report: GridReport) -> str:
    """Return in one sentence whether any point differs from the baseline beyond chance, all comparisons counted."""
    tests = report.comparisons()
    if not report.finished:
        return "No point has a result"
    if not tests.height:
        return "Nothing to compare: one recipe"
    if report.baseline not in report.series and not tests["difference"].is_not_null().any():
        return "The baseline has no result: nothing is compared with it"
    better, worse = _clear(tests)
    if not better and not worse:
        return "No point differs from the baseline beyond chance"
    known = int(tests["difference"].is_not_null().sum())
    parts = [f"{len(found)} of {known} {how}" for found, how in ((better, "better"), (worse, "worse")) if found]
    return f"Beyond chance, {' and '.join(parts)} than the baseline"


def findings(report: GridReport) -> list[str]:
    """Return how many points were tried, the baseline, the best and what to make of it, effects, and cautions."""
    tried = f"Points tried: {count(len(report.points))}"
    if report.failed:
        tried += f", without a result: {count(len(report.failed))}"
    out = [f"{tried}."]
    base = report.base_cell
    if base in report.cell_series:
        test = report.test(report.cell_series[base])
        out.append(
            f"Baseline {report.cell_name(base)}: RankIC {N4(test.mean)} (95 %: {N4(test.low)} to {N4(test.high)}), "
            f"ICIR {number(2)(test.ir)}, Newey-West t {number(1)(test.t_newey_west)} over {count(test.n)} dates."
        )
    out += [*_best(report), *_effects(report), *cautions(report)]
    return out


def _best(report: GridReport) -> list[str]:
    tests = report.comparisons()
    known = tests.filter(pl.col("difference").is_not_null()) if tests.height else tests
    if not known.height:
        return []
    row = known.sort("difference", descending=True).row(0, named=True)
    words = (
        f"Best by RankIC beside the baseline: {row['point']}. It differs by {_signed(row['difference'])} (95 %: "
        f"{N4(row['difference_low'])} to {N4(row['difference_high'])}), t {number(1)(row['t'])}, p "
        f"{probability(row['p'])}; p {probability(row['p_holm'])} after Holm's correction (comparisons: "
        f"{count(known.height)}). Its t and interval are not corrected for its having been chosen."
    )
    return [words]


def _effects(report: GridReport) -> list[str]:
    """Return the effects that are clear after correction, the largest first."""
    effects = report.effects()
    if len(report.choices) < 2 or not effects.height or effects["difference"].is_null().all():
        return []
    clear = effects.filter(pl.col("p_holm") < CLEAR).sort(pl.col("difference").abs(), descending=True)
    if not clear.height:
        return ["All else equal, no single choice changes RankIC beyond chance."]
    parts = [f"{row['axis']} {row['value']} {_signed(row['difference'])}" for row in clear.head(5).to_dicts()]
    return [f"All else equal, these choices change RankIC beyond chance: {', '.join(parts)}."]


def headline_figures(report: GridReport) -> list[Figure]:
    """Return the number of points, the baseline's and the highest RankIC, their difference, and the fits' time."""
    frame, tests = report.table(), report.comparisons()
    failed = f"{count(len(report.failed))} without a result" if report.failed else "all with a result"
    figures = [Figure("Points", count(len(report.points)), failed)]
    means = {cell: report.test(series) for cell, series in report.cell_series.items()}
    base = means.get(report.base_cell)
    if base is not None:
        figures.append(Figure("Baseline RankIC", N4(base.mean), f"{N4(base.low)} to {N4(base.high)}"))
    if len(means) > 1:
        best = max(means, key=lambda cell: means[cell].mean)
        figures.append(Figure("Highest RankIC", N4(means[best].mean), report.cell_name(best)))
    if tests.height and tests["difference"].is_not_null().any():
        better, worse = _clear(tests)
        figures.append(Figure("Better, beyond chance", count(len(better)), f"{count(len(worse))} worse, after Holm"))
    if frame["seconds"].is_not_null().any():
        fits, searches = (float(frame[key].cast(pl.Float64).sum()) / 3600 for key in ("seconds", "search_seconds"))
        beside = f"{number(1)(searches)} of them trying candidates" if searches else "summed over all fits"
        figures.append(Figure("Hours of fitting", number(1)(fits + searches), beside))
    return figures


def grid_metrics(report: GridReport) -> dict[str, Any]:
    """Return every number of a grid as plain data for JSON; NaN becomes None."""
    numbers: dict[str, Any] = plain(
        {
            "title": report.title,
            "axes": {name: list(labels) for name, labels in report.axes.items()},
            "baseline": report.baseline,
            "replicate": report.replicate,
            "horizon": report.horizon,
            "verdict": verdict(report),
            "findings": findings(report),
            "points": _placed(report.table()),
            "comparisons": _placed(report.comparisons()),
            "effects": report.effects().to_dicts(),
            "replicates": _placed(spread_table(report)),
            "factor": {name: factor_table(report, name).to_dicts() for name in horizons(report)},
            "windows": window_table(report).to_dicts(),
            "provenance": dict(report.provenance),
        }
    )
    return numbers


def _placed(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return rows with their labels by axis under `labels`."""
    axes = [name for name in frame.columns if name.startswith("axis ")]
    return [
        {"labels": {name.removeprefix("axis "): row[name] for name in axes}}
        | {key: value for key, value in row.items() if key not in axes}
        for row in frame.to_dicts()
    ]


def _clear(tests: pl.DataFrame) -> tuple[list[str], list[str]]:
    """Return the points that are better and worse than the baseline once all comparisons are counted."""
    clear = tests.filter(pl.col("p_holm") < CLEAR)
    better = clear.filter(pl.col("difference") > 0)["point"].to_list()
    return better, clear.filter(pl.col("difference") < 0)["point"].to_list()


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + N4(value)


def _span(report: GridReport) -> str:
    days = [frame["date"] for frame in report.series.values()]
    if not days:
        return ""
    return f"{min(day[0] for day in days)} to {max(day[-1] for day in days)}"
