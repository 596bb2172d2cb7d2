"""qlib's names for operators, after qlib 0.9.7 (`qlib/data/ops.py`); fields are written `$close`.

Arguments stand in qlib's order: operands, then the window `N`, then a quantile. Both languages may be mixed.

Differs, on purpose:

* `EMA(x, N)` reads the rows whose weight exceeds 2e-8 and no others, so that its look-back ends. `EMA(x, alpha)` with
  `alpha` below 1 is the mean of span 2 / alpha - 1, where that is whole.
* `WMA(x, N)` is the weighted mean. qlib divides it once more, by the number of values.
* `Ne(x, y)` and `x != y` are 0 where either is missing; in qlib they hold there.
* `Power(x, y)` is missing where either is; in qlib 1 to a missing power, and a missing value to the power 0, are 1.
* `Resi` is missing where today's value is, as in qlib; `Slope` and `Rsquare` are not.
* `N = 0` (all rows since the listing) is refused: such a look-back has no end.
* `If(condition, x, y)`, `And`, `Or` and `Not` take conditions, not numbers.
* `Corr`, `Rsquare` are missing where a standard deviation is at most 2e-5, as in qlib.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Alias:
    """The operator that a name of qlib's means, and the settings that it stands for."""

    operator: str
    settings: dict[str, float | str] = field(default_factory=dict)


_FIRST_GAP: dict[str, float | str] = {"gap": "first"}
_FLAT: dict[str, float | str] = {"min_std": 2e-5}

ALIASES: dict[str, Alias] = {
    "Abs": Alias("abs"),
    "Sign": Alias("sign"),
    "Log": Alias("log"),
    "Not": Alias("no"),
    "Power": Alias("power"),
    "Add": Alias("add"),
    "Sub": Alias("subtract"),
    "Mul": Alias("multiply"),
    "Div": Alias("divide"),
    "Greater": Alias("max"),
    "Less": Alias("min"),
    "Gt": Alias("greater"),
    "Ge": Alias("greater_equal"),
    "Lt": Alias("less"),
    "Le": Alias("less_equal"),
    "Eq": Alias("equal"),
    "Ne": Alias("not_equal"),
    "And": Alias("both"),
    "Or": Alias("either"),
    "If": Alias("where"),
    "Ref": Alias("delay"),
    "Delta": Alias("delta"),
    "Mean": Alias("ts_mean"),
    "Sum": Alias("ts_sum"),
    "Std": Alias("ts_std"),
    "Var": Alias("ts_var"),
    "Skew": Alias("ts_skew"),
    "Kurt": Alias("ts_kurt"),
    "Max": Alias("ts_max"),
    "Min": Alias("ts_min"),
    "IdxMax": Alias("ts_argmax", _FIRST_GAP),
    "IdxMin": Alias("ts_argmin", _FIRST_GAP),
    "Quantile": Alias("ts_quantile"),
    "Med": Alias("ts_median"),
    "Mad": Alias("ts_mean_deviation"),
    "Rank": Alias("ts_rank"),
    "Slope": Alias("ts_slope"),
    "Rsquare": Alias("ts_rsquare", _FLAT),
    "Resi": Alias("ts_resid"),
    "WMA": Alias("decay_linear"),
    "EMA": Alias("ts_ewm"),
    "Corr": Alias("ts_corr", _FLAT),
    "Cov": Alias("ts_cov"),
    "Count": Alias("ts_count"),
}
"""Operators by qlib's name; `Count(x, N)` counts the known values of x and is made of two."""

REFUSED = {
    "ChangeInstrument": 'the values of another instrument are read as a field: index("SH000300", "close")',
    "Mask": 'the values of another instrument are read as a field: index("SH000300", "close")',
    "TResample": "rows are trading days; there is no other frequency",
    "P": 'figures of statements are read as fields, as known at each date: fund("net_profit")',
    "PRef": 'figures of statements are read as fields, as known at each date: fund("net_profit")',
}
"""Names of qlib's without a counterpart, and what to write instead."""

FIELDS = {"factor": "adj_factor"}
"""Fields that qlib calls otherwise; all others keep their name behind `$`."""


def span_of(decay: float) -> float:
    """Return the span of an exponentially weighted mean with weight `decay` for today; 0 < decay < 1.

    >>> span_of(0.5)
    3.0
    """
    return 2.0 / decay - 1.0
