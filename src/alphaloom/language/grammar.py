"""Python's syntax in the language: which operator each sign is, and what is said of syntax that has no place."""

import ast

BINARY: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.Pow: "power",
    ast.BitAnd: "both",
    ast.BitOr: "either",
}
UNARY: dict[type[ast.unaryop], str] = {ast.USub: "negative", ast.Not: "no", ast.Invert: "no"}
COMPARE: dict[type[ast.cmpop], str] = {
    ast.Lt: "less",
    ast.LtE: "less_equal",
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
    ast.Eq: "equal",
    ast.NotEq: "not_equal",
}
INSTEAD: dict[type[ast.AST], str] = {
    ast.BitXor: "there is no operator ^ here; a power is written **",
    ast.Mod: "there is no remainder % in an expression",
    ast.FloorDiv: "there is no whole division // in an expression",
    ast.Attribute: "a name has no parts after a dot in an expression",
    ast.Subscript: "there are no subscripts in an expression; the value of 5 rows ago is delay(x, 5)",
    ast.Tuple: "one expression is allowed here, not several",
    ast.List: "a list stands only after on=",
    ast.NamedExpr: "an expression gives no names to its parts",
    ast.JoinedStr: 'a text stands only in fields such as fund("net_profit")',
}
BRACKETS = "; comparisons joined by & or | need brackets: (a > b) & (c > d)"
"""Said where `&` or `|` meets values, since they bind closer than comparisons."""
