"""What an audit found: checks, findings, and the report made of them."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from alphaloom.errors import LeakError


@dataclass(frozen=True)
class Finding:
    """One column that knows the future: its first value that changed, at which date and stock, and by what change."""

    kind: str
    name: str
    column: str
    date: np.datetime64
    symbol: str
    before: float
    after: float
    change: str
    cells: int
    """How many values of the column changed."""

    def __str__(self) -> str:
        return (
            f"{self.kind} {self.name!r}, column {self.column!r}, changed on {self.date} for {self.symbol} from "
            f"{self.before:.6g} to {self.after:.6g} ({self.change}; {self.cells:,} values of the column in all)."
        )


@dataclass(frozen=True)
class Check:
    """One component's audit: how much was compared; `skipped` says why nothing was."""

    kind: str
    name: str
    columns: int
    cuts: int
    cells: int
    skipped: str = ""


@dataclass(frozen=True)
class Problem:
    """What is wrong without a value that changed: dates that overlap, data that cannot have been known."""

    kind: str
    name: str
    words: str
    is_leak: bool = True
    """Whether results are wrong for it; otherwise it flatters them, or nobody can tell."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}: {self.words}"


@dataclass(frozen=True)
class AuditReport:
    """What was audited, and what knows the future."""

    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]
    problems: tuple[Problem, ...] = ()

    def __add__(self, other: "AuditReport") -> "AuditReport":
        """Return both reports as one."""
        return AuditReport(self.checks + other.checks, self.findings + other.findings, self.problems + other.problems)

    @property
    def leaks(self) -> tuple[Finding | Problem, ...]:
        """Everything that makes results wrong."""
        return (*self.findings, *(problem for problem in self.problems if problem.is_leak))

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What flatters results without being an error of the program."""
        return tuple(problem for problem in self.problems if not problem.is_leak)

    @property
    def passed(self) -> bool:
        """Whether nothing leaks; components skipped for want of a field do not count, nor do warnings."""
        return not self.leaks

    def table(self) -> pl.DataFrame:
        """Return one row a component: what was compared, its number of leaking columns, and the first leak in words."""
        rows = []
        for check in self.checks:
            key = (check.kind, check.name)
            mine = [f for f in self.findings if (f.kind, f.name) == key]
            said = [p for p in self.problems if (p.kind, p.name) == key]
            wrong = [str(min(mine, key=lambda f: f.date))] if mine else []
            wrong += [p.words for p in said if p.is_leak]
            result = "leaks" if wrong else "warning" if said else "skipped" if check.skipped else "passed"
            detail = " ".join([*wrong, *(p.words for p in said if not p.is_leak)]) or check.skipped
            leaking = len({f.column for f in mine}) + sum(p.is_leak for p in said)
            rows.append((check.kind, check.name, check.columns, check.cuts, check.cells, leaking, result, detail))
        columns = ("kind", "name", "columns", "cuts", "cells", "leaking", "result", "detail")
        return pl.DataFrame(rows, schema=columns, orient="row")

    def findings_frame(self) -> pl.DataFrame:
        """Return one row a finding."""
        return pl.DataFrame(
            {
                "kind": pl.Series([f.kind for f in self.findings], dtype=pl.String),
                "name": pl.Series([f.name for f in self.findings], dtype=pl.String),
                "column": pl.Series([f.column for f in self.findings], dtype=pl.String),
                "date": pl.Series([f.date.astype(object) for f in self.findings], dtype=pl.Date),
                "symbol": pl.Series([f.symbol for f in self.findings], dtype=pl.String),
                "before": pl.Series([f.before for f in self.findings], dtype=pl.Float64),
                "after": pl.Series([f.after for f in self.findings], dtype=pl.Float64),
                "change": pl.Series([f.change for f in self.findings], dtype=pl.String),
                "cells": pl.Series([f.cells for f in self.findings], dtype=pl.Int64),
            }
        )

    def raise_if_leaking(self) -> None:
        """Raise what was found.

        Raises:
            LeakError: something leaks; the message names component, column, date and stock of the first ones.
        """
        if not self.passed:
            shown = [str(leak) for leak in self.leaks[:10]]
            more = len(self.leaks) - len(shown)
            raise LeakError("\n".join(["The audit found values that know the future:", *shown, *_more(more)]))


def _more(count: int) -> list[str]:
    return [f"... and {count} more."] if count > 0 else []
