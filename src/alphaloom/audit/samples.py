"""Windows of a run: whose labels reach where, and which dates are scored how often."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from alphaloom.audit.report import AuditReport, Check, Problem
from alphaloom.training.splits import Window
from alphaloom.typing import Dates, Ints

KIND = "windows"


def audit_windows(
    windows: Sequence[Window], entries: Ints, ends: Ints, dates: Dates, *, embargo: int = 0
) -> AuditReport:
    """Return the audit of training, validation and test dates, pair by pair from the labels' own spans.

    No label of a date that fits a model may be read on a day on which that model is judged; what chooses the stopping
    point is judged, too, by what fits. No date may be tested twice, or both fitted on and tested in one window.

    Args:
        windows: rows of each window.
        entries: for every row, the first row that its label reads after it `[T]`.
        ends: for every row, the last row that its label reads `[T]`.
        dates: the T dates.
        embargo: rows that must lie between.
    """
    problems = []
    tested: dict[int, str] = {}
    compared = 0
    for window in windows:
        for what, fit, judged in (
            ("training", window.train, window.valid),
            ("training", window.train, window.test),
            ("validation", window.valid, window.test),
        ):
            compared += fit.size * judged.size
            problems += _overlap(window.name, what, fit, judged, ends, dates, embargo)
        both = np.intersect1d(window.fit_rows, window.test)
        if both.size:
            problems.append(_problem(window.name, f"{dates[both[0]]} is fitted on, or chosen by, and tested"))
        twice = [row for row in window.test.tolist() if row in tested]
        if twice:
            words = f"{dates[twice[0]]} is tested here and in window {tested[twice[0]]}"
            problems.append(_problem(window.name, f"{words} ({len(twice)} dates in all)"))
        tested |= dict.fromkeys(window.test.tolist(), window.name)
    rows = np.array(sorted(tested), dtype=np.int64)
    now = rows[entries[rows] == rows]
    if now.size:
        words = (
            f"that of {dates[now[0]]} is entered at that very date: nobody can trade at the close that the score needs"
        )
        problems.append(Problem(KIND, "label", words, is_leak=False))
    checks = (Check(KIND, "spans", len(windows), 0, compared), Check(KIND, "label", 1, 0, int(rows.size)))
    return AuditReport(checks, (), tuple(problems))


def audit_scored(scores: pl.DataFrame) -> AuditReport:
    """Return the audit of a run's scores: each date and stock once, each date in one window."""
    problems = []
    repeated = scores.filter(pl.struct("date", "symbol").is_duplicated())
    if repeated.height:
        first = repeated.row(0, named=True)
        words = f"{repeated.height:,} rows are repeated, first {first['symbol']} on {first['date']}"
        problems.append(Problem("scores", "rows", words))
    several = scores.group_by("date").agg(pl.col("window").n_unique().alias("n")).filter(pl.col("n") > 1).sort("date")
    if several.height:
        words = f"{several['date'][0]} is scored by {several['n'][0]} windows ({several.height} dates in all)"
        problems.append(Problem("scores", "rows", words))
    return AuditReport((Check("scores", "rows", 1, 0, scores.height),), (), tuple(problems))


def _overlap(name: str, what: str, fit: Ints, judged: Ints, ends: Ints, dates: Dates, embargo: int) -> list[Problem]:
    if not fit.size or not judged.size:
        return []
    # A date that comes after the judged ones reads none of them if it begins after the last of their labels.
    before = fit[fit < judged.min()]
    reach = before[ends[before] >= judged.min() - embargo]
    inside = fit[(fit >= judged.min()) & (fit <= judged.max())]
    out = []
    if reach.size:
        row = int(reach[-1])
        out.append(
            _problem(
                name,
                f"the label of the {what} date {dates[row]} reads prices up to {_day(dates, int(ends[row]))}, inside "
                f"dates it is judged on, from {dates[judged.min()]} ({reach.size} dates in all)",
            )
        )
    if inside.size:
        out.append(_problem(name, f"the {what} date {dates[inside[0]]} lies among the dates it is judged on"))
    return out


def _day(dates: Dates, row: int) -> str:
    return str(dates[row]) if row < dates.size else "beyond the data"


def _problem(name: str, words: str) -> Problem:
    return Problem(KIND, "spans", f"window {name}: {words}")
