"""The page of a study of missing values: policies side by side, and feature by feature."""

from collections.abc import Mapping
from typing import Any

import polars as pl
import yaml

from alphaloom.feature_study.missing_values import MissingStudy, conclusion
from alphaloom.report.content import Code, Column, Figure, Page, Section, Text, count, number, percent, table, text
from alphaloom.report.files import write_text
from alphaloom.report.page import render
from alphaloom.typing import PathLike

SKILL = (
    Column("policy", "Policy", text, numeric=False),
    Column("coverage", "Coverage", percent(2), "mean share of listed stock-days with a value"),
    Column("least", "Least", percent(1), "of the feature with the lowest coverage"),
    Column("composite", "Composite RankIC", number(4), "equally weighted features, later half"),
    Column("composite_change", "change", number(5), "against leaving values missing, same days"),
    Column("composite_change_t", "t", number(2), "change over its Newey-West error"),
    Column("ridge", "Ridge RankIC", number(4), "fitted on the earlier half, judged on the later"),
    Column("ridge_icir", "ICIR", number(3), "mean over deviation of the daily RankIC"),
    Column("ridge_change", "change", number(5), "against leaving values missing, same days"),
    Column("ridge_change_se", "error", number(5), "Newey-West"),
    Column("ridge_change_t", "t", number(2), "change over its Newey-West error"),
)
SINGLE = (
    Column("policy", "Policy", text, numeric=False),
    Column("meaning", "A missing value becomes", text, numeric=False),
    Column("rank_ic", "RankIC", number(4), "mean over features, each in its own direction when left missing"),
    Column("first_half", "First half", number(4), "of the days"),
    Column("second_half", "Second half", number(4), "of the days"),
    Column("rank_ic_change", "change", number(5), "against leaving values missing, same days"),
    Column("rank_ic_change_se", "error", number(5), "Newey-West"),
    Column("rank_ic_change_t", "t", number(2), "change over its Newey-West error"),
    Column("seconds", "s", number(1), "computing and judging it"),
)


def write_missing_page(study: MissingStudy, path: PathLike, *, footer: Mapping[str, str] | None = None) -> None:
    """Write the page of a study, aside first, then renamed."""
    write_text(path, render(missing_page(study, footer=footer)))


def missing_page(study: MissingStudy, *, footer: Mapping[str, str] | None = None) -> Page:
    """Return the page of a study."""
    facts, frame = study.facts, study.table()
    known, words = conclusion(study)
    best = frame.sort("ridge", descending=True, nulls_last=True).row(0, named=True)
    figures = [
        Figure("Features", count(len(study.features)), study.family.name),
        Figure("Coverage", percent(2)(frame["coverage"][0]), "when left missing"),
        Figure("Ridge RankIC", number(4)(frame["ridge"][0]), "when left missing"),
        Figure("Highest", number(4)(best["ridge"]), f"{best['policy']}; see its change and error"),
        Figure("Days", count(facts["days"]), f"{facts['stocks']:,} stocks"),
    ]
    return Page(
        title=f"Missing values: {study.family.name}",
        subtitle=f"{facts['from']} to {facts['to']}; models fitted before {facts['split']}, judged from then on",
        grade="plain",
        verdict=words,
        findings=[known],
        figures=figures,
        sections=[_skill(frame), _features(study), _method(study)],
        footer=footer or {},
    )


def _skill(frame: pl.DataFrame) -> Section:
    note = (
        "Both score every stock that has a label, so all policies are judged on the same stocks and days. What a "
        "policy leaves missing counts as the day's mean."
    )
    single = (
        "Each feature alone, over the stocks that have a value. A policy that fills more is judged on more stocks, and "
        "values filled with the middle of the day dilute the correlation: a fall here is no loss by itself."
    )
    return Section(
        "policies",
        "Policies",
        "Changes are paired: the same days with the policy, less with values left missing.",
        [
            table("Forecasts made of all features", frame, SKILL, note=note),
            table("Single features", frame, SINGLE, note=single),
        ],
    )


def _features(study: MissingStudy) -> Section:
    frame = study.feature_table().sort("coverage")
    columns = [
        Column("feature", "Feature", text, numeric=False),
        Column("coverage", "Coverage", percent(1)),
        Column("rank_ic", "RankIC", number(4), "left missing"),
        Column("rank_ic_t", "t", number(2)),
    ]
    for result in study.results[1:]:
        name = result.policy.name
        columns.append(Column(f"{name} change", f"{name}: change", number(4), "of RankIC"))
        columns.append(Column(f"{name} t", "t", number(1)))
    lead = "From the lowest coverage up; a feature that is never missing changes nowhere."
    return Section("features", "Feature by feature", lead, [table("Change of RankIC", frame, columns, is_folded=True)])


def _method(study: MissingStudy) -> Section:
    facts = study.facts
    label = ", ".join(f"{key} {value}" for key, value in facts["label"].items())
    words = (
        f"Label: {label}; {facts['cells']:,} listed stock-days. The composite weighs standardised features equally, "
        "each in the direction of its RankIC in the earlier half; the ridge regression has a penalty of 0.1 of a "
        "feature's variance. Days whose label reaches beyond the split are not fitted on. Errors are Newey-West with "
        f"{2 * study.steps} lags."
    )
    recipes: dict[str, Any] = {result.policy.name: result.policy.recipe() for result in study.results}
    return Section(
        "method",
        "How it was measured",
        "Every policy is made of components that a recipe can name.",
        [Text(words), Code("The policies as parts of a recipe", yaml.safe_dump(recipes, sort_keys=False))],
    )
