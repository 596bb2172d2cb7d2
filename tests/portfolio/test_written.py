"""Constraints written in cvxpy: functions of one's own, solved by cvxpy together with the others."""

import sys
import types

import cvxpy as cp
import numpy as np
import pytest
from decisions import random_decision

from alphaloom.errors import RunError, SettingError
from alphaloom.portfolio.build import weigh
from alphaloom.portfolio.optimise import Optimise

CAP = {"name": "cap", "num_stock": 10}


@pytest.fixture(autouse=True)
def own_limits(monkeypatch):
    """A module of a user's own."""
    module = types.ModuleType("own_limits")

    def spread(weights, decision):
        """Bounds the sum of squares, and the weight of two stocks."""
        return [cp.norm(weights) <= 0.3, weights[3] + weights[4] <= 0.01]

    def few(weights, decision):
        """At most 12 holdings."""
        held = cp.Variable(weights.size, boolean=True)
        return [weights <= held, cp.sum(held) <= 12]

    def crooked(weights, decision):
        """Not convex."""
        return [cp.norm(weights) >= 0.3]

    def half(weights, decision):
        """Half in cash."""
        return [cp.sum(weights) <= 0.5]

    def liquid(weights, decision):
        """Reads an expression."""
        return [decision.measured["adv20"] @ weights >= 1.5e8]

    for function in (spread, few, crooked, half, liquid):
        setattr(module, function.__name__, function)
    module.number = 3
    monkeypatch.setitem(sys.modules, "own_limits", module)


def optimiser(name, *others, reads=(), **further):
    """An optimiser with one function and a cap."""
    written = {"name": "written", "function": f"own_limits:{name}", "reads": list(reads)}
    return Optimise.parse({"constraints": (CAP, *others, written), "alpha": "return", **further})


def date(seed=1, **further):
    """A date in units of return."""
    return random_decision(seed, **{"frictions": False, "scale": 0.01, **further})


def test_a_function_is_kept_beside_the_others():
    """Written and native constraints hold together, and the result is cvxpy's own optimum of the whole."""
    d = date()
    target = weigh(optimiser("spread", {"name": "style", "limit": 0.2}, risk_aversion=2.0), d)
    w = cp.Variable(60)
    active = w - d.benchmark
    root = np.linalg.cholesky(d.risk.covariance)
    variance = cp.sum_squares((root.T @ d.risk.exposures) @ active)
    variance += cp.sum_squares(cp.multiply(np.sqrt(d.risk.specific), active))
    limits = [
        w >= 0, w <= np.maximum(0.1, d.current), cp.sum(w) == 1, cp.abs(d.exposures @ active) <= 0.2,
        cp.norm(w) <= 0.3, w[3] + w[4] <= 0.01,
    ]  # fmt: skip
    wanted = cp.Problem(cp.Maximize(d.score @ w - 10 * variance), limits).solve(solver="CLARABEL")
    mine = d.score @ target.weights - 10 * d.risk.variance(target.weights - d.benchmark)
    assert mine == pytest.approx(wanted, abs=1e-7)
    assert target.weights[3] + target.weights[4] <= 0.01 + 1e-8
    assert target.notes["solver"] == "cvxpy with clarabel"
    assert target.notes["gap"] <= 1e-8


def test_integer_variables_go_to_a_solver_that_takes_them():
    """A function with binary variables is solved by branch and bound."""
    target = weigh(optimiser("few"), date())
    assert (target.weights > 1e-7).sum() <= 12
    assert target.notes["solver"] == "cvxpy with highs"


def test_native_limits_give_way_to_a_function():
    """A function never gives way: where it forbids full investment, cash remains and is told."""
    target = weigh(optimiser("half"), date())
    assert target.notes["relaxed"] == "cash"
    assert target.notes["excess_cash"] == pytest.approx(0.5, abs=1e-7)


def test_a_function_reads_expressions():
    """What it names in `reads` it finds in the decision."""
    d = date(measured=("adv20",))
    construction = optimiser("liquid", reads=["adv20"])
    assert construction.expressions == ("adv20",)
    d.measured["adv20"][:] = 1e8 * (1 + np.arange(60) / 30)
    target = weigh(construction, d)
    assert d.measured["adv20"] @ target.weights >= 1.5e8 - 1


def test_a_function_that_is_not_convex_or_not_there_is_refused():
    """The error names the function's fault."""
    with pytest.raises(RunError, match="does not follow DCP rules"):
        weigh(optimiser("crooked"), date())
    with pytest.raises(SettingError, match="'own_limits:absent' cannot be imported"):
        weigh(optimiser("absent"), date())
    with pytest.raises(SettingError, match="'own_limits:number' is int, not a function"):
        weigh(optimiser("number"), date())
    with pytest.raises(SettingError, match="function"):
        Optimise.parse({"constraints": ({"name": "written", "function": "no colon"},)})
