"""Weights of an index's members on every date, from the store's lists."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from alphaloom.errors import DataError
from alphaloom.panel import Panel
from alphaloom.typing import Doubles

Unknown = Literal["refuse", "float_cap", "log_cap", "equal"]
"""What stands in for weights that the store does not know: an error, capitalisation, or equal weights."""


@dataclass(frozen=True)
class BenchmarkWeights:
    """Index weights `[T, N]`, summing to 1 on dates with members and 0 on others, and how each date came about."""

    weights: Doubles
    record: pl.DataFrame
    """`date`, `members`, `method` (`published`, `float_cap`, `log_cap`, `equal` or `none`), and `filled`: how many
    members without a capitalisation were given the median one."""


def required_fields(index: str, unknown: Unknown = "refuse") -> list[str]:
    """Return the panel fields that `benchmark_weights` reads."""
    names = [f"member:{index}", f"weight:{index}"]
    return [*names, unknown] if unknown in {"float_cap", "log_cap"} else names


def benchmark_weights(panel: Panel, index: str, *, unknown: Unknown = "refuse") -> BenchmarkWeights:
    """Return the weights of an index's members in force on each date.

    Published weights are scaled to sum to 1. On a date when any member's weight is unknown, all come from `unknown`:
    in proportion to `float_cap` or `exp(log_cap)` (a member without one is given the members' median, and counted), or
    equal. Members that the panel lacks are simply absent. Knowable at the row's close.

    Raises:
        DataError: weights are unknown and `unknown` is `refuse`, or no member has a capitalisation.
        MissingFieldError: the panel lacks a field.
    """
    member = panel[f"member:{index}"] == 1
    published = panel[f"weight:{index}"]
    out = np.zeros(panel.shape)
    methods, filled = [], []
    for t in range(panel.dates.size):
        names = np.flatnonzero(member[t])
        method, lacking = "none", 0
        if names.size:
            raw = published[t, names].astype(np.float64)
            method = "published"
            if np.isnan(raw).any():
                method = unknown
                raw, lacking = _stand_in(panel, index, t, names, unknown)
            if not raw.sum() > 0:
                raise DataError(
                    f"The weights of {index} sum to {raw.sum():g} on {panel.dates[t]}; they must be positive."
                )
            out[t, names] = raw / raw.sum()
        methods.append(method)
        filled.append(lacking)
    record = pl.DataFrame(
        {
            "date": pl.Series(panel.dates).cast(pl.Date),
            "members": member.sum(axis=1),
            "method": methods,
            "filled": filled,
        }
    )
    return BenchmarkWeights(out, record)


def _stand_in(panel: Panel, index: str, t: int, names: np.ndarray, unknown: Unknown) -> tuple[Doubles, int]:
    if unknown == "refuse":
        raise DataError(
            f"The store knows the members of {index} on {panel.dates[t]} but not all their weights. Set the stand-in "
            "for unknown benchmark weights: float_cap, log_cap or equal."
        )
    if unknown == "equal":
        return np.ones(names.size), 0
    cap = panel[unknown][t, names].astype(np.float64)
    if unknown == "log_cap":
        cap = np.exp(cap)
    lacking = ~(cap > 0)
    if lacking.all():
        raise DataError(
            f"No member of {index} has a {unknown} on {panel.dates[t]}. Choose equal weights or a later start."
        )
    return np.where(lacking, np.median(cap[~lacking]), cap), int(lacking.sum())
