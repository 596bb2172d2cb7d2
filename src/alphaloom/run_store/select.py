"""Which runs of a list, in which order."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from alphaloom.errors import UsageError, unknown_name
from alphaloom.run_store.row import NUMBERS, RunRow

CONDITION = re.compile(r"(\w+)\s*(<=|>=|!=|=|<|>|~)\s*(.*)", re.DOTALL)
SIGNS = {"=": "IS", "!=": "IS NOT", "<": "<", ">": ">", "<=": "<=", ">=": ">="}
SORTABLE = tuple(field.name for field in fields(RunRow) if field.name not in {"run", "tags", "problem"})
FILTERED = tuple(field.name for field in fields(RunRow) if field.name not in {"run", "tags"})
WORDS = " || ' ' || ".join(f"coalesce({name}, '')" for name in ("name", "recipe", "verdict", "tags"))


@dataclass(frozen=True)
class Selection:
    """Filters that must all hold, and an order.

    Attributes:
        filters: texts such as `rank_ic>0.02`, `status=done`, `recipe~alpha` (contains).
        tags: a run must have all of them.
        text: must occur in name, recipe, verdict or a tag.
        sort: column; runs without a value stand last. `-rank_ic` begins with the greatest.
    """

    filters: Sequence[str] = ()
    tags: Sequence[str] = ()
    text: str = ""
    sort: str = "name"

    def sql(self) -> tuple[str, str, list[Any]]:
        """Return WHERE, ORDER BY and the values between them; names come from the table alone, never from the text.

        Raises:
            UsageError: a filter of another form, or a comparison by size with what is no number.
            UnknownNameError: no such column.
        """
        clauses, values = [], list[Any]()
        for condition in self.filters:
            clause, value = _clause(condition)
            clauses.append(clause)
            values.append(value)
        for tag in self.tags:
            clauses.append("EXISTS (SELECT 1 FROM json_each(tags) WHERE json_each.value = ?)")
            values.append(tag)
        if self.text:
            clauses.append(f"instr(lower({WORDS}), lower(?)) > 0")
            values.append(self.text)
        where = f"WHERE {' AND '.join(clauses)}" if clauses else ""
        column = self.sort.removeprefix("-")
        if column not in SORTABLE:
            raise unknown_name("column", column, SORTABLE, "sort")
        way = "DESC" if self.sort.startswith("-") else "ASC"
        return where, f"ORDER BY {column} IS NULL, {column} {way}, name", values


def _clause(condition: str) -> tuple[str, Any]:
    found = CONDITION.fullmatch(condition.strip())
    if found is None:
        raise UsageError(f"The filter {condition!r} must look like rank_ic>0.02, status=done or recipe~alpha.")
    column, sign, raw = found.groups()
    if column not in FILTERED:
        raise unknown_name("column", column, FILTERED, f"filter {condition!r}")
    if sign == "~":
        return f"instr(lower({column}), lower(?)) > 0", raw
    if column in NUMBERS:
        try:
            return f"{column} {SIGNS[sign]} ?", float(raw)
        except ValueError:
            raise UsageError(f"The filter {condition!r} compares with {raw!r}, which is no number.") from None
    return f"{column} {SIGNS[sign]} ?", raw
