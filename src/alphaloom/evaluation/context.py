"""What is known of the stocks beside their scores: weights, groups and exposures, for closer looks at a signal."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from alphaloom.errors import AlignmentError, DataError
from alphaloom.panel import Panel
from alphaloom.typing import Array, Ints


@dataclass(frozen=True, eq=False)
class Context:
    """Tables `[D, N]` on the evaluated dates, each knowable at its date's close; all of them optional.

    Attributes:
        weights: by name (`cap`, `liquidity`), not negative; NaN and 0 leave a stock out.
        groups: code of each stock's group (its industry), -1 for none.
        group_names: text of each code.
        exposures: to styles, by name; NaN is unknown.
    """

    weights: Mapping[str, Array] = field(default_factory=dict)
    groups: Ints | None = None
    group_names: tuple[str, ...] = ()
    exposures: Mapping[str, Array] = field(default_factory=dict)

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse tables of another shape and negative weights.

        Raises:
            AlignmentError: a table is not `shape`.
            DataError: a weight is negative or infinite, or a group has no name.
        """
        tables = {**self.weights, **self.exposures}
        if self.groups is not None:
            tables["groups"] = self.groups
        for name, table in tables.items():
            if table.shape != shape:
                raise AlignmentError(f"{name} is {table.shape}; the scores are {shape}.")
        for name, table in self.weights.items():
            wrong = (table < 0) | np.isinf(table)
            if wrong.any():
                d, n = (int(axis[0]) for axis in np.nonzero(wrong))
                count = int(wrong.sum())
                raise DataError(f"{count} weights {name} are negative or infinite, first {table[d, n]} in row {d}.")
        if self.groups is not None and self.groups.size and self.groups.max() >= len(self.group_names):
            raise DataError(f"Group {self.groups.max()} has no name; {len(self.group_names)} names were given.")


CONTEXT_FIELDS = ("log_cap", "amount", "industry")
"""Panel fields that `context_of` reads, each where the panel has it."""


def context_of(panel: Panel, rows: Ints, exposures: Mapping[str, Array] | None = None) -> Context:
    """Return capitalisation, traded value and industries of some rows `[D]` as far as the panel has them.

    `exposures` to styles are tables `[D, N]` by name.
    """
    weights: dict[str, Array] = {}
    if "log_cap" in panel.names:
        weights["capitalisation"] = np.exp(panel["log_cap"][rows].astype(np.float64))
    if "amount" in panel.names:
        weights["traded value"] = panel["amount"][rows]
    groups = None
    if "industry" in panel.names:
        groups = np.nan_to_num(panel["industry"][rows], nan=-1.0).astype(np.int64)
    return Context(weights, groups, panel.categories.get("industry", ()), exposures or {})
