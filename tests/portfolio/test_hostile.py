"""Dates as a market can deal them: each gives a right answer or an error in plain words, and never a silent hold."""

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
from decisions import random_decision, random_forecast

from alphaloom.errors import DataError, RunError
from alphaloom.portfolio.build import build_weights, weigh
from alphaloom.portfolio.optimise import Optimise

CAP = {"name": "cap", "num_stock": 20}
LIMITS = (CAP, {"name": "turnover", "limit": 0.4}, {"name": "industry", "limit": 0.1}, "style")
LINEAR = Optimise.parse({"constraints": LIMITS})
QUADRATIC = Optimise.parse({"constraints": LIMITS, "alpha": "return", "risk_aversion": 5.0})
TRACKED = Optimise.parse({"constraints": (*LIMITS, "tracking_error"), "alpha": "return"})
EVERY = pytest.mark.parametrize("optimiser", [LINEAR, QUADRATIC, TRACKED], ids=["linear", "quadratic", "tracked"])


def plain(**further):
    """A date without frictions, scores in units of return."""
    return random_decision(**{"frictions": False, "scale": 0.01, **further})


@EVERY
def test_no_tradable_stock_keeps_what_is_held(optimiser):
    """Everything suspended: the holdings stay, their weight is told as pinned, and broken limits are named."""
    d = plain()
    d = replace(d, can_buy=np.zeros(60, bool), can_sell=np.zeros(60, bool))
    target = weigh(optimiser, d)
    np.testing.assert_array_equal(target.weights, d.current)
    assert target.notes["pinned_weight"] == pytest.approx(1.0)
    assert target.notes["status"] == ("relaxed" if target.notes["relaxed"] else "optimal")


@EVERY
def test_no_tradable_stock_from_cash_stays_in_cash(optimiser):
    """Nothing held and nothing to buy: all cash, told as the cash limit giving way."""
    d = replace(plain(), current=np.zeros(60), can_buy=np.zeros(60, bool))
    target = weigh(optimiser, d)
    assert target.weights.tolist() == [0.0] * 60
    assert "cash" in target.notes["relaxed"]
    assert target.notes["excess_cash"] == pytest.approx(1.0)


@EVERY
def test_locked_limits_bar_one_side_each(optimiser):
    """All winners locked up and all losers locked down: no winner bought, no loser sold."""
    d = plain(seed=2)
    d = replace(d, can_buy=d.score < 0, can_sell=d.score > 0)
    w = weigh(optimiser, d).weights
    assert (w <= d.current + 1e-12)[d.score > 0].all()
    assert (w >= d.current - 1e-12)[d.score < 0].all()


@EVERY
def test_drift_far_above_the_cap_forces_no_sale(optimiser):
    """A frozen holding of 40 % against a cap of 5 % stays; a free one may be kept and is never bought."""
    d = plain(seed=3)
    big = int(np.argmax(d.current))
    current = 0.6 * d.current / d.current[np.arange(60) != big].sum()
    current[big] = 0.4
    for able in (True, False):
        open_ = np.ones(60, bool)
        open_[big] = able
        target = weigh(optimiser, replace(d, current=current, can_buy=open_, can_sell=open_))
        assert target.weights[big] <= 0.4 + 1e-12
        assert able or target.weights[big] == 0.4
        assert target.notes["excess_cap"] == 0.0
        assert np.delete(target.weights, big).max() <= max(0.05, np.delete(current, big).max()) + 1e-9


def test_trimming_sells_down_to_the_cap_what_can_be_sold():
    """With `trim` a drifted holding is sold to the cap; when turnover forbids it, the cap gives way by the least."""
    d = plain(seed=3)
    big = int(np.argmax(d.current))
    current = 0.7 * d.current / d.current[np.arange(60) != big].sum()
    current[big] = 0.3
    d = replace(d, current=current)
    trim = {"name": "cap", "num_stock": 5, "trim": True}
    free = weigh(Optimise.parse({"constraints": (trim,)}), d)
    assert free.weights[big] <= 0.2 + 1e-9
    order = ("turnover", "cash", "cap")
    bound = Optimise.parse({"constraints": (trim, {"name": "turnover", "limit": 0.1}), "priority": order})
    target = weigh(bound, d)
    assert target.notes["relaxed"] == "cap"
    assert target.notes["excess_cap"] == pytest.approx(0.3 - 0.05 - 0.2)


@EVERY
def test_an_empty_index_means_limits_on_the_portfolio_itself(optimiser):
    """Without any benchmark weight the exposures themselves are bounded."""
    d = replace(plain(seed=4), benchmark=np.zeros(60))
    target = weigh(optimiser, d)
    if "style" not in target.notes["relaxed"]:
        assert np.abs(d.exposures @ target.weights).max() <= 0.3 + 1e-8
    assert target.weights.sum() == pytest.approx(1.0)


def test_an_index_that_is_empty_on_one_date_is_an_error_of_the_data(simple_panel):
    """A benchmark given for the run but without weights on a decision date is refused with the date."""
    benchmark = np.zeros(simple_panel.shape)
    benchmark[:, 0] = 1.0
    benchmark[30] = 0.0
    score = np.random.default_rng(0).normal(size=simple_panel.shape).astype(np.float32)
    exposures = simple_panel.with_fields({}, keep=False)
    with pytest.raises(DataError, match=r"sum to 0\.000000 on"):
        build_weights(LINEAR, score, np.array([20, 30]), simple_panel, exposures=exposures, benchmark=benchmark)


@pytest.fixture
def simple_panel():
    """A small market."""
    from panels import random_panel

    return random_panel(40, 12, seed=1, gaps=False)


@EVERY
def test_one_stock_alone(optimiser):
    """A market of one name: it is held up to the cap, and the rest is cash that is told."""
    d = plain(N=1, G=1, held=1)
    d = replace(d, current=np.zeros(1), benchmark=np.ones(1))
    target = weigh(optimiser, d)
    assert target.weights[0] == pytest.approx(0.05)
    assert {"cash"} <= set(target.notes["relaxed"].split(", "))
    assert target.notes["excess_cash"] == pytest.approx(0.95)


@EVERY
def test_limits_that_exclude_each_other_give_way_and_are_named(optimiser):
    """Tight limits are relaxed from the end of the priority; with an empty priority the date is an error."""
    d = plain(seed=5)
    tight = (
        {"name": "turnover", "limit": 0.02},
        {"name": "industry", "limit": 0.001},
        {"name": "style", "limit": 0.001},
    )
    settings = {**optimiser.dump(), "constraints": ({"name": "cap", "num_stock": 20}, *tight)}
    target = weigh(Optimise.parse(settings), d)
    assert target.notes["status"] == "relaxed"
    assert "style" in target.notes["relaxed"]
    assert target.notes["excess_turnover"] == 0.0
    assert np.abs(target.weights - d.current).sum() <= 0.02 + 1e-8
    with pytest.raises(RunError, match="finds no weights on 2024-03-01"):
        weigh(Optimise.parse({**settings, "priority": ()}), d)


@EVERY
def test_scores_that_are_missing_or_infinite(optimiser):
    """Some NaN: not bought. Infinite counts as none. All NaN: an error with the date."""
    d = plain(seed=6)
    score = d.score.copy()
    score[:20], score[20] = np.nan, np.inf
    target = weigh(optimiser, replace(d, score=score))
    assert (target.weights <= d.current + 1e-12)[:21].all()
    with pytest.raises(DataError, match="No stock has a score on 2024-03-01"):
        weigh(optimiser, replace(d, score=np.full(60, np.nan)))


@EVERY
@pytest.mark.parametrize("value", [0.0, 1e-300, 7.0, -3e8])
def test_equal_scores_have_an_answer(optimiser, value):
    """A score without spread ranks nothing; the limits are kept all the same."""
    target = weigh(optimiser, replace(plain(seed=7), score=np.full(60, value)))
    assert target.weights.sum() == pytest.approx(1.0)
    assert target.notes["violation"] <= 1e-8


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1e6])
def test_the_unit_of_alpha_does_not_matter(scale):
    """With risk aversion and costs in the same unit the weights are the same from billionths to millions."""
    base = {"constraints": LIMITS, "alpha": "return"}
    d = plain(seed=8)
    wanted = weigh(Optimise.parse({**base, "risk_aversion": 5.0}), d).weights
    other = replace(d, score=scale * d.score)
    np.testing.assert_allclose(
        weigh(Optimise.parse({**base, "risk_aversion": 5.0 * scale}), other).weights, wanted, atol=1e-9
    )


def test_a_covariance_of_zeros_leaves_the_linear_optimum():
    """No risk anywhere: risk aversion has nothing to weigh, and the result is that of the linear problem."""
    d = plain(seed=9)
    rng = np.random.default_rng(0)
    d = replace(d, risk=random_forecast(rng, d.exposures, d.industry, zero=True))
    linear = Optimise.parse({"constraints": LIMITS, "alpha": "return"})
    a, b = weigh(QUADRATIC, d), weigh(linear, d)
    assert a.notes["solver"] == "dual simplex"
    assert d.score @ a.weights == pytest.approx(d.score @ b.weights, abs=1e-10)
    assert weigh(TRACKED, d).notes["tracking_error_annual"] == 0.0


def naive_quadratic(d, aversion):
    """The quadratic objective's optimum under the limits of this file, written down in cvxpy."""
    w = cp.Variable(60)
    active = w - d.benchmark
    values, vectors = np.linalg.eigh(d.risk.covariance)
    root = vectors * np.sqrt(np.maximum(values, 0))
    variance = cp.sum_squares((root.T @ d.risk.exposures) @ active)
    variance += cp.sum_squares(cp.multiply(np.sqrt(d.risk.specific), active))
    industries = np.array([d.industry == c for c in np.unique(d.industry)]).astype(float)
    limits = [
        w >= 0, w <= np.maximum(0.05, d.current), cp.sum(w) == 1, cp.norm1(w - d.current) <= 0.4,
        cp.abs(industries @ active) <= 0.1, cp.abs(d.exposures @ active) <= 0.3,
    ]  # fmt: skip
    problem = cp.Problem(cp.Maximize(d.score @ w - aversion * 5 * variance), limits)
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    return problem.value


@pytest.mark.parametrize("kind", ["rank one", "no factors", "some without specific risk"])
def test_a_singular_covariance_is_solved_as_it_is(kind):
    """Covariances of low rank, and stocks without risk of their own, give cvxpy's optimum."""
    d = plain(seed=10)
    risk = d.risk
    if kind == "rank one":
        root = np.linspace(0.5, 1.5, risk.covariance.shape[0])
        risk = replace(risk, covariance=1e-4 * np.outer(root, root))
    elif kind == "no factors":
        risk = replace(risk, covariance=0.0 * risk.covariance)
    else:
        risk = replace(risk, specific=np.where(np.arange(60) % 3 == 0, 0.0, risk.specific))
    d = replace(d, risk=risk)
    w = weigh(QUADRATIC, d).weights
    value = d.score @ w - 5.0 * 5 * risk.variance(w - d.benchmark)
    assert value == pytest.approx(naive_quadratic(d, 5.0), abs=1e-8)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (lambda c: c - 0.01 * np.eye(c.shape[0]), "not positive semi-definite"),
        (lambda c: np.where(np.eye(c.shape[0]) == 1, np.nan, c), "not finite and symmetric"),
        (lambda c: c + np.triu(np.full(c.shape, 1e-4), 1), "not finite and symmetric"),
    ],
)
def test_a_covariance_that_is_none_is_refused(broken, words):
    """Negative eigenvalues, NaN and asymmetry are named with the date."""
    d = plain(seed=11)
    d = replace(d, risk=replace(d.risk, covariance=broken(d.risk.covariance)))
    with pytest.raises(DataError, match=words):
        weigh(QUADRATIC, d)


def test_stocks_outside_the_forecast_are_not_bought():
    """NaN specific variance bars buying; what is held of it counts with the largest variance of the date."""
    d = plain(seed=12)
    specific = d.risk.specific.copy()
    specific[:30] = np.nan
    d = replace(d, risk=replace(d.risk, specific=specific))
    target = weigh(QUADRATIC, d)
    assert (target.weights <= d.current + 1e-12)[:30].all()
    assert target.notes["uncovered_weight"] == pytest.approx(target.weights[:30].sum())
    nothing = replace(d, risk=replace(d.risk, specific=np.full(60, np.nan)))
    with pytest.raises(DataError, match="covers none of its 60 stocks"):
        weigh(QUADRATIC, nothing)


def test_what_is_not_given_is_asked_for():
    """A missing forecast, capital or long-short constraint is an error that says what to pass."""
    d = plain(seed=13)
    with pytest.raises(DataError, match="needs a forecast of the variance; none was given"):
        weigh(QUADRATIC, replace(d, risk=None))
    limited = Optimise.parse({"constraints": ("cap", "participation")})
    with pytest.raises(DataError, match="needs the capital that weights are fractions of"):
        weigh(limited, replace(d, capital=None, measured={"ts_mean(amount, 20)": np.ones(60)}))
    short = d.current.copy()
    short[0] = -0.1
    with pytest.raises(DataError, match="1 positions held on 2024-03-01 are short"):
        weigh(LINEAR, replace(d, current=short))


def test_a_tracking_error_out_of_reach_comes_as_near_as_it_can():
    """When no weights track so closely, the tracking error is the least that the more important limits allow."""
    d = plain(seed=14, N=40, held=15)
    limits = (CAP, {"name": "turnover", "limit": 0.1})
    close = {"name": "tracking_error", "limit_annual": 0.001}
    target = weigh(Optimise.parse({"constraints": (*limits, close), "alpha": "return"}), d)
    assert target.notes["relaxed"] == "tracking_error"
    w = cp.Variable(40)
    active = w - d.benchmark
    root = np.linalg.cholesky(d.risk.covariance)
    parts = cp.hstack([(root.T @ d.risk.exposures) @ active, cp.multiply(np.sqrt(d.risk.specific), active)])
    feasible = [w >= 0, w <= np.maximum(0.05, d.current), cp.sum(w) == 1, cp.norm1(w - d.current) <= 0.1]
    least = cp.Problem(cp.Minimize(cp.norm(parts)), feasible).solve(solver="CLARABEL")
    assert target.notes["tracking_error_annual"] == pytest.approx(np.sqrt(252) * least, rel=1e-6)


def test_a_band_around_the_benchmark_that_cannot_be_reached():
    """A member that cannot be bought stays outside its band; the others are brought in, and the excess is told."""
    d = plain(seed=15)
    member = int(np.argmax(d.benchmark))
    current = np.where(np.arange(60) == member, 0.0, d.current)
    able = np.arange(60) != member
    d = replace(d, current=current / current.sum(), can_buy=able)
    target = weigh(Optimise.parse({"constraints": ({"name": "deviation", "limit": 0.01},)}), d)
    others = np.abs(target.weights - d.benchmark)[able]
    assert others.max() <= 0.01 + 1e-8
    assert target.notes["excess_deviation"] == pytest.approx(d.benchmark[member] - 0.01)
    assert target.notes["status"] == "relaxed"


def test_too_few_stocks_for_the_cap():
    """A cap of 5 % and ten buyable stocks: half stays in cash by default."""
    d = replace(plain(seed=16), current=np.zeros(60), can_buy=np.arange(60) < 10)
    target = weigh(Optimise.parse({"constraints": (CAP,)}), d)
    assert target.weights.sum() == pytest.approx(0.5)
    assert target.notes["relaxed"] == "cash"


def test_twins_get_the_same_answer_every_time():
    """Stocks that are equal in everything leave a tie; which of them is taken does not change from call to call."""
    d = plain(seed=17)
    twin = np.arange(60) // 2 * 2
    d = replace(
        d, score=d.score[twin], exposures=d.exposures[:, twin], industry=d.industry[twin], current=np.zeros(60),
        benchmark=d.benchmark[twin] / d.benchmark[twin].sum(),
    )  # fmt: skip
    np.testing.assert_array_equal(weigh(LINEAR, d).weights, weigh(LINEAR, d).weights)


def test_holdings_without_any_volume_are_not_traded_under_participation():
    """A stock whose average amount is zero or unknown keeps its weight exactly."""
    amount = np.full(60, 1e9)
    amount[:10], amount[10:15] = 0.0, np.nan
    d = replace(plain(seed=18, held=40), measured={"ts_mean(amount, 20)": amount})
    target = weigh(Optimise.parse({"constraints": (CAP, "participation")}), d)
    np.testing.assert_array_equal(target.weights[:15], d.current[:15])
    orders = d.capital * np.abs(target.weights - d.current)[15:]
    assert orders.max() <= 0.1 * 1e9 * (1 + 1e-9)


def test_more_frozen_holdings_than_the_count_allows():
    """Holdings that cannot be sold count; when they are more than allowed, no other is bought."""
    d = plain(seed=19)
    held = d.current > 0
    d = replace(d, can_sell=~held)
    target = weigh(
        Optimise.parse({"constraints": ({"name": "cap", "num_stock": 5}, {"name": "cardinality", "most": 10})}), d
    )
    assert ((target.weights > 1e-9) & ~held).sum() == 0
    assert target.notes["excess_cardinality"] == 10.0
    assert "cardinality" in target.notes["relaxed"]
