"""The construction `optimise`: each form of limit and cost against cvxpy, its settings, and what its notes say."""

import warnings
from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
from decisions import random_decision

from alphaloom.errors import RunError, SettingError, UnknownNameError
from alphaloom.portfolio.base import constructions
from alphaloom.portfolio.build import weigh
from alphaloom.portfolio.optimise import Optimise

CAP = {"name": "cap", "num_stock": 20}
AMOUNT, SIGMA = "ts_mean(amount, 20)", "ts_std(returns, 20)"


def date(seed=0, **further):
    """A date without frictions whose scores are expected returns."""
    return random_decision(seed, **{"frictions": False, "scale": 0.01, "measured": (AMOUNT, SIGMA), **further})


def variance_of(d, x):
    """Forecast variance of weights `x`, in cvxpy."""
    root = np.linalg.cholesky(d.risk.covariance)
    return cp.sum_squares((root.T @ d.risk.exposures) @ x) + cp.sum_squares(cp.multiply(np.sqrt(d.risk.specific), x))


def best(d, objective, limits):
    """Cvxpy's optimum of an objective under limits, both functions of the weights; long and fully invested unless the
    limits say otherwise.
    """
    w = cp.Variable(d.score.size)
    problem = cp.Problem(cp.Maximize(objective(w)), limits(w))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        problem.solve(solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    return problem.value, w.value


def cap(d):
    """The cap of these tests, exempting what drifted above it."""
    return np.maximum(0.05, d.current)


FORMS = {
    "style against the benchmark, one style tighter": (
        [{"name": "style", "limit": 0.2, "overrides": {"s1": 0.05}}],
        lambda d, w: [cp.abs(d.exposures @ (w - d.benchmark)) <= np.array([0.2, 0.05, 0.2])],
    ),
    "style for itself, one style free": (
        [{"name": "style", "limit": 0.15, "overrides": {"s0": None}, "against": "zero"}],
        lambda d, w: [cp.abs(d.exposures[1:] @ w) <= 0.15],
    ),
    "industry for itself": (
        [{"name": "industry", "limit": 0.25, "against": "zero"}],
        lambda d, w: [cp.sum(w[d.industry == c]) <= 0.25 for c in np.unique(d.industry)],
    ),
    "deviation": (
        [{"name": "deviation", "limit": 0.03}],
        lambda d, w: [cp.abs(w - d.benchmark) <= 0.03],
    ),
    "one-way turnover": (
        [{"name": "turnover", "limit": 0.1, "counted": "one_way"}],
        lambda d, w: [cp.sum(cp.pos(w - d.current)) <= 0.1, cp.sum(cp.pos(d.current - w)) <= 0.1],
    ),
    "two-way turnover": (
        [{"name": "turnover", "limit": 0.1}],
        lambda d, w: [cp.norm1(w - d.current) <= 0.1],
    ),
    "participation": (
        [{"name": "participation", "share": 0.02}],
        lambda d, w: [cp.abs(w - d.current) <= 0.02 * d.measured[AMOUNT] / d.capital],
    ),
    "exposure": (
        [{"name": "exposure", "of": AMOUNT, "low": -1e7, "high": 2e6}],
        lambda d, w: [cp.abs(d.measured[AMOUNT] / 1e7 @ (w - d.benchmark) + 0.4) <= 0.6],
    ),
    "tracking error": (
        [{"name": "tracking_error", "limit_annual": 0.12}],
        lambda d, w: [variance_of(d, w - d.benchmark) <= 0.12**2 / 252],
    ),
    "volatility": (
        [{"name": "tracking_error", "limit_annual": 0.09, "against": "zero"}],
        lambda d, w: [variance_of(d, w) <= 0.09**2 / 252],
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(3))
def test_each_constraint_equals_cvxpy(form, seed):
    """With one constraint beside the cap, the alpha is cvxpy's, or the notes say that the limit gave way where cvxpy
    finds nothing.
    """
    settings, written = FORMS[form]
    d = date(seed)
    target = weigh(Optimise.parse({"constraints": (CAP, *settings), "alpha": "return"}), d)
    value, w = best(d, lambda w: d.score @ w, lambda w: [w >= 0, w <= cap(d), cp.sum(w) == 1, *written(d, w)])
    if w is None:
        assert target.notes["status"] == "relaxed"
        return
    assert target.notes["status"] == "optimal"
    assert target.notes["violation"] <= 1e-8
    assert d.score @ target.weights == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("about", ["active", "total"])
def test_risk_and_costs_equal_cvxpy(seed, about):
    """Alpha less variance over the horizon less linear and impact costs is cvxpy's optimum."""
    d = date(seed)
    settings = {
        "constraints": (CAP,), "alpha": "return", "risk_aversion": 3.0, "risk": about, "horizon": 10,
        "costs": ({"name": "linear", "buy": 0.001, "sell": 0.002}, {"name": "impact", "y": 0.8}),
    }  # fmt: skip
    target = weigh(Optimise.parse(settings), d)
    centre = d.benchmark if about == "active" else np.zeros(60)
    steep = 0.8 * d.measured[SIGMA] * np.sqrt(d.capital / d.measured[AMOUNT])

    def value(w, power=lambda x: cp.power(cp.abs(x), 1.5)):
        change = w - d.current
        cost = 0.001 * cp.sum(cp.pos(change)) + 0.002 * cp.sum(cp.neg(change)) + steep @ power(change)
        return d.score @ w - 30.0 * variance_of(d, w - centre) - cost

    wanted, _ = best(d, value, lambda w: [w >= 0, w <= cap(d), cp.sum(w) == 1])
    assert float(value(target.weights, lambda x: np.abs(x) ** 1.5).value) == pytest.approx(wanted, abs=2e-8)
    change = target.weights - d.current
    by_hand = 0.001 * change[change > 0].sum() - 0.002 * change[change < 0].sum() + steep @ np.abs(change) ** 1.5
    assert target.notes["cost"] == pytest.approx(by_hand)
    active = target.weights - d.benchmark
    assert target.notes["tracking_error_annual"] == pytest.approx(np.sqrt(252 * d.risk.variance(active)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("aversion", [0.0, 4.0])
def test_long_short_equals_cvxpy(seed, aversion):
    """Gross, net and short limits, a symmetric cap and turnover from short and long holdings give cvxpy's optimum."""
    d = date(seed)
    current = d.current.copy()
    current[np.flatnonzero(current)[:8]] *= -1.0
    d = replace(d, current=0.8 * current)
    settings = {
        "constraints": (
            CAP, {"name": "long_short", "gross": 1.2, "net_low": -0.1, "net_high": 0.1, "short": 0.5},
            {"name": "turnover", "limit": 1.0}, {"name": "style", "limit": 0.1, "against": "zero"},
        ),
        "alpha": "return", "risk_aversion": aversion, "risk": "total",
    }  # fmt: skip
    optimiser = Optimise.parse(settings)
    assert not optimiser.is_long_only
    target = weigh(optimiser, d)
    w, active = target.weights, cp.Variable(60)
    limits = [
        active <= np.maximum(0.05, d.current), active >= np.minimum(-0.05, d.current), cp.norm1(active) <= 1.2,
        cp.abs(cp.sum(active)) <= 0.1, cp.sum(cp.neg(active)) <= 0.5, cp.norm1(active - d.current) <= 1.0,
        cp.abs(d.exposures @ active) <= 0.1,
    ]  # fmt: skip
    problem = cp.Problem(cp.Maximize(d.score @ active - 5 * aversion * variance_of(d, active)), limits)
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    if active.value is None:
        assert target.notes["status"] == "relaxed"
        return
    assert w.min() < -1e-3
    assert d.score @ w - 5 * aversion * d.risk.variance(w) == pytest.approx(problem.value, abs=1e-9)


def test_cash_may_stay_within_its_range():
    """With bad scores all round the portfolio holds as much cash as it may, with good ones as little."""
    d = replace(date(1), current=np.zeros(60))
    cash = {"constraints": (CAP, {"name": "cash", "low": 0.02, "high": 0.3}), "alpha": "return"}
    low = weigh(Optimise.parse(cash), replace(d, score=d.score - 1.0))
    high = weigh(Optimise.parse(cash), replace(d, score=d.score + 1.0))
    assert low.weights.sum() == pytest.approx(0.7)
    assert high.weights.sum() == pytest.approx(0.98)


def test_alpha_by_volatility_is_ic_times_volatility_times_score():
    """A z-score becomes a return by ic and the specific volatility over the horizon."""
    d = date(2)
    target = weigh(Optimise.parse({"constraints": (CAP,), "alpha": "volatility", "ic": 0.04, "horizon": 9}), d)
    z = (d.score - d.score.mean()) / d.score.std()
    alpha = 0.04 * np.sqrt(9 * d.risk.specific) * z
    wanted, _ = best(d, lambda w: alpha @ w, lambda w: [w >= 0, w <= cap(d), cp.sum(w) == 1])
    assert target.notes["alpha"] == pytest.approx(wanted, abs=1e-9)


def test_more_risk_aversion_means_less_risk():
    """Tracking error and alpha both fall as risk aversion rises."""
    d = date(3)
    made = [
        weigh(Optimise.parse({"constraints": (CAP, "style"), "alpha": "return", "risk_aversion": value}), d).notes
        for value in (0.5, 5.0, 50.0)
    ]
    risk, alpha = ([notes[name] for notes in made] for name in ("tracking_error_annual", "alpha"))
    assert risk == sorted(risk, reverse=True)
    assert alpha == sorted(alpha, reverse=True)


def test_linear_programme_is_the_optimiser_in_short():
    """The short form and the same settings written out give equal weights and notes."""
    d = random_decision(4)
    short = constructions.parse(
        {"name": "linear_programme", "num_stock": 15, "turnover_limit": 0.3, "style_limit": 0.4}
    )
    limits = (
        {"name": "cap", "num_stock": 15}, {"name": "turnover", "limit": 0.3}, {"name": "industry", "limit": 0.5},
        {"name": "style", "limit": 0.4},
    )  # fmt: skip
    long = Optimise.parse({"constraints": limits})
    a, b = weigh(short, d), weigh(long, d)
    np.testing.assert_array_equal(a.weights, b.weights)
    assert a.notes == b.notes


@pytest.mark.parametrize("aversion", [0.0, 5.0])
def test_prices_tell_what_more_room_is_worth(aversion):
    """The notes' price of a binding limit is the rise of the objective for a small widening of it."""
    d = date(5)

    def solved(limit):
        constraints = (CAP, {"name": "turnover", "limit": limit}, {"name": "style", "limit": 5.0})
        target = weigh(Optimise.parse({"constraints": constraints, "alpha": "return", "risk_aversion": aversion}), d)
        return target, target.notes["alpha"] - 5 * aversion * d.risk.variance(target.weights - d.benchmark)

    (target, value), (_, more) = solved(0.3), solved(0.3 + 1e-6)
    parts = dict(part.rsplit(" ", 1) for part in target.notes["binding"].split(", "))
    assert float(parts["turnover two-way"]) == pytest.approx((more - value) / 1e-6, rel=1e-2)


def test_the_same_constraint_twice_is_told_apart():
    """Two limits of one kind have labels of their own, in the priority and in the notes."""
    d = date(6)
    limits = (CAP, {"name": "exposure", "of": AMOUNT, "high": 1e6}, {"name": "exposure", "of": SIGMA, "high": 1e-4})
    optimiser = Optimise.parse({"constraints": limits})
    assert list(optimiser.limits) == ["cap", "exposure", "exposure-2", "cash"]
    target = weigh(optimiser, d)
    assert {"excess_exposure", "excess_exposure-2"} <= set(target.notes)
    assert d.measured[SIGMA] @ (target.weights - d.benchmark) <= 1e-4 + 1e-8


def test_relaxation_follows_the_priority_for_curved_objectives():
    """A quadratic problem whose limits exclude each other: the first of them holds at its minimum, then the next, then
    alpha less risk is maximised within; cvxpy does the same step by step.
    """
    d = date(7)
    tight = ({"name": "turnover", "limit": 0.05}, {"name": "industry", "limit": 0.01}, {"name": "style", "limit": 0.01})
    settings = {"constraints": (CAP, *tight), "alpha": "return", "risk_aversion": 4.0}
    target = weigh(Optimise.parse(settings), d)
    assert target.notes["status"] == "relaxed"
    w, over_industry, over_style = cp.Variable(60), cp.Variable(5, nonneg=True), cp.Variable(3, nonneg=True)
    active = w - d.benchmark
    industries = np.array([d.industry == c for c in np.unique(d.industry)]).astype(float)
    limits = [
        w >= 0, w <= cap(d), cp.sum(w) == 1, cp.norm1(w - d.current) <= 0.05,
        cp.abs(industries @ active) <= 0.01 + over_industry, cp.abs(d.exposures @ active) <= 0.01 + over_style,
    ]  # fmt: skip
    first = cp.Problem(cp.Minimize(cp.sum(over_industry)), limits).solve(solver="CLARABEL")
    limits.append(cp.sum(over_industry) <= first + 1e-8)
    second = cp.Problem(cp.Minimize(cp.sum(over_style)), limits).solve(solver="CLARABEL")
    limits.append(cp.sum(over_style) <= second + 1e-8)
    value = cp.Problem(cp.Maximize(d.score @ w - 20.0 * variance_of(d, active)), limits).solve(solver="CLARABEL")
    mine = target.weights - d.benchmark
    beyond = (
        np.maximum(np.abs(industries @ mine) - 0.01, 0).sum(),
        np.maximum(np.abs(d.exposures @ mine) - 0.01, 0).sum(),
    )
    assert beyond[0] == pytest.approx(first, abs=1e-6)
    assert beyond[1] == pytest.approx(second, abs=1e-5)
    assert d.score @ target.weights - 20.0 * d.risk.variance(mine) == pytest.approx(value, abs=1e-6)


def test_an_unproven_result_is_an_error(monkeypatch):
    """When no solver's certificate holds, nothing is handed on."""
    d = date(8)
    settings = {"constraints": (CAP, "style"), "alpha": "return", "risk_aversion": 4.0}
    honest = weigh(Optimise.parse(settings), d)
    assert honest.notes["fallback"] == ""
    monkeypatch.setattr("alphaloom.portfolio.solve.route.holds", lambda proof: False)
    with pytest.raises(RunError, match="finds no weights on 2024-03-01"):
        weigh(Optimise.parse(settings), d)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"risk_aversion": 1.0}, "zscore has no unit of return"),
        ({"costs": ["linear"]}, "zscore has no unit of return"),
        ({"constraints": ["cap"], "priority": ["capp"]}, "Did you mean 'cap'"),
        ({"constraints": ["cap"], "priority": ["cap", "cap"]}, "each limit may stand in the priority once"),
        ({"constraints": ["cash", "cash"]}, "the constraint cash may be given once"),
        ({"constraints": ["cash", "long_short"]}, "leave out the constraint cash"),
        ({"constraints": [{"name": "turnover", "limt": 1}]}, "Did you mean 'limit'"),
        ({"constraints": ["turnovr"]}, "Did you mean 'turnover'"),
        ({"constraints": [{"name": "cash", "low": 0.2, "high": 0.1}]}, "high must be at least low"),
        ({"constraints": [{"name": "exposure", "high": None}]}, "give low, high or both"),
        ({"constraints": ["cardinality", "written"]}, "cardinality cannot be combined with written"),
        (
            {"constraints": [{"name": "cardinality", "method": "mip"}], "alpha": "return", "risk_aversion": 1.0},
            "mip takes linear objectives",
        ),
        (
            {"constraints": [{"name": "cardinality", "method": "mip"}, "long_short"]},
            "mip takes long portfolios",
        ),
        (
            {"constraints": ["tracking_error"], "alpha": "return", "risk_aversion": 1.0, "risk": "total"},
            "limits the active variance, risk_aversion the total one",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, words):
    """Each mistake is named where it stands, before any data are read."""
    with pytest.raises(SettingError, match=words):
        constructions.parse({"name": "optimise", **settings})


def test_a_limit_on_a_style_that_is_not_there_is_refused():
    """An override of a style that the run does not compute is an error that lists the styles."""
    optimiser = Optimise.parse({"constraints": ({"name": "style", "overrides": {"sise": 0.1}},)})
    with pytest.raises(UnknownNameError, match="no style named 'sise'"):
        weigh(optimiser, date(9))


def test_it_says_what_it_reads():
    """Needs follow from constraints, costs and objective."""
    plain = Optimise.parse({"constraints": ["cap", "turnover"]})
    assert (plain.uses_risk, plain.uses_industry, plain.uses_forecast, plain.expressions) == (False, False, False, ())
    full = Optimise.parse(
        {"constraints": ["style", "industry", "participation"], "costs": ["impact"], "alpha": "volatility"}
    )
    assert (full.uses_risk, full.uses_industry, full.uses_forecast) == (True, True, True)
    assert full.expressions == (AMOUNT, SIGMA)
