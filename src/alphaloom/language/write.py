"""Writing a node as a text of the language, which reads as the same node."""

from alphaloom.language.names import written
from alphaloom.language.nodes import FIELD, NUMBER, Node
from alphaloom.language.operators import OPERATORS

_SIGNS = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "divide": "/",
    "power": "**",
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
    "equal": "==",
    "not_equal": "!=",
    "both": "&",
    "either": "|",
}


def to_text(node: Node) -> str:
    """Return the expression of a node, with brackets around every operation, defaults left out.

    >>> from alphaloom.language.parse import parse
    >>> to_text(parse("ts_mean(close, 5 * 4, min_periods=1) / close - 1"))
    '((ts_mean(close, 20) / close) - 1)'
    """
    if node.operator == FIELD:
        return written(node.name)
    if node.operator == NUMBER:
        return _number(node.value)
    if node.operator in _SIGNS:
        left, right = node.inputs
        return f"({to_text(left)} {_SIGNS[node.operator]} {to_text(right)})"
    if node.operator == "negative":
        return f"(-{to_text(node.inputs[0])})"
    return f"{node.operator}({', '.join(_arguments(node))})"


def _arguments(node: Node) -> list[str]:
    rule = OPERATORS[node.operator]
    arguments = [to_text(operand) for operand in node.operands]
    if rule.window:
        arguments.append(str(node.window))
    chosen = dict(node.settings)
    for name, setting in rule.settings.items():
        value = chosen[name]
        if value != setting.default:
            arguments.append(f'{name}="{value}"' if isinstance(value, str) else f"{name}={_plain(value)}")
    if node.group is not None:
        arguments.append(f"by={to_text(node.group)}")
    if node.weight is not None:
        arguments.append(f"weight={to_text(node.weight)}")
    if node.regressors:
        arguments.append(f"on=[{', '.join(to_text(regressor) for regressor in node.regressors)}]")
    return arguments


def _number(value: float) -> str:
    return f"({_plain(value)})" if value < 0 else _plain(value)


def _plain(value: float) -> str:
    return repr(value).removesuffix(".0")
