"""What gives way when not all limits can be met: the least important, by the least amount."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from alphaloom.errors import RunError
from alphaloom.portfolio.solve.problem import OPTIMAL, Problem, Slack, Solution
from alphaloom.portfolio.solve.route import solve

MARGIN = 1e-9
"""Room that a minimum found by a solver is given when it becomes a limit."""
Solve = Callable[[Problem], Solution]


@dataclass(frozen=True, eq=False)
class Relaxed:
    """The optimum within limits that give way, and the problem with these limits that it solves."""

    problem: Problem
    solution: Solution
    free: tuple[str, ...]
    """The limits that gave way, most important first."""


def relax(p: Problem, priority: Sequence[str], when: str, solver: Solve = solve) -> Relaxed:
    """Return the optimum with limits violated as little as possible, the least important ones first.

    `priority` lists limits from the most to the least important. Beginning with the last, limits are let go until a
    solution exists; then, from the most important of them on, the sum of each one's violations is minimised with the
    earlier ones held at their minimum (of a variance limit, the variance); at last the objective is optimised within
    these violations, unless the least variance leaves no choice. `when` is for messages.

    Raises:
        RunError: no solution even with every limit let go.
    """
    present = [label for label in priority if label in _labels(p)]
    free: list[str] = []
    trial: Solution | None = None
    for label in reversed(present):
        free.insert(0, label)
        trial = solver(_minimised(p, free, {}, label))
        if trial.status == OPTIMAL:
            break
    if trial is None or trial.status != OPTIMAL:
        said = "" if trial is None else f" (the last solver ended as {trial.status})"
        raise RunError(
            f"The optimiser finds no weights on {when} that keep the limits; what may give way is: "
            f"{', '.join(present) or 'nothing'}{said}. Widen the limits, or name more in the setting priority."
        )
    amounts: dict[str, float] = {}
    for label in free:
        problem = _minimised(p, free, amounts, label)
        found = trial if label == free[0] else solver(problem)
        if found.status != OPTIMAL:
            raise _unfinished(found, when, free)
        if is_variance(p, label) and has_one_least(p):
            return Relaxed(problem, found, tuple(free))
        amounts[label] = _amount(p, found, label)
    problem = _loosened(p, free, amounts, {})
    final = solver(problem)
    if final.status != OPTIMAL:
        raise _unfinished(final, when, free)
    return Relaxed(problem, final, tuple(free))


def is_variance(p: Problem, label: str) -> bool:
    """Return whether a limit is the one on the variance."""
    return p.risk is not None and label == p.risk.label


def has_one_least(p: Problem) -> bool:
    """Return whether the least variance has one portfolio: then nothing is left to choose once it is reached."""
    return p.risk is not None and bool((p.risk.specific > 0).all())


def _unfinished(found: Solution, when: str, free: Sequence[str]) -> RunError:
    return RunError(
        f"The solver {found.solver} ends as {found.status} on {when} while the limits {', '.join(free)} give way; "
        "please report it."
    )


def _labels(p: Problem) -> set[str]:
    labels = {label for label, _ in p.rows.named}
    labels |= {bend.label for bend in p.bends} | {box.label for box in p.boxes}
    return labels | ({p.risk.label} if p.risk is not None and np.isfinite(p.risk.most) else set())


def _amount(p: Problem, found: Solution, label: str) -> float:
    """Return how much a limit had to give: its slack, or the variance reached."""
    if p.risk is not None and is_variance(p, label):
        return p.risk.variance(found.weights)
    return max(0.0, found.slack[label])


def _minimised(p: Problem, free: Sequence[str], amounts: dict[str, float], wanted: str) -> Problem:
    """Return the problem of violating one limit least, earlier ones at their minimum."""
    nothing = np.zeros(p.size)
    out = _loosened(p, free, amounts, {wanted: 1.0})
    risk = out.risk
    if risk is not None and wanted == risk.label:
        risk = replace(risk, aversion=1.0 / max(risk.most, 1e-12), most=np.inf)
    elif risk is not None:
        risk = replace(risk, aversion=0.0) if np.isfinite(risk.most) else None
    return replace(out, alpha=nothing, buying=nothing, selling=nothing, impact=nothing, risk=risk)


def _loosened(p: Problem, free: Sequence[str], amounts: dict[str, float], costs: dict[str, float]) -> Problem:
    """Return the problem with some limits free, up to the amounts found so far."""
    slack, risk = [], p.risk
    for label in free:
        if risk is not None and label == risk.label:
            if label in amounts:
                risk = replace(risk, most=max(risk.most, amounts[label] * (1.0 + MARGIN)))
            elif label not in costs:
                risk = replace(risk, most=np.inf)
            continue
        most = amounts[label] * (1.0 + MARGIN) + 0.1 * MARGIN if label in amounts else 10.0
        slack.append(Slack(label, costs.get(label, 0.0), most))
    return replace(p, slack=tuple(slack), risk=risk)
