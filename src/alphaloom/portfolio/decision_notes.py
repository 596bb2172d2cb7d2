"""What the optimiser has to say of a decision: a row of plain columns."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from alphaloom.portfolio.allocate import pinned
from alphaloom.portfolio.base import Decision
from alphaloom.portfolio.compile import Compiled
from alphaloom.portfolio.forecast import covered_forecast, uncovered
from alphaloom.portfolio.solve.certificate import BEST, FEASIBLE
from alphaloom.portfolio.solve.problem import OPTIMAL, Problem, Solution

if TYPE_CHECKING:
    from alphaloom.portfolio.optimise import Optimise

PRICE = 1e-7
"""A price above this, in standard deviations of alpha for a unit of the limit, makes a limit binding in the notes."""
ANNUAL_DAYS = 252.0


@dataclass(frozen=True, eq=False)
class Outcome:
    """A solved decision: the problem solved in the end, which limits gave way, and what the certificate found."""

    made: Compiled
    problem: Problem
    solution: Solution
    free: tuple[str, ...]
    excess: dict[str, float]
    gap: float = 0.0

    def with_gap(self, gap: float) -> "Outcome":
        """Return the outcome with its certified gap, in standard deviations of alpha."""
        return replace(self, gap=gap)


def describe(decision: Decision, settings: "Optimise", outcome: Outcome) -> dict[str, float | str]:
    """Return the notes of a decision; amounts of excess are those recomputed from the weights."""
    solution, made = outcome.solution, outcome.made
    stuck = pinned(decision)
    broken = [label for label in settings.order if outcome.excess[label] > FEASIBLE]
    scores = np.where(np.isfinite(decision.score), decision.score, 0.0)
    choice_gap = solution.gap if made.count is not None and solution.gap is not None else 0.0
    status = "relaxed" if broken else "heuristic" if choice_gap > BEST else OPTIMAL
    notes: dict[str, float | str] = {
        "status": status,
        "solver": solution.solver,
        "fallback": solution.reason,
        "relaxed": ", ".join(broken),
        "binding": binding(outcome),
        "off": ", ".join(made.off),
        "score": float(solution.weights @ scores),
        "alpha": float(made.alpha @ solution.weights),
        "cost": float(sum(cost.charge(decision, solution.weights) for cost in settings.costs)),
        "gap": made.scale * max(outcome.gap, choice_gap),
        "violation": max(value for label, value in outcome.excess.items() if label not in broken),
        "columns": float(solution.columns),
        "rounds": float(solution.rounds),
        "pinned": float(stuck.sum()),
        "pinned_weight": float(decision.current[stuck].sum()),
    }
    if settings.uses_forecast:
        forecast = covered_forecast(decision)
        active = solution.weights - decision.benchmark
        notes["volatility_annual"] = float(np.sqrt(ANNUAL_DAYS * forecast.variance(solution.weights)))
        notes["tracking_error_annual"] = float(np.sqrt(ANNUAL_DAYS * forecast.variance(active)))
        notes["uncovered_weight"] = float(np.abs(solution.weights[uncovered(decision)]).sum())
    return notes | {f"excess_{label}": outcome.excess[label] if label in broken else 0.0 for label in settings.order}


def binding(outcome: Outcome) -> str:
    """Return the binding limits with their prices: what one more unit of the limit would add to the objective.

    A price is positive at an upper bound and negative at a lower one.
    """
    p, prices, scale = outcome.problem, outcome.solution.prices, outcome.made.scale
    named = [*p.rows.named, *((bend.label, bend.name) for bend in p.bends)]
    found = [*prices.rows.tolist(), *prices.bends.tolist()]
    parts = [
        f"{label if label == name else f'{label} {name}'} {scale * price:+.3g}"
        for (label, name), price in zip(named, found, strict=False)
        if abs(price) > PRICE
    ]
    if p.risk is not None and prices.variance > PRICE:
        parts.append(f"{p.risk.label} {scale * prices.variance:+.3g}")
    return ", ".join(parts)
