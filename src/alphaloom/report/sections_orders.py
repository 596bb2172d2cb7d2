"""The section on orders: what was wanted, filled and left, for which reasons, and which limits gave way before."""

from collections.abc import Mapping

import polars as pl

from alphaloom.backtest.result import UNFILLED_REASONS, BacktestResult
from alphaloom.report.content import (
    Block,
    Column,
    Section,
    Table,
    Text,
    count,
    number,
    percent,
    significant,
    table,
    text,
)

WORST = 12
RELAXATIONS_SHOWN = 200
UNSPENT = 1e-6
"""Weight beyond which cash counts as unspent."""
MEANINGS = {
    "suspended": "the stock did not trade that day",
    "limit_up": "no trade lay below the upper limit",
    "limit_down": "no trade lay above the lower limit",
    "no_price": "the stock traded, but the price of the fill is unknown",
    "delisted": "the stock's bars had ended",
    "participation": "beyond the share of the day's volume that an order may take",
    "short": "shares may not be borrowed that day, or at all",
    "cash": "there was no money left; all purchases of the day shrink alike",
    "lot": "less than a lot, or between two lots",
}


def orders_section(
    portfolios: Mapping[str, BacktestResult], decisions: Mapping[str, pl.DataFrame] | None = None
) -> Section:
    """Return orders, what was left unfilled and why, and the relaxations of the optimiser, by portfolio.

    `decisions` are the notes on each portfolio's decisions; columns `excess_LIMIT` say by how much a limit gave way.
    """
    blocks: list[Block] = []
    for name, result in portfolios.items():
        blocks.append(trades_table(name, result))
        blocks.append(unfilled_table(name, unfilled_frame(result)))
        worst = worst_orders(result)
        if worst.height:
            blocks.append(table(f"Largest orders left unfilled: {name}", worst, WORST_COLUMNS, is_folded=True))
        blocks += relaxation_blocks(name, (decisions or {}).get(name))
        blocks += unspent_blocks(name, (decisions or {}).get(name))
    lead = "Every order's wanted shares are those filled plus those unfilled, each with its reason."
    return Section("orders", "Orders", lead, blocks)


def trades_table(name: str, result: BacktestResult) -> Table:
    """Return fills by side and kind: number, value and what they cost."""
    costs = ["commission", "duty", "transfer_fee", "slippage", "impact"]
    frame = (
        result.fills.group_by("side", "kind")
        .agg(pl.len().alias("trades"), pl.col("value", *costs).sum())
        .sort("side", "kind")
        .with_columns((1e4 * pl.sum_horizontal(costs) / pl.col("value")).alias("bps"))
    )
    columns = (
        Column("side", "Side", text, numeric=False),
        Column("kind", "Kind", text, "carried: what was left of an earlier day's order", numeric=False),
        Column("trades", "Fills", count),
        Column("value", "Value", count),
        *(Column(key, key.replace("_", " ").capitalize(), count) for key in costs),
        Column("bps", "All costs, bps", number(1)),
    )
    return table(f"Fills: {name}", frame, columns)


def unfilled_frame(result: BacktestResult) -> pl.DataFrame:
    """Return by side and reason: orders with shares never filled, their value, and its share of all wanted value.

    Counted on each order's last attempt, so that what is carried and filled later does not count.
    """
    placed = result.orders.filter(pl.col("kind") != "delisted")
    first = placed.filter(pl.col("attempt") == 1)
    wanted = first.group_by("side").agg((pl.col("wanted") * pl.col("reference")).sum().alias("wanted_value"))
    last = placed.unique(["decision", "symbol"], keep="last", maintain_order=True)
    columns = [f"unfilled_{reason}" for reason in UNFILLED_REASONS]
    return (
        last.select("side", "reference", *columns)
        .unpivot(on=columns, index=["side", "reference"], variable_name="reason", value_name="shares")
        .filter(pl.col("shares") > 0)
        .with_columns(pl.col("reason").str.strip_prefix("unfilled_"))
        .group_by("side", "reason")
        .agg(
            pl.len().alias("orders"),
            pl.col("shares").sum(),
            (pl.col("shares") * pl.col("reference")).sum().alias("value"),
        )
        .join(wanted, on="side")
        .with_columns((pl.col("value") / pl.col("wanted_value")).alias("share"))
        .sort("side", "value", descending=[False, True])
        .select("side", "reason", "orders", "shares", "value", "share")
    )


def unfilled_table(name: str, frame: pl.DataFrame) -> Table:
    """Return the table of an `unfilled_frame` with what each reason means."""
    meaning = pl.Series([MEANINGS[reason] for reason in frame["reason"]], dtype=pl.String)
    columns = (
        Column("side", "Side", text, numeric=False),
        Column("reason", "Reason", lambda value: text(value).replace("_", " "), numeric=False),
        Column("orders", "Orders", count, "orders of which shares were never filled for this reason"),
        Column("shares", "Shares", count),
        Column("value", "Value", count),
        Column("share", "Of all wanted", percent(2), "of the value of all orders of that side"),
        Column("meaning", "Meaning", text, numeric=False),
    )
    return table(f"Unfilled: {name}", frame.with_columns(meaning.alias("meaning")), columns)


WORST_COLUMNS = (
    Column("date", "Date", text, numeric=False),
    Column("decision", "Decided", text, numeric=False),
    Column("symbol", "Symbol", text, numeric=False),
    Column("side", "Side", text, numeric=False),
    Column("kind", "Kind", text, numeric=False),
    Column("wanted", "Wanted", count, "shares"),
    Column("filled", "Filled", count, "shares"),
    Column("unfilled", "Unfilled", count, "shares"),
    Column("reason", "Main reason", lambda value: text(value).replace("_", " "), numeric=False),
    Column("value", "Value unfilled", count),
)


def worst_orders(result: BacktestResult) -> pl.DataFrame:
    """Return the orders with the largest value unfilled, remainders of lots aside."""
    left = (pl.col("unfilled") - pl.col("unfilled_lot")) * pl.col("reference")
    return (
        result.orders.filter(pl.col("kind") != "delisted")
        .with_columns(left.alias("value"))
        .filter(pl.col("value") > 0)
        .sort("value", descending=True)
        .head(WORST)
    )


def unspent_blocks(name: str, decisions: pl.DataFrame | None) -> list[Block]:
    """Return what found no place in the stocks chosen, where a portfolio's decisions tell of it (`unspent`)."""
    if decisions is None or "unspent" not in decisions.columns:
        return []
    mean, p1 = decisions.mean().row(0, named=True), percent(1)
    short = decisions.filter(pl.col("unspent") > UNSPENT).height
    return [
        Text(
            f"{name}: of {number(1)(mean['chosen'])} stocks chosen a decision, {number(1)(mean['filled'])} got money "
            f"and {number(1)(mean['at_limit'])} all that their trading bears; together they could take "
            f"{count(mean['capacity'])} on average. {p1(mean['unspent'])} of the capital stayed unspent on average, "
            f"{p1(decisions['unspent'].max())} at most; some did on {count(short)} of {count(decisions.height)} dates."
        )
    ]


def relaxations(decisions: pl.DataFrame | None) -> pl.DataFrame:
    """Return `date, constraint, amount` of every limit that gave way, from the notes on a portfolio's decisions."""
    schema = pl.Schema({"date": pl.Date, "constraint": pl.String, "amount": pl.Float64})
    columns = [] if decisions is None else [name for name in decisions.columns if name.startswith("excess_")]
    if decisions is None or not columns:
        return pl.DataFrame(schema=schema)
    return (
        decisions.select("date", *columns)
        .unpivot(on=columns, index="date", variable_name="constraint", value_name="amount")
        .filter(pl.col("amount") > 0)
        .with_columns(pl.col("constraint").str.strip_prefix("excess_"))
        .sort("date", "constraint")
        .cast(schema)
    )


def relaxation_blocks(name: str, decisions: pl.DataFrame | None) -> list[Block]:
    """Return how often which limit gave way and by how much, and the dates; a sentence when none did."""
    found = relaxations(decisions)
    if decisions is None or not any(column.startswith("excess_") for column in decisions.columns):
        return []
    if not found.height:
        return [Text(f"{name}: every limit of the optimiser held on all {count(decisions.height)} dates.")]
    summary = (
        found.group_by("constraint")
        .agg(
            pl.len().alias("dates"),
            (pl.len() / decisions.height).alias("share"),
            pl.col("amount").mean().alias("mean"),
            pl.col("amount").max().alias("most"),
        )
        .sort("dates", descending=True)
    )
    sums = (
        Column("constraint", "Limit", text, numeric=False),
        Column("dates", "Dates", count, "on which it could not be kept"),
        Column("share", "Of all", percent(1)),
        Column("mean", "Mean amount", significant, "by which it was exceeded, in its own unit"),
        Column("most", "Largest", significant),
    )
    each = (
        Column("date", "Date", text, numeric=False),
        Column("constraint", "Limit", text, numeric=False),
        Column("amount", "Exceeded by", significant),
    )
    note = "" if found.height <= RELAXATIONS_SHOWN else f"The first {RELAXATIONS_SHOWN} of {count(found.height)}."
    return [
        table(f"Limits that gave way: {name}", summary, sums),
        table(f"Limits by date: {name}", found.head(RELAXATIONS_SHOWN), each, note=note, is_folded=True),
    ]
