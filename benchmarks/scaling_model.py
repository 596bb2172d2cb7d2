"""What a stage costs, as a sum of a few terms of its sizes; coefficients by least squares from measured runs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import nnls

Sizes = Mapping[str, Any]
Terms = Mapping[str, Callable[[Sizes], float]]
"""Terms by how they are written."""

ONE: Terms = {"1": lambda _: 1.0}
FIRST: Terms = {"first": lambda s: float(s["first"])}
"""What the first call in a process costs: imports."""
CELLS: Terms = {"T N": lambda s: s["T"] * s["N"]}
VALUES: Terms = {"T N F": lambda s: s["T"] * s["N"] * s["F"]}
BINNING: Terms = {"rows F": lambda s: (s["R"] + s["V"]) * s["F"]}
"""Gathering the rows and binning them."""
BOOSTING: Terms = {
    "trees F": lambda s: s["n_estimators"] * s["F"] * s.get("folds", 1),
    "rows F trees": lambda s: s["R"] * s["F"] * s["n_estimators"],
    "rows trees": lambda s: (s["R"] + s["V"] + s["Q"]) * s["n_estimators"],
}
STEPS: Terms = {
    "rows L H (F + 3 H) epochs": lambda s: s["R"] * s["steps"] * s["hidden"] * (s["F"] + 3 * s["hidden"]) * s["epochs"],
    "rows L F": lambda s: s["R"] * s["steps"] * s["F"],
}
"""A GRU of two layers: its products, and gathering its windows."""
SCORES: Terms = {"M T N": lambda s: s["M"] * s["T"] * s["N"]}


def _family(name: str) -> Terms:
    return {f"{name} T N F": lambda s: (s["family"] == name) * s["T"] * s["N"] * s["F"]}


FITS: Mapping[str, Terms] = {
    "lightgbm": ONE | BINNING | BOOSTING,
    "xgboost": ONE | BINNING | BOOSTING,
    "gru": ONE | STEPS,
}
"""CPU seconds of a fit, with its scores and its record."""
CPU: Mapping[str, Terms] = {
    "universe": ONE | CELLS,
    "features": ONE | _family("alpha158") | _family("alpha360") | _family("factors"),
    "transforms": ONE | VALUES,
    "label": ONE | CELLS,
    "risk": ONE | {"T": lambda s: s["T"]} | CELLS,
    "ridge": FIRST | {"rows F": lambda s: s["R"] * s["F"]},
    "ensemble": ONE | SCORES,
    "evaluation": ONE | {"M": lambda s: s["M"], "M T": lambda s: s["M"] * s["T"]} | SCORES,
    "portfolios": ONE | {"D": lambda s: s["T"], "D N": lambda s: s["T"] * s["N"]},
    "backtest": FIRST | {"T": lambda s: s["T"]} | CELLS,
    "report": ONE | {"T": lambda s: s["T"], "M": lambda s: s["M"]},
    "beside all stages": ONE | CELLS | {"M": lambda s: s["M"]},
}
"""CPU seconds of every other stage."""
MEMORY: Mapping[str, Terms] = {
    "lightgbm": ONE | BINNING,
    "xgboost": ONE | BINNING,
    "gru": ONE | {"rows F": lambda s: s["R"] * s["F"]},
    "features": ONE | VALUES,
    "risk": ONE | CELLS,
}
"""Most MB of memory above what the process held when the stage began; the other stages take next to nothing."""


def fit(terms: Terms, measured: Sequence[Sizes], key: str, floor: float) -> dict[str, float]:
    """Return the coefficient of each term, none below 0, by least squares of relative errors.

    Args:
        terms: of which the quantity is a sum.
        measured: sizes, and the quantity under `key`.
        key: CPU seconds or MB.
        floor: added to a measured value in the relative error: what is below it is noise.
    """
    x = np.array([[term(item) for term in terms.values()] for item in measured], dtype=np.float64)
    y = np.maximum([item[key] for item in measured], 0.0)
    weight, scale = 1 / (y + floor), np.maximum(np.abs(x).max(axis=0), 1e-300)
    found, _ = nnls(x / scale * weight[:, None], y * weight)
    return dict(zip(terms, (found / scale).tolist(), strict=True))


def cost(terms: Terms, coefficients: Mapping[str, float], sizes: Sizes) -> float:
    """Return the quantity for these sizes."""
    return float(sum(coefficients[name] * term(sizes) for name, term in terms.items()))
