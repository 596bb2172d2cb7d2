"""Scores to target weights: one decision after another, what is held drifting with prices in between."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from alphaloom.errors import AlignmentError, DataError
from alphaloom.panel import Panel
from alphaloom.portfolio.allocate import EMPTY
from alphaloom.portfolio.base import Construction, Decision, Target
from alphaloom.portfolio.outlook import Market, outlooks, require_forecasts, required_fields
from alphaloom.portfolio.tradability import LastPrices
from alphaloom.risk.forecast import RiskModel
from alphaloom.typing import Bools, Doubles, Floats, Ints

WEIGHT = "weight"
ROUNDING = 1e-7
Progress = Callable[[int, int], None]
"""Called with the number of decision dates passed and their total."""


def build_weights(
    construction: Construction,
    score: Floats,
    rows: Ints,
    panel: Panel,
    *,
    exposures: Panel | None = None,
    benchmark: Doubles | None = None,
    risk_model: RiskModel | None = None,
    capital: float | None = None,
    start_weights: Doubles | None = None,
    limits: bool = True,
    progress: Progress | None = None,
) -> tuple[Panel, pl.DataFrame]:
    """Return the target weights of every decision and a table of notes, one row each.

    `build_grid` for one construction; the fields of its `Market` are given one by one.
    """
    market = Market(panel, exposures, benchmark, risk_model, capital, limits)
    return build_grid({"": construction}, score, rows, market, start_weights=start_weights, progress=progress)[""]


def build_grid(
    constructions: Mapping[str, Construction],
    score: Floats,
    rows: Ints,
    market: Market,
    *,
    start_weights: Doubles | None = None,
    progress: Progress | None = None,
) -> dict[str, tuple[Panel, pl.DataFrame]]:
    """Return, for each construction, the target weights of every decision and a table of notes, one row a decision.

    Dates pass once for all: exposures, tradability, forecasts and price changes are prepared once a date and shared, so
    that a grid of settings costs little more than its solves. Each construction holds its own portfolio, and starts
    every solve from its own last one. Between decisions the targets drift with adjusted closes, as if they had been
    reached at the decision's close; a suspended stock keeps its last price, cash earns nothing, and a delisted holding
    becomes cash at its last price.

    Args:
        constructions: by name: how one date's scores become weights.
        score: `[T, N]`; NaN where there is none.
        rows: rows of the decisions, increasing.
        market: what decisions are made from. Its capital grows with each portfolio's value, costs left out.
        start_weights: what is held at the first decision's close, `[N]`; None means cash.
        progress: called after each date.

    Returns:
        By name, a panel with the field `weight`: NaN on rows without a decision, 0 for what is not held; and the notes:
        `date`, `names`, `turnover` (two-way), `cash`, `delisted_weight`, `unscored_weight`, `exposures_missing` and
        what the construction adds.

    Raises:
        AlignmentError: shapes differ.
        DataError: no decision, exposures or a risk model lacking, a benchmark that does not sum to 1, weights out of
            range.
        MissingFieldError: the panel lacks a field.
    """
    every = list(constructions.values())
    rows = _check(every, score, rows, market, start_weights)
    held = np.zeros(market.panel.shape[1]) if start_weights is None else start_weights.astype(np.float64)
    chains = {name: _Chain(item, held, market.panel.shape) for name, item in constructions.items()}
    prices = LastPrices(market.panel, int(rows[0]))
    for k, (row, outlook) in enumerate(zip(rows.tolist(), outlooks(every, score, rows, market), strict=True)):
        before = prices.price
        after, listed = prices.advance(row), market.panel["is_listed"][row] == 1
        unknown = _unknown(outlook, market.exposures, row)
        for chain in chains.values():
            chain.decide(row, outlook, before, after, listed, unknown)
        if progress is not None:
            progress(k + 1, rows.size)
    return {
        name: (market.panel.with_fields({WEIGHT: chain.weights}, keep=False), chain.table())
        for name, chain in chains.items()
    }


@dataclass(eq=False)
class _Chain:
    """One construction's portfolio from date to date."""

    construction: Construction
    held: Doubles
    shape: tuple[int, int]
    last: object = None
    worth: float = 1.0
    """Value of the portfolio, 1 at the first decision."""
    notes: list[dict[str, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.weights = np.full(self.shape, np.nan, dtype=np.float32)

    def decide(
        self,
        row: int,
        outlook: Decision,
        before: Doubles,
        after: Doubles,
        listed: Bools,
        unknown: Ints,
    ) -> None:
        """Let the portfolio drift to a date and take its decision there."""
        moved = drift(self.held, before, after, listed)
        self.worth *= moved.growth
        capital = None if outlook.capital is None else outlook.capital * self.worth
        decision = replace(outlook, current=moved.weights, capital=capital, last=self.last)
        target = weigh(self.construction, decision)
        self.notes.append({**_describe(decision, target, moved.delisted, unknown), **target.notes})
        self.held, self.last = target.weights, target.last
        self.weights[row] = target.weights

    def table(self) -> pl.DataFrame:
        """Return the notes."""
        return pl.DataFrame(self.notes, infer_schema_length=None).with_columns(pl.col("date").cast(pl.Date))


def next_weights(
    construction: Construction,
    score: Floats,
    row: int,
    panel: Panel,
    current: Doubles,
    *,
    exposures: Panel | None = None,
    benchmark: Doubles | None = None,
    risk_model: RiskModel | None = None,
    capital: float | None = None,
    limits: bool = True,
) -> Target:
    """Return the target of one date: `score`, `current` and `benchmark` are `[N]`, `current` as held at its close.

    Raises:
        AlignmentError, DataError, MissingFieldError: as `build_grid`.
    """
    full = None if benchmark is None else np.broadcast_to(benchmark, panel.shape)
    market = Market(panel, exposures, full, risk_model, capital, limits)
    rows, spread = np.array([row], dtype=np.int64), np.broadcast_to(score, panel.shape)
    _check([construction], spread, rows, market, current)
    outlook = next(outlooks([construction], spread, rows, market))
    return weigh(construction, replace(outlook, current=current.astype(np.float64)))


def drift_weights(weights: Doubles, panel: Panel, start: int, stop: int) -> Doubles:
    """Return weights `[N]` held at the close of row `start` as they stand at the close of row `stop`; cash is the rest.

    Knowable at `stop`'s close. Suspended stocks keep their last price; a delisted holding has become cash.
    """
    prices = LastPrices(panel, start)
    before = prices.price
    return drift(weights, before, prices.advance(stop), panel["is_listed"][stop] == 1).weights


@dataclass(frozen=True, eq=False)
class Drifted:
    """Weights moved by prices."""

    weights: Doubles
    growth: float
    """The portfolio's value over what it was."""
    delisted: float
    """Weight of holdings that have become cash because their stocks left the market."""


def drift(weights: Doubles, before: Doubles, after: Doubles, listed: Bools) -> Drifted:
    """Return weights moved by prices `before` to `after`.

    Raises:
        DataError: a holding has no price, or nothing is left of the portfolio.
    """
    held = weights != 0
    lacking = np.flatnonzero(held & ~(np.isfinite(before) & np.isfinite(after)))
    if lacking.size:
        raise DataError(
            f"{lacking.size} holdings have no adjusted close at or before the date they are held, first in column "
            f"{lacking[0]}. Only listed stocks can be held."
        )
    value = np.zeros_like(weights)
    value[held] = weights[held] * after[held] / before[held]
    total = float(value.sum()) + 1.0 - float(weights.sum())
    if not total > 0:
        raise DataError(f"The short positions lost more than the portfolio was worth: its value fell to {total:.3g}.")
    value /= total
    gone = held & ~listed
    lost = float(value[gone].sum())
    value[gone] = 0.0
    return Drifted(value, total, lost)


def weigh(construction: Construction, decision: Decision) -> Target:
    """Return the construction's target after checking that it is what the construction says it gives.

    Raises:
        DataError: a weight is not finite, one of a long portfolio is negative, or they sum beyond 1.
    """
    target = construction.weigh(decision)
    weights = target.weights
    least = 0.0 if construction.is_long_only else -np.inf
    if not np.isfinite(weights).all() or weights.min() < least or weights.sum() > 1 + ROUNDING:
        allowed = "finite weights" if np.isinf(least) else "finite weights >= 0"
        raise DataError(
            f"The construction {type(construction).name!r} gave weights from {weights.min():g} to {weights.max():g}, "
            f"sum {weights.sum():.9g}, on {decision.date}; allowed are {allowed} that sum to at most 1."
        )
    return target


def _describe(decision: Decision, target: Target, gone: float, unknown: Ints) -> dict[str, object]:
    unscored = ~np.isfinite(decision.score)
    matters = (decision.current != 0) | ~unscored | (decision.benchmark > 0)
    return {
        "date": decision.date.item(),
        "names": int((np.abs(target.weights) > EMPTY).sum()),
        "turnover": float(np.abs(target.weights - decision.current).sum()),
        "cash": max(0.0, 1.0 - float(target.weights.sum())),
        "delisted_weight": gone,
        "unscored_weight": float(np.abs(target.weights[unscored]).sum()),
        "exposures_missing": int(unknown[matters].sum()),
    }


def _unknown(outlook: Decision, exposures: Panel | None, row: int) -> Ints:
    """Return how many exposures of each stock `[N]` are unknown and taken as 0."""
    count = np.zeros(outlook.score.size, dtype=np.int64)
    if exposures is not None:
        for name in outlook.styles:
            count += np.isnan(exposures[name][row])
    return count


def _check(constructions: list[Construction], score: Floats, rows: Ints, market: Market, start: Doubles | None) -> Ints:
    rows = np.asarray(rows, dtype=np.int64)
    T, N = market.panel.shape
    for what, array, shape in (
        ("score", score, (T, N)),
        ("benchmark", market.benchmark, (T, N)),
        ("start weights", start, (N,)),
    ):
        if array is not None and array.shape != shape:
            raise AlignmentError(f"The {what} has shape {array.shape}; this panel needs {shape}.")
    if market.exposures is not None:
        market.panel.same_axes(market.exposures)
    if not rows.size or rows[0] < 0 or rows[-1] >= T or (np.diff(rows) <= 0).any():
        raise DataError(f"Decision rows must increase within 0 and {T - 1}; given: {rows.tolist()[:10]}.")
    require_forecasts(constructions, market)
    if market.benchmark is not None:
        sums = market.benchmark[rows].sum(axis=1)
        wrong = np.flatnonzero(~(np.abs(sums - 1.0) < 1e-6))
        if wrong.size:
            raise DataError(
                f"Benchmark weights sum to {sums[wrong[0]]:.6f} on {market.panel.dates[rows[wrong[0]]]}; they must sum "
                "to 1 on every decision date."
            )
    least = 0.0 if all(item.is_long_only for item in constructions) else -np.inf
    if start is not None and (not np.isfinite(start).all() or start.min() < least or start.sum() > 1 + ROUNDING):
        raise DataError(f"Start weights run from {start.min():g} to {start.max():g} and sum to {start.sum():.9g}.")
    return rows


__all__ = [
    "Drifted",
    "Market",
    "build_grid",
    "build_weights",
    "drift",
    "drift_weights",
    "next_weights",
    "required_fields",
    "weigh",
]
