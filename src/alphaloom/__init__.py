"""alphaloom: from a daily panel of market data to scores, portfolios and honest reports.

The public names below are imported on first use, so that `import alphaloom` costs nothing.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Panel": "alphaloom.panel",
    "Recipe": "alphaloom.recipe",
    "Store": "alphaloom.data.store",
    "load_panel": "alphaloom.data.load",
    "read_recipe": "alphaloom.recipe",
    "run": "alphaloom.pipeline",
    "predict": "alphaloom.serving",
    "compare_runs": "alphaloom.comparison.compare",
    "list_runs": "alphaloom.run_store.index",
    "show": "alphaloom.notebook",
    "backtest": "alphaloom.backtest.run",
    "evaluate_signal": "alphaloom.evaluation.signal",
    "AlphaloomError": "alphaloom.errors",
}

__all__ = [  # noqa: PLE0604 - names are listed above, with their homes
    *_HOMES,
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'alphaloom' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
