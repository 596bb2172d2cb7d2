"""The sections of a risk model's page and of an attribution's."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import yaml

from alphaloom.report import figures_risk as figures
from alphaloom.report.content import (
    Block,
    Chart,
    Code,
    Column,
    Section,
    Text,
    any_table,
    count,
    number,
    percent,
    table,
    text,
)
from alphaloom.risk.attribution import ReturnAttribution, RiskAttribution
from alphaloom.risk.diagnostics import factor_table
from alphaloom.risk.factor_risk import FactorRisk
from alphaloom.typing import Doubles

FACTORS = (
    Column("factor", "Factor", text, numeric=False),
    Column("kind", "Kind", text, numeric=False),
    Column("return", "Return", percent(1), "arithmetic, a year"),
    Column("volatility", "Volatility", percent(1), "of its daily returns, a year"),
    Column("sharpe", "Sharpe", number(2), "return over volatility"),
    Column("t", "t", number(1), "of the mean return"),
    Column("abs_t", "Mean |t|", number(1), "of the daily regressions, standard errors HC2"),
    Column("significant", "|t| > 2", percent(0), "share of days; 5 % by chance"),
    Column("vif", "VIF", number(1), "mean variance inflation; beyond 5 styles are hard to tell apart"),
    Column("stability", "Stability", number(2), "correlation of exposures with those 21 days before; good above 0.9"),
    Column("error", "Noise", percent(0), "standard error of the daily return over its volatility"),
    Column("forecast", "Forecast", percent(1), "volatility foreseen on the last day, a year"),
    Column("days", "Days", count),
)
BIAS = (
    Column("horizon", "Days", count, "over which returns are summed"),
    Column("kind", "Portfolios", text, numeric=False),
    Column("portfolios", "Number", count),
    Column("bias", "Bias", number(3), "mean over portfolios of the deviation of return over risk foreseen; 1 is right"),
    Column("least", "Least", number(3)),
    Column("most", "Most", number(3)),
    Column("inside", "Inside", percent(0), "share of portfolios within what 95 % of right forecasts would show"),
    Column("mrad", "MRAD", number(3), "mean distance of windows' bias from 1; about 0.17 is best in windows of 12"),
    Column("q", "Q", number(3), "mean of z^2 - ln z^2; least is best, 2.27 for right forecasts of normal returns"),
    Column("spans", "Spans", count),
)
LEFT_OUT = (
    Column("style", "Style", text, numeric=False),
    Column("descriptor", "Descriptor", text, numeric=False),
    Column("weight", "Weight", number(2), "as published; shared among the style's other descriptors"),
    Column("why", "Why", text, numeric=False),
)
COVERAGE = (
    Column("style", "Style", text, numeric=False),
    Column("descriptor", "Descriptor", text, numeric=False),
    Column("mean", "Known", percent(1), "mean share of the universe"),
    Column("first", "First day", text, "on which half of the universe is known"),
    Column("last", "Last day", percent(1), "share known on the last day"),
)
SOURCES = (
    Column("source", "Source", text, numeric=False),
    Column("kind", "Kind", text, numeric=False),
    Column("exposure", "Exposure", number(3), "mean; the weight for specific"),
    Column("contribution", "Contribution", percent(2), "to the return of the whole span; they sum to it"),
    Column("mean", "A year", percent(2), "arithmetic"),
    Column("volatility", "Volatility", percent(2), "of the daily contribution, a year"),
    Column("t", "t", number(1), "of the mean daily contribution"),
)
RISK = (
    Column("source", "Source", text, numeric=False),
    Column("kind", "Kind", text, numeric=False),
    Column("exposure", "x", number(3), "exposure"),
    Column("volatility", "sigma", percent(1), "volatility of the source, a year"),
    Column("correlation", "rho", number(2), "correlation with the portfolio"),
    Column("contribution", "x sigma rho", percent(2), "contribution to volatility, a year; they sum to it"),
    Column("share", "Share", percent(1), "of the variance"),
)


def factor_section(model: FactorRisk, annual_days: float) -> Section:
    """Return factor returns: cumulated, and a table of what they are worth."""
    found, dates = model.regressions, model.dates
    P = found.industries
    styles = {name: found.returns[:, 1 + P + q] for q, name in enumerate(model.factors[1 + P :])}
    industries = {name: found.returns[:, 1 + k] for k, name in enumerate(model.factors[1 : 1 + P])}
    facts = factor_table(model, annual_days)
    note = "Sums of daily returns of long-short portfolios with exposure 1 to the style and 0 to all other factors."
    blocks: list[Block] = [Chart("Styles", figures.cumulated(dates, styles), note, 420)]
    if P:
        spread = facts.filter(pl.col("kind") == "industry").sort("return")
        ends = [*spread["factor"].to_list()[:4], *spread["factor"].to_list()[-4:]] if P > 8 else list(industries)
        note = "Returns beside the market's." + (" The four best and worst." if P > 8 else "")
        shown = {name: industries[name] for name in dict.fromkeys(ends)}
        blocks.append(Chart("Industries", figures.cumulated(dates, shown), note, is_half=True))
    blocks.append(
        Chart("Country", figures.cumulated(dates, {"country": found.returns[:, 0]}), "The market.", is_half=bool(P))
    )
    blocks.append(table("Country and styles", facts.filter(pl.col("kind") != "industry"), FACTORS))
    if P:
        own = facts.filter(pl.col("kind") == "industry").drop("vif", "stability")
        blocks.append(table("Industries", own, FACTORS, is_folded=P > 12))
    lead = "Each day's returns are explained by the exposures of the day before."
    return Section("factors", "Factor returns", lead, blocks)


def risk_section(model: FactorRisk, annual_days: float) -> Section:
    """Return the risk foreseen: factor volatilities, regimes, specific risk."""
    P, dates = model.regressions.industries, model.dates
    scale = np.sqrt(annual_days)
    sigma = np.sqrt(np.einsum("tkk->tk", model.factor.values)) * scale
    styles = {name: sigma[:, 1 + P + q] for q, name in enumerate(model.factors[1 + P :])}
    regimes = {"factors": model.factor.multiplier, "specific": model.specific.multiplier}
    own = model.specific.volatility.astype(np.float64) * scale
    some = np.isfinite(own).any(axis=1)
    levels = {}
    for name, q in (("tenth", 0.1), ("median", 0.5), ("nine tenths", 0.9)):
        line = np.full(dates.size, np.nan)
        line[some] = np.nanquantile(own[some], q, axis=1)
        levels[name] = line
    note = "By how much recent days were wilder than foreseen; it multiplies all volatilities."
    blocks: list[Block] = [
        Chart("Volatility of styles", figures.volatilities(dates, styles), "Foreseen at each close, a year.", 380),
        Chart("Volatility of the country", figures.volatilities(dates, {"country": sigma[:, 0]}), "", is_half=True),
        Chart("Regime", figures.multipliers(dates, regimes), note, is_half=True),
        Chart("Specific volatility", figures.specific_quantiles(dates, levels), "Quantiles over the stocks, a year."),
    ]
    return Section("risk", "Risk foreseen", "What the model says at each close of the days to come.", blocks)


def fit_section(model: FactorRisk) -> Section:
    """Return how much the regressions explain and of how many stocks they are made."""
    found = model.regressions
    covered = np.isfinite(model.specific.volatility).sum(axis=1)
    note = "Weighted share of the squared returns that the factors explain."
    stocks, covered = (np.where(n > 0, n, np.nan).astype(np.float64) for n in (found.stocks, covered))
    blocks = [
        Chart("R2", figures.explained(model.dates, found.r2), note, is_half=True),
        Chart("Stocks", figures.stocks_lines(model.dates, stocks, covered), "", is_half=True),
    ]
    lead = "Regressions are made of the estimation universe; forecasts cover every listed stock with known exposures."
    return Section("fit", "Fit and coverage", lead, blocks)


def bias_section(bias: pl.DataFrame, summary: pl.DataFrame) -> Section:
    """Return the test of the forecasts."""
    if not bias.height:
        return Section("bias", "Bias statistics", "The forecasts were not tested.", [])
    blocks: list[Block] = [table("By kind of portfolio", summary, BIAS)]
    for horizon in bias["horizon"].unique().sort():
        part = bias.filter(pl.col("horizon") == horizon)
        days = f"{horizon} day" + ("" if horizon == 1 else "s")
        note = "Above 1 risk was foreseen too low. Band: 95 % of right forecasts of normal returns lie within."
        blocks.append(
            Chart(f"Returns of {days}", figures.bias_dots(part), note, is_half=bias["horizon"].n_unique() > 1)
        )
    single = bias.filter(pl.col("kind").is_in(["market", "style", "factor"]))
    blocks.append(any_table("Market, styles and factors", single, is_folded=True))
    lead = (
        "Standard deviation of return over the risk foreseen of it: 1 when risk is foreseen right. Returns have fat "
        "tails and follow each other, so a little above 1 is common."
    )
    return Section("bias", "Bias statistics", lead, blocks)


def data_section(coverage: pl.DataFrame, left_out: pl.DataFrame) -> Section:
    """Return what the data knew of the descriptors and what the model does without."""
    shares = coverage.with_columns(share=pl.col("known") / pl.col("members")).fill_nan(None)
    facts = shares.group_by("style", "descriptor", maintain_order=True).agg(
        pl.col("share").mean().alias("mean"),
        pl.col("date").filter(pl.col("share") >= 0.5).min().alias("first"),
        pl.col("share").last().alias("last"),
    )
    blocks: list[Block] = []
    if left_out.height:
        blocks.append(table("Descriptors left out", left_out, LEFT_OUT))
    else:
        blocks.append(Text("Every published descriptor is in use."))
    blocks.append(
        Chart(
            "Styles known",
            figures.coverage_lines(coverage),
            "Share of the estimation universe that has the best known descriptor of the style.",
            380,
        )
    )
    blocks.append(table("Descriptors that the data allow", facts, COVERAGE))
    lead = "An unknown exposure counts as the market's, 0; the weights of a missing descriptor go to the others."
    return Section("data", "What the data knew", lead, blocks)


def settings_section(meta: Mapping[str, Any]) -> Section:
    """Return the settings that made the model."""
    settings = yaml.safe_dump(dict(meta["settings"]), sort_keys=False, allow_unicode=True)
    return Section("settings", "Settings", str(meta["preset_source"]), [Code("All settings", settings)])


def return_section(found: ReturnAttribution, facts: pl.DataFrame, days: np.ndarray) -> Section:
    """Return where a portfolio's return came from."""
    kinds = list(dict.fromkeys(found.kinds))
    by_kind = {kind: _sum_of(found, kind) for kind in kinds if np.abs(_sum_of(found, kind)).max() > 0}
    total = facts["contribution"].sum()
    summed = (
        facts.group_by("kind", maintain_order=True)
        .agg(pl.col("contribution").sum(), pl.col("mean").sum())
        .rename({"kind": "source"})
        .with_columns(kind=pl.lit(""))
    )
    note = "Running sums of daily contributions."
    shown = facts.filter((pl.col("kind") != "industry") | (pl.col("contribution").abs() > 0))
    blocks: list[Block] = [
        Chart("By kind", figures.attribution_lines(days, by_kind), note, 380),
        table(f"By kind; they sum to {percent(2)(total)}", summed, SOURCES),
        Chart("By source", figures.attribution_bars(shown, "contribution", ".1%"), "", 80 + 17 * shown.height),
        table("By source", facts, SOURCES, is_folded=facts.height > 20),
    ]
    lead = "Exposure at the close before, times the day's factor return; the rest of each stock's return is specific."
    return Section("return", "Return", lead, blocks)


def risk_attribution_section(found: RiskAttribution, annual_days: float, day: str) -> Section:
    """Return where the risk foreseen of a portfolio comes from."""
    scale = np.sqrt(annual_days)
    sources = found.sources.with_columns(pl.col("volatility") * scale, pl.col("contribution") * scale)
    by_kind = sources.group_by("kind", maintain_order=True).agg(pl.col("contribution").sum(), pl.col("share").sum())
    summed = by_kind.rename({"kind": "source"}).with_columns(kind=pl.lit(""))
    lead = f"Foreseen at the close of {day}: {percent(2)(found.volatility * scale)} a year."
    blocks: list[Block] = [
        table("By kind", summed, RISK),
        Chart("By source", figures.attribution_bars(sources, "contribution", ".1%"), "", 80 + 17 * sources.height),
        table("By source", sources, RISK, is_folded=sources.height > 20),
    ]
    if found.uncovered > 0:
        blocks.append(
            Text(f"Stocks with {percent(2)(found.uncovered)} of weight are not covered and have no part in it.")
        )
    return Section("risk", "Risk", lead, blocks)


def _sum_of(found: ReturnAttribution, kind: str) -> Doubles:
    use = [k for k, name in enumerate(found.kinds) if name == kind]
    return np.asarray(found.contributions[:, use].sum(axis=1))
