"""What a page is made of: sections of paragraphs, tables, charts and preformatted text."""

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import polars as pl

NONE = "–"
"""Shown where a value is missing or undefined."""


@dataclass(frozen=True)
class Column:
    """One column of a table: where it comes from, its heading, how it is written, and what it means."""

    key: str
    title: str
    form: Callable[[Any], str]
    meaning: str = ""
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """Rows of text under headings; `meanings` are shown on hover and `note` beneath.

    `links`, one a row or none at all, are addresses that the first cells lead to; an empty one is no link.
    """

    caption: str
    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[bool]
    meanings: Sequence[str]
    note: str = ""
    is_folded: bool = False
    links: Sequence[str] = ()


@dataclass(frozen=True)
class Chart:
    """A Plotly figure with its title and a sentence on how to read it; `height` in pixels."""

    title: str
    figure: Any
    note: str = ""
    height: int = 340
    is_half: bool = False


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Code:
    """Preformatted text, folded under its title."""

    title: str
    text: str


Block: TypeAlias = Table | Chart | Text | Code


@dataclass(frozen=True)
class Section:
    """A part of the page with its heading and one sentence that introduces it."""

    key: str
    title: str
    lead: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Figure:
    """A headline number: what it is, its value, and its uncertainty or definition."""

    label: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class Page:
    """Everything on a page, in order; `grade` is `strong`, `weak`, `none`, `wrong`, `leaked` or `plain`."""

    title: str
    subtitle: str
    grade: str
    verdict: str
    findings: Sequence[str]
    figures: Sequence[Figure]
    sections: Sequence[Section]
    footer: Mapping[str, str] = field(default_factory=dict)


def number(digits: int = 3) -> Callable[[Any], str]:
    """Return a writer of numbers with so many decimals and a true minus sign."""

    def write(value: Any) -> str:
        if _missing(value):
            return NONE
        return f"{float(value):,.{digits}f}".replace("-", "−")

    return write


def percent(digits: int = 1) -> Callable[[Any], str]:
    """Return a writer of fractions as percentages."""

    def write(value: Any) -> str:
        return NONE if _missing(value) else f"{100 * float(value):,.{digits}f}\u00a0%".replace("-", "−")

    return write


def count(value: Any) -> str:
    """Return a whole number with thousands separated."""
    return NONE if _missing(value) else f"{round(float(value)):,}".replace("-", "−")


def text(value: Any) -> str:
    """Return a value as it stands; dates as 2024-12-31."""
    if _missing(value):
        return NONE
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    return str(value)


def probability(value: Any) -> str:
    """Return a probability with three decimals, or as a bound when it is smaller."""
    if _missing(value):
        return NONE
    return "< 0.001" if float(value) < 0.001 else f"{float(value):.3f}"


def significant(value: Any) -> str:
    """Return a number of unknown size with about four significant digits."""
    if _missing(value):
        return NONE
    x = float(value)
    if x == round(x) and abs(x) < 1e7:
        return f"{x:,.0f}".replace("-", "−")
    return f"{x:,.4g}".replace("-", "−")


def table(
    caption: str,
    frame: pl.DataFrame,
    columns: Sequence[Column],
    *,
    note: str = "",
    is_folded: bool = False,
    links: Sequence[str] = (),
) -> Table:
    """Return the table of those columns that the frame has, in the order given; `links` lead from the rows' heads."""
    shown = [column for column in columns if column.key in frame.columns]
    cells = [[column.form(value) for value in frame[column.key].to_list()] for column in shown]
    return Table(
        caption,
        [column.title for column in shown],
        list(zip(*cells, strict=True)),
        [column.numeric for column in shown],
        [column.meaning for column in shown],
        note,
        is_folded,
        links,
    )


def any_table(caption: str, frame: pl.DataFrame, *, note: str = "", is_folded: bool = False) -> Table:
    """Return the table of every column of a frame of unknown make; numbers get about four significant digits."""
    columns = [
        Column(
            name,
            name.replace("_", " "),
            count if dtype.is_integer() and name != "year" else significant if dtype.is_float() else text,
            numeric=dtype.is_numeric(),
        )
        for name, dtype in frame.schema.items()
    ]
    return table(caption, frame, columns, note=note, is_folded=is_folded)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))
