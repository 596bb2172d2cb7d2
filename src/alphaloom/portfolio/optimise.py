"""The optimiser: most alpha after risk and costs, within limits."""

from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from alphaloom.errors import RunError, did_you_mean
from alphaloom.portfolio.allocate import require_scores
from alphaloom.portfolio.base import Construction, Decision, Target, constructions
from alphaloom.portfolio.compile import Aim, Alpha, Compiled, compiled
from alphaloom.portfolio.constraints.base import Constraint
from alphaloom.portfolio.constraints.base import constraints as constraint_registry
from alphaloom.portfolio.costs.base import Cost
from alphaloom.portfolio.costs.base import costs as cost_registry
from alphaloom.portfolio.decision_notes import Outcome, describe
from alphaloom.portfolio.solve.cardinality import allowed, largest_only, solve_counted
from alphaloom.portfolio.solve.certificate import BEST, FEASIBLE
from alphaloom.portfolio.solve.problem import OPTIMAL, Prices, Problem, Solution
from alphaloom.portfolio.solve.relax import relax
from alphaloom.portfolio.solve.route import solve
from alphaloom.spec import distinct

CASH = "cash"
DEFAULT = ("cap", "turnover", "industry", "style")
"""The limits of the seed study of weekly boosting."""


@constructions.register("optimise")
class Optimise(Construction):
    """Maximises `alpha'w - risk_aversion x variance(w) - costs(w)` within constraints.

    Constraints and costs are components of their own; a portfolio is long and fully invested unless `cash` or
    `long_short` is among them. Holdings that cannot be traded stay; stocks without a score, or outside the risk
    forecast where one is used, are not bought. When not all limits can be met, they give way from the end of
    `priority`, by the least amount, and the notes say which and how much. Every solution is certified: limits are
    recomputed from the weights, and optimality is bounded by the prices of the limits over all stocks.

    The variance is the forecast for a day, times `horizon`. Risk aversion and costs are in the unit of returns, so that
    they need alpha in that unit too: scores that are forecasts of returns, or `volatility`.
    """

    constraints: tuple[Annotated[Constraint, constraint_registry], ...] = Field(default=DEFAULT, validate_default=True)
    """Limits; see the components of kind constraint."""
    costs: tuple[Annotated[Cost, cost_registry], ...] = ()
    """Costs of trading taken off the objective; see the components of kind cost."""
    alpha: Alpha = "zscore"
    """Unit of the objective: scores standardised by date, scores as expected returns over the horizon, or `volatility`:
    ic x specific volatility over the horizon x standardised score (Grinold and Kahn)."""
    ic: Annotated[float, Field(gt=0, le=1)] = 0.05
    """Correlation of scores and returns, for alpha by volatility."""
    risk_aversion: Annotated[float, Field(ge=0)] = 0.0
    """Price of variance: return given up for a unit of variance over the horizon."""
    risk: Literal["active", "total"] = "active"
    """Whether the variance is that of the weights beside the benchmark or of the weights themselves."""
    horizon: Annotated[int, Field(ge=1)] = 5
    """Trading days from one decision to the next."""
    priority: tuple[str, ...] | None = None
    """Constraints that may give way when not all can hold, most important first; those left out never do. Null takes
    the constraints' own order; repeated ones are named style, style-2."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.alpha == "zscore" and (self.risk_aversion or self.costs):
            raise ValueError(
                "alpha: zscore has no unit of return that risk_aversion and costs could be weighed against; set alpha "
                "to return (scores are expected returns) or volatility"
            )
        for name in self.priority or ():
            if name not in self.limits:
                hint = did_you_mean(name, self.limits)
                raise ValueError(
                    f"priority: no constraint is named {name!r}.{hint} There are: {', '.join(self.limits)}"
                )
        if self.priority is not None and len(set(self.priority)) != len(self.priority):
            raise ValueError(f"each limit may stand in the priority once; given: {', '.join(self.priority)}")
        self._check_forms()
        return self

    def _check_forms(self) -> None:
        names = [type(item).name for item in self.constraints]
        for once in ("cash", "cardinality", "tracking_error", "long_short"):
            if names.count(once) > 1:
                raise ValueError(f"the constraint {once} may be given once; given: {names.count(once)} times")
        if "cash" in names and "long_short" in names:
            raise ValueError("long_short bounds the net weight, and so the cash; leave out the constraint cash")
        if "cardinality" in names and "written" in names:
            raise ValueError("cardinality cannot be combined with written constraints; write it in cvxpy as well")
        limits = {type(item).name: item for item in self.constraints}
        if "tracking_error" in limits and self.risk_aversion:
            about = {"benchmark": "active", "zero": "total"}[limits["tracking_error"].dump()["against"]]
            if about != self.risk:
                raise ValueError(f"the tracking error limits the {about} variance, risk_aversion the {self.risk} one")
        if "cardinality" in limits and limits["cardinality"].dump()["method"] == "mip":
            if self.risk_aversion or "tracking_error" in limits or any(type(c).name == "impact" for c in self.costs):
                raise ValueError("cardinality: mip takes linear objectives; with risk or impact use greedy")
            if "long_short" in limits:
                raise ValueError("cardinality: mip takes long portfolios; with long_short use greedy")

    @cached_property
    def limits(self) -> dict[str, Constraint]:
        """The constraints by their labels; a long portfolio is fully invested unless something else is said."""
        labels = distinct([type(item).name for item in self.constraints])
        out = dict(zip(labels, self.constraints, strict=True))
        if not any(name in out for name in (CASH, "long_short")):
            out[CASH] = constraint_registry.parse(CASH)
        return out

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Labels of the limits that may give way, most important first."""
        if self.priority is not None:
            return self.priority
        ranked = [(label, item.importance) for label, item in self.limits.items() if item.importance is not None]
        return tuple(label for label, _ in sorted(ranked, key=lambda pair: -pair[1]))

    @property
    def expressions(self) -> tuple[str, ...]:
        """What constraints and costs read."""
        parts = [*(item.expressions for item in self.limits.values()), *(item.expressions for item in self.costs)]
        return tuple(dict.fromkeys(text for part in parts for text in part))

    @property
    def uses_risk(self) -> bool:
        """Whether a constraint reads style exposures."""
        return any(item.uses_risk for item in self.constraints)

    @property
    def uses_industry(self) -> bool:
        """Whether a constraint reads industries."""
        return any(item.uses_industry for item in self.constraints)

    @property
    def uses_forecast(self) -> bool:
        """Whether the objective or a constraint reads the forecast of the variance."""
        wanted = self.risk_aversion > 0 or self.alpha == "volatility"
        return wanted or any(item.uses_forecast for item in self.constraints)

    @property
    def is_long_only(self) -> bool:
        """Whether no constraint allows short weights."""
        return not any(item.allows_shorts for item in self.constraints)

    def weigh(self, decision: Decision) -> Target:
        """Return the optimal weights; the notes tell solver, relaxations, certificate, binding limits and their prices.

        Raises:
            DataError: no score, or the date lacks what a constraint, a cost or the objective needs.
            RunError: no solution, or one that fails its certificate.
        """
        scored = require_scores(decision)
        aim = Aim(self.alpha, self.ic, self.horizon, self.risk_aversion, self.risk, self.costs)
        made = compiled(decision, self.limits, self.order, aim, scored)
        problem, solution, free = self._solve(made, decision)
        outcome = Outcome(made, problem, solution, free, self._excess(decision, solution))
        outcome = self._certified(decision, outcome)
        weights = np.maximum(solution.weights, 0.0) if self.is_long_only else solution.weights
        # Where only violations were minimised, prices are not those of alpha: the next date starts afresh.
        last = made.last(solution) if problem.alpha.any() else None
        return Target(weights, describe(decision, self, outcome), last)

    def _solve(self, made: Compiled, decision: Decision) -> tuple[Problem, Solution, tuple[str, ...]]:
        """Return the problem that was solved in the end, its solution, and the limits that gave way."""
        warm = self._solver(made, decision, made.start(decision.last))
        problem, solver = made.problem, self._solver(made, decision, None)
        if made.count is not None:
            problem, found = solve_counted(problem, made.count, warm)
        else:
            found = warm(problem)
        if found.status == OPTIMAL:
            return problem, found, ()
        done = relax(problem, self.order, str(decision.date), solver)
        if made.count is not None:
            fewer = largest_only(made.problem, done.solution.weights, allowed(made.problem, made.count))
            done = relax(fewer, self.order, str(decision.date), solver)
        return done.problem, done.solution, done.free

    def _solver(self, made: Compiled, decision: Decision, start: Prices | None) -> Callable[[Problem], Solution]:
        if not made.written:
            return lambda problem: solve(problem, start)
        from alphaloom.portfolio.solve.modelled import solve_modelled

        writes = [lambda weights, item=item: item.write(weights, decision) for item in made.written]
        return lambda problem: solve_modelled(problem, writes)

    def _excess(self, decision: Decision, solution: Solution) -> dict[str, float]:
        """Return by how much weights exceed each limit, from the weights alone, and what may never happen at all."""
        weights, current = solution.weights, decision.current
        risen, fallen = weights > current, weights < current
        barred = (~decision.can_buy & risen) | (~decision.can_sell & fallen)
        out = {label: item.excess(decision, weights) for label, item in self.limits.items()}
        out["untradable"] = float(np.abs(weights - current)[barred].max(initial=0.0))
        if self.is_long_only:
            out["short"] = max(0.0, float(-weights.min()))
            out["budget"] = max(0.0, float(weights.sum()) - 1.0)
        return out

    def _certified(self, decision: Decision, outcome: Outcome) -> Outcome:
        """Return the outcome with its certificate.

        Raises:
            RunError: a limit is broken that may not be, or better weights may exist.
        """
        # A stock's own limits give way by themselves where more important ones exclude them, and so does the count.
        own = {*(box.label for box in outcome.problem.boxes), "cardinality"}
        may = {*outcome.free, *own.intersection(self.order)}
        broken = {name: value for name, value in outcome.excess.items() if value > FEASIBLE and name not in may}
        proof = outcome.solution.proof
        gap = abs(proof.gap) if proof is not None else outcome.solution.gap or 0.0
        if broken or not gap <= BEST:
            listed = ", ".join(f"{name} by {value:.2e}" for name, value in broken.items()) or "no limit"
            raise RunError(
                f"The optimiser's weights of {decision.date} fail their certificate: they break {listed}; duality gap "
                f"{gap:.2e} (at most {BEST:g}), by {outcome.solution.solver}. Nothing is traded on an unproven result; "
                "please report it."
            )
        return outcome.with_gap(gap)
