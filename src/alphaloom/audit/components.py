"""Look-ahead audit: values at t are recomputed on data cut at t, and on data replaced after t; they must not change.

Cutting shows what reads past the end, replacing shows what reads future values that are there. Both are done at
several dates for features, transforms, labels and universe rules; a label may read as far as the `ends` it declares.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from alphaloom.audit.report import AuditReport, Check, Finding
from alphaloom.audit.values import differences
from alphaloom.data.universe.base import UniverseRule, universe_rules
from alphaloom.errors import DataError
from alphaloom.features.base import FeatureFamily, features
from alphaloom.labels.base import Label, labels
from alphaloom.panel import Panel
from alphaloom.spec import Component
from alphaloom.transforms.base import Transform, transforms
from alphaloom.transforms.chain import fit_chain
from alphaloom.typing import Array, Bools, Floats, Ints

CUT = "later dates cut off"
REPLACED = "later dates replaced"
OTHERS = "other dates replaced"
OUTSIDE = "dates outside the training window replaced"
EARLY = "computed before its declared end"


@dataclass(frozen=True)
class Components:
    """One instance of each component that the audit covers."""

    families: tuple[FeatureFamily, ...]
    transforms: tuple[Transform, ...]
    labels: tuple[Label, ...]
    rules: tuple[UniverseRule, ...]


def default_components() -> Components:
    """Return every registered feature family, transform, label and universe rule with its default settings."""
    return Components(
        tuple(cls() for cls in features),
        tuple(cls() for cls in transforms),
        tuple(cls() for cls in labels),
        tuple(cls() for cls in universe_rules),
    )


def audit_sample(panel: Panel, *, rows: int = 400, symbols: int = 60, seed: int = 0) -> Panel:
    """Return the last `rows` dates of a random choice of stocks that have a bar there: enough to find a leak, fast."""
    T, N = panel.shape
    recent = panel.rows(max(0, T - rows), T)
    alive = np.flatnonzero(recent.universe.any(axis=0))
    alive = alive if alive.size else np.arange(N)
    chosen = np.random.default_rng(seed).permutation(alive)[:symbols]
    return recent.columns(np.isin(np.arange(N), chosen))


def audit_components(
    panel: Panel,
    families: Sequence[FeatureFamily] = (),
    transforms_: Sequence[Transform] = (),
    labels_: Sequence[Label] = (),
    rules: Sequence[UniverseRule] = (),
    *,
    cuts: int = 5,
    seed: int = 0,
    tolerance: float = 1e-6,
) -> AuditReport:
    """Return the audit of all these components on the panel, at `cuts` dates drawn by `seed`.

    Values differ when one is NaN and the other is not, or when they are further apart than `tolerance` times the
    larger of them and of the column's median absolute deviation. A component whose fields the panel lacks is listed as
    skipped.

    Raises:
        DataError: the panel is too short to cut.
    """
    auditor = _Auditor(panel, cuts, seed, tolerance)
    for family in families:
        auditor.feature(family)
    for transform in transforms_:
        auditor.transform(transform)
    for label in labels_:
        auditor.label(label)
    for rule in rules:
        auditor.rule(rule)
    return AuditReport(tuple(auditor.checks), tuple(auditor.findings))


def audit_features(
    panel: Panel, families: Sequence[FeatureFamily], *, cuts: int = 5, seed: int = 0, tolerance: float = 1e-6
) -> AuditReport:
    """Return the audit of feature families alone; see `audit_components`."""
    return audit_components(panel, families, cuts=cuts, seed=seed, tolerance=tolerance)


def replace_rows(panel: Panel, keep: Bools, rng: np.random.Generator) -> Panel:
    """Return the panel with random but possible values on the dates where `keep [T]` is false.

    Numbers are drawn from the field's own values and scaled, flags and categories from their kinds; one in twenty is
    missing. The universe is drawn too.
    """
    shape = (int((~keep).sum()), panel.symbols.size)
    fields = {}
    for name, array in panel.fields.items():
        known = array[~np.isnan(array)]
        if name in panel.categories:
            new = rng.integers(0, max(1, len(panel.categories[name])), shape).astype(np.float32)
        elif known.size == 0:
            new = rng.normal(size=shape).astype(np.float32)
        elif ((known == 0) | (known == 1)).all():
            new = rng.integers(0, 2, shape).astype(np.float32)
        else:
            new = (rng.choice(known, shape) * np.exp(rng.normal(0, 0.5, shape))).astype(np.float32)
        new[rng.random(shape) < 0.05] = np.nan
        fields[name] = array.copy()
        fields[name][~keep] = new
    universe = panel.universe.copy()
    universe[~keep] = rng.random(shape) < 0.7
    return Panel(panel.dates, panel.symbols, universe, fields, panel.categories)


class _Auditor:
    """Runs the checks of one call and gathers what they find."""

    def __init__(self, panel: Panel, cuts: int, seed: int, tolerance: float) -> None:
        T = panel.dates.size
        if T < 8 or cuts < 1:
            raise DataError(f"An audit needs at least 8 dates and 1 cut; given {T} dates and {cuts} cuts.")
        self.panel = panel
        self.rng = np.random.default_rng(seed)
        self.tolerance = tolerance
        first = T // 3
        inner = self.rng.choice(np.arange(first, T - 2), size=min(cuts - 1, T - 2 - first), replace=False)
        self.cuts = sorted({*(int(t) for t in inner), T - 2})
        self.checks: list[Check] = []
        self.findings: list[Finding] = []

    def feature(self, family: FeatureFamily) -> None:
        """Audit one family: every column, every date up to the cut."""
        self._values("feature", family, family.required, family.columns(), family.compute, family.lookback)

    def rule(self, rule: UniverseRule) -> None:
        """Audit one universe rule."""

        def keep(panel: Panel) -> Floats:
            return rule.keep(panel).astype(np.float32)[:, :, None]

        self._values("universe rule", rule, rule.required, ["universe"], keep)

    def transform(self, transform: Transform) -> None:
        """Audit one transform: its state knows the window alone, each date of its result that date alone."""
        names = [f"column {k}" for k in range(4)]
        panel = self._fields("transform", transform, transform.required, names)
        if panel is None:
            return
        T, N = panel.shape
        block = self._noise((T, N, len(names)))
        window = slice(0, T // 3)
        state = fit_chain([transform], block, panel, window)[0]
        inside = np.arange(T) < T // 3
        other = fit_chain([transform], self._renewed(block, inside), replace_rows(panel, inside, self.rng), window)[0]
        for key in state:
            a, b = (np.broadcast_to(np.asarray(s[key], np.float32), (1, 1, len(names))) for s in (state, other))
            self._compare("transform", transform, names, a, b, OUTSIDE, panel.dates[T // 3 - 1 : T // 3], ["all"])

        def applied(values: Floats, on: Panel) -> Floats:
            out = values.copy()
            transform.apply(out, on, state)
            return out

        full = applied(block, panel)
        for t in self.cuts:
            past, only = np.arange(T) <= t, np.arange(T) == t
            self._same("transform", transform, names, full[: t + 1], applied(block[: t + 1], panel.rows(0, t + 1)), CUT)
            again = applied(self._renewed(block, past), replace_rows(panel, past, self.rng))
            self._same("transform", transform, names, full[: t + 1], again[: t + 1], REPLACED)
            again = applied(self._renewed(block, only), replace_rows(panel, only, self.rng))
            dates = panel.dates[t : t + 1]
            self._compare("transform", transform, names, full[t : t + 1], again[t : t + 1], OTHERS, dates)

    def label(self, label: Label) -> None:
        """Audit one label: at each date it reads no further than it declares, and is absent while its end is ahead."""
        panel = self._fields("label", label, label.required, ["label"])
        if panel is None:
            return
        T = panel.dates.size
        full, ends = label.compute(panel), label.ends(panel.dates)
        entries = label.entries(panel.dates)
        dated = np.flatnonzero((ends < T) & ((entries < np.arange(T)) | (entries > ends)))
        self._rows(label, dated, entries.astype(np.float32), ends.astype(np.float32), "entry outside the label's span")
        for t in self.cuts:
            known = ends <= t
            again = label.compute(replace_rows(panel, np.arange(T) <= t, self.rng))
            self._compare("label", label, ["label"], full[known], again[known], REPLACED, panel.dates[known])
            short = panel.rows(0, t + 1)
            cut, cut_ends = label.compute(short), label.ends(short.dates)
            over = cut_ends <= t
            moved = np.flatnonzero(over & (cut_ends != ends[: t + 1]))
            self._rows(label, moved, ends.astype(np.float32), cut_ends.astype(np.float32), f"end moved, {CUT}")
            self._compare("label", label, ["label"], full[: t + 1][over], cut[over], CUT, short.dates[over])
            nothing = np.full_like(cut[~over], np.nan)
            self._compare("label", label, ["label"], nothing, cut[~over], EARLY, short.dates[~over])

    def _values(
        self,
        kind: str,
        component: Component,
        inputs: Iterable[str],
        columns: list[str],
        compute: Callable[[Panel], Floats],
        lookback: int = 0,
    ) -> None:
        panel = self._fields(kind, component, inputs, columns, lookback)
        if panel is None:
            return
        full = compute(panel)
        for t in self._beyond(lookback):
            self._same(kind, component, columns, full[: t + 1], compute(panel.rows(0, t + 1)), CUT)
            future = replace_rows(panel, np.arange(panel.dates.size) <= t, self.rng)
            self._same(kind, component, columns, full[: t + 1], compute(future)[: t + 1], REPLACED)

    def _beyond(self, lookback: int) -> list[int]:
        """Return the cuts that leave more rows than a look-back."""
        return [t for t in self.cuts if t >= lookback]

    def _fields(
        self, kind: str, component: Component, inputs: Iterable[str], columns: list[str], lookback: int = 0
    ) -> Panel | None:
        """Return the panel with the fields the component reads; None, and a skipped check, where it cannot be."""
        names = list(dict.fromkeys(inputs))
        absent = [name for name in names if name not in self.panel]
        name = component.name or type(component).__name__
        cuts = self._beyond(lookback)
        cells = int(sum(t + 1 for t in cuts)) * self.panel.shape[1] * len(columns)
        if absent:
            self.checks.append(Check(kind, name, len(columns), 0, 0, f"the panel has no {', '.join(absent)}"))
            return None
        if not cuts:
            why = f"it looks back {lookback} rows, of {self.panel.dates.size}"
            self.checks.append(Check(kind, name, len(columns), 0, 0, why))
            return None
        self.checks.append(Check(kind, name, len(columns), len(cuts), cells))
        return self.panel.select(names)

    def _noise(self, shape: tuple[int, int, int]) -> Floats:
        block = self.rng.standard_t(3, size=shape).astype(np.float32)
        block[self.rng.random(shape) < 0.05] = np.nan
        return block

    def _renewed(self, block: Floats, keep: Bools) -> Floats:
        """Return the block with other values, on another scale, on the dates where `keep` is false."""
        out = block.copy()
        out[~keep] = 3.0 + 7.0 * self._noise((int((~keep).sum()), *block.shape[1:]))
        return out

    def _same(self, kind: str, component: Component, columns: list[str], a: Floats, b: Floats, change: str) -> None:
        self._compare(kind, component, columns, a, b, change, self.panel.dates[: a.shape[0]])

    def _compare(
        self,
        kind: str,
        component: Component,
        columns: list[str],
        before: Array,
        after: Array,
        change: str,
        dates: Array,
        symbols: Sequence[str] | None = None,
    ) -> None:
        """Add one finding for each column in which a value differs, at the first such date."""
        name = component.name or type(component).__name__
        of = self.panel.symbols if symbols is None else symbols
        self.findings += differences(kind, name, columns, before, after, change, dates, of, tolerance=self.tolerance)

    def _rows(self, label: Label, rows: Ints, before: Floats, after: Floats, change: str) -> None:
        """Add one finding for the first of the rows whose entry or end is wrong."""
        if rows.size:
            t = rows[0]
            name = label.name or type(label).__name__
            a, b = float(before[t]), float(after[t])
            date = self.panel.dates[t]
            self.findings.append(Finding("label", name, "ends", date, "all", a, b, change, int(rows.size)))
