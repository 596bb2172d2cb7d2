"""Weekly portfolios of 1,000 and 4,300 stocks, linear and quadratic, against cvxpy's default, interleaved.

Each week the same decision goes to the construction `optimise`, everything included (forming the problem, solving,
certificate, notes), and to cvxpy, which builds the problem as one would write it down and picks its own solver. Times
are processor seconds of one thread. Objectives and violations are recomputed from both sides' weights.
"""

import argparse
import statistics
import time

import cvxpy as cp
import numpy as np

from alphaloom.portfolio.base import Decision
from alphaloom.portfolio.optimise import Optimise
from benchmarks.optimiser_weeks import weeks
from benchmarks.record import save

STYLE, INDUSTRY, STOCKS, TURNOVER, COST, AVERSION = 0.3, 0.5, 100, 0.15, 8e-4, 10.0
HORIZON = 5
LIMITS = (
    {"name": "cap", "num_stock": STOCKS},
    {"name": "turnover", "limit": TURNOVER},
    {"name": "industry", "limit": INDUSTRY},
    {"name": "style", "limit": STYLE},
)
LINEAR = Optimise.parse({"constraints": LIMITS, "alpha": "return"})
QUADRATIC = Optimise.parse(
    {
        "constraints": LIMITS,
        "alpha": "return",
        "risk_aversion": AVERSION,
        "horizon": HORIZON,
        "costs": [{"name": "linear", "buy": COST, "sell": COST}],
    }
)
BP = 1e4


def written_down(d: Decision, quadratic: bool, **settings) -> tuple[np.ndarray | None, str]:
    """Return cvxpy's weights of the problem as one would write it, and the solver it took."""
    N = d.score.size
    w = cp.Variable(N)
    active = w - d.benchmark
    industries = np.array([d.industry == code for code in np.unique(d.industry)], dtype=np.float64)
    low, high = bounds(d)
    constraints = [
        cp.abs(d.exposures @ active) <= STYLE,
        cp.abs(industries @ active) <= INDUSTRY,
        w >= low,
        w <= high,
        cp.norm1(w - d.current) <= TURNOVER,
        cp.sum(w) == 1,
    ]
    objective = d.score @ w
    if quadratic:
        root = np.linalg.cholesky(HORIZON * d.risk.covariance)
        loads = cp.Variable(root.shape[0])
        constraints.append(loads == d.risk.exposures @ active)
        variance = cp.sum_squares(root.T @ loads) + cp.sum_squares(
            cp.multiply(np.sqrt(HORIZON * d.risk.specific), active)
        )
        objective = objective - AVERSION * variance - COST * cp.norm1(w - d.current)
    problem = cp.Problem(cp.Maximize(objective), constraints)
    problem.solve(**settings)
    return w.value, str(problem.solver_stats.solver_name)


def bounds(d: Decision) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest and largest weights: the cap bars buying, what cannot be traded stays."""
    high = np.where(d.can_buy, np.maximum(1.0 / STOCKS, d.current), d.current)
    return np.where(d.can_sell, 0.0, d.current), high


def objective(d: Decision, w: np.ndarray, quadratic: bool) -> float:
    """Return what is maximised, from the weights."""
    value = float(d.score @ w)
    if quadratic:
        active = w - d.benchmark
        value -= AVERSION * HORIZON * d.risk.variance(active) + COST * float(np.abs(w - d.current).sum())
    return value


def violation(d: Decision, w: np.ndarray) -> float:
    """Return the largest violation of any limit, from the weights."""
    active = w - d.benchmark
    low, high = bounds(d)
    industry = np.bincount(d.industry.astype(np.int64), active)
    return max(
        float(np.abs(d.exposures @ active).max()) - STYLE,
        float(np.abs(industry).max()) - INDUSTRY,
        float(np.maximum(low - w, w - high).max()),
        float(np.abs(w - d.current).sum()) - TURNOVER,
        abs(float(w.sum()) - 1.0),
        0.0,
    )


def measure(N: int, count: int, quadratic: bool, peers: int) -> dict:
    """Return one row of the table: `count` weeks of our own, cvxpy on the first `peers` of them."""
    construction = QUADRATIC if quadratic else LINEAR
    own, other, gaps, broken, theirs, certified, solvers, picked = [], [], [], [], [], [], {}, ""
    for k, d in enumerate(weeks(construction, N, count)):
        began = time.process_time()
        target = construction.weigh(d)
        own.append(time.process_time() - began)
        notes = target.notes
        solvers[notes["solver"]] = solvers.get(notes["solver"], 0) + 1
        certified.append(abs(notes["gap"]) * BP)
        broken.append(violation(d, target.weights) if notes["status"] == "optimal" else np.nan)
        if k >= peers:
            continue
        began = time.process_time()
        w, picked = written_down(d, quadratic)
        other.append(time.process_time() - began)
        if w is not None:
            gaps.append(abs(objective(d, target.weights, quadratic) - objective(d, w, quadratic)) * BP)
            theirs.append(violation(d, w))
    us, them = statistics.median(own), statistics.median(other)
    return {
        "problem": "quadratic" if quadratic else "linear",
        "stocks": N,
        "weeks": count,
        "optimise, ms": 1e3 * us,
        "cvxpy, ms": 1e3 * them,
        "faster": them / us,
        "cvxpy's weeks": len(other),
        "cvxpy picks": picked,
        "difference, bp": max(gaps, default=np.nan),
        "gap certified, bp": max(certified),
        "violation": float(np.nanmax(broken)),
        "violation, cvxpy": max(theirs, default=np.nan),
        "solvers": ", ".join(f"{name} {n}" for name, n in solvers.items()),
    }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="optimiser", description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--weeks", type=int, default=500, help="weeks solved and certified")
    parser.add_argument("--cvxpy-weeks", type=int, default=40, help="weeks solved by cvxpy as well")
    parser.add_argument("--stocks", type=int, nargs="+", default=[1000, 4300])
    options = parser.parse_args(arguments)
    rows = [
        measure(N, options.weeks, quadratic, min(options.weeks, options.cvxpy_weeks))
        for N in options.stocks
        for quadratic in (False, True)
    ]
    limits = (
        f"Limits: styles {STYLE}, industries {INDUSTRY}, cap 1/{STOCKS}, two-way turnover {TURNOVER}; fully invested, "
        f"long; some stocks suspended or locked. Quadratic: risk aversion {AVERSION:g}, cost {COST:g}, 41 factors."
    )
    times = (
        "Medians of processor milliseconds, one thread; a week's two solves follow each other. Ours includes forming "
        "the problem, the certificate and the notes; cvxpy's includes building its problem."
    )
    columns = (
        "Difference: largest difference of objectives in basis points of return, over cvxpy's weeks. Gap certified: "
        "largest duality gap over all weeks. Violations: largest over the weeks, fractions of the portfolio."
    )
    installed = ", ".join(cp.installed_solvers())
    peer = (
        f"cvxpy {cp.__version__} with {installed}. All weeks by cvxpy as well: "
        "`python -m benchmarks optimiser --cvxpy-weeks 500`."
    )
    save(
        "optimiser", "Weekly portfolios against cvxpy", rows, {"cvxpy": cp.__version__}, [times, limits, columns, peer]
    )
    return 0
