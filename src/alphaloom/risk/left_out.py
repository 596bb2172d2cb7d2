"""Styles as the data allow: which descriptors, or whole styles, are left out for want of a field, and why."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import polars as pl

from alphaloom.features.cne5 import FORECASTS
from alphaloom.risk.base import Style

SCHEMA = {"style": pl.String, "descriptor": pl.String, "weight": pl.Float64, "why": pl.String}


@dataclass(frozen=True, eq=False)
class Allowed:
    """Styles that the data allow, in the order asked for, and what they lack."""

    styles: tuple[Style, ...]
    left_out: pl.DataFrame
    """`style`, `descriptor`, `weight` as published, and `why`; one row for each descriptor left out."""


def wanted_fields(chosen: Sequence[Style]) -> list[str]:
    """Return every panel field that some source of these styles could use, those of forecasts included."""
    names = ["log_cap", "is_listed"]
    for style in chosen:
        for variant in _variants(style):
            names += [field for fields in variant.reads().values() for field in fields]
    return list(dict.fromkeys(names))


def allow(chosen: Sequence[Style], fields: Collection[str]) -> Allowed:
    """Return the styles with the source and the descriptors that these fields allow.

    Of a style's sources the one that keeps most of the published weight is taken, the preferred one of equals; a source
    that was set is kept. Descriptors that were left out by setting stay out, but those of analysts' forecasts come back
    where the fields have them. A style without any descriptor is left out whole.
    """
    kept, rows = [], []
    for style in chosen:
        best = max((_reduced(variant, fields) for variant in _variants(style)), key=lambda item: item[1])
        reduced, _, missing = best
        if reduced is not None:
            kept.append(reduced)
        rows += missing
    return Allowed(tuple(kept), pl.DataFrame(rows, schema=SCHEMA, orient="row"))


def as_set(chosen: Sequence[Style]) -> pl.DataFrame:
    """Return the descriptors that the styles' own settings leave out, in the form of `Allowed.left_out`."""
    rows = [
        (style.name, name, weight, "left out by setting")
        for style in chosen
        for name, weight in style.weights.items()
        if name in style.without
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _variants(style: Style) -> list[Style]:
    if not style.sources or "source" in style.model_fields_set:
        return [style]
    return [style.model_copy(update={"source": source}) for source in style.sources]


def _reduced(style: Style, fields: Collection[str]) -> tuple[Style | None, float, list[tuple[str, str, float, str]]]:
    """Return the style without what it cannot compute (None if nothing is left), the weight kept, what is left out."""
    held_back = set(style.without) - (set() if "without" in style.model_fields_set else set(FORECASTS))
    missing = []
    for name, reads in style.reads().items():
        absent = [field for field in reads if field not in fields]
        if absent:
            missing.append((style.name, name, style.weights[name], f"the data have no {', no '.join(absent)}"))
        elif name in held_back:
            missing.append((style.name, name, style.weights[name], "left out by setting"))
    out = {name for _, name, _, _ in missing}
    kept = sum(weight for name, weight in style.weights.items() if name not in out)
    if kept == 0:
        return None, 0.0, missing
    without = tuple(name for name in style.weights if name in out)
    return style.model_copy(update={"without": without}), kept, missing
