"""The audit of one recipe on one store, with a planted leak that must be caught."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import yaml

from alphaloom.audit.components import audit_components, audit_features, audit_sample
from alphaloom.audit.report import AuditReport
from alphaloom.data.load import load_panel
from alphaloom.data.store import Store
from alphaloom.data.universe.build import build_universe
from alphaloom.errors import RunError
from alphaloom.features.base import FeatureFamily
from alphaloom.panel import Panel
from alphaloom.recipe import Recipe, read_recipe
from alphaloom.report.runs import STATE
from alphaloom.stages import load_market
from alphaloom.typing import Floats


class Peek(FeatureFamily):
    """Tomorrow's return: the leak that an audit must see. It is in no registry."""

    inputs: ClassVar[tuple[str, ...]] = ("adj_close",)

    @property
    def lookback(self) -> int:
        """Claims to read row t alone."""
        return 0

    def columns(self) -> list[str]:
        """One column."""
        return ["tomorrow"]

    def compute(self, panel: Panel) -> Floats:
        """Return close[t + 1] / close[t] - 1."""
        close = panel["adj_close"]
        out = np.full((*panel.shape, 1), np.nan, dtype=np.float32)
        out[:-1, :, 0] = close[1:] / close[:-1] - 1
        return out


@dataclass(frozen=True)
class RecipeAudit:
    """The audit of a recipe's features, transforms, label and universe rules, and of the planted leak."""

    report: AuditReport
    planted: AuditReport

    @property
    def passed(self) -> bool:
        """Whether nothing of the recipe leaks."""
        return self.report.passed

    def table(self) -> pl.DataFrame:
        """Return one row a component, the planted leak last."""
        planted = self.planted.table().with_columns(pl.lit("planted leak").alias("name"))
        return pl.concat([self.report.table(), planted], how="vertical_relaxed")

    def verdict(self) -> str:
        """Return the result in words, with the first leak."""
        caught = str(self.planted.findings[0])
        if self.passed:
            clean = (
                "No feature, transform, label or universe at date t changed when later data were cut off or corrupted."
            )
            return f"{clean}\nThe planted leak was caught: {caught}"
        return "\n".join(["Something knows the future:", *map(str, self.report.findings)])

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "passed": self.passed,
            "checks": self.report.table().to_dicts(),
            "findings": self.report.findings_frame().to_dicts(),
            "planted": self.planted.findings_frame().to_dicts(),
        }


def audit_recipe(path: Path, store: Store, *, cuts: int = 5, seed: int = 0) -> RecipeAudit:
    """Return the audit of a run's recipe, or of a recipe file, on a sample of the store.

    Raises:
        RunError: the planted leak was not seen, so the audit proves nothing on these data.
    """
    if (path / STATE).is_file():
        recipe = Recipe.parse(yaml.safe_load((path / "recipe.yaml").read_text(encoding="utf-8")), where="recipe.yaml")
    else:
        recipe = read_recipe(path)
    market, _ = build_universe(recipe.universe, load_market(recipe, store))
    market = market.rows(*market.span(recipe.data.start))
    sample = audit_sample(market.columns(np.asarray(market.universe.any(axis=0))))
    transforms = (*recipe.transforms, *recipe.label_transforms)
    report = audit_components(
        sample,
        recipe.features,
        transforms,
        [recipe.label, *recipe.further_labels],
        recipe.universe,
        cuts=cuts,
        seed=seed,
    )
    planted = audit_features(_with_closes(sample, store), [Peek()], cuts=cuts, seed=seed)
    if planted.passed:
        raise RunError("The audit did not see a planted feature of tomorrow's return; the sample is too thin to judge.")
    return RecipeAudit(report, planted)


def _with_closes(sample: Panel, store: Store) -> Panel:
    if "adj_close" in sample:
        return sample
    whole = load_panel(
        store, ["adj_close"], start=sample.dates[0], end=sample.dates[-1], symbols=sample.symbols.tolist()
    )
    return sample.with_fields({"adj_close": whole["adj_close"]})
