"""At most so many holdings: the exact method against cvxpy, the greedy one against the bound, both with their gap."""

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
from decisions import random_decision

from alphaloom.portfolio.build import weigh
from alphaloom.portfolio.optimise import Optimise

pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered in matmul:RuntimeWarning")  # of cvxpy
CAP = {"name": "cap", "num_stock": 5}
STYLE = {"name": "style", "limit": 0.3}


def date(seed, **further):
    """A date whose holdings are few, in units of return."""
    return random_decision(seed, **{"N": 40, "held": 8, "frictions": False, "scale": 0.01, **further})


def counted(method, most=8, **further):
    """An optimiser with a count."""
    limits = (CAP, STYLE, {"name": "turnover", "limit": 1.0}, {"name": "cardinality", "most": most, "method": method})
    return Optimise.parse({"constraints": limits, "alpha": "return", **further})


def best_choice(d, most):
    """Cvxpy's optimum with a binary variable for every stock, None without solution."""
    N = d.score.size
    w, z = cp.Variable(N), cp.Variable(N, boolean=True)
    high = np.maximum(0.2, d.current)
    limits = [
        w >= 0, w <= cp.multiply(high, z), cp.sum(z) <= most, cp.sum(w) == 1, cp.norm1(w - d.current) <= 1.0,
        cp.abs(d.exposures @ (w - d.benchmark)) <= 0.3,
    ]  # fmt: skip
    problem = cp.Problem(cp.Maximize(d.score @ w), limits)
    problem.solve(solver="HIGHS")
    return problem.value if w.value is not None else None


@pytest.mark.parametrize("seed", range(6))
def test_the_exact_method_finds_the_best_choice(seed):
    """Branch and bound reaches cvxpy's optimum, and says that nothing better exists."""
    d = date(seed)
    target = weigh(counted("mip"), d)
    wanted = best_choice(d, 8)
    assert wanted is not None
    assert (target.weights > 1e-9).sum() <= 8
    assert d.score @ target.weights == pytest.approx(wanted, abs=1e-7)
    assert target.notes["gap"] <= 1e-7


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("aversion", [0.0, 4.0])
def test_the_greedy_method_keeps_the_count_and_tells_an_honest_gap(seed, aversion):
    """The result holds no more stocks than allowed, keeps the other limits, and its gap covers the best choice."""
    d = date(seed)
    target = weigh(counted("greedy", risk_aversion=aversion), d)
    assert (target.weights > 1e-9).sum() <= 8
    assert np.abs(d.exposures @ (target.weights - d.benchmark)).max() <= 0.3 + 1e-8
    assert target.notes["status"] in {"optimal", "heuristic"}
    assert (target.notes["status"] == "heuristic") is bool(target.notes["gap"] > 1e-8)
    if not aversion:
        shortfall = best_choice(d, 8) - d.score @ target.weights
        assert -1e-8 <= shortfall <= target.notes["gap"] + 1e-8


def test_a_count_that_does_not_bind_changes_nothing():
    """When the optimum holds few stocks anyway, it is returned with the gap of a proven optimum."""
    d = date(1)
    free = weigh(Optimise.parse({"constraints": (CAP, STYLE), "alpha": "return"}), d)
    held = int((free.weights > 1e-9).sum())
    limits = (CAP, STYLE, {"name": "cardinality", "most": held})
    target = weigh(Optimise.parse({"constraints": limits, "alpha": "return"}), d)
    assert d.score @ target.weights == pytest.approx(d.score @ free.weights, abs=1e-10)
    assert target.notes["status"] == "optimal"


def test_limits_give_way_before_the_count():
    """A count and a turnover that exclude each other: turnover, the less important, is exceeded, the count kept."""
    d = random_decision(2, N=40, held=30, frictions=False)
    limits = (CAP, {"name": "turnover", "limit": 0.1}, {"name": "cardinality", "most": 6})
    target = weigh(Optimise.parse({"constraints": limits}), d)
    assert (target.weights > 1e-9).sum() <= 6
    assert target.notes["excess_cardinality"] == 0.0
    assert "turnover" in target.notes["relaxed"]


def test_what_cannot_be_sold_is_counted():
    """A frozen holding takes one of the places."""
    d = date(3)
    stuck = int(np.flatnonzero(d.current)[0])
    d = replace(d, can_sell=np.arange(40) != stuck)
    target = weigh(counted("greedy", most=6), d)
    assert target.weights[stuck] >= d.current[stuck]
    assert (target.weights > 1e-9).sum() <= 6
