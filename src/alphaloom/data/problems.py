"""Rules on single rows: what may never enter the store, and what is only reported."""

from dataclasses import dataclass

import polars as pl

PRICES = ("open", "high", "low", "close")
REASON = "reason"
ROUNDING = 1e-6
"""Relative difference between points of an index that is put down to float32."""


@dataclass(frozen=True)
class RowRule:
    """One way in which a row can be wrong: its name, the columns it reads, and where it is."""

    name: str
    needs: tuple[str, ...]
    wrong: pl.Expr


def _any(*tests: pl.Expr) -> pl.Expr:
    return pl.any_horizontal([test.fill_null(value=False) for test in tests])


REFUSED: dict[str, tuple[RowRule, ...]] = {
    "bars": (
        *(RowRule(f"{name} not above zero", (name,), pl.col(name) <= 0) for name in PRICES),
        RowRule("high below low", ("high", "low"), pl.col("high") < pl.col("low")),
        RowRule("negative volume", ("volume",), pl.col("volume") < 0),
        RowRule("negative amount", ("amount",), pl.col("amount") < 0),
        RowRule("adj_factor not above zero", ("adj_factor",), pl.col("adj_factor") <= 0),
        RowRule("negative turnover", ("turnover",), pl.col("turnover") < 0),
    ),
    "index_bars": (RowRule("close not above zero", ("close",), pl.col("close") <= 0),),
    "index_weights": (
        RowRule("weight outside 0 to 1 (a fraction is wanted)", ("weight",), ~pl.col("weight").is_between(0, 1)),
    ),
    "listing": (
        RowRule("delisted before listed", ("list_date", "delist_date"), pl.col("delist_date") < pl.col("list_date")),
    ),
}
"""Rows that the store refuses, by table; an import may set them aside instead."""

REPORTED: dict[str, tuple[RowRule, ...]] = {
    "bars": (
        RowRule(
            "high below open or close",
            PRICES,
            (pl.col("high") >= pl.col("low")) & _any(pl.col("high") < pl.col("open"), pl.col("high") < pl.col("close")),
        ),
        RowRule(
            "low above open or close",
            PRICES,
            (pl.col("high") >= pl.col("low")) & _any(pl.col("low") > pl.col("open"), pl.col("low") > pl.col("close")),
        ),
        RowRule(
            "traded without a price",
            (*PRICES, "volume"),
            (pl.col("volume") > 0) & pl.any_horizontal([pl.col(name).is_null() for name in PRICES]),
        ),
        RowRule("volume without amount", ("volume", "amount"), (pl.col("volume") > 0) & (pl.col("amount") == 0)),
        RowRule(
            "amount / volume outside low to high by more than 0.2 % + 0.01",
            ("volume", "amount", "high", "low"),
            (pl.col("volume") > 0)
            & _any(
                pl.col("amount") / pl.col("volume") > pl.col("high") * 1.002 + 0.01,
                pl.col("amount") / pl.col("volume") < pl.col("low") * 0.998 - 0.01,
            ),
        ),
        RowRule("turnover above 100 %", ("turnover",), pl.col("turnover") > 1),
    ),
    "index_bars": (
        RowRule(
            "high or low inside open to close",
            PRICES,
            _any(
                pl.col("high") < pl.max_horizontal("open", "close") * (1 - ROUNDING),
                pl.col("low") > pl.min_horizontal("open", "close") * (1 + ROUNDING),
            ),
        ),
    ),
    "fundamentals": (
        RowRule(
            "announced before the period ended",
            ("announce_date", "period_end"),
            pl.col("announce_date") < pl.col("period_end"),
        ),
    ),
}
"""Rows that a health check counts and that stay in the store."""


def rules_for(table: str, columns: list[str], rules: dict[str, tuple[RowRule, ...]]) -> list[RowRule]:
    """Return the rules of a table whose columns are all present."""
    return [rule for rule in rules.get(table, ()) if all(name in columns for name in rule.needs)]


def split_refused(table: str, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return `(good, refused)` rows; the refused ones with a column `reason`: all rules a row breaks, by "; "."""
    rules = rules_for(table, frame.columns, REFUSED)
    tests = [rule.wrong.fill_null(value=False) for rule in rules]
    wrong = frame.filter(pl.any_horizontal(tests)) if tests else frame.clear()
    if wrong.is_empty():
        return frame, frame.clear().with_columns(pl.lit("").alias(REASON))
    names = [pl.when(test).then(pl.lit(rule.name)) for rule, test in zip(rules, tests, strict=True)]
    reason = pl.concat_str(names, separator="; ", ignore_nulls=True).alias(REASON)
    return frame.filter(~pl.any_horizontal(tests)), wrong.with_columns(reason)


def summarise(wrong: pl.DataFrame, key: list[str]) -> str:
    """Return one line a reason: how many rows, and the first of them."""
    lines = []
    for (reason,), rows in wrong.partition_by(REASON, as_dict=True, maintain_order=True).items():
        first = rows.row(0, named=True)
        where = " ".join(str(first[name]) for name in key)
        values = ", ".join(f"{n} {first[n]:g}" for n in (*PRICES, "volume", "adj_factor") if first.get(n) is not None)
        lines.append(f"{rows.height} x {reason}, first {where}" + (f" ({values})" if values else ""))
    return "\n  ".join(lines)
