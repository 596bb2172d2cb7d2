"""Random problems of the portfolio solvers, and the same problems written down naively in cvxpy."""

import cvxpy as cp
import numpy as np

from alphaloom.portfolio.solve.problem import Bend, Box, Problem, Risk, Slack
from alphaloom.portfolio.solve.rows import Dense, Groups, Rows


def random_problem(
    seed, N=60, K=3, G=5, *, risk=True, impact=False, shorts=False, limit=None, rank=None, slack=(), trim=False
):
    """A rebalancing with styles, industries, money and turnover; feasible in most cases.

    `limit` bounds the variance at a multiple of the holdings' own; `rank` makes the covariance singular; with `trim`
    holdings above the cap must be sold down to it.
    """
    rng = np.random.default_rng(seed)
    bench = np.where(rng.random(N) < 0.6, rng.random(N), 0.0)
    bench /= bench.sum()
    current = np.zeros(N)
    names = rng.choice(N, N // 3, replace=False)
    current[names] = rng.random(N // 3) + 0.3
    current *= 0.98 / current.sum()
    if shorts:
        current[names[: N // 9]] *= -0.6
        current *= 1.2 / np.abs(current).sum()
    styles, codes = rng.normal(size=(K, N)), rng.integers(0, G, N)
    industries = np.array([codes == g for g in range(G)]).astype(float)
    style, industry = 0.3 * rng.uniform(0.5, 2), 0.15 * rng.uniform(0.5, 2)
    net = float(current.sum()) if shorts else 1.0
    own, own_industry = styles @ bench * net, industries @ bench * net
    least, most = np.array([net - (0.1 if shorts else 0.0)]), np.array([net])
    rows = Rows(
        [
            Dense("style", tuple(f"s{k}" for k in range(K)), styles, own - style, own + style),
            Groups(
                "industry", tuple(f"g{g}" for g in range(G)), codes, own_industry - industry, own_industry + industry
            ),
            Dense("cash", ("cash",), np.ones((1, N)), least, most, falls_only=True),
        ]
    )
    cap = rng.uniform(1.5, 4) * 3 / N
    able = rng.random(N) > 0.1
    boxes = (
        Box("trade", np.where(able, -1.0 if shorts else 0.0, current), np.where(able, 1.0, current)),
        Box("cap", np.minimum(-cap, current) if shorts else 0.0, cap if trim else np.maximum(cap, current)),
    )
    bends = [Bend("turnover", "two-way", "current", 1.0, 1.0, rng.uniform(0.2, 0.8))]
    if shorts:
        bends += [Bend("gross", "gross", "zero", 1.0, 1.0, 1.25), Bend("short", "short", "zero", 0.0, 1.0, 0.3)]
    forecast = None
    if risk:
        root = rng.normal(size=(K + 2, rank or K + 2)) * 0.01
        specific = rng.uniform(0.01, 0.03, N) ** 2
        exposures = np.vstack([np.ones(N), rng.normal(size=N), styles])
        forecast = Risk(rng.choice([0.5, 5.0, 50.0]), exposures, root, specific, bench * net)
        if limit is not None:
            forecast = Risk(0.0, exposures, root, specific, bench * net, limit * forecast.variance(current))
    cost = rng.uniform(0, 0.02)
    return Problem(
        alpha=rng.normal(size=N),
        current=current,
        boxes=boxes,
        rows=rows,
        bends=tuple(bends),
        buying=np.full(N, cost),
        selling=np.full(N, 1.5 * cost),
        impact=rng.uniform(0.5, 5, N) if impact else np.zeros(N),
        risk=forecast,
        slack=tuple(Slack(*item) for item in slack),
    )


def naive(p, solver="CLARABEL"):
    """Return status, weights, objective and slack sums of cvxpy's solution of the problem as written."""
    N = p.size
    w = cp.Variable(N)
    up, down = cp.pos(w - p.current), cp.pos(p.current - w)
    objective = -p.alpha @ w + p.buying @ up + p.selling @ down
    if p.impact.any():
        objective += p.impact @ cp.power(cp.abs(w - p.current), 1.5)
    cons, used = [], {}
    sums = {slack.label: [] for slack in p.slack}

    def give(label, size):
        v = cp.Variable(size, nonneg=True)
        sums[label].append(cp.sum(v))
        return v

    for block in p.rows.blocks:
        values = np.zeros((N, len(block.names)))
        block.fill(values)
        under, over = 0.0, 0.0
        if block.label in sums:
            under = give(block.label, len(block.names))
            over = 0.0 if block.falls_only else give(block.label, len(block.names))
        act = values.T @ w
        cons += [act + under - over <= block.high, act + under - over >= block.low]
    for bend in p.bends:
        x = w - p.current if bend.at == "current" else w
        off = give(bend.label, 1) if bend.label in sums else 0.0
        cons.append(bend.up * cp.sum(cp.pos(x)) + bend.down * cp.sum(cp.pos(-x)) - off <= bend.most)
    off_up, off_down = 0.0, 0.0
    for slack, *_ in p.beyond():
        off_up, off_down = off_up + give(slack.label, N), off_down + give(slack.label, N)
    cons += [w <= p.high + off_up, w >= p.low - off_down]
    if p.slack and p.beyond():
        cons += [w <= p.beyond()[-1][2], w >= p.beyond()[-1][1]]
    if p.risk is not None:
        r = p.risk
        loads = r.root.T @ (r.exposures @ w) - r.offset
        own = cp.multiply(np.sqrt(r.specific), w - r.centre)
        objective += r.aversion * (cp.sum_squares(loads) + cp.sum_squares(own))
        if np.isfinite(r.most):
            cons.append(cp.norm(cp.hstack([loads, own])) <= np.sqrt(r.most))
    for slack in p.slack:
        used[slack.label] = sum(sums[slack.label])
        objective += slack.cost * used[slack.label]
        cons.append(used[slack.label] <= slack.most)
    problem = cp.Problem(cp.Minimize(objective), cons)
    tight = {"tol_gap_abs": 1e-11, "tol_gap_rel": 1e-11, "tol_feas": 1e-11} if solver == "CLARABEL" else {}
    problem.solve(solver=solver, **tight)
    totals = {k: float(np.squeeze(v.value)) for k, v in used.items()} if w.value is not None else {}
    return problem.status, w.value, problem.value, totals
