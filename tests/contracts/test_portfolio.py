"""Rules that every registered portfolio construction, constraint and cost keeps."""

import re
from dataclasses import replace

import numpy as np
import pytest
from decisions import permuted, random_decision

from alphaloom.portfolio.base import constructions
from alphaloom.portfolio.build import weigh
from alphaloom.portfolio.compile import Aim, compiled
from alphaloom.portfolio.constraints.base import constraints
from alphaloom.portfolio.costs.base import costs
from alphaloom.portfolio.optimise import Optimise
from alphaloom.portfolio.solve.cardinality import Count
from alphaloom.portfolio.solve.certificate import violation
from alphaloom.portfolio.solve.problem import Solution
from alphaloom.portfolio.solve.restrict import none

NAMES = constructions.names()
LIMITS = constraints.names()
COSTS = costs.names()
COMPILED = [name for name in LIMITS if name not in {"cardinality", "written"}]
"""Constraints that are more than a count or a function of the user's."""


def decision_for(item, seed=0, N=220, started=True):
    """A random date with frictions, half of the stocks held or none, with all that the component reads."""
    d = random_decision(seed, N, K=4, G=12, held=N // 2 if started else 1, cash=0.02, measured=item.expressions)
    if not started:
        d = replace(d, current=np.zeros(N))
    fields = {name: np.random.default_rng(seed).normal(22, 1, N) for name in getattr(item, "inputs", ())}
    return replace(d, fields=fields)


@pytest.mark.parametrize("name", NAMES)
def test_default_settings_and_recipe_form(name):
    """A construction is made by its name alone, and its written form is read back equal."""
    construction = constructions.parse(name)
    assert constructions.parse(construction.describe()) == construction
    assert (type(construction).__doc__ or "").strip()


@pytest.mark.parametrize("name", NAMES)
def test_the_label_serves_as_a_file_name(name):
    """Files of a run carry it: it begins with the registered name, in letters, digits, `_` and `-`."""
    label = constructions.parse(name).label
    assert label.startswith(name)
    assert re.fullmatch(r"[a-z0-9_-]+", label)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(4))
def test_weights_are_within_the_capital(name, seed):
    """Weights are finite and sum to 1 at most, not negative unless the construction says so; from cash and holdings."""
    construction = constructions.parse(name)
    for started in (True, False):
        weights = weigh(construction, decision_for(construction, seed, started=started)).weights
        if construction.is_long_only:
            assert weights.sum() == pytest.approx(1.0, abs=1e-9)
        else:
            assert weights.min() < 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(4))
def test_what_cannot_trade_is_not_traded(name, seed):
    """No weight rises where buying is barred and none falls where selling is."""
    construction = constructions.parse(name)
    d = decision_for(construction, seed)
    w = weigh(construction, d).weights
    assert (w <= d.current + 1e-12)[~d.can_buy].all()
    assert (w >= d.current - 1e-12)[~d.can_sell].all()


@pytest.mark.parametrize("name", NAMES)
def test_stocks_without_a_score_are_not_bought(name):
    """NaN means no score: such a stock may be kept or sold, not bought."""
    construction = constructions.parse(name)
    d = decision_for(construction, 1)
    w = weigh(construction, d).weights
    assert (w <= d.current + 1e-12)[np.isnan(d.score)].all()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_decision_gives_the_same_weights_and_is_left_unchanged(name):
    """Deterministic and pure."""
    construction = constructions.parse(name)
    d, again = decision_for(construction, 2), decision_for(construction, 2)
    a, b = weigh(construction, d).weights, weigh(construction, again).weights
    np.testing.assert_array_equal(a, b)
    for field in ("score", "current", "benchmark", "exposures", "industry"):
        np.testing.assert_array_equal(getattr(d, field), getattr(decision_for(construction, 2), field))


@pytest.mark.parametrize("name", NAMES)
def test_what_the_last_solve_left_does_not_change_the_weights(name):
    """A warm start changes the time, not the result: scores without ties have one optimum."""
    construction = constructions.parse(name)
    d = decision_for(construction, 4)
    first = weigh(construction, decision_for(construction, 5))
    cold, warm = weigh(construction, d).weights, weigh(construction, replace(d, last=first.last)).weights
    np.testing.assert_allclose(warm, cold, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_reordering_stocks_reorders_weights(name):
    """Scores without ties make the weights independent of the order of the columns."""
    construction = constructions.parse(name)
    d = decision_for(construction, 3)
    d = replace(d, score=np.random.default_rng(3).normal(size=d.score.size))
    order = np.random.default_rng(0).permutation(d.score.size)
    swapped = weigh(construction, permuted(d, order)).weights
    np.testing.assert_allclose(swapped, weigh(construction, d).weights[order], atol=1e-9)


@pytest.mark.parametrize("registry", [constraints, costs])
def test_limits_and_costs_are_made_by_name(registry):
    """Default settings, a docstring, and a written form that is read back equal."""
    for name in registry.names():
        item = registry.parse(name)
        assert registry.parse(item.describe()) == item
        assert (type(item).__doc__ or "").strip()


def optimiser(limit, **further):
    """The optimiser with one constraint beside a cap, which keeps the problem bounded and spread."""
    cap = () if limit == "cap" else ({"name": "cap", "num_stock": 30},)
    return Optimise.parse({"constraints": (limit, *cap), **further})


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("seed", range(3))
def test_a_constraint_holds_or_is_said_to_give_way(name, seed):
    """The result keeps the limit to 1e-8, or the notes name it with the amount; what never gives way holds."""
    construction = optimiser(name)
    d = decision_for(construction, seed, N=80 if name == "written" else 120)
    target = weigh(construction, d)
    excess = construction.limits[name].excess(d, target.weights)
    assert target.notes.get(f"excess_{name}", 0.0) == pytest.approx(excess if excess > 1e-8 else 0.0)
    assert (name in target.notes["relaxed"]) is bool(excess > 1e-8)
    if constraints[name].importance is None:
        assert excess <= 1e-8


@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize("seed", range(5))
def test_the_solvers_see_the_limit_that_the_check_recomputes(name, seed):
    """Weights violate the compiled form exactly when `excess`, which knows nothing of it, says that they do."""
    limit = constraints.parse(name)
    d = decision_for(limit, seed, N=40)
    d = replace(d, can_buy=np.ones(40, bool), can_sell=np.ones(40, bool), score=np.nan_to_num(d.score))
    p = compiled(d, {name: limit}, [name], Aim("zscore", 0.05, 5, 0.0, "active", ()), np.ones(40, bool)).problem
    rng = np.random.default_rng(seed)
    near = d.current + rng.dirichlet(np.ones(40)) * 0.02 - rng.dirichlet(np.ones(40)) * 0.02
    for weights in (d.current, d.benchmark, np.abs(near), rng.dirichlet(np.ones(40)), np.eye(40)[seed]):
        seen = violation(p, Solution("optimal", weights, none(p), ""))
        assert (seen > 1e-9) is (limit.excess(d, weights) > 1e-9)


def test_a_count_is_seen_as_it_is_checked():
    """The cardinality compiles to the count that its check uses."""
    limit = constraints.parse({"name": "cardinality", "most": 3})
    d = decision_for(limit, 0, N=40)
    (term,) = limit.terms(d, "cardinality")
    assert isinstance(term, Count)
    assert term.most == 3
    assert limit.excess(d, np.r_[np.full(5, 0.2), np.zeros(35)]) == 2.0


@pytest.mark.parametrize("name", COSTS)
@pytest.mark.parametrize("seed", range(3))
def test_a_cost_charges_what_the_solvers_are_told(name, seed):
    """The charge of a trade is the sum of the compiled coefficients' terms, 0 for no trade and never negative."""
    cost = costs.parse(name)
    d = decision_for(cost, seed, N=50)
    terms = cost.terms(d)
    weights = np.random.default_rng(seed).dirichlet(np.ones(50))
    change = weights - d.current
    by_hand = sum(
        (terms.buying[n] if x > 0 else terms.selling[n]) * abs(x) + terms.impact[n] * abs(x) ** 1.5
        for n, x in enumerate(change)
    )
    assert cost.charge(d, weights) == pytest.approx(by_hand)
    assert cost.charge(d, d.current) == 0.0
    assert min(terms.buying.min(), terms.selling.min(), terms.impact.min()) >= 0.0


@pytest.mark.parametrize("name", COSTS)
def test_a_cost_is_weighed_against_alpha(name):
    """With a cost the optimum trades less and its objective is not below that of standing at the costless optimum."""
    d = decision_for(optimiser("cap", alpha="return", costs=(name,)), 1, N=80)
    d = replace(d, score=0.002 * d.score)
    free, costly = optimiser("cap", alpha="return"), optimiser("cap", alpha="return", costs=(name,))
    a, b = weigh(free, d).weights, weigh(costly, d).weights
    charge = costs.parse(name).charge
    alpha = np.where(np.isfinite(d.score), d.score, np.nanmin(d.score))
    assert charge(d, b) < charge(d, a)
    assert alpha @ b - charge(d, b) >= alpha @ a - charge(d, a) - 1e-9
