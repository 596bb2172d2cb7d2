"""Factors: some 130 price, volume and fundamental factors of the literature, by group."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from alphaloom.features.base import features
from alphaloom.features.written import ExpressionFamily

Group = Literal[
    "momentum", "reversal", "volatility", "liquidity", "size", "sentiment", "value", "growth", "quality", "multiples"
]
OF_BARS: tuple[Group, ...] = ("momentum", "reversal", "volatility", "liquidity", "size", "sentiment")
"""Groups that need daily bars with turnover alone."""
OF_STATEMENTS: tuple[Group, ...] = ("value", "growth", "quality")
"""Groups that need announced figures: book, earnings_ttm, sales_ttm, cash_flow_ttm, debt, total_assets."""


class Factor(NamedTuple):
    """One factor: its expression, what it means in a line, and where it comes from."""

    text: str
    meaning: str
    source: str


@cache
def library() -> Mapping[str, Mapping[str, Factor]]:
    """Return the factors by group and name, from `factors.toml`."""
    tables = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return MappingProxyType(
        {
            group: MappingProxyType(
                {
                    name: Factor(" ".join(item["text"].split()), item["meaning"], item["source"])
                    for name, item in table.items()
                }
            )
            for group, table in tables.items()
        }
    )


@features.register("factors")
class Factors(ExpressionFamily):
    """Factors that the literature and handbooks of stock picking know, chosen by group.

    Each is listed with its expression, meaning and source in `docs/reference/factors.md` (and in `factors.toml`). The
    groups by default need daily bars with turnover; `value`, `growth` and `quality` need announced figures, known at
    their announcement; `multiples` a vendor's ratios in the bars. Raw values: winsorise, neutralise and standardise
    them with transforms. NaN where fewer than about half of a window's values are known. Knowable at the row's close.
    """

    groups: Annotated[tuple[Group, ...], Field(min_length=1)] = OF_BARS
    """Groups of factors, in the order wanted."""

    def expressions(self) -> dict[str, str]:
        """Return the expressions by name, group by group."""
        return {name: factor.text for group in dict.fromkeys(self.groups) for name, factor in library()[group].items()}


def factor_table() -> str:
    """Return the library as a page of Markdown, one table a group."""
    total = sum(len(group) for group in library().values())
    introduction = (
        f"The {total} factors of the feature family `factors`, written in the [factor language](operators.md). A month "
        "is 21 rows, a year 252; of announced figures a year is 243 rows and a quarter 61, which compares what is "
        "known now with what was known then."
    )
    parts = [f"# Factors\n\n{introduction}\n"]
    for group, table in library().items():
        rows = [
            f"| `{name}` | {factor.meaning} | `{factor.text.replace('|', chr(92) + '|')}` | {factor.source} |"
            for name, factor in table.items()
        ]
        head = f"## {group.capitalize()}\n\n| factor | meaning | expression | source |\n|---|---|---|---|\n"
        parts.append(head + "\n".join(rows) + "\n")
    return "\n".join(parts)
