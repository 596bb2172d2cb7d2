"""What gives way when not all limits can be met: the least important, by the least amount."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from alphaloom.errors import RunError
from alphaloom.portfolio.programme import OPTIMAL, Programme, Slack, Solution, solve
from alphaloom.typing import Doubles

Limit = Literal["cap", "turnover", "cash", "industry", "style"]
ROUNDING = 1e-9


def slack_for(limit: Limit, p: Programme, beyond: Doubles) -> Slack:
    """Return the columns that let one kind of limit give way; `beyond [N]` are purchases that the cap would bar."""
    K, G = p.styles.shape[0], p.groups
    none = np.zeros(0, dtype=np.int64)
    if limit == "cap":
        return Slack("cap", none, np.zeros(0), room=beyond, most=1.0)
    if limit == "turnover":
        return Slack("turnover", np.array([K + G + 1]), np.array([-1.0]))
    if limit == "cash":
        return Slack("cash", np.array([K + G]), np.array([1.0]), most=1.0)
    rows = np.arange(K) if limit == "style" else np.arange(K, K + G)
    return Slack(limit, np.concatenate([rows, rows]), np.concatenate([np.ones(rows.size), -np.ones(rows.size)]))


def relax(p: Programme, priority: Sequence[Limit], beyond: Doubles, when: str) -> Solution:
    """Return the optimum with limits violated as little as possible, the least important ones first.

    `priority` lists limits from the most to the least important. Beginning with the last, limits are let go until a
    solution exists; then, from the most important of them on, the sum of each one's violations is minimised with the
    earlier ones held at their minimum; at last alpha is maximised within these violations. `when` is for messages.

    Raises:
        RunError: no solution even with every limit let go.
    """
    free: list[Limit] = []
    trial: Solution | None = None
    for limit in reversed(priority):
        free.insert(0, limit)
        trial = _minimise(p, free, {}, limit, beyond)
        if trial.status == OPTIMAL:
            break
    if trial is None or trial.status != OPTIMAL:
        raise RunError(
            f"The optimiser finds no weights on {when} that keep the limits; what may give way is: "
            f"{', '.join(priority) or 'nothing'}. Widen the limits, or name more in the setting priority."
        )
    totals = {free[0]: trial.slack[free[0]]}
    for limit in free[1:]:
        totals[limit] = _minimise(p, free, totals, limit, beyond).slack[limit]
    slack = tuple(
        replace(slack_for(limit, p, beyond), most=max(0.0, totals[limit]) * (1 + ROUNDING) + ROUNDING / 10)
        for limit in free
    )
    final = solve(replace(p, slack=slack), restricted=False)
    if final.status != OPTIMAL:
        raise RunError(
            f"The solver ends as {final.status} on {when} after the limits {', '.join(free)} were relaxed; "
            "please report it."
        )
    return final


def _minimise(
    p: Programme, free: Sequence[Limit], totals: dict[Limit, float], wanted: Limit, beyond: Doubles
) -> Solution:
    """Return the solution with the least sum of one limit's violations, earlier ones at their minimum."""
    slack = []
    for limit in free:
        piece = slack_for(limit, p, beyond)
        if limit in totals:
            piece = replace(piece, most=max(0.0, totals[limit]) * (1 + ROUNDING) + ROUNDING / 10)
        slack.append(replace(piece, cost=1.0 if limit == wanted else 0.0))
    return solve(replace(p, alpha=np.zeros_like(p.alpha), slack=tuple(slack)), restricted=False)
