"""The pages of a risk model and of an attribution."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from alphaloom.report.content import Figure, Page, count, number, percent
from alphaloom.report.files import write_text
from alphaloom.report.page import render
from alphaloom.report.risk_folder import RiskFolder
from alphaloom.report.sections_risk import (
    bias_section,
    data_section,
    factor_section,
    fit_section,
    return_section,
    risk_attribution_section,
    risk_section,
    settings_section,
)
from alphaloom.risk.attribution import ReturnAttribution, RiskAttribution
from alphaloom.risk.bias import BiasTest
from alphaloom.typing import PathLike

RIGHT = (0.9, 1.1)
"""Bias statistics between which forecasts count as right."""
FOOTER = {"data_hash": "data", "preset": "preset", "alphaloom": "fitted with alphaloom"}
"""What a risk model's page says of its making, by the name it has in `meta.json`."""


def write_risk_page(held: RiskFolder, path: PathLike) -> None:
    """Write the page of a risk model."""
    write_text(path, render(risk_page(held)))


def risk_page(held: RiskFolder) -> Page:
    """Return the page of a risk model."""
    model, meta = held.model, held.meta
    annual_days = float(meta["annual_days"])
    found = model.regressions
    summary = BiasTest(held.bias_series, held.bias).summary() if held.bias.height else held.bias
    styles = len(model.factors) - 1 - found.industries
    left = model.left_out
    whole = [name for (name,), part in left.group_by("style") if name not in model.factors and part.height]
    first, last = model.dates[0], model.dates[-1]
    figures = [
        Figure("Factors", count(len(model.factors)), f"country, {found.industries} industries, {styles} styles"),
        Figure("R2", percent(0)(np.nanmean(found.r2)), "mean of the daily regressions"),
        Figure("Stocks", count(np.median(found.stocks[found.stocks > 0])), "in a day's regression, median"),
        Figure("Left out", count(left.height), "descriptors, for want of data"),
    ]
    findings = []
    if summary.height:
        figures.insert(1, Figure("Bias", _bias(summary, "random"), "random portfolios, a day; 1 is right"))
        findings.append(_verdict_of_bias(summary))
    if left.height:
        missing = ", ".join(f"{row[1]} of {row[0]}" for row in left.select("style", "descriptor").iter_rows())
        findings.append(f"Left out for want of data: {missing}.")
    if whole:
        findings.append(f"So these styles are not in the model: {', '.join(sorted(whole))}.")
    return Page(
        title=f"Risk model: {meta['name']}",
        subtitle=f"{first} to {last} ({model.dates.size:,} days), {model.symbols.size:,} stocks",
        grade="plain",
        verdict=f"{len(model.factors)} factors explain {percent(0)(np.nanmean(found.r2))} of squared returns.",
        findings=findings,
        figures=figures,
        sections=[
            factor_section(model, annual_days),
            risk_section(model, annual_days),
            fit_section(model),
            bias_section(held.bias, summary),
            data_section(model.coverage, left),
            settings_section(meta),
        ],
        footer={said: str(meta[key]) for key, said in FOOTER.items() if key in meta},
    )


def write_attribution_page(
    found: ReturnAttribution,
    risk: RiskAttribution,
    facts: pl.DataFrame,
    dates: np.ndarray,
    path: PathLike,
    *,
    title: str,
    meta: Mapping[str, Any],
) -> None:
    """Write the page of a portfolio's attribution."""
    days = dates[found.rows]
    total = float(facts["contribution"].sum())
    annual_days = float(meta["annual_days"])
    against = "active return" if meta.get("benchmark") else "return"
    by_kind = dict(facts.group_by("kind").agg(pl.col("contribution").sum()).iter_rows())
    figures = [
        Figure(against.capitalize(), percent(2)(total), f"{days[0]} to {days[-1]}"),
        *(Figure(kind.capitalize(), percent(2)(by_kind[kind])) for kind in ("country", "industry", "style", "specific")
          if kind in by_kind),
        Figure("Risk foreseen", percent(1)(risk.volatility * np.sqrt(annual_days)), "on the last day, a year"),
    ]  # fmt: skip
    page = Page(
        title=title,
        subtitle=f"{days[0]} to {days[-1]} ({days.size:,} days)",
        grade="plain",
        verdict=f"An {against} of {percent(2)(total)} by source." if against[0] == "a" else
        f"A {against} of {percent(2)(total)} by source.",
        findings=[],
        figures=figures,
        sections=[return_section(found, facts, days), risk_attribution_section(risk, annual_days, str(days[-1]))],
        footer={key: str(value) for key, value in meta.items()},
    )  # fmt: skip
    write_text(path, render(page))


def _bias(summary: pl.DataFrame, kind: str) -> str:
    part = summary.filter(pl.col("kind") == kind)
    return number(2)(part["bias"][0]) if part.height else "–"


def _verdict_of_bias(summary: pl.DataFrame) -> str:
    out = summary.filter(~pl.col("bias").is_between(*RIGHT))
    if not out.height:
        return "On average over each kind of test portfolio, risk is foreseen within a tenth."
    named = ", ".join(
        f"{kind} over {horizon} day{'' if horizon == 1 else 's'} {number(2)(bias)}"
        for horizon, kind, bias in out.select("horizon", "kind", "bias").iter_rows()
    )
    return f"Mean bias statistics beyond a tenth of 1: {named}."
