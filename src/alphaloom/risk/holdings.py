"""What is held between decisions, and what it earns, for attribution."""

import numpy as np

from alphaloom.errors import DataError
from alphaloom.typing import Bools, Doubles, Floats


def holding_returns(price: Floats) -> Doubles:
    """Return what a holder earns on each day `[T, N]`: 0 while a stock does not trade, all of it on the day it does.

    Price on price of the last day traded; 0 before the first price and after the last one.
    """
    out = np.zeros(price.shape)
    last = np.full(price.shape[1], np.nan)
    for t in range(price.shape[0]):
        now = price[t].astype(np.float64)
        both = np.isfinite(now) & np.isfinite(last)
        out[t, both] = now[both] / last[both] - 1.0
        last = np.where(np.isfinite(now), now, last)
    return out


def held_weights(targets: Doubles, returns: Doubles, listed: Bools) -> Doubles:
    """Return weights held at each close `[T, N]`, from target weights on the rows that have some.

    Between decisions weights drift with returns; cash, what is left to 1, earns nothing. A stock that is no longer
    listed has become cash. NaN before the first decision.

    Args:
        targets: `[T, N]`; a row without any number is a day without a decision, NaN in another row is 0.
        returns: what holders earn, see `holding_returns`.
        listed: where a stock is listed.

    Raises:
        DataError: no row holds targets, or the portfolio is worth nothing at some day's end.
    """
    decided: Bools = np.asarray(np.isfinite(targets).any(axis=1))
    if not decided.any():
        raise DataError("There are no target weights on any date.")
    out = np.full(targets.shape, np.nan)
    held = np.zeros(targets.shape[1])
    for t in range(int(decided.argmax()), targets.shape[0]):
        growth = 1.0 + held @ returns[t]
        if growth <= 0:
            raise DataError(
                f"The portfolio has lost everything by row {t}: weights times returns are {growth - 1:.3f}."
            )
        held = np.where(listed[t], held * (1.0 + returns[t]) / growth, 0.0)
        if decided[t]:
            held = np.nan_to_num(targets[t])
        out[t] = held
    return out
