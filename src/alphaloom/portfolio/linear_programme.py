"""Index enhancement by linear programme: most alpha within limits against a benchmark."""

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, field_validator

from alphaloom.errors import DataError, RunError
from alphaloom.portfolio.allocate import EMPTY, pinned, require_scores
from alphaloom.portfolio.base import Construction, Decision, Target, constructions
from alphaloom.portfolio.programme import OPTIMAL, Programme, Solution, solve
from alphaloom.portfolio.relax import Limit, relax
from alphaloom.typing import Bools, Doubles

FEASIBLE = 1e-8
"""Largest violation of a limit that passes the certificate, a fraction of the portfolio."""
BEST = 1e-8
"""Largest duality gap that passes, in standard deviations of the score."""


@constructions.register("linear_programme")
class LinearProgramme(Construction):
    """Maximises the weighted score under style, industry, weight and turnover limits against the benchmark.

    Maximise `w' score` subject to `|X (w - bench)| <= style_limit`, `|industry (w - bench)| <= industry_limit`,
    `w <= 1 / num_stock`, `|w - w0|_1 <= turnover_limit`, `sum w = 1`, `w >= 0`.

    Details: holdings that cannot be traded stay and are exempt from the cap; a holding that drifted above the cap may
    be kept but not bought; without holdings the turnover limit is off; a holding without a score counts as the lowest
    score of the date; without a benchmark the limits hold for the portfolio itself. When not all limits can be met,
    they give way from the end of `priority`, by the least amount, and the notes say which and how much. Every solution
    is certified: limits recomputed from the weights, and optimality bounded by the duals over all stocks.

    Source: seed study of weekly boosting, section 4.3. Differs: turnover there lacks the absolute value (as printed it
    is always 0) and is read as the two-way sum of absolute changes.
    """

    inputs: ClassVar[tuple[str, ...]] = ()
    uses_risk: ClassVar[bool] = True

    style_limit: Annotated[float, Field(ge=0)] | None = 0.3
    """Largest active exposure to each style, in standard deviations; null means none."""
    industry_limit: Annotated[float, Field(ge=0)] | None = 0.5
    """Largest active weight of each industry; null means none."""
    num_stock: Annotated[int, Field(ge=1)] = 100
    """The cap on a stock's weight is 1 over this."""
    turnover_limit: Annotated[float, Field(ge=0)] | None = 0.15
    """Largest two-way turnover, the sum of absolute changes of weight; null means none."""
    priority: tuple[Limit, ...] = ("cap", "turnover", "cash", "industry", "style")
    """What must hold longest when not all can, most important first; a limit left out never gives way."""

    @field_validator("priority")
    @classmethod
    def _each_once(cls, value: tuple[Limit, ...]) -> tuple[Limit, ...]:
        if len(set(value)) != len(value):
            raise ValueError(f"each limit may stand in the priority once; given: {', '.join(value)}")
        return value

    def weigh(self, decision: Decision) -> Target:
        """Return the optimal weights with solver status, relaxations, certificate and binding limits in the notes.

        Raises:
            DataError: no score, or an industry limit without any industry.
            RunError: no solution, or one that fails its certificate.
        """
        scored = require_scores(decision)
        programme = self.programme(decision, scored)
        solution = solve(programme)
        relaxed = solution.status != OPTIMAL
        if relaxed:
            beyond = self._beyond(decision, scored, programme)
            solution = relax(programme, self.priority, beyond, str(decision.date))
        excess = self.excess(decision, solution.weights, first=_is_empty(decision))
        self._certify(decision, solution, excess, relaxed)
        return Target(np.maximum(solution.weights, 0.0), self._notes(decision, solution, excess, relaxed))

    def programme(self, decision: Decision, scored: Bools) -> Programme:
        """Return the compact problem of a date, its score standardised so that tolerances mean the same every day."""
        score = decision.score
        spread = float(np.std(score[scored]))
        alpha = np.where(scored, score, score[scored].min()) - float(np.mean(score[scored]))
        alpha = alpha / spread if spread > 0 else np.zeros_like(alpha)
        current, stuck = decision.current, pinned(decision)
        cap = 1.0 / self.num_stock
        barred = ~decision.can_buy | ~scored
        group, groups = self._groups(decision)
        base, limits = self._exposures(decision, current, group, groups)
        budget = 1.0 - float(current.sum())
        turnover = np.inf if _is_empty(decision) or self.turnover_limit is None else self.turnover_limit
        return Programme(
            alpha=alpha,
            current=current,
            room=np.where(barred, 0.0, np.maximum(cap - current, 0.0)),
            held=np.where(stuck, 0.0, np.where(current > EMPTY, current, 0.0)),
            styles=decision.exposures,
            group=group,
            groups=groups,
            low=np.concatenate([-limits - base, [budget, -np.inf]]),
            high=np.concatenate([limits - base, [budget, turnover]]),
        )

    def excess(self, decision: Decision, weights: Doubles, *, first: bool) -> dict[str, float]:
        """Return by how much weights exceed each limit (0 when they do not), computed from the weights alone."""
        group, groups = self._groups(decision)
        active, limits = self._exposures(decision, weights, group, groups)
        over = np.maximum(np.abs(active) - limits, 0.0)
        K = decision.exposures.shape[0]
        most = np.maximum(1.0 / self.num_stock, decision.current)
        traded = float(np.abs(weights - decision.current).sum())
        frozen = (~decision.can_buy & (weights > decision.current)) | (
            ~decision.can_sell & (weights < decision.current)
        )
        bound = np.inf if first or self.turnover_limit is None else self.turnover_limit
        return {
            "style": float(over[:K].max(initial=0.0)),
            "industry": float(over[K:].max(initial=0.0)),
            "cap": float(np.maximum(weights - most, 0.0).max()),
            "turnover": max(0.0, traded - bound),
            "cash": max(0.0, 1.0 - float(weights.sum())),
            "budget": max(0.0, float(weights.sum()) - 1.0),
            "short": max(0.0, float(-weights.min())),
            "untradable": float(np.abs(weights - decision.current)[frozen].max(initial=0.0)),
        }

    def _groups(self, decision: Decision) -> tuple[np.ndarray, int]:
        """Return each stock's industry row and their number; stocks of unknown industry share one."""
        if self.industry_limit is None:
            return np.zeros(decision.score.size, dtype=np.int64), 1
        known = ~np.isnan(decision.industry)
        if not known.any():
            raise DataError(
                f"No stock has an industry on {decision.date}: the industry limit cannot be applied. Add the table "
                "industry to the store, or set industry_limit to null."
            )
        codes, group = np.unique(np.where(known, decision.industry, -1.0), return_inverse=True)
        return group.astype(np.int64), codes.size

    def _exposures(
        self, decision: Decision, weights: Doubles, group: np.ndarray, groups: int
    ) -> tuple[Doubles, Doubles]:
        """Return active style exposures and industry weights `[K + groups]`, and their limits."""
        active = weights - decision.benchmark
        values = np.concatenate([decision.exposures @ active, np.bincount(group, active, minlength=groups)])
        style = np.inf if self.style_limit is None else self.style_limit
        industry = np.inf if self.industry_limit is None else self.industry_limit
        return values, np.concatenate([np.full(decision.exposures.shape[0], style), np.full(groups, industry)])

    def _beyond(self, decision: Decision, scored: Bools, p: Programme) -> Doubles:
        """Return `[N]` what could be bought beyond the cap if it gave way."""
        able = decision.can_buy & scored
        return np.where(able, np.maximum(1.0 - decision.current - p.room, 0.0), 0.0)

    def _certify(self, decision: Decision, solution: Solution, excess: dict[str, float], relaxed: bool) -> None:
        may = set(self.priority) if relaxed else set()
        broken = {name: value for name, value in excess.items() if value > FEASIBLE and name not in may}
        if broken or not solution.gap <= BEST:
            listed = ", ".join(f"{name} by {value:.2e}" for name, value in broken.items()) or "no limit"
            raise RunError(
                f"The optimiser's weights of {decision.date} fail their certificate: they break {listed}; duality gap "
                f"{solution.gap:.2e} (at most {BEST:g}). Nothing is traded on an unproven result; please report it."
            )

    def _notes(
        self, decision: Decision, solution: Solution, excess: dict[str, float], relaxed: bool
    ) -> dict[str, float | str]:
        stuck = pinned(decision)
        K = decision.exposures.shape[0]
        duals = np.abs(solution.duals)
        rows = [f"style {name}" for name in decision.styles]
        binding = [rows[k] for k in range(K) if duals[k] > PRICE] + (
            ["turnover"] if duals[solution.duals.size - 1 - len(solution.slack)] > PRICE else []
        )
        broken = [name for name in self.priority if excess[name] > FEASIBLE] if relaxed else []
        notes: dict[str, float | str] = {
            "status": "relaxed" if broken else OPTIMAL,
            "relaxed": ", ".join(broken),
            "binding": ", ".join(binding),
            "score": float(np.nansum(solution.weights * np.where(np.isfinite(decision.score), decision.score, 0.0))),
            "gap": solution.gap,
            "columns": float(solution.columns),
            "rounds": float(solution.rounds),
            "pinned": float(stuck.sum()),
            "pinned_weight": float(decision.current[stuck].sum()),
            "turnover_limit": "off" if _is_empty(decision) or self.turnover_limit is None else "on",
        }
        notes |= {f"excess_{name}": excess[name] if name in broken else 0.0 for name in self.priority}
        return notes


PRICE = 1e-7
"""A dual above this makes a limit binding in the notes."""


def _is_empty(decision: Decision) -> bool:
    return bool(decision.current.sum() <= EMPTY)
