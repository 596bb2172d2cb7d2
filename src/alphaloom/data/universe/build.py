"""Rules to a universe, with a ledger of what each rule removed."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from alphaloom.data.universe.base import UniverseRule
from alphaloom.errors import DataError
from alphaloom.panel import Panel


def required_fields(rules: Sequence[UniverseRule]) -> list[str]:
    """Return the panel fields that the rules and the count of candidates read, sorted, each once."""
    return sorted({"is_listed", *(name for rule in rules for name in rule.required)})


def max_lookback(rules: Sequence[UniverseRule]) -> int:
    """Return how many rows before t the universe at t may read."""
    return max((rule.lookback for rule in rules), default=0)


def build_universe(rules: Sequence[UniverseRule], panel: Panel) -> tuple[Panel, pl.DataFrame]:
    """Return the panel with the universe that the rules leave of all listed stocks, and the ledger.

    The ledger has one row a date: `date`, `candidates` (stocks listed), one column a rule with the number of stocks
    that it removed, `left`. A stock is counted at the first rule that removes it, so
    candidates - removed by each = left. A rule used twice has its second column named `name_2`.

    Raises:
        DataError: no stock is left on any date; the message names the rule that removed most.
        MissingFieldError: the panel lacks a field that a rule reads.
    """
    left = panel["is_listed"] == 1
    ledger: dict[str, pl.Series] = {
        "date": pl.Series(panel.dates).cast(pl.Date),
        "candidates": _count(left),
    }
    removed: dict[str, int] = {}
    for rule in rules:
        out = left & ~rule.keep(panel)
        name = _column(rule.name, ledger)
        ledger[name] = _count(out)
        removed[name] = int(out.sum())
        left = left & ~out
    ledger["left"] = _count(left)
    if not left.any():
        raise DataError(_empty(panel, removed, int(ledger["candidates"].sum())))
    return panel.with_universe(left), pl.DataFrame(ledger)


def _count(mask: np.ndarray) -> pl.Series:
    return pl.Series(mask.sum(axis=1, dtype=np.int32))


def _column(name: str, taken: dict[str, pl.Series]) -> str:
    column, k = name, 1
    while column in taken or column == "left":
        k += 1
        column = f"{name}_{k}"
    return column


def _empty(panel: Panel, removed: dict[str, int], candidates: int) -> str:
    T, N = panel.shape
    span = f" between {panel.dates[0]} and {panel.dates[-1]}" if T else ""
    if candidates == 0:
        return f"The universe is empty: none of the panel's {N} stocks is listed on any of its {T} dates{span}."
    most = max(removed, key=lambda name: removed[name])
    each = ", ".join(f"{name} {count:,}" for name, count in removed.items())
    return (
        f"The universe is empty{span}: the rules remove all {candidates:,} stock-days, {most!r} most of them. "
        f"Removed by rule: {each}. Loosen {most!r} or check the field it reads."
    )
