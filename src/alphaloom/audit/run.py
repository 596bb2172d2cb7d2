"""The audit of a recipe or of a run on one store, with planted leaks that must be caught."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
import yaml

from alphaloom.audit.components import audit_components, audit_sample
from alphaloom.audit.data_signs import audit_data
from alphaloom.audit.planted import planted_components, planted_data, planted_scores, planted_windows
from alphaloom.audit.point_in_time import audit_fields
from alphaloom.audit.report import AuditReport, Check, Problem
from alphaloom.audit.samples import audit_scored, audit_windows
from alphaloom.audit.searched import SearchAudit
from alphaloom.audit.trained import RunAudit, some_tested
from alphaloom.data.load import load_panel
from alphaloom.data.store import Store
from alphaloom.data.universe.build import build_universe
from alphaloom.errors import RunError
from alphaloom.features.compute import max_lookback
from alphaloom.panel import Panel
from alphaloom.preparation import SamplePlan, load_market, sample_plan
from alphaloom.recipe import Recipe, read_recipe
from alphaloom.report.page import put_audit
from alphaloom.report.runs import STATE, RunFolder
from alphaloom.report.sections_study import audit_section
from alphaloom.training.splits import Window

FILE = "audit.json"
"""Name of the result in a run's folder."""
TESTED = 2
"""Dates whose scores and weights are computed again."""
PLANTED = "planted leak"
SAMPLE_ROWS = 400
"""Rows on which components are audited, at least half of them beyond the features' look-back."""


@dataclass(frozen=True)
class RecipeAudit:
    """What an audit found, and what it said of each planted leak."""

    report: AuditReport
    planted: Mapping[str, AuditReport]

    @property
    def passed(self) -> bool:
        """Whether nothing leaks."""
        return self.report.passed

    def table(self) -> pl.DataFrame:
        """Return one row a thing audited, the planted leaks last."""
        rows = [(PLANTED, name, 1, 0, 0, 1, "caught", str(report.leaks[0])) for name, report in self.planted.items()]
        table = self.report.table()
        return pl.concat([table, pl.DataFrame(rows, schema=table.schema, orient="row")])

    def verdict(self) -> str:
        """Return the result in words: the leaks, or that there are none; then warnings."""
        caught = f"All {len(self.planted)} planted leaks were caught: {', '.join(self.planted)}."
        clean = "Nothing at date t changed when later data were cut off or replaced."
        wrong = ["Something knows the future:", *map(str, self.report.leaks)]
        return "\n".join(
            [*([clean] if self.passed else wrong), *(f"Warning: {w}" for w in self.report.warnings), caught]
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "passed": self.passed,
            "verdict": self.verdict(),
            "checks": self.table().to_dicts(),
            "findings": self.report.findings_frame().to_dicts(),
            "problems": [vars(problem) for problem in self.report.problems],
            "planted": [
                {"planted": name, **vars(found.leaks[0]), "words": str(found.leaks[0])}
                for name, found in self.planted.items()
            ],
        }


def audit_recipe(path: Path, store: Store, *, cuts: int = 5, seed: int = 0, threads: int = 1) -> RecipeAudit:
    """Return the audit of a run's folder, or of a recipe file or shipped recipe, on a store.

    Of both: features, transforms, labels and universe rules on a sample of stocks; store fields derived again from what
    was known; signs of later knowledge in the tables; training windows pair by pair. Of a run also: what fits the first
    and the last window's models, what searches for their settings read, and scores and weights of some tested dates,
    unless its split trains on the future: that is the leak then. `audit.json` is left in a run's folder.

    Raises:
        RunError: a planted leak was not seen, so the audit proves nothing on these data.
        UsageError: an unfinished run.
    """
    folder = RunFolder.existing(path) if (path / STATE).is_file() else None
    if folder is None:
        recipe = read_recipe(path)
    else:
        recipe = Recipe.parse(yaml.safe_load(folder.read_text("recipe.yaml")), where="recipe.yaml")
    work = _Audit.of(recipe, store, cuts, seed)
    report = work.components() + work.store_fields() + audit_data(store) + work.judged()
    planted = work.planted()
    if folder is not None and not recipe.windows.trains_on_future:
        run = RunAudit(folder, recipe, work.market, work.plan, work.windows, threads, seed)
        ends = [work.windows[0], *work.windows[1:][-1:]]
        report = report + audit_scored(run.scores) + run.training(ends) + run.tested(work.some_dates(run))
        planted |= planted_scores(run.scores)
        if recipe.tuning is not None:
            searches = SearchAudit(run)
            report = report + searches.report(ends)
            planted |= searches.planted()
    missed = [name for name, found in planted.items() if found.passed]
    if missed:
        raise RunError(f"The audit did not see {missed[0]}, which was planted; the sample is too thin to judge.")
    audit = RecipeAudit(report, planted)
    if folder is not None:
        _keep(folder, audit)
    return audit


def _keep(folder: RunFolder, audit: RecipeAudit) -> None:
    """Leave the audit in a run's folder, and in its report."""
    folder.write_json(FILE, audit.to_dict())
    page = folder.path / "report.html"
    if page.is_file():
        put_audit(page, audit_section(folder.read_json(FILE), folder.find_json("placebo.json")))


@dataclass(frozen=True, eq=False)
class _Audit:
    recipe: Recipe
    store: Store
    market: Panel
    plan: SamplePlan
    windows: list[Window]
    cuts: int
    seed: int

    @classmethod
    def of(cls, recipe: Recipe, store: Store, cuts: int, seed: int) -> Self:
        market, _ = build_universe(recipe.universe, load_market(recipe, store))
        plan = sample_plan(recipe, market)
        windows = recipe.windows.windows(market.dates[plan.first :], plan.rows, plan.ends)
        return cls(recipe, store, market, plan, windows, cuts, seed)

    @cached_property
    def sample(self) -> Panel:
        market = self.market.rows(*self.market.span(self.recipe.data.start))
        rows = max(SAMPLE_ROWS, max_lookback(self.recipe.features) + SAMPLE_ROWS // 2)
        return audit_sample(market.columns(np.asarray(market.universe.any(axis=0))), rows=rows)

    def components(self) -> AuditReport:
        recipe = self.recipe
        transforms = (*recipe.transforms, *recipe.label_transforms)
        return audit_components(
            self.sample,
            recipe.features,
            transforms,
            recipe.every_label,
            recipe.universe,
            cuts=self.cuts,
            seed=self.seed,
        )

    def store_fields(self) -> AuditReport:
        return audit_fields(self.store, self.market.names, seed=self.seed)

    def judged(self) -> AuditReport:
        dates = self.market.dates[self.plan.first :]
        split, embargo = self.recipe.windows, self.recipe.windows.embargo
        if split.trains_on_future:
            words = f"the split {split.name} fits models on dates after those that they are judged on"
            checks = (Check("windows", "split", len(self.windows), 0, 0),)
            return AuditReport(checks, (), (Problem("windows", "split", words),))
        report = audit_windows(self.windows, self.plan.entries, self.plan.ends, dates, embargo=embargo)
        lag = self.recipe.horizons.lag
        words = (
            "scores are judged by returns from the very close that they need (horizons.lag 0): nobody can trade there"
        )
        problems = (Problem("windows", "horizons", words),) if lag == 0 else ()
        return report + AuditReport((Check("windows", "horizons", 1, 0, 0),), (), problems)

    def planted(self) -> dict[str, AuditReport]:
        dates = self.market.dates[self.plan.first :]
        sample = self._with_closes()
        return {
            **planted_components(sample, self.cuts, self.seed),
            **planted_windows(self.windows, self.plan.rows, self.plan.entries, self.plan.ends, dates),
            **planted_data(self.store, sample.symbols.tolist()),
        }

    def some_dates(self, run: RunAudit) -> list[np.datetime64]:
        days = run.scores["date"].unique().sort().to_numpy().astype("datetime64[D]")
        known = days[days > self.market.dates[min(self.plan.reach, self.market.dates.size - 1)]]
        return some_tested(known[1:-1] if known.size > TESTED + 1 else known, TESTED, self.seed)

    def _with_closes(self) -> Panel:
        sample = self.sample
        if "adj_close" in sample:
            return sample
        dates, names = sample.dates, sample.symbols.tolist()
        whole = load_panel(self.store, ["adj_close"], start=dates[0], end=dates[-1], symbols=names)
        return sample.with_fields({"adj_close": whole["adj_close"]})
