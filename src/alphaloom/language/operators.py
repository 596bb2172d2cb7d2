"""The operators of the factor language: names, operands, settings, units, look-back and exact meaning.

Conventions that hold for all of them:

* Values are float32; NaN is missing. Rows are those of the stock's own listed span: a suspended day is a row.
* **Elementwise** operators follow IEEE arithmetic in float32, but a power is missing where its base or its exponent is.
  A comparison with a missing value is 0.
* **Time-series** operators read the last `d` rows, today's included; at the listing the window is cut short. Missing
  and infinite values are left out; with fewer than `min_periods` left the result is missing. Sums run in float64. The
  result does not depend on where the data begin, as long as the window is there. Operators marked *today* are missing
  where today's value is.
* **Cross-sectional** operators compare the stocks of one date. Statistics are taken over the members of the universe
  that have a finite value (and a group, with `by`); every stock that has a value gets a result from them, members or
  not, except that a stock without a group gets none under `by`. One outside the universe takes the rank, or the
  bucket, of the place among the members that it would stand at. Under `weight=`, a weight that is missing, infinite
  or not above 0 counts as 0.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Literal

from alphaloom.language.units import FLAG, RATIO, Unit, UnitError, common, power, product, quotient

Kind = Literal["cell", "series", "cross"]


@dataclass(frozen=True, slots=True)
class Setting:
    """A constant argument besides the window: its default and bounds, or its choices."""

    default: float | str | None
    low: float = float("-inf")
    high: float = float("inf")
    whole: bool = False
    choices: tuple[str, ...] = ()
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator.

    `operands` are the positional values, `window` whether a number of rows follows them, `settings` the keyword
    constants in the order in which they may also stand behind the window. A cross-sectional operator may take a group
    after `by=`, a weight after `weight=` and regressors after `on=`.
    """

    name: str
    kind: Kind
    operands: tuple[str, ...]
    unit: Callable[..., Unit]
    """From the operands' units to the result's."""
    meaning: str
    window: bool = False
    default_window: int = 0
    settings: Mapping[str, Setting] = field(default_factory=lambda: MappingProxyType({}))
    by: bool = False
    weight: bool = False
    on: bool = False
    reads: Callable[[int], int] = lambda d: d - 1
    """From the window to the rows before t that it reads."""
    least: int = 1
    """Fewest values that its result is defined for: the default of `min_periods`."""
    today: bool = False
    """Missing where today's value is."""


def _least(n: int) -> Setting:
    return Setting(n, low=n, whole=True, meaning=f"fewest values in the window, {n} to d")


# From the operands' units to the result's. Each docstring is the rule as the reference of operators prints it.


def _own(x: Unit) -> Unit:
    """That of x"""
    return common(x)


def _amount(x: Unit) -> Unit:
    """That of x; a ratio of a flag"""
    return _plain(common(x))


def _sum(x: Unit, y: Unit) -> Unit:
    """That which x and y share; a ratio of flags"""
    return _plain(common(x, y))


def _shared(*units: Unit) -> Unit:
    """That which the operands share"""
    return common(*units)


def _ratio(*units: Unit) -> Unit:
    """A ratio, of any units"""
    for unit in units:
        common(unit)  # refuses a group
    return RATIO


def _product(x: Unit, y: Unit) -> Unit:
    """Product of the two"""
    return product(x, y)


def _quotient(x: Unit, y: Unit) -> Unit:
    """Quotient of the two"""
    return quotient(x, y)


def _square(x: Unit) -> Unit:
    """That of x, squared"""
    return power(x, Fraction(2))


def _root(x: Unit) -> Unit:
    """Square root of that of x"""
    return power(x, Fraction(1, 2))


def _power(x: Unit, y: Unit) -> Unit:
    """That of x to the power y, a constant; an exponent that varies takes ratios alone"""
    if not y.is_pure:
        raise UnitError(f"an exponent is a ratio or a number; this is {y}")
    return power(x, None)


def _pure(x: Unit) -> Unit:
    """A ratio, of ratios alone"""
    if not x.is_pure:
        raise UnitError(f"a ratio or a number is needed here; this is {x}: divide it by something of its own unit")
    return RATIO


def _flags(*units: Unit) -> Unit:
    """A flag, of flags"""
    for unit in units:
        if unit.kind not in {"flag", "any", "unknown"}:
            raise UnitError(f"a condition is needed here, such as close > open; this is {unit}")
    return FLAG


def _count(x: Unit) -> Unit:
    """A ratio, of a flag"""
    _flags(x)
    return RATIO


def _compare(x: Unit, y: Unit) -> Unit:
    """A flag, of two operands that share a unit"""
    common(x, y)
    return FLAG


def _where(condition: Unit, x: Unit, y: Unit) -> Unit:
    """That which x and y share; condition is a flag"""
    _flags(condition)
    return common(x, y)


def _known(x: Unit) -> Unit:
    """A flag, of any unit"""
    common(x)
    return FLAG


def _residual(y: Unit, x: Unit) -> Unit:
    """That of y; a ratio of a flag"""
    common(x)
    return _plain(common(y))


def _plain(unit: Unit) -> Unit:
    return RATIO if unit.kind == "flag" else unit


OPERATORS: dict[str, Operator] = {}


def _add(name: str, kind: Kind, operands: str, unit: Callable[..., Unit], meaning: str, **more: object) -> None:
    OPERATORS[name] = Operator(name, kind, tuple(operands.split()), unit, meaning, **more)  # type: ignore[arg-type]


def _cell(name: str, operands: str, unit: Callable[..., Unit], meaning: str, **more: object) -> None:
    _add(name, "cell", operands, unit, meaning, **more)


def _series(name: str, operands: str, unit: Callable[..., Unit], meaning: str, least: int = 1, **more: object) -> None:
    settings = {**more.pop("settings", {}), "min_periods": _least(least)}  # type: ignore[dict-item]
    _add(name, "series", operands, unit, meaning, window=True, least=least, settings=settings, **more)


def _shift(name: str, unit: Callable[..., Unit], meaning: str, **more: object) -> None:
    _add(name, "series", "x", unit, meaning, window=True, reads=abs, **more)


def _cross(name: str, operands: str, unit: Callable[..., Unit], meaning: str, **more: object) -> None:
    _add(name, "cross", operands, unit, meaning, by=True, **more)


# Elementwise. The Python operators + - * / ** < <= > >= == != and, or, not, & | ~, a if c else b read as these.
_cell("add", "x y", _sum, "x + y")
_cell("subtract", "x y", _sum, "x - y")
_cell("multiply", "x y", _product, "x * y")
_cell("divide", "x y", _quotient, "x / y; 0 / 0 is missing, otherwise infinite where y is 0")
_cell("power", "x y", _power, "x ** y; missing where either is, and for a negative x and a y that is not whole")
_cell("negative", "x", _amount, "-x")
_cell("less", "x y", _compare, "1 where x < y, else 0; 0 where either is missing")
_cell("less_equal", "x y", _compare, "1 where x <= y, else 0; 0 where either is missing")
_cell("greater", "x y", _compare, "1 where x > y, else 0; 0 where either is missing")
_cell("greater_equal", "x y", _compare, "1 where x >= y, else 0; 0 where either is missing")
_cell("equal", "x y", _compare, "1 where x == y, else 0; 0 where either is missing")
_cell("not_equal", "x y", _compare, "1 where x != y, else 0; 0 where either is missing")
_cell("both", "x y", _flags, "1 where both conditions hold, else 0; a missing condition does not hold")
_cell("either", "x y", _flags, "1 where a condition holds, else 0; a missing condition does not hold")
_cell("no", "x", _flags, "1 where the condition does not hold or is missing, else 0")
_cell("where", "condition x y", _where, "x where the condition holds, else y; a missing condition does not hold")
_cell("min", "x y", _shared, "the smaller of two values; missing where either is")
_cell("max", "x y", _shared, "the larger of two values; missing where either is")
_cell("abs", "x", _own, "absolute value")
_cell("sign", "x", _ratio, "-1, 0 or 1")
_cell("log", "x", _ratio, "natural logarithm; missing below 0, -infinite at 0")
_cell("exp", "x", _pure, "e ** x")
_cell("sqrt", "x", _root, "square root; missing below 0")
_cell("sign_power", "x y", _power, "sign(x) * abs(x) ** y; missing where either is")
_cell("sigmoid", "x", _pure, "1 / (1 + exp(-x))")
_cell("tanh", "x", _pure, "hyperbolic tangent")
_cell("clip", "x low high", _shared, "x bounded below by low and above by high; missing bounds bound nothing")
_cell("is_missing", "x", _known, "1 where x is missing, else 0")
_cell("coalesce", "x y", _shared, "x, or y where x is missing")
_cell("number", "x", _ratio, "x without its unit")

# Time series.
_HALF_LIFE = {
    "half_life": Setting(
        0.0,
        low=0.0,
        meaning="0: all rows weigh the same; else a row s rows old weighs 0.5 ** (s / half_life), and variances and "
        "covariances are weighted means of products about the weighted means",
    )
}
_shift("delay", _own, "the value d rows ago; missing before the listing, or after its end for a negative d")
_shift("delta", _amount, "x - delay(x, d)", today=True)
_shift("returns", _ratio, "x / delay(x, d) - 1", default_window=1, today=True)
_series("ts_last", "x", _own, "latest known value")
_series("ts_sum", "x", _amount, "sum")
_series("ts_mean", "x", _amount, "mean", settings=_HALF_LIFE)
_series("ts_var", "x", _square, "sample variance, ddof 1; exactly 0 over equal values", least=2, settings=_HALF_LIFE)
_series(
    "ts_std",
    "x",
    _amount,
    "sample standard deviation, ddof 1; exactly 0 over equal values",
    least=2,
    settings=_HALF_LIFE,
)
_series("ts_skew", "x", _ratio, "adjusted sample skewness, as pandas; missing over equal values", least=3)
_series("ts_kurt", "x", _ratio, "adjusted excess kurtosis, as pandas; missing over equal values", least=4)
_series("ts_min", "x", _own, "smallest value")
_series("ts_max", "x", _own, "largest value")
_EXTREME = {
    "gap": Setting(
        "skip",
        choices=("skip", "first"),
        meaning="first: a missing value counts as the extreme, as arg-max does with NaN",
    )
}
_series(
    "ts_argmin", "x", _ratio, "place of the smallest value, 1 the oldest row there; first of equals", settings=_EXTREME
)
_series(
    "ts_argmax", "x", _ratio, "place of the largest value, 1 the oldest row there; first of equals", settings=_EXTREME
)
_series("ts_rank", "x", _ratio, "rank of today's value as a share of the number of values; ties averaged", today=True)
_series(
    "ts_quantile", "x", _amount, "quantile q, linear between order statistics",
    settings={"q": Setting(None, 0.0, 1.0, meaning="0 the smallest, 1 the largest")},
)  # fmt: skip
_series("ts_median", "x", _amount, "median")
_series("ts_mad", "x", _amount, "median absolute deviation from the median, not scaled")
_series("ts_mean_deviation", "x", _amount, "mean absolute deviation from the mean")
_series("ts_slope", "x", _amount, "least-squares slope on the row number, a row a unit", least=2)
_series("ts_resid", "x", _amount, "today's residual of the regression on the row number", least=2, today=True)
_MIN_STD = {"min_std": Setting(0.0, low=0.0, meaning="missing where a series deviates by no more than this")}
_series(
    "ts_rsquare", "x", _ratio, "share of variance explained by the row number; missing over equal values", least=2,
    settings=_MIN_STD,
)  # fmt: skip
_series("ts_zscore", "x", _ratio, "(x - mean) / standard deviation; missing over equal values", least=2, today=True)
_series(
    "ts_corr", "x y", _ratio, "Pearson correlation over rows where both are known; missing if either is constant",
    least=2, settings={**_MIN_STD, **_HALF_LIFE},
)  # fmt: skip
_series(
    "ts_cov", "x y", _product, "sample covariance over rows where both are known, ddof 1", least=2, settings=_HALF_LIFE
)
_series(
    "ts_beta", "y x", _quotient, "least-squares slope of y on x; missing over equal x", least=2, settings=_HALF_LIFE
)
_series("ts_residual", "y x", _residual, "today's residual of the regression of y on x", least=2, today=True)
_series("ts_rsquare_on", "y x", _ratio, "share of y's variance that x explains", least=2)
_series(
    "ts_residual_std", "y x", _residual,
    "root mean square of the residuals of the regression of y on x, weighted as it is", least=2, settings=_HALF_LIFE,
)  # fmt: skip
_series("decay_linear", "x", _amount, "mean with weights d for today, d - 1 for the row before, ... 1")
_series(
    "ts_ewm", "x", _amount,
    "exponentially weighted mean of span d: weights (1 - 2 / (d + 1)) ** age, over the rows where they exceed 2e-8",
    reads=lambda d: ewm_rows(d) - 1,
)  # fmt: skip
_series("ts_product", "x", _pure, "product")
_series("ts_count", "condition", _count, "rows on which the condition holds")

# Cross section. `by=` compares within groups.
_cross("cs_rank", "x", _ratio, "rank / number, in (0, 1], the largest 1; ties averaged")
_cross(
    "cs_zscore", "x", _ratio,
    "(x - mean) / sample standard deviation; where all members are equal, 0 for their value and missing for others",
)  # fmt: skip
_cross("cs_demean", "x", _amount, "x - mean", weight=True)
_cross("cs_mean", "x", _amount, "mean of the date, the same for every stock (with a group, under by)", weight=True)
_cross("cs_median", "x", _amount, "median of the date, the same for every stock (with a group, under by)")
_cross("cs_std", "x", _amount, "sample standard deviation of the date, the same for every stock")
_cross("cs_sum", "x", _amount, "sum over the date, the same for every stock (with a group, under by)")
_cross(
    "cs_scale", "x", _ratio, "x * a / sum of absolute values; missing where that is 0",
    settings={"a": Setting(1.0, low=0.0, meaning="sum of absolute values afterwards")},
)  # fmt: skip
_cross(
    "cs_winsorise", "x", _amount,
    "x bounded by median -+ k times the median absolute deviation (not scaled); x where that deviation is 0",
    settings={"k": Setting(5.0, low=0.0, meaning="deviations")},
)  # fmt: skip
_cross(
    "cs_bucket", "x", _ratio, "quantile bucket 0 (smallest) to n - 1 by rank; equal values share one",
    settings={"n": Setting(None, low=2, whole=True, meaning="number of buckets")},
)  # fmt: skip
_cross(
    "cs_neutralise", "x", _amount,
    "residual of the regression on the group's dummies and the regressors; missing where a regressor is; a regressor "
    "that those before it determine is left out",
    on=True,
)  # fmt: skip

ARITHMETIC = frozenset({"add", "subtract", "multiply", "divide", "power", "negative"})


def ewm_rows(span: int) -> int:
    """Return the rows that `ts_ewm` reads: a power of two, after which weights are below 2e-8 of the first.

    >>> ewm_rows(1), ewm_rows(12)
    (1, 128)
    """
    decay = 1.0 - 2.0 / (span + 1)
    rows = 1
    while decay**rows > 2e-8:
        rows *= 2
    return rows
