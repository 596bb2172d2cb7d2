"""The page of a feature family's profile: one HTML file with a table that sorts and filters by itself."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from scipy.special import ndtri

from alphaloom.feature_study.blocks import MIN_NAMES
from alphaloom.feature_study.profile import FeatureProfile
from alphaloom.report.content import Figure, count, number, percent, significant
from alphaloom.report.files import write_text
from alphaloom.report.small_drawings import histogram_svg, interval_svg
from alphaloom.typing import Array, PathLike

SETS = {
    "overview": "Overview",
    "distribution": "Distribution",
    "definition": "Definition",
    "all": "All columns",
}
LEVEL = 0.05
"""Probability of one or more false findings among all features, by Bonferroni."""


@dataclass(frozen=True)
class _Column:
    """One column: its key in the table, heading, writer, meaning, and the column sets that show it."""

    key: str
    title: str
    form: Callable[[Any], str]
    meaning: str
    sets: str = ""
    sorts: bool = True

    @property
    def numeric(self) -> bool:
        """Whether it is aligned to the right."""
        return self.key not in {*DRAWN, *WORDS}


DRAWN = ("shape", "interval")
WORDS = ("feature", "meaning", "expression")
COLUMNS = (
    _Column("feature", "Feature", str, "published name"),
    _Column("shape", "Shape", str, "histogram between the 1 % and 99 % quantiles", sorts=False),
    _Column(
        "interval", "RankIC ± 2 errors", str, "mean RankIC and two Newey-West errors, one scale", "overview", False
    ),
    _Column("rank_ic", "RankIC", number(4), "mean daily Spearman correlation with the label", "overview"),
    _Column("rank_ic_t", "t (NW)", number(2), "mean RankIC over its Newey-West error", "overview"),
    _Column("rank_icir", "ICIR", number(3), "mean over deviation of daily RankIC", "overview"),
    _Column("positive", "Hit rate", percent(0), "share of days with a positive RankIC", "overview"),
    _Column("ic", "IC", number(4), "mean daily Pearson correlation with the label", "overview"),
    _Column("ic_t", "t of IC", number(2), "mean IC over its Newey-West error", "-"),
    _Column("coverage", "Coverage", percent(1), "share of listed stock-days with a value"),
    _Column("ac_1", "AC 1", number(2), "rank correlation with the day before", "overview"),
    _Column("ac_5", "AC 5", number(2), "rank correlation with 5 days before", "overview"),
    _Column("ac_20", "AC 20", number(2), "rank correlation with 20 days before", "overview"),
    _Column("turnover", "Turnover", percent(0), "share of the top fifth that was not in it 5 days before", "overview"),
    _Column("group", "Group", count, "features that order the stocks much alike", "overview"),
    _Column("mean", "Mean", significant, "over all listed stock-days", "distribution"),
    _Column("std", "Deviation", significant, "standard deviation", "distribution"),
    _Column("skew", "Skew", number(2), "third standardised moment", "distribution"),
    _Column("kurtosis", "Kurtosis", number(1), "fourth standardised moment less 3", "distribution"),
    _Column("q01", "1 %", significant, "quantile", "distribution"),
    _Column("q05", "5 %", significant, "quantile", "distribution"),
    _Column("q25", "25 %", significant, "quantile", "distribution"),
    _Column("q50", "Median", significant, "quantile", "distribution"),
    _Column("q75", "75 %", significant, "quantile", "distribution"),
    _Column("q95", "95 %", significant, "quantile", "distribution"),
    _Column("q99", "99 %", significant, "quantile", "distribution"),
    _Column("zeros", "Zeros", percent(1), "share of values that are 0", "distribution"),
    _Column("outliers", "Outliers", percent(2), "more than 5 scaled MADs from the median", "distribution"),
    _Column("infinite", "Infinite", count, "infinite values", "-"),
    _Column("ms", "ms", number(1), "milliseconds to compute it over all days", "overview"),
    _Column("mb", "MB", number(1), "size of its values over all days", "-"),
    _Column("meaning", "Meaning", str, "what it measures, where the family says so", "definition"),
    _Column("expression", "Expression", str, "in the factor language", "definition", sorts=False),
)


def write_feature_page(profile: FeatureProfile, path: PathLike, *, footer: Mapping[str, str] | None = None) -> None:
    """Write the page of a profile, aside first, then renamed."""
    write_text(path, feature_page(profile, footer=footer))


def feature_page(profile: FeatureProfile, *, footer: Mapping[str, str] | None = None) -> str:
    """Return the page as HTML text; it needs no other file and no network, and shows all its tables without scripts."""
    import jinja2

    from alphaloom import __version__

    facts, table = profile.facts, profile.table
    defined = {item.feature: {"meaning": item.meaning, "expression": item.expression} for item in profile.defined}
    said = {key for item in defined.values() for key, words in item.items() if words}
    columns = [column for column in COLUMNS if column.key not in WORDS[1:] or column.key in said]
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_asset("features.html.j2")).render(
        title=f"Features: {profile.family.name}",
        subtitle=f"{table.height:,} features of {facts['stocks']:,} stocks, {facts['from']} to {facts['to']} "
        f"({facts['days']:,} days)",
        verdict=headline(profile),
        findings=_findings(profile),
        figures=_figures(profile),
        columns=columns,
        sets=[(key, words) for key, words in SETS.items() if key == "all" or any(key in c.sets for c in columns)],
        rows=_rows(profile, columns, defined),
        groups=[{**vars(group), "mean": number(2)(group.mean)} for group in profile.groups],
        groups_lead="Average-linkage clusters with a mean |rank correlation| of "
        f"{facts['threshold']:g} and more; in bold the one with the largest |t|.",
        problems=profile.problems,
        method=_method(profile),
        footer=footer or {},
        version=__version__,
        css=_asset("style.css") + _asset("features.css"),
        js=_asset("page.js") + _asset("features.js"),
    )


def headline(profile: FeatureProfile) -> str:
    """Return in one sentence how many features foretell the label beyond chance, the number of trials counted."""
    t = profile.table["rank_ic_t"].to_numpy()
    F = profile.table.height
    bound = strong_t(F)
    strong = int((np.abs(np.nan_to_num(t)) >= bound).sum())
    return (
        f"{strong} of {F} features have a RankIC beyond chance: |t| of {bound:.1f} and more, at which fewer than "
        f"{LEVEL:.0%} of families without any skill would show one."
    )


def strong_t(trials: int) -> float:
    """Return the |t| that one of so many features passes by chance with probability `LEVEL` at most (Bonferroni)."""
    return float(-ndtri(LEVEL / 2 / max(1, trials)))


def _findings(profile: FeatureProfile) -> list[str]:
    table, facts = profile.table, profile.facts
    ranked = table.with_columns(size=table["rank_ic_t"].abs()).filter(table["rank_ic_t"].is_not_nan())
    lines = []
    if ranked.height:
        top = ranked.sort("size", descending=True).row(0, named=True)
        lines.append(
            f"Strongest: {top['feature']}, RankIC {number(4)(top['rank_ic'])} ± {number(4)(top['rank_ic_se'])}, "
            f"Newey-West t {number(1)(top['rank_ic_t'])} over {count(top['ic_days'])} days. The best of "
            f"{table.height} is chosen after the fact: expect less of it."
        )
    inside = sum(len(group.features) for group in profile.groups)
    lines.append(
        f"{inside} of the features form {len(profile.groups)} groups of like ones; {table.height - inside} stand alone."
        if profile.groups
        else f"No two features are alike (mean |rank correlation| of {facts['threshold']:g} and more)."
    )
    kinds = sorted({item.kind for item in profile.problems})
    if kinds:
        number_of = "One remark" if len(profile.problems) == 1 else f"{len(profile.problems)} remarks"
        lines.append(f"{number_of} on values: {', '.join(kinds)}.")
    return lines


def _figures(profile: FeatureProfile) -> list[Figure]:
    table, facts = profile.table, profile.facts
    coverage = table["coverage"].to_numpy()
    total = float(table["ms"].sum()) / 1000
    distinct = table.height - sum(len(group.features) - 1 for group in profile.groups)
    low = table.sort("coverage").row(0, named=True)
    return [
        Figure("Features", count(table.height), f"{distinct} when each group counts once"),
        Figure(
            "Coverage", percent(1)(float(coverage.mean())), f"least {percent(1)(low['coverage'])} ({low['feature']})"
        ),
        Figure("Mean |RankIC|", number(4)(_mean_size(table["rank_ic"].to_numpy())), "over features"),
        Figure("Rank autocorrelation", number(2)(_mean_size(table["ac_5"].to_numpy())), "mean |5 days|"),
        Figure("Cost", f"{number(1)(facts['compute_seconds'])} s", f"{number(1)(total)} s one by one")
        if total > 1.05 * facts["compute_seconds"]
        else Figure("Cost", f"{number(1)(facts['compute_seconds'])} s", "to compute all"),
    ]


def _mean_size(values: Array) -> float:
    known = np.abs(values[~np.isnan(values)])
    return float(known.mean()) if known.size else math.nan


def _method(profile: FeatureProfile) -> list[str]:
    facts = profile.facts
    label = ", ".join(f"{key} {value}" for key, value in facts["label"].items())
    skill = (
        f"Label: {label}. IC and RankIC are taken on every day with {MIN_NAMES} and more stocks that have both; their "
        f"errors are Newey-West with {2 * facts['label_days']} lags, as neighbouring labels share "
        f"{facts['label_days']} days."
    )
    values = (
        f"Coverage, zeros and moments count all {facts['cells']:,} listed stock-days. Quantiles, histograms, outliers, "
        f"persistence, turnover and correlations come from {facts['sampled_days']} evenly spaced days."
    )
    cost = f"Cost: {facts['cost_measured']}. The whole family took {facts['compute_seconds']:g} s here."
    population = "All stocks listed on a day count, suspended ones too. Nothing is filled, clipped or standardised."
    return [skill, values, cost, population]


@dataclass(frozen=True)
class _Cell:
    text: str
    value: str | None = None
    drawing: str = ""
    hint: str = ""


def _rows(
    profile: FeatureProfile, columns: Sequence[_Column], defined: Mapping[str, Mapping[str, str]]
) -> list[dict[str, Any]]:
    table = profile.table
    low, high = table["rank_ic"] - 2 * table["rank_ic_se"], table["rank_ic"] + 2 * table["rank_ic_se"]
    reach = max(_largest(low.to_numpy()), _largest(high.to_numpy()), 1e-9)
    remarks: dict[str, list[str]] = {}
    for item in profile.problems:
        remarks.setdefault(item.feature, []).append(f"{item.kind}: {item.words}")
    rows = []
    for f, record in enumerate(table.iter_rows(named=True)):
        drawings = {
            "shape": histogram_svg(profile.histograms[f]),
            "interval": interval_svg(record["rank_ic"], record["rank_ic_se"], reach),
        }
        told = defined[record["feature"]]
        hint = "; ".join(filter(None, [told["meaning"], *remarks.get(record["feature"], [])]))
        cells = [_Cell(record["feature"], hint=hint)]
        cells += [
            _Cell("", drawing=drawings[column.key])
            if column.key in DRAWN
            else _Cell(told[column.key])
            if column.key in WORDS
            else _Cell(column.form(record[column.key]), value=_sortable(record[column.key]))
            for column in columns[1:]
        ]
        group = f"group{record['group']}" if record["group"] is not None else ""
        words = f"{record['feature']} {group} {hint}".lower()
        rows.append({"words": words, "cells": cells})
    return rows


def _sortable(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and not math.isfinite(value)) else f"{value:.9g}"


def _largest(values: Array) -> float:
    known = np.abs(values[np.isfinite(values)])
    return float(known.max()) if known.size else 0.0


def _asset(name: str) -> str:
    return (resources.files("alphaloom.report") / "assets" / name).read_text(encoding="utf-8")
