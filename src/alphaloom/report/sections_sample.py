"""The section on what went in and where it went."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from alphaloom.evaluation.signal import SignalReport
from alphaloom.report import figures
from alphaloom.report.content import Block, Chart, Column, Section, Table, count, number, percent, table, text


def ledger_table(signal: SignalReport) -> Table:
    """Return where every member of the sample went, one row a horizon."""
    rows = [
        {"horizon": figures.horizon_label(name, item), **item.ledger, "share": item.ledger["used"] / max(1, total)}
        for name, item in signal.horizons.items()
        for total in (item.ledger["members"],)
    ]
    columns = (
        Column("horizon", "Horizon", text, numeric=False),
        Column("members", "Members", count, "cells (date and name) that may count"),
        Column("no_score", "No score", count),
        Column("beyond_data", "Return not complete", count, "it ends after the last decision or the last date"),
        Column("no_return", "No price at entry or exit", count, "suspended, delisted or not traded"),
        Column("thin_date", "Date too thin", count, "too few names or no variation that day"),
        Column("used", "Used", count),
        Column("share", "Share", percent(1)),
    )
    note = "Members = used + every reason, exactly."
    if signal.outside:
        note += f" {count(signal.outside)} more scores were of names outside the universe and left out before."
    return table("Sample ledger", pl.DataFrame(rows), columns, note=note)


def sample_section(signal: SignalReport, universe: pl.DataFrame, data: Mapping[str, Any]) -> Section:
    """Return what went in, what came out and why."""
    blocks: list[Block] = [ledger_table(signal)]
    if universe.height:
        rules = [name for name in universe.columns if name not in {"date", "candidates", "left"}]
        yearly = (
            universe.group_by(pl.col("date").dt.year().alias("year"))
            .agg(pl.exclude("date").cast(pl.Float64).mean())
            .sort("year")
        )
        columns = [
            Column("year", "Year", text),
            Column("candidates", "Candidates", count),
            *(Column(rule, f"− {rule.replace('_', ' ')}", number(1)) for rule in rules),
            Column("left", "Left", count),
        ]
        note = "Mean a day. A name is counted at the first rule that removes it."
        blocks.append(Chart("Names in the universe", figures.universe_lines(universe), height=240))
        blocks.append(table("Universe by year", yearly, columns, note=note))
    if data:
        frame = pl.DataFrame({"what": list(data), "value": [_fact(value) for value in data.values()]})
        what = (Column("what", "", text, numeric=False), Column("value", "", text, numeric=False))
        blocks.append(table("Data", frame, what))
    return Section("sample", "Sample and data", "Where every observation went before anything was measured.", blocks)


def _fact(value: Any) -> str:
    """Return a fact about the data: large whole numbers with thousands separated."""
    return count(value) if isinstance(value, int) and abs(value) > 9999 else text(value)
