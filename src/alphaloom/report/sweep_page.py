"""The page of a sweep."""

from typing import Any

from alphaloom.evaluation.signal import plain
from alphaloom.report.content import Figure, Page, count, number, percent
from alphaloom.report.page import write_page
from alphaloom.report.sections_sweep import (
    frontier_section,
    grid_section,
    level_section,
    points_section,
    years_section,
)
from alphaloom.report.sections_validity import searching_section, searching_sentence
from alphaloom.report.sweep import SweepPoint, SweepReport
from alphaloom.report.write import provenance_sections
from alphaloom.typing import PathLike


def write_sweep_page(report: SweepReport, path: PathLike) -> None:
    """Write the page of a sweep to `path` and its numbers to `metrics.json` beside it."""
    write_page(sweep_page(report), sweep_metrics(report), path)


def sweep_page(report: SweepReport) -> Page:
    """Return the page: the span of the results, the grid, all points, years, risk against return."""
    nav = report.reference.result.nav
    sections = [grid_section(report)] if report.axes else []
    sections += [
        points_section(report),
        *([searching_section(report.validity, report.annual_days)] if report.validity is not None else []),
        years_section(report),
        frontier_section(report),
        level_section(report),
        *provenance_sections(report.provenance),
    ]
    words = f"{count(len(report.points))} portfolios of the same scores"
    subtitle = ". ".join(
        part.rstrip(".") for part in (report.description, f"{nav['date'][0]} to {nav['date'][-1]}") if part
    )
    return Page(report.title, subtitle, "plain", words, findings(report), headline_figures(report), sections)


def findings(report: SweepReport) -> list[str]:
    """Return the range of the results, the best and what to make of it, and how often limits gave way."""
    name, word = ("information_ratio", "information ratio") if report.has_benchmark else ("sharpe", "Sharpe ratio")
    points = sorted(report.points, key=lambda point: _of(point, name))
    worst, best, middle = points[0], points[-1], report.reference
    n2 = number(2)
    best_of = (
        f"The {word} runs from {n2(_of(worst, name))} ({worst.name}) to {n2(_of(best, name))} ({best.name}); "
        f"{n2(_of(middle, name))} at {middle.name}. The best of {len(points)} is flattered by having been chosen: read "
        "the map, not its summit."
    )
    out = [best_of]
    if report.validity is not None:
        out.append(searching_sentence(report.validity, report.annual_days))
    test = middle.excess
    if test is not None:
        mean, low, high = (percent(1)(value * report.annual_days) for value in (test.mean, test.low, test.high))
        out.append(
            f"At {middle.name} the excess over the benchmark is {mean} a year (95 %: {low} to {high}), Newey-West t "
            f"{number(1)(test.t_newey_west)}: compare the differences on the map with the width of that interval."
        )
    relaxed = sum(point.decisions["relaxed"] for point in points)
    if relaxed:
        total = sum(point.decisions["decisions"] for point in points)
        most = max(points, key=lambda point: point.decisions["relaxed"])
        out.append(
            f"Limits gave way at {count(relaxed)} of {count(total)} decisions, most often at {most.name} "
            f"({count(most.decisions['relaxed'])})."
        )
    return out


def headline_figures(report: SweepReport) -> list[Figure]:
    """Return the middle of the grid and the range over all points."""
    metrics = [
        ("annual_return", "Return a year", percent(1)),
        ("excess_annual_return", "Excess a year", percent(1)),
        ("information_ratio", "Information ratio", number(2)),
        ("sharpe", "Sharpe ratio", number(2)),
        ("max_drawdown", "Drawdown", percent(1)),
        ("cost_annual", "Cost a year", percent(2)),
    ]
    shown = [m for m in metrics if report.has_benchmark or m[0] not in {"excess_annual_return", "information_ratio"}]
    figures = []
    for key, label, form in shown:
        values = [_of(point, key) for point in report.points]
        figures.append(Figure(label, form(_of(report.reference, key)), f"{form(min(values))} to {form(max(values))}"))
    return figures


def sweep_metrics(report: SweepReport) -> dict[str, Any]:
    """Return every number of a sweep as plain data for JSON; NaN becomes None."""
    numbers: dict[str, Any] = plain(
        {
            "title": report.title,
            "axes": {name: list(labels) for name, labels in report.axes.items()},
            "reference": report.reference.name,
            "findings": findings(report),
            "points": report.table().to_dicts(),
            "validity": report.validity.metrics() if report.validity is not None else None,
            "yearly": report.yearly().to_dicts(),
            "provenance": dict(report.provenance),
        }
    )
    return numbers


def _of(point: SweepPoint, metric: str) -> float:
    return point.result.metrics.get(metric, float("nan"))
