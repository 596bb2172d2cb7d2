"""Mistakes in an expression, shown under the characters that they are about."""

import unicodedata
from dataclasses import dataclass

from alphaloom.errors import SettingError

_WIDEST = 100
"""Columns of a line that a message shows."""


class ExpressionError(SettingError):
    """An expression cannot be read, or means nothing; the message points at the characters."""


@dataclass(frozen=True, slots=True)
class Place:
    """Part of a text: a line (from 0) and characters `start` up to `end` of it."""

    line: int
    start: int
    end: int


def point_at(text: str, place: Place, message: str) -> ExpressionError:
    """Return the error that shows the line, carets under the place, and the message.

    >>> print(point_at("close + volme", Place(0, 8, 13), "there is no field 'volme'"))
    close + volme
            ^^^^^
    there is no field 'volme'
    """
    lines = text.split("\n")
    line = lines[place.line] if place.line < len(lines) else ""
    start = min(place.start, len(line))
    end = max(min(place.end, len(line)), start + 1)
    if len(line) > _WIDEST:
        left = max(0, start - _WIDEST // 2)
        right = min(len(line), left + _WIDEST)
        before = "... " if left else ""
        line = before + line[left:right] + (" ..." if right < len(line) else "")
        start, end = start - left + len(before), min(end, right) - left + len(before)
    marks = "".join(_blank(character) for character in line[:start])
    carets = "^" * max(1, sum(len(_blank(character)) for character in line[start:end]))
    return ExpressionError(f"{line}\n{marks}{carets}\n{message}")


def _blank(character: str) -> str:
    """Return white space as wide as a character: Chinese ones take two columns."""
    if character == "\t":
        return "\t"
    if unicodedata.combining(character):
        return ""
    return "  " if unicodedata.east_asian_width(character) in {"W", "F"} else " "
