"""Check of a feature family on real data: does it know the future, does it read what it declares, are values sound?"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from alphaloom.audit.components import audit_features, audit_sample
from alphaloom.audit.report import AuditReport
from alphaloom.errors import DataError
from alphaloom.feature_study.problems import Problem, find_problems
from alphaloom.features.base import FeatureFamily
from alphaloom.panel import Panel

CUTS = 5
ROWS = 400
STOCKS = 60


@dataclass(frozen=True)
class ShortLookback:
    """A column whose value at a date changed when rows before its declared look-back were cut off."""

    column: str
    date: np.datetime64
    cells: int

    def __str__(self) -> str:
        return f"column {self.column!r} read rows before its look-back: {self.cells} values of {self.date} changed."


@dataclass(frozen=True)
class FeatureCheck:
    """What a check found: the look-ahead audit, columns that read too far back, and remarks on the values."""

    audit: AuditReport
    too_far_back: tuple[ShortLookback, ...]
    dates_checked: int
    """At how many dates the look-back was checked."""
    problems: tuple[Problem, ...]

    @property
    def passed(self) -> bool:
        """Whether no value knows the future and none reads before the declared look-back; remarks do not count."""
        return self.audit.passed and not self.too_far_back

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "passed": self.passed,
            "audit": self.audit.table().to_dicts(),
            "leaks": [str(finding) for finding in self.audit.findings],
            "look_back_dates": self.dates_checked,
            "too_far_back": [str(finding) for finding in self.too_far_back],
            "problems": [vars(problem) for problem in self.problems],
        }


def check_family(family: FeatureFamily, panel: Panel, *, seed: int = 0) -> FeatureCheck:
    """Return the check of a family on the listed stocks of a panel with its fields and `is_listed`.

    Look-ahead and look-back are tried on the last dates of some stocks drawn by `seed`, as many as the family's
    look-back needs; coverage, infinities, constants and repeated columns are judged on the whole panel.

    Raises:
        DataError: the panel is not longer than the look-back.
    """
    panel = panel.with_universe(panel["is_listed"] == 1)
    if panel.shape[0] <= family.lookback + 8:
        raise DataError(
            f"Feature family {family.name!r} looks back {family.lookback} rows; the panel has {panel.shape[0]}, too "
            "few to check it. Load an earlier start."
        )
    sample = audit_sample(panel, rows=max(ROWS, family.lookback + 150), symbols=STOCKS, seed=seed)
    audit = audit_features(sample, [family], cuts=CUTS, seed=seed)
    dates, too_far = _look_back(family, sample, seed)
    return FeatureCheck(audit, too_far, dates, find_problems(family, panel))


def _look_back(family: FeatureFamily, panel: Panel, seed: int) -> tuple[int, tuple[ShortLookback, ...]]:
    """Compute some dates with no earlier rows than declared; every bit must be that of the whole."""
    T, back = panel.shape[0], family.lookback
    some = np.random.default_rng(seed).choice(np.arange(back + 1, T), size=min(CUTS, T - back - 1), replace=False)
    fields = panel.select(family.required)
    whole = family.compute(fields)
    found: dict[str, ShortLookback] = {}
    for t in sorted(int(row) for row in some):
        short = family.compute(fields.rows(t - back, T))[back]
        differs = ~((short == whole[t]) | (np.isnan(short) & np.isnan(whole[t])))
        for f in np.flatnonzero(differs.any(axis=0)):
            name = family.columns()[f]
            found.setdefault(name, ShortLookback(name, panel.dates[t], int(differs[:, f].sum())))
    return int(some.size), tuple(found.values())
