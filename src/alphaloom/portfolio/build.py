"""Scores to target weights: one decision after another, what is held drifting with prices in between."""

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl

from alphaloom.errors import AlignmentError, DataError
from alphaloom.panel import Panel
from alphaloom.portfolio.allocate import EMPTY
from alphaloom.portfolio.base import Construction, Decision, Target
from alphaloom.portfolio.tradability import LastPrices, tradable
from alphaloom.typing import Doubles, Floats, Ints

WEIGHT = "weight"
ROUNDING = 1e-7
Progress = Callable[[int, int], None]
"""Called with the number of decisions taken and their total."""


def required_fields(construction: Construction, *, limits: bool = True) -> list[str]:
    """Return the panel fields that `build_weights` and `next_weights` read for a construction."""
    names = ["adj_close", "is_suspended", "is_listed"]
    if limits:
        names += ["close", "limit_up", "limit_down"]
    if construction.uses_risk:
        names.append("industry")
    return list(dict.fromkeys([*names, *construction.inputs]))


def build_weights(
    construction: Construction,
    score: Floats,
    rows: Ints,
    panel: Panel,
    *,
    exposures: Panel | None = None,
    benchmark: Doubles | None = None,
    start_weights: Doubles | None = None,
    limits: bool = True,
    progress: Progress | None = None,
) -> tuple[Panel, pl.DataFrame]:
    """Return the target weights of every decision and a table of notes, one row each.

    Between decisions the targets drift with adjusted closes, as if they had been reached at the decision's close; a
    suspended stock keeps its last price, cash earns nothing, and a delisted holding becomes cash at its last price.

    Args:
        construction: how one date's scores become weights.
        score: `[T, N]`; NaN where there is none.
        rows: rows of the decisions, increasing.
        panel: market fields (`required_fields`); only members of its universe are bought.
        exposures: style exposures, one field a style, on the same axes; needed by constructions that use risk.
        benchmark: weights `[T, N]` that sum to 1 on the decision rows; None means no benchmark.
        start_weights: what is held at the first decision's close, `[N]`; None means cash.
        limits: whether closes at a price limit bar trading; needs the fields `limit_up` and `limit_down`.
        progress: called after each decision.

    Returns:
        A panel with the field `weight`: NaN on rows without a decision, 0 for what is not held. The notes hold `date`,
        `names`, `turnover` (two-way), `cash`, `delisted_weight`, `unscored_weight`, `exposures_missing` and what the
        construction adds.

    Raises:
        AlignmentError: shapes differ.
        DataError: no decision, exposures lacking, a benchmark that does not sum to 1, weights out of range.
        MissingFieldError: the panel lacks a field.
    """
    rows = _check(construction, score, rows, panel, exposures, benchmark, start_weights)
    weights = np.full(panel.shape, np.nan, dtype=np.float32)
    held = np.zeros(panel.shape[1]) if start_weights is None else start_weights.astype(np.float64)
    prices = LastPrices(panel, int(rows[0]))
    notes: list[dict[str, object]] = []
    for k, row in enumerate(rows.tolist()):
        before = prices.price
        held, gone = drift(held, before, prices.advance(row), panel["is_listed"][row] == 1)
        today = None if benchmark is None else benchmark[row]
        decision = decide(construction, score[row], row, panel, held, exposures, today, limits=limits)
        target = weigh(construction, decision)
        notes.append({**_describe(decision, target, gone), **_missing(decision, exposures, row), **target.notes})
        held = target.weights
        weights[row] = held
        if progress is not None:
            progress(k + 1, rows.size)
    table = pl.DataFrame(notes, infer_schema_length=None).with_columns(pl.col("date").cast(pl.Date))
    return panel.with_fields({WEIGHT: weights}, keep=False), table


def next_weights(
    construction: Construction,
    score: Floats,
    row: int,
    panel: Panel,
    current: Doubles,
    *,
    exposures: Panel | None = None,
    benchmark: Doubles | None = None,
    limits: bool = True,
) -> Target:
    """Return the target of one date: `score`, `current` and `benchmark` are `[N]`, `current` as held at its close.

    Raises:
        AlignmentError, DataError, MissingFieldError: as `build_weights`.
    """
    full = None if benchmark is None else np.broadcast_to(benchmark, panel.shape)
    _check(construction, np.broadcast_to(score, panel.shape), np.array([row]), panel, exposures, full, current)
    current = current.astype(np.float64)
    decision = decide(construction, score, row, panel, current, exposures, benchmark, limits=limits)
    return weigh(construction, decision)


def drift_weights(weights: Doubles, panel: Panel, start: int, stop: int) -> Doubles:
    """Return weights `[N]` held at the close of row `start` as they stand at the close of row `stop`; cash is the rest.

    Knowable at `stop`'s close. Suspended stocks keep their last price; a delisted holding has become cash.
    """
    prices = LastPrices(panel, start)
    before = prices.price
    return drift(weights, before, prices.advance(stop), panel["is_listed"][stop] == 1)[0]


def drift(weights: Doubles, before: Doubles, after: Doubles, listed: np.ndarray) -> tuple[Doubles, float]:
    """Return weights moved by prices `before` to `after`, and the weight of delisted holdings, now cash."""
    held = weights > 0
    lacking = np.flatnonzero(held & ~(np.isfinite(before) & np.isfinite(after)))
    if lacking.size:
        raise DataError(
            f"{lacking.size} holdings have no adjusted close at or before the date they are held, first in column "
            f"{lacking[0]}. Only listed stocks can be held."
        )
    value = np.zeros_like(weights)
    value[held] = weights[held] * after[held] / before[held]
    total = float(value.sum()) + 1.0 - float(weights.sum())
    value /= total
    gone = held & ~listed
    lost = float(value[gone].sum())
    value[gone] = 0.0
    return value, lost


def decide(
    construction: Construction,
    score: Floats,
    row: int,
    panel: Panel,
    current: Doubles,
    exposures: Panel | None,
    benchmark: Doubles | None,
    *,
    limits: bool = True,
) -> Decision:
    """Return all that is known at a row's close, in the form a construction takes. Unknown exposures are 0."""
    N = panel.shape[1]
    can_buy, can_sell = tradable(panel, row, limits=limits)
    styles: tuple[str, ...] = ()
    matrix = np.zeros((0, N))
    if construction.uses_risk and exposures is not None:
        styles = tuple(exposures.names)
        if styles:
            matrix = np.nan_to_num(np.stack([exposures[name][row] for name in styles]).astype(np.float64), nan=0.0)
    fields: Mapping[str, Doubles] = {name: panel[name][row].astype(np.float64) for name in construction.inputs}
    industry = panel["industry"][row].astype(np.float64) if construction.uses_risk else np.full(N, np.nan)
    return Decision(
        date=panel.dates[row],
        score=score.astype(np.float64),
        current=current,
        can_buy=can_buy,
        can_sell=can_sell,
        benchmark=np.zeros(N) if benchmark is None else benchmark.astype(np.float64),
        exposures=matrix,
        styles=styles,
        industry=industry,
        fields=fields,
    )


def weigh(construction: Construction, decision: Decision) -> Target:
    """Return the construction's target after checking that it is a long portfolio of at most the whole capital.

    Raises:
        DataError: a weight is negative or not finite, or they sum beyond 1.
    """
    target = construction.weigh(decision)
    weights = target.weights
    if not np.isfinite(weights).all() or weights.min() < 0 or weights.sum() > 1 + ROUNDING:
        raise DataError(
            f"The construction {type(construction).name!r} gave weights from {weights.min():g} to {weights.max():g}, "
            f"sum {weights.sum():.9g}, on {decision.date}; allowed are finite weights >= 0 that sum to at most 1."
        )
    return target


def _describe(decision: Decision, target: Target, gone: float) -> dict[str, object]:
    unscored = ~np.isfinite(decision.score)
    return {
        "date": decision.date.item(),
        "names": int((target.weights > EMPTY).sum()),
        "turnover": float(np.abs(target.weights - decision.current).sum()),
        "cash": max(0.0, 1.0 - float(target.weights.sum())),
        "delisted_weight": gone,
        "unscored_weight": float(target.weights[unscored].sum()),
    }


def _missing(decision: Decision, exposures: Panel | None, row: int) -> dict[str, object]:
    """Return how many exposures of held, scored or benchmark stocks were unknown and taken as 0."""
    if exposures is None or not decision.styles:
        return {"exposures_missing": 0}
    matters = (decision.current > 0) | np.isfinite(decision.score) | (decision.benchmark > 0)
    return {"exposures_missing": int(sum(np.isnan(exposures[name][row][matters]).sum() for name in decision.styles))}


def _check(
    construction: Construction,
    score: Floats,
    rows: Ints,
    panel: Panel,
    exposures: Panel | None,
    benchmark: Doubles | None,
    start: Doubles | None,
) -> Ints:
    rows = np.asarray(rows, dtype=np.int64)
    T, N = panel.shape
    for what, array, shape in (
        ("score", score, (T, N)),
        ("benchmark", benchmark, (T, N)),
        ("start weights", start, (N,)),
    ):
        if array is not None and array.shape != shape:
            raise AlignmentError(f"The {what} has shape {array.shape}; this panel needs {shape}.")
    if exposures is not None:
        panel.same_axes(exposures)
    if not rows.size or rows[0] < 0 or rows[-1] >= T or (np.diff(rows) <= 0).any():
        raise DataError(f"Decision rows must increase within 0 and {T - 1}; given: {rows.tolist()[:10]}.")
    if construction.uses_risk and exposures is None:
        raise DataError(
            f"The construction {type(construction).name!r} needs style exposures; none were given. Choose styles, or "
            "pass an exposures panel without fields to do without."
        )
    if benchmark is not None:
        sums = benchmark[rows].sum(axis=1)
        wrong = np.flatnonzero(~(np.abs(sums - 1.0) < 1e-6))
        if wrong.size:
            raise DataError(
                f"Benchmark weights sum to {sums[wrong[0]]:.6f} on {panel.dates[rows[wrong[0]]]}; they must sum to 1 "
                "on every decision date."
            )
    if start is not None and (not np.isfinite(start).all() or start.min() < 0 or start.sum() > 1 + ROUNDING):
        raise DataError(f"Start weights run from {start.min():g} to {start.max():g} and sum to {start.sum():.9g}.")
    return rows
