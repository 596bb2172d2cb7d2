"""Elementwise operators on one stock's rows, in float32 as IEEE arithmetic gives it; NaN is missing.

Each writes `out [T]` from inputs `[T]`, which must not overlap it. A comparison with a missing value is 0, a missing
condition does not hold, and a power is missing where its base or its exponent is.
"""

import numpy as np

from alphaloom.kernels.rolling import compiled
from alphaloom.typing import Floats

ONE = np.float32(1.0)
ZERO = np.float32(0.0)
NAN = np.float32(np.nan)


@compiled
def copy(x: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = x[t]


@compiled
def add(x: Floats, y: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = x[t] + y[t]


@compiled
def subtract(x: Floats, y: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = x[t] - y[t]


@compiled
def multiply(x: Floats, y: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = x[t] * y[t]


@compiled
def divide(x: Floats, y: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = x[t] / y[t]


@compiled
def power(x: Floats, y: Floats, out: Floats) -> None:
    for t in range(out.size):
        raised = x[t] ** y[t]
        out[t] = raised if (x[t] == x[t]) & (y[t] == y[t]) else NAN  # IEEE has 1 ** NaN = NaN ** 0 = 1


@compiled
def negative(x: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = -x[t]


@compiled
def less(x: Floats, y: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = ONE if x[t] < y[t] else ZERO


@compiled
def less_equal(x: Floats, y: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = ONE if x[t] <= y[t] else ZERO


@compiled
def equal(x: Floats, y: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = ONE if x[t] == y[t] else ZERO


@compiled
def not_equal(x: Floats, y: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = ONE if (x[t] < y[t]) | (x[t] > y[t]) else ZERO


@compiled
def both(x: Floats, y: Floats, out: Floats) -> None:
    for t in range(out.size):
        holds = (x[t] == x[t]) & (x[t] != ZERO) & (y[t] == y[t]) & (y[t] != ZERO)
        out[t] = ONE if holds else ZERO


@compiled
def either(x: Floats, y: Floats, out: Floats) -> None:
    for t in range(out.size):
        holds = ((x[t] == x[t]) & (x[t] != ZERO)) | ((y[t] == y[t]) & (y[t] != ZERO))
        out[t] = ONE if holds else ZERO


@compiled
def no(x: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = ZERO if (x[t] == x[t]) & (x[t] != ZERO) else ONE


@compiled
def where(condition: Floats, x: Floats, y: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = x[t] if (condition[t] == condition[t]) & (condition[t] != ZERO) else y[t]


@compiled
def smaller(x: Floats, y: Floats, out: Floats) -> None:
    for t in range(out.size):
        least = x[t] if x[t] < y[t] else y[t]
        out[t] = least if x[t] == x[t] else NAN


@compiled
def larger(x: Floats, y: Floats, out: Floats) -> None:
    for t in range(out.size):
        most = x[t] if x[t] > y[t] else y[t]
        out[t] = most if x[t] == x[t] else NAN


@compiled
def absolute(x: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = abs(x[t])


@compiled
def sign(x: Floats, out: Floats) -> None:
    for t in range(out.size):
        side = ONE if x[t] > ZERO else (-ONE if x[t] < ZERO else ZERO)
        out[t] = side if x[t] == x[t] else NAN


@compiled
def log(x: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = np.log(x[t])


@compiled
def exp(x: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = np.exp(x[t])


@compiled
def sqrt(x: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = np.sqrt(x[t])


@compiled
def sign_power(x: Floats, y: Floats, out: Floats) -> None:
    for t in range(out.size):
        size = abs(x[t]) ** y[t] if y[t] == y[t] else NAN
        out[t] = -size if x[t] < ZERO else (size if x[t] > ZERO else x[t] * ZERO * size)


@compiled
def sigmoid(x: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = ONE / (ONE + np.exp(-x[t]))


@compiled
def tanh(x: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = np.tanh(x[t])


@compiled
def clip(x: Floats, low: Floats, high: Floats, out: Floats) -> None:
    for t in range(out.size):
        raised = low[t] if low[t] > x[t] else x[t]
        out[t] = high[t] if high[t] < raised else raised


@compiled
def is_missing(x: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = ZERO if x[t] == x[t] else ONE


@compiled
def coalesce(x: Floats, y: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = x[t] if x[t] == x[t] else y[t]


@compiled
def shift(x: Floats, rows: int, out: Floats) -> None:
    """Write the value `rows` rows before (after, where negative); NaN outside the span."""
    T = out.size
    if rows >= 0:
        first = min(rows, T)
        out[:first] = NAN
        copy(x[: T - first], out[first:])
    else:
        last = max(T + rows, 0)
        out[last:] = NAN
        copy(x[T - last :], out[:last])


@compiled
def change(x: Floats, rows: int, out: Floats) -> None:
    """Write x less its value `rows` rows before (after, where negative); NaN outside the span."""
    T = out.size
    if rows >= 0:
        first = min(rows, T)
        out[:first] = NAN
        subtract(x[first:], x[: T - first], out[first:])
    else:
        last = max(T + rows, 0)
        out[last:] = NAN
        subtract(x[:last], x[T - last :], out[:last])


@compiled
def _growth(x: Floats, before: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = x[t] / before[t] - ONE


@compiled
def growth(x: Floats, rows: int, out: Floats) -> None:
    """Write x over its value `rows` rows before (after, where negative), less 1; NaN outside the span."""
    T = out.size
    if rows >= 0:
        first = min(rows, T)
        out[:first] = NAN
        _growth(x[first:], x[: T - first], out[first:])
    else:
        last = max(T + rows, 0)
        out[last:] = NAN
        _growth(x[:last], x[T - last :], out[:last])
