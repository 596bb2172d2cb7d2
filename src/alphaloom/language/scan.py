"""The text of an expression before it is parsed: its size, characters and brackets, and Python's syntax tree of it."""

import ast
import warnings

from alphaloom.language.mistake import ExpressionError, Place, point_at

LONGEST_TEXT = 20_000
"""Characters."""
DEEPEST = 200
"""Brackets within brackets, and operations within operations."""
DOLLAR = "\u01c2"
"""Stands for `$` in names while Python reads the text: a letter, so that every character keeps its place."""
_PAIRS = {")": "(", "]": "[", "}": "{"}
_HINTS = {
    "?": "a conditional is written: a if condition else b",
    "&&": "both conditions is written: a and b, or a & b",
    "||": "either condition is written: a or b, or a | b",
    "!": "a condition that does not hold is written: not a; unequal: a != b",
}


def prepared(text: str) -> str:
    """Return the text with plain line ends, checked for size, odd characters and matching brackets.

    Raises:
        ExpressionError: it is empty, too long, too deep, or its brackets do not match.
    """
    if not isinstance(text, str):
        raise ExpressionError(f"an expression is a text, not {text!r}")
    if len(text) > LONGEST_TEXT:
        raise ExpressionError(f"an expression has at most {LONGEST_TEXT} characters; this one has {len(text)}")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise ExpressionError("the expression is empty")
    for at, character in enumerate(text):
        if character == DOLLAR or not (character.isprintable() or character in "\n\t"):
            raise point_at(text, _place(text, at), f"the character {character!r} has no place in an expression")
    _check_brackets(text)
    return text


def syntax_tree(text: str) -> ast.expr:
    """Return Python's tree of a prepared text; nothing of it is evaluated. Places in it are given by `place_of`.

    Raises:
        ExpressionError: it is no expression in Python's grammar.
    """
    source = "(" + text.replace("$", DOLLAR) + "\n)"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return ast.parse(source, mode="eval").body
    except SyntaxError as error:
        raise _syntax_mistake(text, error) from error
    except (RecursionError, MemoryError) as error:
        raise too_deep() from error
    except ValueError as error:
        raise ExpressionError(f"the expression cannot be read: {error}") from error


def place_of(text: str, node: ast.expr | ast.keyword) -> Place:
    """Return where a node of the tree stands in the text: its part on its first line."""
    line = node.lineno - 1
    row = text.split("\n")[line].replace("$", DOLLAR)
    shift = int(line == 0)  # the bracket that was put before the text
    start = _characters(row, max(0, node.col_offset - shift))
    end = len(row)
    if node.end_lineno == node.lineno and node.end_col_offset is not None:
        end = _characters(row, node.end_col_offset - shift)
    return Place(line, start, end)


def too_deep() -> ExpressionError:
    """Return the error of an expression that is nested too deeply."""
    return ExpressionError(f"the expression is nested too deeply; at most {DEEPEST} operations may stand in each other")


def _characters(row: str, column: int) -> int:
    """Return the character at a column that Python's tree gives in bytes."""
    return len(row.encode()[:column].decode(errors="ignore"))


def _syntax_mistake(text: str, error: SyntaxError) -> ExpressionError:
    line = max((error.lineno or 1) - 1, 0)
    if line > text.count("\n"):
        ending = len(text.rstrip())
        return point_at(text, _place(text, ending), _explained(text, "something is missing at the end"))
    shift = 1 + (line == 0)
    start = max((error.offset or 1) - shift, 0)
    end = (error.end_offset or 0) - shift if error.end_lineno == error.lineno else start + 1
    return point_at(text, Place(line, start, end), _explained(text, error.msg))


def _explained(text: str, message: str) -> str:
    hints = [hint for mark, hint in _HINTS.items() if mark in text.replace("!=", "")]
    return "; ".join([message.replace(DOLLAR, "$"), *hints])


def _check_brackets(text: str) -> None:
    opened: list[int] = []
    quote = ""
    comment = False
    for at, character in enumerate(text):
        if character == "\n":
            quote, comment = "", False
        elif comment:
            continue
        elif quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character == "#":
            comment = True
        elif character in "([{":
            opened.append(at)
            if len(opened) > DEEPEST:
                raise point_at(text, _place(text, at), str(too_deep()))
        elif character in _PAIRS:
            if not opened or text[opened[-1]] != _PAIRS[character]:
                raise point_at(text, _place(text, at), f"this {character!r} closes no {_PAIRS[character]!r}")
            opened.pop()
    if opened:
        raise point_at(text, _place(text, opened[-1]), f"this {text[opened[-1]]!r} is never closed")


def _place(text: str, at: int) -> Place:
    line = text.count("\n", 0, at)
    start = at - (text.rfind("\n", 0, at) + 1)
    return Place(line, start, start + 1)
