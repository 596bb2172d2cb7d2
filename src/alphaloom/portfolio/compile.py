"""A decision, constraints and costs as one problem for the solvers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from alphaloom.errors import DataError
from alphaloom.portfolio.allocate import EMPTY
from alphaloom.portfolio.base import Decision
from alphaloom.portfolio.constraints.base import Constraint, Modelled, Term, VarianceLimit
from alphaloom.portfolio.costs.base import Cost
from alphaloom.portfolio.forecast import covariance_root, covered_forecast, uncovered
from alphaloom.portfolio.solve.cardinality import Count
from alphaloom.portfolio.solve.problem import Bend, Box, Prices, Problem, Risk, Solution
from alphaloom.portfolio.solve.rows import Dense, Groups, Rows
from alphaloom.typing import Bools, Doubles

Alpha = Literal["zscore", "return", "volatility"]
TRADABILITY = "tradability"


@dataclass(frozen=True)
class Aim:
    """What is maximised: how scores become alpha, and the prices of variance and trading."""

    alpha: Alpha
    ic: float
    horizon: int
    risk_aversion: float
    about: Literal["active", "total"]
    costs: Sequence[Cost]


@dataclass(frozen=True, eq=False)
class Last:
    """What a solve leaves for the next date: prices by the limits' names, and the active factor exposures."""

    rows: Mapping[tuple[str, str], float]
    bends: Mapping[tuple[str, str], float]
    active: Doubles
    """`[K]`"""
    variance: float


@dataclass(frozen=True, eq=False)
class Compiled:
    """The problem of a date, its objective divided by `scale` so that tolerances mean the same whatever alpha is."""

    problem: Problem
    scale: float
    alpha: Doubles
    """Undivided, `[N]`."""
    count: Count | None
    written: tuple[Modelled, ...]
    off: tuple[str, ...]
    """Constraints that do not apply on this date."""

    def start(self, last: object) -> Prices | None:
        """Return the prices of the last date for this one's limits, None when there are none."""
        if not isinstance(last, Last):
            return None
        p, risk = self.problem, self.problem.risk
        rows = np.array([last.rows.get(key, 0.0) for key in p.rows.named])
        bends = np.array([last.bends.get((bend.label, bend.name), 0.0) for bend in p.bends])
        factors, variance = np.zeros(0), last.variance / self.scale
        if risk is not None:
            factors = np.zeros(risk.root.shape[1])
            if last.active.size == risk.root.shape[0]:
                factors = 2.0 * (risk.aversion + variance) * (risk.root.T @ last.active)
        return Prices(rows / self.scale, bends / self.scale, factors, variance)

    def last(self, solution: Solution) -> Last:
        """Return what the next date may start from."""
        p, prices = self.problem, solution.prices
        rows = dict(zip(p.rows.named, (self.scale * prices.rows).tolist(), strict=False))
        names = [(bend.label, bend.name) for bend in p.bends]
        bends = dict(zip(names, (self.scale * prices.bends).tolist(), strict=False))
        active = np.zeros(0)
        if p.risk is not None:
            active = p.risk.exposures @ (solution.weights - p.risk.centre)
        return Last(rows, bends, active, self.scale * prices.variance)


def compiled(
    decision: Decision, constraints: Mapping[str, Constraint], priority: Sequence[str], aim: Aim, scored: Bools
) -> Compiled:
    """Return the problem of a decision.

    Args:
        decision: the date.
        constraints: by their labels.
        priority: labels of those that may give way, most important first.
        aim: the objective.
        scored: stocks with a score `[N]`.

    Raises:
        DataError: the date lacks what a constraint, a cost or the objective needs, or a short position is held without
            a constraint that allows it.
    """
    terms = {label: item.terms(decision, label) for label, item in constraints.items()}
    every = [term for found in terms.values() for term in found]
    limits = [term for term in every if isinstance(term, VarianceLimit)]
    forecast = covered_forecast(decision) if aim.risk_aversion or limits or aim.alpha == "volatility" else None
    alpha = alphas(decision, aim, scored)
    scale = float(np.sqrt(np.mean(alpha[scored] ** 2))) or 1.0
    buying, selling, impact, barred = _costs(decision, aim.costs)
    eligible = scored & ~barred & (~uncovered(decision) if forecast is not None else True)
    shorts = [item for item in constraints.values() if item.allows_shorts]
    widest = max((bend.most for bend in every if isinstance(bend, Bend) and bend.at == "zero"), default=1.0)
    risk = None
    if forecast is not None and (aim.risk_aversion or limits):
        centre = limits[0].centre if limits else np.zeros_like(alpha)
        if aim.risk_aversion:
            centre = decision.benchmark if aim.about == "active" else np.zeros_like(alpha)
        risk = Risk(
            aim.risk_aversion * aim.horizon / scale,
            forecast.exposures,
            covariance_root(forecast),
            forecast.specific,
            centre,
            limits[0].most if limits else np.inf,
            limits[0].label if limits else "",
        )
    problem = Problem(
        alpha=alpha / scale,
        current=decision.current,
        boxes=(_tradability(decision, eligible, widest if shorts else 0.0), *_boxes(terms, priority)),
        rows=Rows([term for term in every if isinstance(term, Dense | Groups)]),
        bends=tuple(term for term in every if isinstance(term, Bend)),
        buying=buying / scale,
        selling=selling / scale,
        impact=impact / scale,
        risk=risk,
    )
    return Compiled(
        problem,
        scale,
        alpha,
        next((term for term in every if isinstance(term, Count)), None),
        tuple(term for term in every if isinstance(term, Modelled)),
        tuple(label for label, found in terms.items() if not found),
    )


def alphas(decision: Decision, aim: Aim, scored: Bools) -> Doubles:
    """Return the expected returns `[N]`, in the unit that the aim sets.

    A holding without a score counts as the worst of the date: the lowest for a long one, the highest for a short one.
    """
    score = decision.score
    if aim.alpha == "return":
        alpha = np.where(scored, score, 0.0)
    else:
        spread = float(np.std(score[scored]))
        alpha = np.where(scored, score, 0.0) - float(np.mean(score[scored]))
        alpha = alpha / spread if spread > 0 else np.zeros_like(alpha)
        if aim.alpha == "volatility":
            alpha = aim.ic * np.sqrt(covered_forecast(decision).specific * aim.horizon) * alpha
    if scored.all():
        return alpha
    worst = np.where(decision.current < 0, alpha[scored].max(), alpha[scored].min())
    return np.where(scored, alpha, worst)


def _costs(decision: Decision, costs: Sequence[Cost]) -> tuple[Doubles, Doubles, Doubles, Bools]:
    N = decision.score.size
    buying, selling, impact, barred = np.zeros(N), np.zeros(N), np.zeros(N), np.zeros(N, dtype=np.bool_)
    for cost in costs:
        terms = cost.terms(decision)
        buying, selling, impact = buying + terms.buying, selling + terms.selling, impact + terms.impact
        barred |= terms.barred
    return buying, selling, impact, barred


def _tradability(decision: Decision, eligible: Bools, most_short: float) -> Box:
    """Return what each stock can be traded to: a stock that is not eligible can only be closed.

    Raises:
        DataError: a short position is held where none is allowed.
    """
    current = decision.current
    if not most_short and (current < -EMPTY).any():
        raise DataError(
            f"{int((current < -EMPTY).sum())} positions held on {decision.date} are short; without the constraint "
            "long_short weights are not negative."
        )
    rise = np.where(eligible, max(1.0, most_short), np.maximum(current, 0.0))
    fall = np.where(eligible, -most_short, np.minimum(current, 0.0))
    return Box(TRADABILITY, np.where(decision.can_sell, fall, current), np.where(decision.can_buy, rise, current))


def _boxes(terms: Mapping[str, Sequence[Term]], priority: Sequence[str]) -> list[Box]:
    """Return the stocks' own limits: first those that never give way, then by priority."""
    boxes = [box for found in terms.values() for box in found if isinstance(box, Box)]
    place = {label: k for k, label in enumerate(priority)}
    return sorted(boxes, key=lambda box: place.get(box.label, -1))
