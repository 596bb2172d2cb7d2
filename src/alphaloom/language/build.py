"""Making nodes: the only place where operands, windows and settings are checked, units and look-back derived.

Constants are folded: an elementwise operator of numbers alone is the number it gives, computed in float64. Nothing else
is rewritten, so that a value is what its expression says, in float32.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import numpy as np

from alphaloom.errors import SettingError, did_you_mean
from alphaloom.language.nodes import FIELD, NUMBER, Node
from alphaloom.language.operators import OPERATORS, Operator, Setting
from alphaloom.language.units import ANY, Unit, power

LONGEST = 2520
"""Longest window in rows: ten years of trading days."""
SHIFTS = frozenset({"delay", "delta", "returns"})
"""Operators whose window is a shift, which may be negative: then they read ahead."""
_LARGEST = float(np.finfo(np.float32).max)
_SMALLEST = float(np.finfo(np.float32).smallest_subnormal)


class ArgumentError(SettingError):
    """An operator cannot take an argument.

    Attributes:
        part: which one: the place of an operand, or the name of a setting; None where it is the call as a whole.
    """

    def __init__(self, message: str, part: int | str | None = None) -> None:
        super().__init__(message)
        self.part = part


def field(name: str, unit: Unit) -> Node:
    """Return the node of a panel field."""
    return Node(FIELD, name=name, unit=unit)


def number(value: float) -> Node:
    """Return the node of a constant.

    Raises:
        ArgumentError: it is not finite, or float32 cannot hold it.
    """
    if not math.isfinite(value):
        raise ArgumentError(f"a constant must be finite; this is {value}")
    if abs(value) > _LARGEST or 0 < abs(value) < _SMALLEST:
        raise ArgumentError(
            f"{value:g} is beyond float32; a constant is 0 or between {_SMALLEST:.1e} and {_LARGEST:.1e} in size"
        )
    return Node(NUMBER, value=float(value) + 0.0, unit=ANY)


def make(
    operator: str,
    inputs: Sequence[Node],
    window: float | None = None,
    settings: Mapping[str, float | str] | None = None,
    *,
    by: Node | None = None,
    weight: Node | None = None,
    on: Sequence[Node] = (),
) -> Node:
    """Return the node of an operator, checked and typed.

    Args:
        operator: a name of `OPERATORS`.
        inputs: the operands.
        window: rows of a time-series operator, or the shift; None where it takes none or has a default.
        settings: constants by name; what is not given takes its default.
        by: group of a cross-sectional operator.
        weight: weight of each stock.
        on: regressors.

    Raises:
        ArgumentError: the operator is unknown, or takes no such operands, window or setting; `part` says which.
        UnitError: the operands' units do not go together.
    """
    if operator not in OPERATORS:
        raise ArgumentError(f"there is no operator {operator!r}.{did_you_mean(operator, OPERATORS)}")
    rule = OPERATORS[operator]
    if len(inputs) != len(rule.operands):
        raise ArgumentError(f"{operator} takes {_counted(rule.operands)}, not {len(inputs)}: {signature(rule)}")
    if rule.kind == "cell" and all(node.operator == NUMBER for node in inputs):
        return _folded(rule, [node.value for node in inputs])
    if rule.kind != "cell":
        _check_operands(rule, inputs)
    rows = _window(rule, window)
    if operator == "delay" and rows == 0:
        return inputs[0]
    chosen = _settings(rule, settings or {}, rows)
    extra = _extra(rule, by, weight, on, chosen)
    nodes = (*inputs, *extra)
    back, ahead = _reach(rule, rows, nodes)
    return Node(
        operator,
        inputs=nodes,
        window=rows,
        settings=tuple(sorted(chosen.items())),
        unit=_unit(rule, inputs),
        lookback=back,
        lookahead=ahead,
        is_local=rule.kind != "cross" and all(node.is_local for node in nodes),
    )


def signature(rule: Operator, name: str = "") -> str:
    """Return how an operator is called.

    >>> signature(OPERATORS["ts_std"])
    'ts_std(x, d, half_life=0, min_periods=2)'
    """
    parts = list(rule.operands)
    if rule.window:
        parts.append(f"d={rule.default_window}" if rule.default_window else "d")
    for key, setting in rule.settings.items():
        default = setting.default
        shown = f"{default!r}" if isinstance(default, str) else f"{default:g}" if default is not None else ""
        parts.append(f"{key}={shown}" if shown else key)
    parts += [f"{key}=..." for key in extras(rule)]
    return f"{name or rule.name}({', '.join(parts)})"


def extras(rule: Operator) -> list[str]:
    """Return which of `by`, `weight` and `on` an operator can take."""
    return [key for key, taken in (("by", rule.by), ("weight", rule.weight), ("on", rule.on)) if taken]


def _counted(operands: Sequence[str]) -> str:
    return f"{len(operands)} operand{'s' if len(operands) > 1 else ''} ({', '.join(operands)})"


def _check_operands(rule: Operator, inputs: Sequence[Node]) -> None:
    for place, node in enumerate(inputs):
        if node.operator == NUMBER:
            over = "a history" if rule.kind == "series" else "a cross section"
            raise ArgumentError(f"{rule.name} needs a value with {over}; {node.value:g} is a constant", place)


def _window(rule: Operator, window: float | None) -> int:
    if not rule.window:
        if window is not None:
            raise ArgumentError(f"{rule.name} takes no window: {signature(rule)}", "d")
        return 0
    if window is None:
        if not rule.default_window:
            raise ArgumentError(f"{rule.name} needs a window: {signature(rule)}")
        return rule.default_window
    if window != int(window):
        raise ArgumentError(
            f"a window is a whole number of rows, not {window:g}; round it, to {max(1, round(window))}", "d"
        )
    rows = int(window)
    if abs(rows) > LONGEST:
        raise ArgumentError(f"the window of {rule.name} is at most {LONGEST} rows, not {rows}", "d")
    if rule.name in SHIFTS:
        if rows == 0 and rule.name != "delay":
            raise ArgumentError(f"{rule.name} by 0 rows compares a value with itself; d is at least 1", "d")
    elif rows < 1:
        raise ArgumentError(f"the window of {rule.name} is at least 1 row, not {rows}", "d")
    elif rows < rule.least:
        raise ArgumentError(f"{rule.name} needs a window of at least {rule.least} rows, not {rows}", "d")
    return rows


def _settings(rule: Operator, given: Mapping[str, float | str], rows: int) -> dict[str, float | str]:
    for name in given:
        if name not in rule.settings:
            allowed = ", ".join(rule.settings) or "none"
            raise ArgumentError(
                f"{rule.name} has no setting {name!r}.{did_you_mean(name, rule.settings)} It has: {allowed}.", name
            )
    chosen: dict[str, float | str] = {}
    for name, setting in rule.settings.items():
        value = given.get(name, setting.default)
        if value is None:
            raise ArgumentError(f"{rule.name} needs {name} ({setting.meaning}): {signature(rule)}")
        chosen[name] = _checked(rule, name, setting, value)
    if float(chosen.get("min_periods", 0)) > rows > 0:
        raise ArgumentError(f"min_periods is at most the window, {rows}, not {chosen['min_periods']:g}", "min_periods")
    return chosen


def _checked(rule: Operator, name: str, setting: Setting, value: float | str) -> float | str:
    if setting.choices:
        if value not in setting.choices:
            choices = " or ".join(repr(choice) for choice in setting.choices)
            raise ArgumentError(f"{name} of {rule.name} is {choices}, not {value!r}", name)
        return str(value)
    if isinstance(value, str):
        raise ArgumentError(f"{name} of {rule.name} is a number, not {value!r}", name)
    if setting.whole and value != int(value):
        raise ArgumentError(f"{name} of {rule.name} is a whole number, not {value:g}", name)
    if not setting.low <= value <= setting.high:
        below = f" and at most {setting.high:g}" if math.isfinite(setting.high) else ""
        raise ArgumentError(f"{name} of {rule.name} is at least {setting.low:g}{below}, not {value:g}", name)
    return float(value)


def _extra(
    rule: Operator, by: Node | None, weight: Node | None, on: Sequence[Node], chosen: dict[str, float | str]
) -> list[Node]:
    """Return group, weight and regressors, and count them among the settings."""
    given: dict[str, list[Node]] = {"by": [by] if by else [], "weight": [weight] if weight else [], "on": list(on)}
    taken = extras(rule)
    for name, nodes in given.items():
        if nodes and name not in taken:
            raise ArgumentError(f"{rule.name} takes no {name}=: {signature(rule)}", name)
        if name in taken:
            chosen[name] = float(len(nodes))
        for node in nodes:
            if node.operator == NUMBER:
                raise ArgumentError(f"{name}= needs a value with a cross section; {node.value:g} is a constant", name)
            if name == "by" and node.unit.kind != "group":
                raise ArgumentError(f"by= needs a group, such as industry; this is {node.unit}", name)
            if name != "by" and node.unit.kind == "group":
                raise ArgumentError(f"{name}= needs numbers; groups stand after by=", name)
    if rule.name == "cs_neutralise" and not (by or on):
        raise ArgumentError(f"cs_neutralise needs a group, regressors or both: {signature(rule)}")
    return [node for nodes in given.values() for node in nodes]


def _unit(rule: Operator, inputs: Sequence[Node]) -> Unit:
    units = [node.unit for node in inputs]
    if rule.name in {"power", "sign_power"} and inputs[1].operator == NUMBER:
        return power(units[0], _exact(inputs[1].value))
    return rule.unit(*units)


def _exact(value: float) -> Fraction:
    """Return the simple fraction that a constant was written for: 1/3 for 0.333..."""
    near = Fraction(value).limit_denominator(64)
    return near if abs(float(near) - value) < 1e-9 else Fraction(value)


def _reach(rule: Operator, rows: int, nodes: Sequence[Node]) -> tuple[int, int]:
    """Return how many rows before and after t the value at t needs, those of its operands' own rows included."""
    back = max(node.lookback for node in nodes)
    ahead = max(node.lookahead for node in nodes)
    if rule.name == "delay":
        return max(0, back + rows), max(0, ahead - rows)
    if rule.name in SHIFTS:
        return back + max(rows, 0), ahead + max(-rows, 0)
    return back + (rule.reads(rows) if rule.window else 0), ahead


def _sign_power(x: float, y: float) -> float:
    return math.copysign(abs(x) ** y, x) if x else 0.0


_CONSTANT: dict[str, Callable[..., float]] = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y,
    "power": math.pow,
    "negative": lambda x: -x,
    "less": lambda x, y: x < y,
    "less_equal": lambda x, y: x <= y,
    "greater": lambda x, y: x > y,
    "greater_equal": lambda x, y: x >= y,
    "equal": lambda x, y: x == y,
    "not_equal": lambda x, y: x != y,
    "both": lambda x, y: x != 0 and y != 0,
    "either": lambda x, y: x != 0 or y != 0,
    "no": lambda x: x == 0,
    "where": lambda condition, x, y: x if condition != 0 else y,
    "min": min,
    "max": max,
    "abs": abs,
    "sign": lambda x: float(x > 0) - float(x < 0),
    "log": math.log,
    "exp": math.exp,
    "sqrt": math.sqrt,
    "sign_power": _sign_power,
    "sigmoid": lambda x: 1.0 / (1.0 + math.exp(-x)),
    "tanh": math.tanh,
    "clip": lambda x, low, high: min(max(x, low), high),
    "is_missing": lambda _: 0.0,
    "coalesce": lambda x, _: x,
    "number": lambda x: x,
}
"""Elementwise operators on constants, in float64."""


def _folded(rule: Operator, values: Sequence[float]) -> Node:
    try:
        return number(float(_CONSTANT[rule.name](*values)))
    except (ValueError, OverflowError, ZeroDivisionError) as error:
        listed = ", ".join(f"{value:g}" for value in values)
        raise ArgumentError(f"the constant {rule.name}({listed}) is not a finite number ({error})") from error
