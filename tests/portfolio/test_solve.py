"""Every solver against cvxpy's solution of the problem as written, and the bound that proves optimality."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_problem import naive, random_problem
from scipy.optimize import minimize_scalar

from alphaloom.kernels.dual_simplex import UNFINISHED, dual_simplex
from alphaloom.portfolio.solve.bound import bound
from alphaloom.portfolio.solve.certificate import certify, holds
from alphaloom.portfolio.solve.conic import solve_conic
from alphaloom.portfolio.solve.linear import solve_linear
from alphaloom.portfolio.solve.names import respond, slopes, values
from alphaloom.portfolio.solve.newton import can_newton, solve_newton
from alphaloom.portfolio.solve.problem import INFEASIBLE, OPTIMAL, Bend, Box, Prices, Problem, Risk
from alphaloom.portfolio.solve.restrict import none
from alphaloom.portfolio.solve.route import solve
from alphaloom.portfolio.solve.rows import Dense, Groups, Rows

KINDS = {
    "linear": {"risk": False},
    "quadratic": {},
    "impact": {"impact": True},
    "impact without risk": {"risk": False, "impact": True},
    "long-short linear": {"shorts": True, "risk": False},
    "long-short quadratic": {"shorts": True},
    "tracking error": {"limit": 0.5},
    "tracking error, long-short": {"limit": 0.5, "shorts": True},
    "tracking error and impact": {"limit": 0.5, "impact": True},
    "singular covariance": {"rank": 2},
    "slack of rows": {"slack": (("style", 1.0, 10.0), ("turnover", 0.5, 0.1))},
    "slack of boxes, linear": {"risk": False, "slack": (("cap", 0.3, 10.0), ("cash", 1.0, 1.0))},
    "slack of boxes, quadratic": {"slack": (("cap", 0.3, 0.02), ("cash", 1.0, 1.0))},
    "forced sales": {"risk": False, "trim": True},
    "forced sales that give way": {"risk": False, "trim": True, "slack": (("cap", 0.3, 10.0),)},
    "forced sales that give way, quadratic": {"trim": True, "slack": (("cap", 0.3, 10.0),)},
    "slack of boxes, long-short": {"risk": False, "shorts": True, "slack": (("cap", 0.2, 0.05),)},
}


def reference(p):
    """Status, weights, objective and slack of the naive problem; cvxpy warns when its solver stops short."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return naive(p)


def objective(p, s):
    """The objective of a solution, slack included."""
    return p.objective(s.weights) + sum(item.cost * s.slack.get(item.label, 0.0) for item in p.slack)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_equals_cvxpy(kind, seed):
    """Whatever solver is chosen, the result is feasible to 1e-8, certified to 1e-8, and cvxpy's optimum; where cvxpy
    finds no solution there is none.
    """
    p = random_problem(100 + seed, N=40, **KINDS[kind])
    s = solve(p)
    status, _, value, _ = reference(p)
    if status in {"infeasible", "infeasible_inaccurate"}:
        assert s.status == INFEASIBLE
        return
    assert s.status == OPTIMAL
    assert holds(certify(p, replace(s, least=None)))
    assert objective(p, s) == pytest.approx(value, abs=2e-8 if status == "optimal" else 1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_cone_solver_alone_reaches_the_same_optimum(kind):
    """The fallback gives what the first choice gives, with a certificate of its own."""
    p = random_problem(4, N=40, **KINDS[kind])
    first, second = solve(p), solve_conic(p)
    assert second.status == first.status == OPTIMAL
    assert holds(certify(p, second))
    assert objective(p, second) == pytest.approx(objective(p, first), abs=2e-8)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["quadratic", "impact", "linear"])
def test_a_restricted_set_is_the_optimum_of_all_stocks(kind, seed):
    """With 900 stocks a few hundred are looked at, and the bound over all proves that no other would help."""
    p = random_problem(seed, N=900, K=6, G=12, **KINDS[kind])
    s = solve(p)
    every = solve_linear(p, restricted=False) if kind == "linear" else solve_newton(p)
    assert s.columns < every.columns
    assert p.objective(s.weights) == pytest.approx(p.objective(every.weights), abs=1e-9)
    assert holds(certify(p, replace(s, least=None)))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), kind=st.sampled_from(sorted(KINDS)))
def test_no_prices_bound_the_optimum_from_above(seed, kind):
    """At any prices the dual objective is at most the objective of feasible weights: a bound needs no trust in who
    found the prices.
    """
    p = random_problem(4, N=40, **KINDS[kind])
    best = objective(p, solve_conic(p))
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.uniform(-3, 1)
    risky = p.risk is not None and (p.risk.aversion > 0 or np.isfinite(p.risk.most))
    prices = Prices(
        scale * rng.normal(size=p.rows.count),
        scale * rng.random(len(p.bends)),
        scale * rng.normal(size=p.risk.root.shape[1]) if risky else none(p).factors,
        scale * rng.random() * 100 if p.risk is not None and np.isfinite(p.risk.most) else 0.0,
        scale * rng.random(len(p.slack)),
    )
    assert bound(p, prices).value <= best + 1e-8


@settings(max_examples=150, deadline=None)
@given(
    numbers=st.tuples(*[st.floats(-1, 1)] * 4),
    square=st.floats(0.05, 5),
    impact=st.one_of(st.just(0.0), st.floats(0.01, 3)),
    costs=st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)),
    zero=st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)),
    box=st.tuples(st.floats(-1, 0.2), st.floats(0.25, 1)),
)
def test_a_stocks_best_weight_is_the_minimum(numbers, square, impact, costs, zero, box):
    """The formula for one stock is no worse than a numerical minimum, with kinks at the holding and at zero."""
    alpha, price, centre, current = numbers
    risk = Risk(1.0, np.ones((1, 1)), np.zeros((1, 1)), np.array([square]), np.array([centre]))
    p = Problem(
        alpha=np.array([alpha]),
        current=np.array([current]),
        boxes=(Box("own", np.array([box[0]]), np.array([box[1]])),),
        rows=Rows([Dense("row", ("row",), np.ones((1, 1)), np.array([-1.0]), np.array([1.0]))]),
        bends=(Bend("gross", "long", "zero", 1.0, 0.0, 9.0), Bend("gross", "short", "zero", 0.0, 1.0, 9.0)),
        buying=np.array([costs[0]]),
        selling=np.array([costs[1]]),
        impact=np.array([impact]),
        risk=risk,
    )
    s = slopes(p, Prices(np.array([price]), np.array(zero), np.zeros(1)))

    def cost(x):
        return float(values(p, s, np.array([x]))[0])

    x = float(respond(p, s).weights[0])
    assert box[0] <= x <= box[1]
    found = minimize_scalar(cost, bounds=box, method="bounded", options={"xatol": 1e-10}).fun
    ends = [cost(point) for point in (box[0], box[1], np.clip(0.0, *box), np.clip(current, *box))]
    by_hand = alpha_form(x, numbers, square, impact, costs, zero)
    assert cost(x) == pytest.approx(by_hand, abs=1e-12)
    assert cost(x) <= min(found, *ends) + 1e-9


def alpha_form(x, numbers, square, impact, costs, zero):
    """The priced objective of one stock, term by term."""
    alpha, price, centre, current = numbers
    trade = x - current
    value = (price - alpha) * x + square * (x - centre) ** 2 + impact * abs(trade) ** 1.5
    value += costs[0] * max(trade, 0) + costs[1] * max(-trade, 0)
    return value + zero[0] * max(x, 0) + zero[1] * max(-x, 0)


def test_rows_by_block_equal_a_dense_matrix():
    """Sums, prices, entries and cuts of blocks are those of the matrix that they stand for."""
    rng = np.random.default_rng(0)
    values, codes = rng.normal(size=(3, 20)), rng.integers(0, 4, 20)
    inf = np.full(4, np.inf)
    rows = Rows(
        [Dense("a", ("x", "y", "z"), values, -np.ones(3), np.ones(3)), Groups("g", tuple("1234"), codes, -inf, inf)]
    )
    matrix = np.vstack([values, *(codes[None] == g for g in range(4))]).astype(float)
    w, z, some = rng.normal(size=20), rng.normal(size=7), np.array([3, 5, 17])
    np.testing.assert_allclose(rows.activity(w), matrix @ w)
    np.testing.assert_allclose(rows.priced(z, 20), z @ matrix)
    filled = np.zeros((20, 7))
    rows.fill(filled)
    np.testing.assert_array_equal(filled, matrix.T)
    part = np.zeros((3, 7))
    rows.take(some).fill(part)
    np.testing.assert_array_equal(part, matrix[:, some].T)
    np.testing.assert_allclose(rows.take(some).activity(w[some]), matrix[:, some] @ w[some])
    assert rows.of("g").tolist() == [3, 4, 5, 6]


def test_a_failed_first_choice_goes_to_the_cone_solver(monkeypatch):
    """Weights that fail their certificate are not handed on: the second solver takes over, and the reason is told."""
    p = random_problem(3, N=40)
    honest = solve_newton

    def wrong(p, start=None):
        s = honest(p, start)
        return replace(s, weights=s.weights + 1e-4)

    monkeypatch.setattr("alphaloom.portfolio.solve.route.solve_newton", wrong)
    s = solve(p)
    assert s.solver == "clarabel"
    assert s.reason.startswith("dual newton: violation")
    monkeypatch.undo()
    assert p.objective(s.weights) == pytest.approx(p.objective(solve(p).weights), abs=1e-8)


@pytest.mark.parametrize("kind", ["linear", "slack of rows and boxes"])
def test_highs_takes_over_from_the_simplex(monkeypatch, kind):
    """What the compiled simplex does not finish, and what it gets wrong, HiGHS solves over all stocks."""
    slack = () if kind == "linear" else (("cap", 0.3, 10.0), ("style", 1.0, 10.0))
    p = random_problem(3, N=40, risk=False, slack=slack)
    value = objective(p, solve(p))
    path = "alphaloom.portfolio.solve.linear.dual_simplex"
    monkeypatch.setattr(path, lambda *_: UNFINISHED)
    s = solve(p)
    assert s.solver == "highs simplex"
    assert objective(p, s) == pytest.approx(value, abs=1e-9)

    def wrong(*arguments):
        status = dual_simplex(*arguments)
        arguments[-2][:] *= 0.99
        return status

    monkeypatch.setattr(path, wrong)
    s = solve(p)
    assert s.solver == "highs simplex"
    assert s.reason.startswith("dual simplex: violation")
    assert objective(p, s) == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("kind", ["linear", "quadratic", "tracking error", "impact"])
def test_a_warm_start_changes_no_result(kind):
    """From the prices of another date, or from absurd ones, the optimum is the same."""
    p = random_problem(5, N=40, **KINDS[kind])
    cold = solve(p)
    other = solve(random_problem(6, N=40, **KINDS[kind])).prices
    rng = np.random.default_rng(0)
    absurd = replace(other, rows=100 * rng.normal(size=other.rows.size), bends=100 * rng.random(other.bends.size))
    for start in (cold.prices, other, absurd):
        np.testing.assert_allclose(solve(p, start).weights, cold.weights, atol=1e-7)


def test_newton_refuses_what_it_cannot_do():
    """Stocks without a curve of their own, and limits that give way, go to other solvers."""
    assert can_newton(random_problem(0, N=40))
    assert not can_newton(random_problem(0, N=40, risk=False))
    assert not can_newton(random_problem(0, N=40, slack=(("style", 1.0, 10.0),)))
    flat = random_problem(0, N=40)
    flat = replace(flat, risk=replace(flat.risk, specific=np.zeros(40)))
    assert not can_newton(flat)
    s = solve(flat)
    assert s.solver == "clarabel"
    assert objective(flat, s) == pytest.approx(reference(flat)[2], abs=2e-8)


def test_pricing_takes_in_every_stock_that_helps():
    """A restricted set that begins with badly chosen stocks still ends at the optimum of all."""
    p = random_problem(2, N=900, K=4, G=6, risk=False)
    start = replace(none(p), rows=np.where(np.arange(p.rows.count) < 4, 5.0, 0.0))
    s = solve_linear(p, start)
    assert s.rounds > 1
    assert holds(certify(p, replace(s, least=None)))
