"""Every elementwise operator against a loop in Python, on drawn values: missing, infinite, zero, prices."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaloom.language.operators import OPERATORS
from alphaloom.language.plan import Plan
from alphaloom.panel import Panel

NAN, INF = math.nan, math.inf
VALUES = st.one_of(
    st.sampled_from([NAN, INF, -INF, 0.0, 1.0, -1.0, 2.0, 0.5]),
    st.floats(2**-10, 1e6, width=32),
    st.floats(-100, 100, width=32, allow_subnormal=False),
)


def holds(x: float) -> bool:
    """Whether a condition holds."""
    return not math.isnan(x) and x != 0


def divided(x: float, y: float) -> float:
    """Return x / y as IEEE arithmetic has it."""
    if y == 0:
        return NAN if math.isnan(x) or x == 0 else math.copysign(INF, x) * math.copysign(1, y)
    return x / y


def raised(x: float, y: float) -> float:
    """Return x ** y, missing where either is."""
    if math.isnan(x) or math.isnan(y):
        return NAN
    if x == 0 and y < 0:
        odd = math.isfinite(y) and y % 2 == 1
        return math.copysign(INF, x) if odd else INF
    try:
        return math.pow(x, y)
    except ValueError:
        return NAN
    except OverflowError:
        return -INF if x < 0 and y % 2 == 1 else INF


def sign(x: float) -> float:
    """-1, 0 or 1."""
    return x if math.isnan(x) else float(x > 0) - float(x < 0)


def exp(x: float) -> float:
    """Return e ** x, infinite where it is too large."""
    return INF if x > 700 else math.exp(x)


def bounded(x: float, low: float, high: float) -> float:
    """Return x between the bounds that are known; the upper one wins."""
    raised_to = low if low > x else x
    return high if high < raised_to else raised_to


LOOPS: dict[str, Callable[..., float]] = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": divided,
    "power": raised,
    "negative": lambda x: -x,
    "less": lambda x, y: x < y,
    "less_equal": lambda x, y: x <= y,
    "greater": lambda x, y: x > y,
    "greater_equal": lambda x, y: x >= y,
    "equal": lambda x, y: x == y,
    "not_equal": lambda x, y: x < y or x > y,
    "both": lambda x, y: holds(x) and holds(y),
    "either": lambda x, y: holds(x) or holds(y),
    "no": lambda x: not holds(x),
    "where": lambda c, x, y: x if holds(c) else y,
    "min": lambda x, y: NAN if math.isnan(x) or math.isnan(y) else min(x, y),
    "max": lambda x, y: NAN if math.isnan(x) or math.isnan(y) else max(x, y),
    "abs": abs,
    "sign": sign,
    "log": lambda x: NAN if x < 0 or math.isnan(x) else (math.log(x) if x > 0 else -INF),
    "exp": exp,
    "sqrt": lambda x: NAN if x < 0 else math.sqrt(x),
    "sign_power": lambda x, y: sign(x) * raised(abs(x), y),
    "sigmoid": lambda x: 1 / (1 + exp(-x)),
    "tanh": math.tanh,
    "clip": bounded,
    "is_missing": math.isnan,
    "coalesce": lambda x, y: y if math.isnan(x) else x,
    "number": lambda x: x,
}


def test_every_elementwise_operator_has_a_loop() -> None:
    """The loops are those of the catalogue."""
    assert set(LOOPS) == {name for name, rule in OPERATORS.items() if rule.kind == "cell"}


@pytest.mark.parametrize("name", LOOPS)
@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=30))
def test_operators_match_loops(name: str, rows: list[tuple[float, ...]]) -> None:
    """The value is that of the loop but for float32; an infinite one ends as missing, and no row sees another."""
    operands = ("a", "b", "c")[: len(OPERATORS[name].operands)]
    drawn = np.array(rows, np.float32)[:, :, None]
    T = len(rows)
    dates = np.arange(T) + np.datetime64("2020-01-01")
    fields = {key: np.ascontiguousarray(drawn[:, k]) for k, key in enumerate("abc")}
    fields["is_listed"] = np.ones((T, 1), np.float32)
    panel = Panel(dates, np.array(["S"]), np.ones((T, 1), bool), fields, {})
    text = f"{name}({', '.join(f'bar({key!r})' for key in operands)})"
    got = Plan.of({"x": text}).compute(panel)[:, 0, 0].astype(float)
    with np.errstate(over="ignore"):
        wanted = np.array([float(LOOPS[name](*(float(x) for x in row[: len(operands)]))) for row in drawn[:, :, 0]])
        wanted = wanted.astype(np.float32).astype(float)
    wanted[np.isinf(wanted)] = np.nan
    np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-37)
