"""What a stage of a job costs, as a sum of a few terms of its sizes; coefficients by least squares from measured runs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import nnls

Sizes = Mapping[str, Any]
Terms = Mapping[str, Callable[[Sizes], float]]
"""Terms by how they are written."""

ONE: Terms = {"1": lambda s: 1.0}
CELLS: Terms = {"T N": lambda s: s["T"] * s["N"]}
VALUES: Terms = {"T N F": lambda s: s["T"] * s["N"] * s["F"]}
TREES: Terms = {
    "trees F": lambda s: s["n_estimators"] * s["F"],
    "rows F": lambda s: (s["R"] + s["V"]) * s["F"],
    "rows F trees": lambda s: s["R"] * s["F"] * s["n_estimators"],
    "rows trees": lambda s: (s["R"] + s["V"] + s["Q"]) * s["n_estimators"],
}
CPU: Mapping[str, Terms] = {
    "universe": ONE | CELLS,
    "features": ONE | VALUES,
    "transforms": ONE | VALUES,
    "label": ONE | CELLS,
    "risk": ONE | {"T": lambda s: s["T"]} | CELLS,
    "lightgbm": ONE | TREES,
    "xgboost": ONE | TREES,
    "gru": ONE
    | {"rows L H (F + 3 H) epochs": lambda s: s["R"] * s["steps"] * s["hidden"] * (s["F"] + 3 * s["hidden"]) * s["epochs"]},
    "candidate": {"folds": lambda s: s["folds"]}
    | {"rows F, once": lambda s: s["bins"] * s["R"] * s["F"], "once": lambda s: float(s["bins"])}
    | {
        "trees F folds": lambda s: s["n_estimators"] * s["F"] * s["folds"],
        "rows F trees": TREES["rows F trees"],
        "rows trees": TREES["rows trees"],
    },
    "ensemble": ONE | {"M T N": lambda s: s["M"] * s["T"] * s["N"]},
    "evaluation": {"M": lambda s: s["M"], "M T": lambda s: s["M"] * s["T"], "M T N": lambda s: s["M"] * s["T"] * s["N"]},
    "portfolios": {"D": lambda s: s["T"], "D N": lambda s: s["T"] * s["N"], "D N^2": lambda s: s["T"] * s["N"] ** 2},
    "backtest": ONE | {"T": lambda s: s["T"]} | CELLS,
    "report": ONE | {"T": lambda s: s["T"]},
    "beside all stages": ONE | CELLS,
}
"""CPU seconds of each stage."""
MEMORY: Mapping[str, Terms] = {
    "features": VALUES,
    "transforms": ONE | VALUES,
    "risk": ONE | CELLS,
    "lightgbm": ONE | {"rows F": lambda s: (s["R"] + s["V"]) * s["F"]},
    "xgboost": ONE | {"rows F": lambda s: (s["R"] + s["V"]) * s["F"]},
    "gru": ONE | {"rows F": lambda s: s["R"] * s["F"]},
    "evaluation": ONE | {"M T N": lambda s: s["M"] * s["T"] * s["N"]},
    "portfolios": ONE | CELLS,
    "backtest": ONE | CELLS,
    "report": ONE,
}
"""Most MB of memory above what the process held when the stage began."""


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
    weight, scale = 1 / (y + floor), np.abs(x).max(axis=0)
    found, _ = nnls(x / scale * weight[:, None], y * weight)
    return dict(zip(terms, (found / scale).tolist(), strict=True))


def cost(terms: Terms, coefficients: Mapping[str, float], sizes: Sizes) -> float:
    """Return the quantity for these sizes."""
    return float(sum(coefficients[name] * term(sizes) for name, term in terms.items()))
