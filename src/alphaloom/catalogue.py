"""Every kind of component and its members, with their settings: what `alphaloom models` lists."""

import polars as pl

from alphaloom import audit, recipe  # noqa: F401 - importing them imports every registry
from alphaloom.data.sources import base as sources  # noqa: F401
from alphaloom.errors import unknown_name
from alphaloom.portfolio import optimise  # noqa: F401
from alphaloom.registry import REGISTRIES
from alphaloom.risk import estimator  # noqa: F401


def component_table(kind: str | None = None) -> pl.DataFrame:
    """Return `kind, name, what, settings` of every registered component, or of one kind.

    Raises:
        UnknownNameError: there is no such kind.
    """
    if kind is not None and kind not in REGISTRIES:
        raise unknown_name("kind of component", kind, REGISTRIES)
    rows = []
    for name in [kind] if kind is not None else sorted(REGISTRIES):
        for cls in REGISTRIES[name]:
            settings = [
                f"{key}={field.get_default(call_default_factory=True)!r}" if not field.is_required() else key
                for key, field in cls.model_fields.items()
            ]
            rows.append(
                {
                    "kind": name,
                    "name": cls.name,
                    "what": (cls.__doc__ or "").strip().split("\n")[0],
                    "settings": ", ".join(settings),
                }
            )
    return pl.DataFrame(rows)
