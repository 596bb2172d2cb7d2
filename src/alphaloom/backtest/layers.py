"""A layered test: the replays of all groups of one score, side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from scipy.stats import rankdata

from alphaloom.backtest.measures import total_return
from alphaloom.backtest.result import BacktestResult
from alphaloom.errors import AlignmentError, UsageError
from alphaloom.typing import Array, Doubles


@dataclass(frozen=True, eq=False)
class LayeredTest:
    """Replays of at least two groups over the same days, the best group first.

    Daily arrays leave out the first row of the replays, the base. Returns are after costs unless said otherwise, D days
    and G groups.

    Source: layered test of the seed study of AlphaNet (section 5 b): five groups by score, their annual excess returns.
    """

    groups: Mapping[str, BacktestResult]

    def __post_init__(self) -> None:
        if len(self.groups) < 2:
            raise UsageError(f"A layered test needs at least two groups; given: {', '.join(self.groups) or 'none'}.")
        dates = [result.nav["date"] for result in self.groups.values()]
        if not all(dates[0].equals(other) for other in dates[1:]):
            spans = ", ".join(f"{name} {d[0]} to {d[-1]}" for name, d in zip(self.groups, dates, strict=True))
            raise AlignmentError(f"The groups of a layered test were replayed over different days: {spans}.")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the portfolios, best group first."""
        return tuple(self.groups)

    @cached_property
    def dates(self) -> pl.Series:
        """Days `[D]`."""
        return self._first.nav["date"].slice(1)

    @cached_property
    def returns(self) -> Doubles:
        """Daily returns `[D, G]`."""
        return self._columns("ret")

    @cached_property
    def benchmark(self) -> Doubles:
        """Daily returns of the benchmark `[D]`, NaN without one."""
        return self._columns("benchmark_ret")[:, 0]

    @cached_property
    def universe(self) -> Doubles:
        """Daily equal-weighted returns of all stocks that may be held `[D]`, without costs; NaN when not given."""
        return self._columns("universe_ret")[:, 0]

    @cached_property
    def spread(self) -> Doubles:
        """Daily return of the best group less the worst, before the costs of either `[D]`."""
        gross = self.returns + self._columns("cost")
        return np.asarray(gross[:, 0] - gross[:, -1], dtype=np.float64)

    @cached_property
    def spread_net(self) -> Doubles:
        """The spread less the costs of both groups `[D]`: the worst one sold short at the costs of having bought it."""
        cost = self._columns("cost")
        return np.asarray(self.spread - cost[:, 0] - cost[:, -1], dtype=np.float64)

    @cached_property
    def ordering(self) -> float:
        """Rank correlation of group and return over all days: 1 when every better group earned more."""
        return ordering(self._totals(slice(None)))

    def yearly(self) -> pl.DataFrame:
        """Return by calendar year each group's return over the benchmark's (over nothing without one), and the order.

        Columns `year`, a column a group (differences of compounded returns), `spread` (first less last) and `ordering`.
        """
        year = self.dates.dt.year().to_numpy()
        base = self.benchmark if np.isfinite(self.benchmark).any() else np.zeros(year.size)
        rows = []
        for each in np.unique(year):
            part = year == each
            totals = self._totals(part)
            over = totals - total_return(base[part])
            rows.append(
                {
                    "year": int(each),
                    **dict(zip(self.names, over.tolist(), strict=True)),
                    "spread": float(totals[0] - totals[-1]),
                    "ordering": ordering(totals),
                }
            )
        return pl.DataFrame(rows)

    def _totals(self, part: Array | slice) -> Doubles:
        return np.array([total_return(column) for column in self.returns[part].T])

    @property
    def _first(self) -> BacktestResult:
        return next(iter(self.groups.values()))

    def _columns(self, name: str) -> Doubles:
        columns = [
            result.nav[name].slice(1).cast(pl.Float64).fill_null(float("nan")).to_numpy()
            for result in self.groups.values()
        ]
        return np.stack(columns, axis=1)


def ordering(returns: Doubles) -> float:
    """Return Spearman's correlation of the returns of groups, best first, with their order; NaN when all are equal.

    >>> ordering(np.array([0.3, 0.2, 0.0, -0.1]))
    1.0
    """
    ranks = rankdata(returns)
    if np.isnan(returns).any() or np.ptp(ranks) == 0:
        return float("nan")
    expected = np.arange(returns.size, 0, -1)
    return float(round(np.corrcoef(ranks, expected)[0, 1], 12))
