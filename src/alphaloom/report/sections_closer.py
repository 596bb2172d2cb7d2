"""Closer looks at scores: weighted, by industry, without styles, by season."""

from alphaloom.evaluation.season import monthly_season, seasonal_strength
from alphaloom.evaluation.signal import SignalReport
from alphaloom.report.content import (
    Block,
    Column,
    Section,
    Text,
    count,
    number,
    percent,
    probability,
    table,
    text,
)


def closer_section(signal: SignalReport) -> Section:
    """Return the signal weighted by size and traded value, within industries, and without what styles explain."""
    item = signal.headline
    blocks: list[Block] = []
    columns: tuple[Column, ...]
    if signal.neutral is not None:
        plain, left = item.rank_ic, signal.neutral
        blocks.append(
            Text(
                f"RankIC {number(4)(plain.mean)}; with industries and styles taken out of the scores "
                f"{number(4)(left.mean)} ({number(4)(left.low)} to {number(4)(left.high)}), Newey-West t "
                f"{number(1)(left.t_newey_west)} (p {probability(left.p_newey_west)})."
            )
        )
    if signal.exposures.height:
        columns = (
            Column("style", "Style", text, numeric=False),
            Column("exposure", "Exposure", number(3), "mean rank correlation of score and style"),
            Column("exposure_std", "Std", number(3), "over dates"),
            Column("rank_ic_of_style", "RankIC of the style", number(4), "of the style alone with returns"),
        )
        blocks.append(table("Exposures of the scores", signal.exposures, columns))
    if signal.weighted.height:
        columns = (
            Column("horizon", "Horizon", text, numeric=False),
            Column("weights", "Weighted by", text, numeric=False),
            Column("ic", "IC", number(4), "mean weighted Pearson correlation"),
            Column("ic_t", "t (NW)", number(2)),
            Column(
                "spread", "Spread", percent(3), "weighted top less bottom quantile, per holding period, before costs"
            ),
            Column("spread_t", "t (NW)", number(2)),
            Column("n", "Dates", count),
        )
        blocks.append(table("Weighted", signal.weighted, columns, note="Names are placed as without weights."))
    if signal.groups.height:
        columns = (
            Column("group", "Industry", text, numeric=False),
            Column("names", "Names", number(1), "mean number with score and return"),
            Column("rank_ic", "RankIC", number(4), "within the industry"),
            Column("se", "Standard error", number(4), "Newey-West"),
            Column("t", "t (NW)", number(2)),
            Column("spread", "Upper less lower half", percent(3), "per holding period, before costs"),
            Column("n", "Dates", count),
        )
        note = "Dates on which an industry has under five names do not count for it."
        blocks.append(table("By industry", signal.groups, columns, note=note, is_folded=signal.groups.height > 12))
    return Section("closer", "Closer looks", "Where the skill sits, and what of it is a style.", blocks)


def season_blocks(signal: SignalReport) -> list[Block]:
    """Return the seasonal decomposition of monthly RankIC; nothing where there are too few months."""
    season = monthly_season(signal.monthly)
    if season.is_empty():
        return []
    columns = (
        Column("year", "Year", text),
        Column("month", "Month", text),
        *(Column(key, key.capitalize(), number(4)) for key in ("mean", "trend", "season", "rest")),
    )
    strength = number(2)(seasonal_strength(season))
    return [
        Text(
            f"Taken apart by STL, robust, twelve months: strength of the season {strength}, from 0 (none) to 1. Few "
            "years make some season out of nothing."
        ),
        table("Trend, season and rest of monthly RankIC", season, columns, is_folded=True),
    ]
