"""Sections on scores: sample, comparison, single-factor table, quantiles, decay, months."""

from collections.abc import Mapping

import polars as pl

from alphaloom.evaluation.signal import SignalReport
from alphaloom.evaluation.summary import TWELVE_ROWS
from alphaloom.report import figures
from alphaloom.report.content import (
    Block,
    Chart,
    Column,
    Section,
    Table,
    Text,
    count,
    number,
    percent,
    probability,
    significant,
    table,
    text,
)
from alphaloom.report.sections_closer import season_blocks

ROW_FORMS = {
    "positive": count,
    "negative": count,
    "n": count,
    "n_non_overlapping": count,
    "p_value": probability,
    "p_newey_west": probability,
    "p_non_overlapping": probability,
}
ROW_NAMES = {
    "ir": "ir (mean / std)",
    "kurtosis": "kurtosis (excess)",
    "negative": "negative (dates)",
    "p_value": "p value (naive)",
    "positive": "positive (dates)",
    "t_stat": "t stat (naive)",
    "t_newey_west": "t, Newey-West",
    "p_newey_west": "p value, Newey-West",
    "t_non_overlapping": "t, non-overlapping",
    "p_non_overlapping": "p value, non-overlapping",
    "se": "standard error, Newey-West",
    "n": "dates",
    "n_non_overlapping": "dates, non-overlapping",
}

COMPARISON = (
    Column("signal", "Signal", text, numeric=False),
    Column("rank_ic", "RankIC", number(4), "mean over dates"),
    Column("interval", "Interval", text, "stationary bootstrap"),
    Column("ir", "ICIR", number(3), "mean / std of RankIC per date, not annualised"),
    Column("t_newey_west", "t (NW)", number(2), "Newey-West, lags of three horizons or more"),
    Column("t_non_overlapping", "t (apart)", number(2), "non-overlapping dates, mean over starting points"),
    Column("positive", "Hit rate", percent(1), "share of dates with RankIC above zero"),
    Column("ic", "IC", number(4), "mean Pearson correlation"),
    Column("spread", "Spread", percent(1), "top less bottom quantile a year, before costs"),
    Column("spread_net", "after costs", percent(1), "top less bottom quantile a year, after costs"),
    Column("turnover", "Top turnover", percent(0), "share of the top quantile replaced each holding period"),
    Column("n", "Dates", count),
)


def comparison_frame(signals: Mapping[str, SignalReport]) -> pl.DataFrame:
    """Return one row a signal with the figures of its primary horizon."""
    rows = []
    for name, signal in signals.items():
        item = signal.headline
        test = item.rank_ic
        rows.append(
            {
                "signal": name,
                "rank_ic": test.mean,
                "interval": f"{number(4)(test.low)} to {number(4)(test.high)}",
                "ir": test.ir,
                "t_newey_west": test.t_newey_west,
                "t_non_overlapping": test.t_non_overlapping,
                "positive": test.positive,
                "ic": item.ic.mean,
                "spread": item.spread.mean * item.periods_per_year,
                "spread_net": item.spread_net.mean * item.periods_per_year,
                "turnover": item.metrics()["top_turnover"],
                "n": test.n,
            }
        )
    return pl.DataFrame(rows)


def comparison_section(signals: Mapping[str, SignalReport], headline: str) -> Section:
    """Return the signals side by side at their primary horizon."""
    signal = signals[headline]
    item = signal.headline
    lead = (
        f"Each signal against returns over {figures.horizon_label(signal.primary, item)}, on dates that the models "
        "did not see."
    )
    blocks: list[Block] = [
        table(
            "Signals",
            comparison_frame(signals),
            COMPARISON,
            note=f"Intervals cover {signal.settings.confidence:.0%}. A year has {signal.settings.annual_days} trading "
            f"days; spreads are arithmetic (mean x holding periods a year); costs {signal.settings.cost_bps:g} bps per "
            "value traded, without the cost of borrowing.",
        ),
        Chart("Cumulative RankIC", figures.cumulative_rank_ic(signals, headline), "A steady slope is steady skill."),
        Chart(
            f"RankIC by date: {headline}",
            figures.rank_ic_bars(signal),
            "Bars are single dates; the band is one standard error of the rolling mean.",
        ),
    ]
    return Section("signals", "Signals", lead, blocks)


def factor_section(signals: Mapping[str, SignalReport], headline: str) -> Section:
    """Return the twelve single-factor rows and the overlap-aware tests of every signal and horizon."""
    blocks: list[Block] = []
    for name in sorted(signals, key=lambda key: key != headline):
        signal = signals[name]
        frame = signal.factor_table()
        keys = frame["row"].to_list()
        cells = [[ROW_NAMES.get(key, key.replace("_", " ")) for key in keys]]
        cells += [
            [ROW_FORMS.get(key, number(4))(value) for key, value in zip(keys, frame[horizon], strict=True)]
            for horizon in signal.horizons
        ]
        titles = ["", *(figures.horizon_label(key, item) for key, item in signal.horizons.items())]
        blocks.append(
            Table(
                f"RankIC of {name}",
                titles,
                list(zip(*cells, strict=True)),
                [False, *[True] * len(signal.horizons)],
                [""] * len(titles),
                is_folded=name != headline,
            )
        )
    level = signals[headline].settings.significance
    blocks.append(
        Text(
            f"The first {len(TWELVE_ROWS)} rows share one denominator, the dates on which RankIC is defined. "
            "sig positive and sig negative are shares of "
            f"dates whose RankIC alone differs from zero at {level:g}; significance is their sum. The naive t treats "
            "overlapping returns as independent; Newey-West uses lags of three horizons or more, and its p Student's t."
        )
    )
    return Section("factor", "Single-factor table", "The customary rows, with the honest tests beneath.", blocks)


def quantile_section(signal: SignalReport) -> Section:
    """Return returns by quantile of score."""
    item = signal.headline
    summaries = pl.concat(part.quantile_summary() for part in signal.horizons.values())
    columns = (
        Column("horizon", "Horizon", text, numeric=False),
        Column("quantile", "Quantile", count),
        Column("mean", "Mean", percent(3), "per holding period"),
        Column("excess", "Excess", percent(3), "over all placed names, per holding period"),
        Column("annual_arithmetic", "A year, arithmetic", percent(1), "mean x holding periods a year"),
        Column("annual_geometric", "A year, geometric", percent(1), "back-to-back holding periods, compounded"),
        Column("volatility_annual", "Volatility", percent(1), "a year"),
        Column("turnover", "Turnover", percent(0), "one-way, per holding period"),
        Column("names", "Names", number(1), "mean number with a return"),
        Column("n", "Dates", count),
    )
    tests = pl.DataFrame(
        [
            {
                "what": label,
                "mean": test.mean,
                "year": test.mean * item.periods_per_year,
                "interval": f"{percent(1)(test.low * item.periods_per_year)} to "
                f"{percent(1)(test.high * item.periods_per_year)}",
                "t_newey_west": test.t_newey_west,
                "t_non_overlapping": test.t_non_overlapping,
                "positive": test.positive,
            }
            for label, test in (
                ("top less bottom, before costs", item.spread),
                ("top less bottom, after costs", item.spread_net),
                ("top less all placed names", item.top_excess),
            )
        ]
    )
    test_columns = (
        Column("what", "", text, numeric=False),
        Column("mean", "Per period", percent(3)),
        Column("year", "A year", percent(1), "arithmetic"),
        Column("interval", "Interval, a year", text),
        Column("t_newey_west", "t (NW)", number(2)),
        Column("t_non_overlapping", "t (apart)", number(2)),
        Column("positive", "Hit rate", percent(1)),
    )
    blocks: list[Block] = [
        table(
            "Spreads",
            tests,
            test_columns,
            note=f"Monotonicity (rank correlation of quantile and mean return): {number(2)(item.monotonicity)}.",
        ),
        Chart(
            "Excess return by quantile",
            figures.quantile_bars(signal),
            "A year, over the mean of all; Q1 holds the lowest scores.",
            is_half=True,
        ),
        Chart("Top less bottom", figures.spread_curves(signal), "Running sum, not compounded.", is_half=True),
        Chart("Growth by quantile", figures.quantile_curves(signal), "Equal weights, back-to-back periods, no costs."),
        table("Quantiles", summaries, columns, is_folded=True),
    ]
    return Section(
        "quantiles",
        "Quantiles",
        "Names are placed by score alone, before their returns are known; shorting is assumed possible.",
        blocks,
    )


def decay_section(signal: SignalReport) -> Section:
    """Return how long the scores stay informative and how fast they change."""
    blocks: list[Block] = []
    if signal.decay.height:
        columns = (
            Column("period", "Periods ahead", count),
            Column("rank_ic", "RankIC", number(4)),
            Column("se", "Standard error", number(4), "Newey-West"),
            Column("t_newey_west", "t (NW)", number(2)),
            Column("n", "Dates", count),
        )
        note = "Against the single period so many ahead."
        blocks.append(
            Chart(
                "RankIC by periods ahead",
                figures.decay_bars(signal),
                f"{note} Bars: two standard errors.",
                is_half=True,
            )
        )
        blocks.append(Chart("Turnover", figures.turnover_lines(signal), "Per holding period.", is_half=True))
        blocks.append(table("Decay", signal.decay, columns, note=note))
    else:
        blocks.append(Chart("Turnover", figures.turnover_lines(signal), "Per holding period."))
    item = signal.headline.metrics()
    blocks.append(
        Text(
            f"Mean rank autocorrelation {number(3)(item['rank_autocorrelation'])}; on average "
            f"{percent(0)(item['top_turnover'])} of the top quantile is replaced each holding period."
        )
    )
    return Section("decay", "Decay and turnover", "How long a score stays good, and what it costs to follow.", blocks)


def months_section(signal: SignalReport) -> Section:
    """Return RankIC by month and by year."""
    columns = (
        Column("year", "Year", text),
        Column("n", "Dates", count),
        Column("mean", "RankIC", number(4)),
        Column("std", "Std", number(4)),
        Column("ir", "ICIR", number(3)),
        Column("positive", "Hit rate", percent(1)),
        Column("t_newey_west", "t (NW)", number(2)),
    )
    years = signal.monthly["year"].n_unique()
    months = signal.monthly.pivot(on="month", index="year", values="mean", aggregate_function="first").sort("year")
    month_columns = [
        Column("year", "Year", text),
        *(Column(str(k), name, number(3)) for k, name in enumerate(figures.MONTHS, start=1)),
    ]
    blocks: list[Block] = [
        Chart("Mean RankIC by month", figures.monthly_heat(signal), height=90 + 30 * years),
        table("By year", signal.yearly, columns),
        table("By month", months, month_columns, is_folded=True),
        *season_blocks(signal),
    ]
    return Section("months", "Months and years", "Whether the skill belongs to a season or to a few years.", blocks)


def settings_text(signal: SignalReport) -> str:
    """Return the settings of the evaluation in one line."""
    return ", ".join(
        f"{key} {significant(v) if isinstance(v, float) else v}" for key, v in signal.settings.dump().items()
    )
