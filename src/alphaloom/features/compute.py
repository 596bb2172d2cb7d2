"""Features of a panel: several families in one block, with every promise checked."""

from collections.abc import Sequence

import numpy as np

from alphaloom.errors import DataError, SettingError
from alphaloom.features.base import FeatureFamily
from alphaloom.kernels.rolling import compiled
from alphaloom.panel import Panel
from alphaloom.typing import Bools, Floats


def required_fields(families: Sequence[FeatureFamily]) -> list[str]:
    """Return the panel fields that the families read, each once, in order of first use."""
    return list(dict.fromkeys(name for family in families for name in family.required))


def max_lookback(families: Sequence[FeatureFamily]) -> int:
    """Return how many rows before t the value at t may read, over all families; 0 without families."""
    return max((family.lookback for family in families), default=0)


def column_names(families: Sequence[FeatureFamily]) -> list[str]:
    """Return the names of all features, in order.

    Raises:
        SettingError: there is no family, or two features have one name.
    """
    if not families:
        raise SettingError("No feature family is given; name at least one, for example alpha158.")
    owner: dict[str, str] = {}
    for family in families:
        for name in family.columns():
            if name in owner:
                raise SettingError(
                    f"Two features are named {name!r}: one of {owner[name]}, one of {family.name}. "
                    "Leave one of the families out, or compute them apart."
                )
            owner[name] = family.name
    return list(owner)


def compute_features(families: Sequence[FeatureFamily], panel: Panel, *, start_row: int = 0) -> Panel:
    """Return the features of all families on the panel's rows from `start_row` on, as one block.

    One block `[T - start_row, N, F]` lies behind the returned panel's fields; with `start_row` 0 `panel.stack()` gives
    it without a copy.
    Only `start_row - max_lookback(families)` and later rows of the input are read, so a daily update costs a few dozen
    rows. A row with less than the look-back before it holds what its own rows give (NaN where that is too little).

    Args:
        families: at least one.
        panel: with `required_fields(families)`.
        start_row: the first row wanted.

    Raises:
        SettingError: no family, a repeated feature name, or `start_row` outside the panel.
        MissingFieldError: the panel lacks an input.
        DataError: the panel is not longer than the look-back, the universe is empty on the rows wanted, or a feature
            has no value on any cell of it.
    """
    names, block = compute_block(families, panel, start_row=start_row)
    return Panel.from_block(panel.rows(start_row, panel.shape[0]), names, block)


def compute_block(
    families: Sequence[FeatureFamily], panel: Panel, *, start_row: int = 0, may_be_empty: bool = False
) -> tuple[list[str], Floats]:
    """Return what `compute_features` does as names and a block `[T - start_row, N, F]` that the caller owns.

    With `may_be_empty` a feature without any value is no error.

    Raises:
        SettingError, MissingFieldError, DataError: as `compute_features`.
    """
    names = column_names(families)
    T = panel.shape[0]
    if not 0 <= start_row < max(T, 1):
        raise SettingError(f"start_row is {start_row}; the panel has rows 0 to {T - 1}.")
    _check_length(families, panel)
    first = max(0, start_row - max_lookback(families))
    needed = panel.select(required_fields(families)).rows(first, T)
    wanted = panel.rows(start_row, T)
    if len(families) == 1:
        block = _compute(families[0], needed)[start_row - first :]
    else:
        block = _side_by_side(families, needed, start_row - first)
    if not may_be_empty:
        _check_values(families, names, block, wanted)
    return names, block


def _check_length(families: Sequence[FeatureFamily], panel: Panel) -> None:
    for family in families:
        if family.lookback >= panel.shape[0]:
            raise DataError(
                f"Feature family {family.name!r} looks back {family.lookback} rows, so it needs at least "
                f"{family.lookback + 1}; the panel has {panel.shape[0]}. Load an earlier start."
            )


def _side_by_side(families: Sequence[FeatureFamily], panel: Panel, start_row: int) -> Floats:
    """Return the families' features in one block; beside it one family at a time is held."""
    T, N = panel.shape
    block = np.empty((T - start_row, N, sum(len(family.columns()) for family in families)), dtype=np.float32)
    begin = 0
    for family in families:
        stop = begin + len(family.columns())
        block[:, :, begin:stop] = _compute(family, panel)[start_row:]
        begin = stop
    return block


def _compute(family: FeatureFamily, panel: Panel) -> Floats:
    block = family.compute(panel)
    expected = (*panel.shape, len(family.columns()))
    if block.shape != expected or block.dtype != np.float32:
        raise DataError(
            f"Feature family {family.name!r} returned {block.dtype} {block.shape}; its {expected[2]} columns on "
            f"{expected[0]} dates x {expected[1]} symbols need float32 {expected}."
        )
    return block


def _check_values(families: Sequence[FeatureFamily], names: list[str], block: Floats, panel: Panel) -> None:
    span = f"{panel.dates[0]} to {panel.dates[-1]}"
    if not panel.universe.any():
        raise DataError(f"The universe is empty on every date from {span}. Check the universe's rules and the data.")
    empty = np.flatnonzero(~_has_value(block, panel.universe))
    if empty.size == 0:
        return
    name = names[empty[0]]
    family = next(item for item in families if name in item.columns())
    others = f" (and {empty.size - 1} more)" if empty.size > 1 else ""
    raise DataError(
        f"Feature {name!r}{others} of {family.name!r} has no value for any stock of the universe from {span}. "
        f"Check the fields it reads: {', '.join(family.required)}."
    )


@compiled
def _has_value(block: Floats, universe: Bools) -> Bools:
    """Return, for each feature of `block [T, N, F]`, whether it has a value on some cell of the universe."""
    T, N, F = block.shape
    found = np.zeros(F, np.bool_)
    left = F
    for t in range(T - 1, -1, -1):
        for n in range(N):
            if universe[t, n]:
                for j in range(F):
                    if not found[j] and not np.isnan(block[t, n, j]):
                        found[j] = True
                        left -= 1
                if left == 0:
                    return found
    return found
