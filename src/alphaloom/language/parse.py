"""Reading an expression: from a text to its node, nothing evaluated.

The grammar is the part of Python's that `ast` reads as numbers, names, calls, arithmetic (`+ - * / **`), comparisons
(also `a < b < c`), conditions (`and`, `or`, `not`, or `& | ~`) and `a if condition else b`. Texts stand only in
`fund("net_profit")` and its like, and for a setting that is a word. An operation of numbers alone is done in float64,
when the expression is read; a number becomes float32 where it meets a series. Operators of qlib are read as well.
"""

import ast
import re
from collections.abc import Mapping, Sequence

from alphaloom.errors import did_you_mean
from alphaloom.language.build import ArgumentError, extras, make, number, signature
from alphaloom.language.grammar import BINARY, BRACKETS, COMPARE, INSTEAD, UNARY
from alphaloom.language.mistake import ExpressionError, point_at
from alphaloom.language.names import CALLED, called, example, field_names, field_of
from alphaloom.language.nodes import NUMBER, Node
from alphaloom.language.operators import OPERATORS, Operator
from alphaloom.language.qlib_syntax import ALIASES, FIELDS, REFUSED, Alias, span_of
from alphaloom.language.scan import DEEPEST, DOLLAR, place_of, prepared, syntax_tree, too_deep
from alphaloom.language.units import UnitError

_AVERAGE_AMOUNT = re.compile(r"adv([1-9][0-9]{0,3})")


def parse(text: str, *, look_ahead: bool = True) -> Node:
    """Return the node of an expression.

    Args:
        text: the expression, of one or more lines.
        look_ahead: whether it may read later rows, by `delay(x, -1)` and the like; labels may, features may not.

    Raises:
        ExpressionError: it cannot be read, or means nothing; the message points at the characters.
    """
    text = prepared(text)
    tree = syntax_tree(text)
    try:
        return _Reader(text, look_ahead).read(tree, 0)
    except RecursionError as error:
        raise too_deep() from error


class _Reader:
    """Turns the syntax tree of one text into nodes."""

    def __init__(self, text: str, look_ahead: bool) -> None:
        self.text = text
        self.look_ahead = look_ahead

    def mistake(self, at: ast.AST, message: str) -> ExpressionError:
        assert isinstance(at, ast.expr | ast.keyword)
        return point_at(self.text, place_of(self.text, at), message)

    def read(self, tree: ast.expr, depth: int) -> Node:
        """Return the node of a syntax tree that stands inside `depth` others."""
        if depth > DEEPEST:
            raise too_deep()
        deeper = depth + 1
        match tree:
            case ast.Constant():
                return self._number(tree)
            case ast.Name():
                return self._name(tree)
            case ast.Call():
                return self._call(tree, deeper)
            case ast.UnaryOp():
                value = self.read(tree.operand, deeper)
                return value if isinstance(tree.op, ast.UAdd) else self._made(tree, UNARY[type(tree.op)], [value])
            case ast.BinOp():
                return self._binary(tree, deeper)
            case ast.BoolOp():
                operator = "both" if isinstance(tree.op, ast.And) else "either"
                inside = depth + len(tree.values)
                return self._chain(tree, operator, [self.read(value, inside) for value in tree.values])
            case ast.Compare():
                return self._compare(tree, depth + 1 + len(tree.ops))
            case ast.IfExp():
                parts = [self.read(part, deeper) for part in (tree.test, tree.body, tree.orelse)]
                return self._made(tree, "where", parts)
        raise self.mistake(tree, INSTEAD.get(type(tree), "this has no place in an expression"))

    def _number(self, tree: ast.Constant) -> Node:
        value = tree.value
        if isinstance(value, str):
            raise self.mistake(tree, INSTEAD[ast.JoinedStr])
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.mistake(tree, f"{value!r} has no place in an expression; a condition that holds is 1, else 0")
        try:
            return number(float(value))
        except (ArgumentError, OverflowError) as error:
            raise self.mistake(tree, str(error)) from error

    def _name(self, tree: ast.Name) -> Node:
        name = self._spelt(tree)
        is_qlib = name.startswith("$")
        key = FIELDS.get(name[1:], name[1:]) if is_qlib else name
        found = field_of(key)
        if found is not None:
            return found
        if name == "returns":
            return self._made(tree, "returns", [self._field("close")], 1)
        average = _AVERAGE_AMOUNT.fullmatch(name)
        if average:
            return self._made(tree, "ts_mean", [self._field("amount")], int(average[1]))
        if name in OPERATORS or name in ALIASES:
            raise self.mistake(tree, f"{name} is an operator: {_usage(name)}")
        if name in CALLED:
            raise self.mistake(tree, f"{name} needs a name in brackets: {example(name)}")
        raise self.mistake(tree, self._unknown(name, "field" if is_qlib else "field or operator"))

    def _field(self, name: str) -> Node:
        found = field_of(name)
        assert found is not None
        return found

    def _spelt(self, tree: ast.Name) -> str:
        """Return a name as it is written; Python reads some letters as others."""
        name = tree.id.replace(DOLLAR, "$")
        if not self.text.isascii():
            place = place_of(self.text, tree)
            written = self.text.split("\n")[place.line][place.start : place.end]
            if written != name:
                raise self.mistake(tree, f"{written!r} is spelt with other letters than {name!r}; write {name!r}")
        if "$" in name[1:] or name == "$":
            raise self.mistake(tree, f"$ stands before the name of a field, as in $close; {name!r} is none")
        return name

    def _unknown(self, name: str, kind: str) -> str:
        known = [*field_names(), *CALLED, "returns"]
        bare = name.lstrip("$")
        if kind == "operator" and bare in known:
            return f"{bare!r} is a field, no operator; it takes no brackets"
        allowed = [*known, *OPERATORS, *ALIASES] if kind != "field" else known
        family = [key for key in (f"ts_{bare}", f"cs_{bare}") if key in OPERATORS]
        if family:
            near = f" Did you mean {' or '.join(map(repr, family))}?"
        else:
            near = did_you_mean(bare, allowed) or did_you_mean(bare.lower(), allowed)
        return f"there is no {kind} {name!r}.{near}"

    def _binary(self, tree: ast.BinOp, depth: int) -> Node:
        operator = BINARY.get(type(tree.op))
        if operator is None:
            raise self.mistake(tree, INSTEAD.get(type(tree.op), "there is no such operation in an expression"))
        hint = BRACKETS if operator in {"both", "either"} else ""
        return self._made(tree, operator, [self.read(tree.left, depth), self.read(tree.right, depth)], hint=hint)

    def _compare(self, tree: ast.Compare, depth: int) -> Node:
        values = [self.read(value, depth) for value in (tree.left, *tree.comparators)]
        pairs = []
        for place, comparison in enumerate(tree.ops):
            operator = COMPARE.get(type(comparison))
            if operator is None:
                raise self.mistake(tree, "values are compared by < <= > >= == != alone")
            pairs.append(self._made(tree, operator, values[place : place + 2]))
        return self._chain(tree, "both", pairs)

    def _chain(self, tree: ast.expr, operator: str, values: Sequence[Node]) -> Node:
        result = values[0]
        for value in values[1:]:
            result = self._made(tree, operator, [result, value])
        return result

    def _call(self, tree: ast.Call, depth: int) -> Node:
        if not isinstance(tree.func, ast.Name):
            raise self.mistake(tree.func, "only an operator's name can stand before brackets")
        name = self._spelt(tree.func)
        if name in CALLED:
            return self._prefixed(tree, name)
        if name in REFUSED:
            raise self.mistake(tree.func, f"{name} of qlib is not read here: {REFUSED[name]}")
        alias = ALIASES.get(name, Alias(name))
        if alias.operator not in OPERATORS:
            raise self.mistake(tree.func, self._unknown(name, "operator"))
        rule = OPERATORS[alias.operator]
        given = self._bound(tree, rule, name)
        inputs = [self.read(given[operand], depth) for operand in rule.operands]
        if name == "Count":
            inputs = [self._made(tree, "no", [self._made(tree, "is_missing", inputs)])]
        window = self._window(given["d"], name, depth) if "d" in given else None
        settings = alias.settings | {
            key: self._setting(given[key], key, depth) for key in rule.settings if key in given
        }
        parts: dict[int | str, ast.AST] = {i: given[operand] for i, operand in enumerate(rule.operands)}
        parts.update(given)
        return self._made(
            tree,
            alias.operator,
            inputs,
            window,
            settings,
            parts=parts,
            by=self.read(given["by"], depth) if "by" in given else None,
            weight=self.read(given["weight"], depth) if "weight" in given else None,
            on=[self.read(item, depth) for item in _items(given.get("on"))],
        )

    def _bound(self, tree: ast.Call, rule: Operator, name: str) -> dict[str, ast.expr]:
        """Return the arguments of a call by name."""
        usage = _usage(name)
        places = [*rule.operands, *(["d"] if rule.window else []), *rule.settings]
        if len(tree.args) > len(places):
            most = "1 argument" if len(places) == 1 else f"{len(places)} arguments"
            raise self.mistake(tree.args[len(places)], f"{name} takes at most {most}: {usage}")
        given = dict(zip(places, tree.args, strict=False))
        for keyword in tree.keywords:
            if keyword.arg is None or keyword.arg not in {*places, *extras(rule)}:
                near = did_you_mean(str(keyword.arg), [*places, *extras(rule)])
                raise self.mistake(keyword, f"{name} has no argument {keyword.arg!r}.{near} It is used as {usage}")
            if keyword.arg in given:
                raise self.mistake(keyword, f"{name} is given {keyword.arg!r} twice: {usage}")
            given[keyword.arg] = keyword.value
        lacking = [place for place in _required(rule) if place not in given]
        if lacking:
            raise self.mistake(tree, f"{name} needs {' and '.join(lacking)}: {usage}")
        return given

    def _window(self, tree: ast.expr, name: str, depth: int) -> float:
        rows = self._constant(tree, "the window", depth)
        if name == "EMA" and 0 < rows < 1:
            return round(span_of(rows), 9)
        if name in ALIASES and rows == 0:
            reason = "such a look-back has no end" if name != "Ref" else "it means the first value ever"
            raise self.mistake(tree, f"{name} of qlib over 0 rows reads all rows since the listing: {reason}")
        return rows

    def _constant(self, tree: ast.expr, what: str, depth: int) -> float:
        node = self.read(tree, depth)
        if node.operator != NUMBER:
            raise self.mistake(tree, f"{what} is a constant, such as 20; it cannot vary")
        return node.value

    def _setting(self, tree: ast.expr, name: str, depth: int) -> float | str:
        if isinstance(tree, ast.Constant) and isinstance(tree.value, str):
            return tree.value
        return self._constant(tree, name, depth)

    def _prefixed(self, tree: ast.Call, prefix: str) -> Node:
        keys = []
        for argument in tree.args:
            if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
                raise self.mistake(argument, f"{prefix} takes names in quotation marks: {example(prefix)}")
            key = argument.value.replace(DOLLAR, "$")
            if not key.strip() or ":" in key:
                raise self.mistake(argument, f"{key!r} is no name: {example(prefix)}")
            keys.append(key)
        if tree.keywords or len(keys) != (2 if prefix == "index" else 1):
            raise self.mistake(tree, f"{prefix} is used as {example(prefix)}")
        try:
            return called(prefix, *keys)
        except ValueError as error:
            raise self.mistake(tree, str(error)) from None

    def _made(
        self,
        at: ast.expr,
        operator: str,
        inputs: Sequence[Node],
        window: float | None = None,
        settings: Mapping[str, float | str] | None = None,
        *,
        parts: Mapping[int | str, ast.AST] | None = None,
        hint: str = "",
        by: Node | None = None,
        weight: Node | None = None,
        on: Sequence[Node] = (),
    ) -> Node:
        """Make a node; a mistake points at the argument among `parts`, or at the whole of `at`."""
        try:
            node = make(operator, inputs, window, settings, by=by, weight=weight, on=on)
        except ArgumentError as error:
            place = (parts or {}).get(error.part, at) if error.part is not None else at
            raise self.mistake(place, str(error)) from error
        except UnitError as error:
            raise self.mistake(at, f"{error}{hint}") from error
        if node.lookahead and not self.look_ahead:
            raise self.mistake(at, f"{operator} reads {_rows(node.lookahead)} after the date it is for; no feature may")
        return node


def _required(rule: Operator) -> list[str]:
    """Return the arguments without a default."""
    window = ["d"] if rule.window and not rule.default_window else []
    return [*rule.operands, *window, *(name for name, setting in rule.settings.items() if setting.default is None)]


def _items(tree: ast.expr | None) -> list[ast.expr]:
    if tree is None:
        return []
    return tree.elts if isinstance(tree, ast.Tuple | ast.List) else [tree]


def _rows(number_of: int) -> str:
    return "1 row" if number_of == 1 else f"{number_of} rows"


def _usage(name: str) -> str:
    return signature(OPERATORS[ALIASES[name].operator if name in ALIASES else name], name)
