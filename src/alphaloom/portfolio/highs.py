"""A growing linear programme in HiGHS: rows first, then blocks of columns, solved again from the last basis."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import highspy
import numpy as np

from alphaloom.typing import Doubles, Ints

OPTIMAL = "optimal"
INFEASIBLE = "infeasible"
OPTIONS = (
    ("output_flag", False),
    ("threads", 1),
    ("solver", "simplex"),
    ("presolve", "off"),  # the compact form is small already; presolve costs more than it saves
    ("primal_feasibility_tolerance", 1e-10),
    ("dual_feasibility_tolerance", 1e-10),
)


@dataclass(frozen=True)
class Block:
    """Columns of one kind after a solve: their stocks, costs, upper bounds, values and reduced costs."""

    kind: str
    names: Ints
    cost: Doubles
    most: Doubles
    values: Doubles
    reduced: Doubles


class Model:
    """Minimises the cost of columns between 0 and their upper bounds, under ranged rows."""

    def __init__(self, low: Doubles, high: Doubles, totals: Sequence[float]) -> None:
        """Start with the rows `low <= row <= high`, and one row `<= total` for each of `totals`."""
        self._highs = highspy.Highs()  # type: ignore[no-untyped-call]
        for name, value in OPTIONS:
            self._highs.setOptionValue(name, value)
        lower = np.concatenate([low, np.full(len(totals), -np.inf)])
        upper = np.concatenate([high, np.asarray(totals, dtype=np.float64)])
        rows = lower.size
        self._highs.addRows(rows, lower, upper, 0, np.zeros(rows, np.int32), np.zeros(0, np.int32), np.zeros(0))
        self._added: list[tuple[str, Ints, Doubles, Doubles]] = []

    @property
    def columns(self) -> int:
        """Number of columns."""
        return int(self._highs.getNumCol())

    def add(self, kind: str, names: Ints, cost: Doubles, most: Doubles, values: Doubles, rows: np.ndarray) -> None:
        """Add columns with `values [C, W]` in the rows numbered `rows [C, W]`."""
        count, width = values.shape
        if not count:
            return
        start = np.arange(0, count * width, width, dtype=np.int32)
        self._highs.addCols(
            count, cost, np.zeros(count), most, values.size, start, rows.ravel().astype(np.int32), values.ravel()
        )
        self._added.append((kind, names, cost, most))

    def run(self) -> str:
        """Solve; return `optimal`, `infeasible`, or the solver's own word."""
        self._highs.run()
        status = self._highs.getModelStatus()
        if status == highspy.HighsModelStatus.kOptimal:
            return OPTIMAL
        if status in {highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible}:
            return INFEASIBLE
        return str(self._highs.modelStatusToString(status))

    def duals(self) -> Doubles:
        """Return the duals of the rows."""
        return np.asarray(self._highs.getSolution().row_dual, dtype=np.float64)

    def blocks(self) -> Iterator[Block]:
        """Yield the columns, block by block, as they were added."""
        solution = self._highs.getSolution()
        values = np.asarray(solution.col_value, dtype=np.float64)
        reduced = np.asarray(solution.col_dual, dtype=np.float64)
        first = 0
        for kind, names, cost, most in self._added:
            part = slice(first, first + names.size)
            first += names.size
            yield Block(kind, names, cost, most, values[part], reduced[part])
