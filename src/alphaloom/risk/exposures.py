"""Standardised style exposures of every stock on every date."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from alphaloom.errors import SettingError
from alphaloom.panel import Panel
from alphaloom.risk.base import Style, styles
from alphaloom.risk.cross_section import capitalisation, combine, residual, standardise
from alphaloom.risk.left_out import as_set
from alphaloom.typing import Bools, Floats, Ints

DAILY_STYLES = ("size", "beta", "momentum", "residual_volatility", "liquidity", "nonlinear_size")
"""Styles that daily bars with turnover allow."""


@dataclass(frozen=True)
class Exposures:
    """Exposures, how many of them had to be set to 0, and which descriptors they do without."""

    panel: Panel
    """One field a style: NaN where a stock is not listed, else a number; the universe is the input's."""
    missing: pl.DataFrame
    """`date`, `style`, `members` of the universe, and `missing`: those of them unknown, set to 0, the market's mean."""
    known: pl.DataFrame
    """`date`, `style`, `descriptor`, `members`, and `known`: those of them whose descriptor has a value."""
    left_out: pl.DataFrame
    """`style`, `descriptor`, `weight`, `why`: published descriptors that are not in use."""


def required_fields(chosen: Sequence[Style]) -> list[str]:
    """Return the panel fields that these styles, and the styles they build on, read."""
    names = ["log_cap", "is_listed"]
    for style in _ordered(chosen):
        names += style.inputs
    return list(dict.fromkeys(names))


def max_lookback(chosen: Sequence[Style]) -> int:
    """Return how many rows before a date its exposures may read."""
    return max((style.lookback for style in _ordered(chosen)), default=0)


def style_exposures(panel: Panel, chosen: Sequence[Style]) -> Panel:
    """Return the panel of standardised exposures, one field a style; see `compute_exposures`."""
    return compute_exposures(panel, chosen).panel


def compute_exposures(panel: Panel, chosen: Sequence[Style]) -> Exposures:
    """Return standardised exposures of each style `[T, N]` and the count of unknown ones.

    Per date over `panel.universe`: winsorised at 3 standard deviations, cap-weighted mean 0 (capitalisation is
    `exp(log_cap)`), equal-weighted standard deviation 1. The same shift and scale serve listed stocks outside the
    universe. Unknown exposures of listed stocks are 0 and counted. Knowable at the row's close.

    Raises:
        MissingFieldError: the panel lacks a field that a style reads.
        SettingError: a style appears twice.
    """
    known: dict[str, Floats] = {}
    coverage = []
    cap = capitalisation(panel)
    universe = np.ascontiguousarray(panel.universe)
    for style in _ordered(chosen):
        raw = style.descriptors(panel, known)
        coverage += [(style.name, name, _members_with(array, universe)) for name, array in raw.items()]
        parts = [(style.weights[name], standardise(_ready(array), universe, cap)) for name, array in raw.items()]
        exposure = parts[0][1] if len(parts) == 1 else standardise(combine(parts), universe, cap)
        if style.orthogonal_to:
            rest = residual(exposure, [known[name] for name in style.orthogonal_to], universe, cap)
            exposure = standardise(rest, universe, cap)
        known[style.name] = exposure
    listed = panel["is_listed"] == 1
    names = [style.name for style in chosen]
    counts = {name: _members_with(np.where(listed, known[name], np.nan), universe) for name in names}
    listed_members = (universe & listed).sum(axis=1)
    missing = [_record(panel, name, missing=listed_members - counts[name]) for name in names]
    described = [
        _record(panel, style, descriptor=name, known=count) for style, name, count in coverage if style in names
    ]
    fields = {name: _filled(known[name], listed) for name in names}
    return Exposures(
        panel.with_fields(fields, keep=False),
        pl.concat(missing) if missing else pl.DataFrame(),
        pl.concat(described) if described else pl.DataFrame(),
        as_set(chosen),
    )


def _ordered(chosen: Sequence[Style]) -> list[Style]:
    """Return the styles in an order in which each comes after those it builds on, which are added where absent."""
    names = [style.name for style in chosen]
    if len(set(names)) != len(names):
        raise SettingError(f"A style appears twice: {', '.join(names)}.")
    given = {style.name: style for style in chosen}
    order: dict[str, Style] = {}

    def place(style: Style) -> None:
        for name in (*style.after, *style.orthogonal_to):
            if name not in order:
                place(given[name] if name in given else styles.parse(name))
        order.setdefault(style.name, style)

    for style in chosen:
        place(style)
    return list(order.values())


def _ready(array: Floats) -> Floats:
    return np.ascontiguousarray(array, dtype=np.float32)


def _filled(exposure: Floats, listed: Bools) -> Floats:
    return np.where(listed, np.where(np.isnan(exposure), 0.0, exposure), np.nan).astype(np.float32)


def _members_with(array: Floats, universe: Bools) -> Ints:
    return np.asarray((universe & np.isfinite(array)).sum(axis=1))


def _record(panel: Panel, style: str, descriptor: str = "", **counts: Ints) -> pl.DataFrame:
    T = panel.dates.size
    return pl.DataFrame(
        {
            "date": pl.Series(panel.dates).cast(pl.Date),
            "style": [style] * T,
            **({"descriptor": [descriptor] * T} if descriptor else {}),
            "members": panel.universe.sum(axis=1),
            **counts,
        }
    )
