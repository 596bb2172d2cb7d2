"""The linear programme against a naive formulation: w and |w - w0| as variables, solved by scipy."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from alphaloom.errors import DataError, RunError, SettingError
from alphaloom.portfolio import optimise
from alphaloom.portfolio.base import Decision, constructions
from alphaloom.portfolio.compile import Aim, compiled
from alphaloom.portfolio.linear_programme import LinearProgramme
from alphaloom.portfolio.solve.certificate import certify
from alphaloom.portfolio.solve.linear import solve_linear


def problem(N=80, K=4, G=6, seed=0, frictions=True, held=25, cash=0.0):
    """A random rebalancing: holdings near the benchmark, some frozen, some locked on one side, some unscored."""
    rng = np.random.default_rng(seed)
    bench = np.where(rng.random(N) < 0.6, rng.random(N), 0.0)
    bench /= bench.sum()
    current = np.zeros(N)
    current[rng.choice(N, held, replace=False)] = rng.random(held) + 0.3
    current *= (1 - cash) / current.sum()
    buy, sell = np.ones(N, bool), np.ones(N, bool)
    score = rng.standard_t(5, N)
    if frictions:
        frozen = rng.random(N) < 0.05
        buy, sell = ~frozen & (rng.random(N) > 0.04), ~frozen & (rng.random(N) > 0.04)
        score[rng.random(N) < 0.1] = np.nan
    return Decision(
        np.datetime64("2024-03-01"), score, current, buy, sell, bench, rng.normal(size=(K, N)),
        tuple(f"s{k}" for k in range(K)), rng.integers(0, G, N).astype(float),
    )  # fmt: skip


def naive(d, lp, objective=None, slack=()):
    """Scipy's solution of the programme as written down: variables w, t >= |w - w0|, and slacks for named limits.

    Returns (status ok, w, objective value, slack totals). `objective` is 'score' or the name of a slack to minimise.
    """
    N, K = d.score.size, d.exposures.shape[0]
    codes = np.unique(d.industry)
    A = np.vstack([d.exposures, *(d.industry[None] == c for c in codes)]).astype(float)
    lim = np.r_[np.full(K, lp.style_limit), np.full(codes.size, lp.industry_limit)]
    rows = A.shape[0]
    # Columns: w (N), t (N), style slack, industry slack, cash.
    m = 2 * N + 3
    S = np.zeros((rows, 3))
    S[:K, 0], S[K:, 1] = 1.0, 1.0
    base = A @ d.benchmark
    eye, zero = sp.eye(N), sp.csr_matrix((rows, N))
    turnover = np.inf if d.current.sum() == 0 else lp.turnover_limit
    Aub = sp.vstack(
        [
            sp.hstack([A, zero, -S]), sp.hstack([-A, zero, -S]),
            sp.hstack([eye, -eye, sp.csr_matrix((N, 3))]), sp.hstack([-eye, -eye, sp.csr_matrix((N, 3))]),
            sp.csr_matrix(np.r_[np.zeros(N), np.ones(N), np.zeros(3)][None]),
        ]
    ).tocsc()  # fmt: skip
    bub = np.r_[base + lim, lim - base, d.current, -d.current, min(turnover, 10.0)]
    Aeq = sp.csr_matrix(np.r_[np.ones(N), np.zeros(N), 0, 0, 1.0][None])
    cap = np.maximum(1 / lp.num_stock, d.current)
    scored = np.isfinite(d.score)
    high = np.where(d.can_buy & scored, cap, d.current)
    low = np.where(d.can_sell, 0.0, d.current)
    free = {"style": (0, np.inf), "industry": (0, np.inf), "cash": (0, 1)}
    bounds = [*zip(low, high, strict=True), *[(0, None)] * N]
    bounds += [free[name] if name in slack else (0, 0) for name in ("style", "industry", "cash")]
    c = np.zeros(m)
    alpha = np.where(scored, d.score, np.nanmin(d.score))
    if objective is None:
        c[:N] = -alpha
    else:
        c[2 * N + ("style", "industry", "cash").index(objective)] = 1.0
    r = linprog(c, Aub, bub, Aeq, [1.0], bounds=bounds, method="highs")
    return (r.status == 0, r.x[:N], -r.fun, r.x[2 * N :]) if r.status == 0 else (False, None, np.nan, None)


def violation(d, lp, w, turnover=True):
    """The largest violation of any limit, from the weights."""
    ex = np.abs(d.exposures @ (w - d.benchmark)).max() - lp.style_limit
    ind = max(abs((w - d.benchmark)[d.industry == c].sum()) for c in np.unique(d.industry)) - lp.industry_limit
    cap = (w - np.maximum(1 / lp.num_stock, d.current)).max()
    turn = np.abs(w - d.current).sum() - lp.turnover_limit if turnover else 0.0
    return max(ex, ind, cap, turn, abs(w.sum() - 1), -w.min(), 0.0)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 100_000),
    N=st.sampled_from([12, 40, 90]),
    style=st.sampled_from([0.1, 0.3, 1.0]),
    industry=st.sampled_from([0.03, 0.1, 0.5]),
    turnover=st.sampled_from([0.1, 0.3, 1.0]),
    stocks=st.sampled_from([8, 15, 30]),
    cash=st.sampled_from([0.0, 0.02]),
)
def test_equals_the_naive_programme(seed, N, style, industry, turnover, stocks, cash):
    """Whenever the naive programme is feasible, the result is feasible to 1e-8 and within 1e-8 of its optimum; whenever
    it is not, the notes say that limits were relaxed.
    """
    d = problem(N, seed=seed, held=min(25, N // 2), cash=cash)
    lp = LinearProgramme(style_limit=style, industry_limit=industry, turnover_limit=turnover, num_stock=stocks)
    ok, _, best, _ = naive(d, lp)
    target = lp.weigh(d)
    if not ok:
        assert target.notes["status"] == "relaxed"
        return
    assert target.notes["status"] == "optimal"
    assert target.notes["relaxed"] == ""
    alpha = np.where(np.isfinite(d.score), d.score, np.nanmin(d.score))
    assert violation(d, lp, target.weights) <= 1e-8
    assert alpha @ target.weights == pytest.approx(best, abs=1e-8)


def compiled_problem(d, lp):
    """The problem that the construction hands to its solvers."""
    form = lp.long_form
    aim = Aim(form.alpha, form.ic, form.horizon, 0.0, "active", ())
    return compiled(d, form.limits, form.order, aim, np.isfinite(d.score)).problem


@pytest.mark.parametrize("seed", range(3))
def test_restricted_set_is_the_optimum_of_all_stocks(seed):
    """Pricing with a thousand stocks gives the same optimum as all columns at once, with fewer columns."""
    d = problem(1500, K=10, G=30, seed=seed, held=100)
    p = compiled_problem(d, LinearProgramme(style_limit=0.3, industry_limit=0.1, turnover_limit=0.3, num_stock=80))
    some, every = solve_linear(p), solve_linear(p, restricted=False)
    assert some.columns < every.columns / 2
    assert p.alpha @ some.weights == pytest.approx(p.alpha @ every.weights, abs=1e-10)
    assert abs(certify(p, some).gap) <= 1e-9


def test_prices_leave_no_stock_that_would_improve():
    """At the optimum's prices no stock, inside the restricted set or not, has a better weight than its own."""
    d = problem(600, K=5, G=10, seed=4, held=60)
    p = compiled_problem(d, LinearProgramme(style_limit=0.2, industry_limit=0.1, turnover_limit=0.3, num_stock=50))
    s = solve_linear(p)
    exposure = p.rows.priced(s.prices.rows, p.size)
    turnover = s.prices.bends[0]
    buy, sell = exposure - p.alpha + turnover, p.alpha - exposure + turnover
    assert buy[(p.high > p.current) & (s.weights <= p.current)].min() > -1e-9
    assert sell[(p.low < p.current) & (s.weights >= p.current)].min() > -1e-9


def test_first_date_has_no_turnover_limit():
    """From cash the whole capital is invested, whatever the turnover limit."""
    d = problem(60, seed=1, frictions=False)
    d = Decision(**{**d.__dict__, "current": np.zeros(60)})
    lp = LinearProgramme(num_stock=20, turnover_limit=0.05, style_limit=0.5)
    target = lp.weigh(d)
    assert target.weights.sum() == pytest.approx(1.0)
    assert target.notes["off"] == "turnover"
    assert target.weights.max() <= 0.05 + 1e-12


def test_cap_bars_buying_and_forces_no_sale():
    """A holding that drifted above the cap may stay, and is never bought."""
    d = problem(60, seed=2, frictions=False)
    best = int(np.argmax(d.score))
    current = d.current * 0.9 / d.current[np.arange(60) != best].sum()
    current[best] = 0.1
    d = Decision(**{**d.__dict__, "current": current})
    target = LinearProgramme(num_stock=20, style_limit=5, industry_limit=1, turnover_limit=0.2).weigh(d)
    assert target.weights[best] == pytest.approx(0.1)


def test_frozen_holding_is_exempt_from_the_cap():
    """A suspended holding above the cap stays, without making the programme infeasible."""
    d = problem(60, seed=3, frictions=False)
    stuck = int(np.argmax(d.current))
    current = d.current * 0.8 / d.current[np.arange(60) != stuck].sum()
    current[stuck] = 0.2
    able = np.arange(60) != stuck
    d = Decision(**{**d.__dict__, "current": current, "can_buy": able, "can_sell": able})
    target = LinearProgramme(num_stock=20, style_limit=5, industry_limit=1, turnover_limit=0.3).weigh(d)
    assert target.weights[stuck] == 0.2
    assert target.notes["status"] == "optimal"
    assert target.notes["pinned_weight"] == pytest.approx(0.2)


@pytest.mark.parametrize("seed", range(12))
def test_relaxation_is_lexicographic(seed):
    """Infeasible limits give way from the end of the priority: industry and cash stay as near to their limits as the
    naive programme can bring them, then style, and only then is alpha maximised.
    """
    d = problem(50, seed=seed, held=20, cash=0.01)
    lp = LinearProgramme(style_limit=0.01, industry_limit=0.004, turnover_limit=0.04, num_stock=20)
    ok, *_ = naive(d, lp)
    assert not ok
    target = lp.weigh(d)
    assert target.notes["status"] == "relaxed"
    everything = ("style", "industry", "cash")
    cash = naive(d, lp, "cash", everything)[3][2]
    assert 1 - target.weights.sum() == pytest.approx(cash, abs=1e-7)
    assert target.notes["excess_turnover"] == 0.0
    assert np.abs(target.weights - d.current).sum() <= 0.04 + 1e-8
    if cash < 1e-9:
        fits, *_ = naive(d, lp, "style", ("style",))
        assert ("industry" in target.notes["relaxed"]) is not fits
    assert target.notes["excess_style"] > 0
    over = np.abs(d.exposures @ (target.weights - d.benchmark)).max() - 0.01
    assert target.notes["excess_style"] == pytest.approx(over)


def test_smallest_total_violation_is_reached():
    """When style alone must give way, the sum of its violations is the naive programme's minimum."""
    checked = 0
    for seed in range(20):
        d = problem(50, seed=seed, held=20)
        lp = LinearProgramme(style_limit=0.01, industry_limit=0.5, turnover_limit=0.04, num_stock=20)
        if naive(d, lp)[0] or not naive(d, lp, "style", ("style",))[0]:
            continue
        w = lp.weigh(d).weights
        # The naive model has one slack for all styles: bound each style's own violation by a sum over single rows.
        over = np.maximum(np.abs(d.exposures @ (w - d.benchmark)) - 0.01, 0.0)
        assert over.max() >= naive(d, lp, "style", ("style",))[3][0] - 1e-8
        checked += 1
    assert checked >= 3


def test_priority_decides_what_gives_way():
    """With turnover last, turnover grows instead of the style limit."""
    d = problem(50, seed=5, held=20)
    tight = {"style_limit": 0.05, "industry_limit": 0.5, "turnover_limit": 0.02, "num_stock": 20}
    default = LinearProgramme(**tight).weigh(d)
    assert default.notes["relaxed"] == "style"
    other = LinearProgramme(**tight, priority=("cap", "cash", "industry", "style", "turnover")).weigh(d)
    assert other.notes["relaxed"] == "turnover"
    assert other.notes["excess_turnover"] == pytest.approx(np.abs(other.weights - d.current).sum() - 0.02)


def test_cap_gives_way_only_when_it_is_last():
    """Too few buyable stocks for the cap: cash remains by default; with the cap last, the cap is exceeded."""
    d = problem(30, seed=6, frictions=False, held=10)
    few = np.zeros(30, bool)
    few[:5] = True
    d = Decision(**{**d.__dict__, "current": np.zeros(30), "can_buy": few})
    loose = {"style_limit": None, "industry_limit": None, "num_stock": 10}
    default = LinearProgramme(**loose).weigh(d)
    assert default.weights.sum() == pytest.approx(0.5)
    assert default.notes["relaxed"] == "cash"
    assert default.notes["excess_cash"] == pytest.approx(0.5)
    other = LinearProgramme(**loose, priority=("cash", "cap")).weigh(d)
    assert other.weights.sum() == pytest.approx(1.0)
    assert other.notes["relaxed"] == "cap"


def test_a_limit_that_may_not_give_way_stops_the_run():
    """With an empty priority an infeasible date raises and nothing is held on silently."""
    d = problem(50, seed=5, held=20)
    with pytest.raises(RunError, match="finds no weights on 2024-03-01"):
        LinearProgramme(style_limit=0.0, turnover_limit=0.01, num_stock=20, priority=()).weigh(d)


def test_failed_certificate_is_an_error(monkeypatch):
    """Weights that break a limit are never handed on, even when the solver calls them optimal."""
    d = problem(60, seed=7, frictions=False)
    honest = optimise.solve

    def wrong(p, start=None):
        s = honest(p, start)
        w = s.weights.copy()
        w[int(np.argmax(w))] += 1e-6
        return replace(s, weights=w)

    monkeypatch.setattr(optimise, "solve", wrong)
    with pytest.raises(RunError, match="fail their certificate: they break"):
        LinearProgramme(num_stock=20, style_limit=0.5).weigh(d)


def test_unscored_holding_is_sold_first():
    """A holding without a score counts as the worst of the date."""
    d = problem(60, seed=8, frictions=False)
    held = np.flatnonzero(d.current)[0]
    score = d.score.copy()
    score[held] = np.nan
    d = Decision(**{**d.__dict__, "score": score})
    target = LinearProgramme(style_limit=5, industry_limit=1, turnover_limit=0.3, num_stock=10).weigh(d)
    assert target.weights[held] == 0.0


def test_industry_limit_without_industries_is_refused():
    """An industry limit cannot be kept when no industry is known; null switches it off."""
    d = problem(40, seed=9)
    d = Decision(**{**d.__dict__, "industry": np.full(40, np.nan)})
    with pytest.raises(DataError, match="No stock has an industry on 2024-03-01"):
        LinearProgramme(num_stock=20).weigh(d)
    LinearProgramme(num_stock=20, industry_limit=None).weigh(d)


def test_scale_and_shift_of_the_score_do_not_matter():
    """Any increasing linear change of the score leaves the weights unchanged."""
    d = problem(80, seed=10)
    lp = LinearProgramme(num_stock=20, style_limit=0.5)
    other = Decision(**{**d.__dict__, "score": 1e-4 * d.score + 3.0})
    np.testing.assert_allclose(lp.weigh(d).weights, lp.weigh(other).weights, atol=1e-10)


def test_settings_are_checked():
    """A misspelt setting and a repeated priority are refused."""
    with pytest.raises(SettingError, match="Did you mean 'turnover_limit'"):
        constructions.parse({"name": "linear_programme", "turnover_limt": 0.1})
    with pytest.raises(SettingError, match="each limit may stand in the priority once"):
        constructions.parse({"name": "linear_programme", "priority": ["cap", "cap"]})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:invalid value encountered in matmul:RuntimeWarning")
def test_equals_cvxpy_on_a_weekly_chain():
    """Ten chained weeks of 300 stocks agree with cvxpy's HiGHS solution within 1e-4 basis points."""
    cp = pytest.importorskip("cvxpy")
    rng = np.random.default_rng(0)
    d = problem(300, K=10, G=30, seed=11, frictions=False, held=100)
    lp = LinearProgramme(num_stock=60, style_limit=0.3, industry_limit=0.2, turnover_limit=0.3)
    current = d.current
    compared = 0
    for _ in range(10):
        d = Decision(**{**d.__dict__, "score": rng.normal(size=300), "current": current})
        target = lp.weigh(d)
        w = cp.Variable(300)
        G = np.array([d.industry == c for c in np.unique(d.industry)]).astype(float)
        cons = [
            cp.abs(d.exposures @ (w - d.benchmark)) <= 0.3, cp.abs(G @ (w - d.benchmark)) <= 0.2,
            w >= 0, w <= np.maximum(1 / 60, d.current), cp.norm1(w - d.current) <= 0.3, cp.sum(w) == 1,
        ]  # fmt: skip
        value = cp.Problem(cp.Maximize(d.score @ w), cons).solve(solver="HIGHS")
        if np.isfinite(value):
            assert target.notes["status"] == "optimal"
            assert d.score @ target.weights == pytest.approx(value, abs=1e-8)
            compared += 1
        else:
            assert target.notes["status"] == "relaxed"
        current = target.weights * (1 + rng.normal(0, 0.03, 300))
        current /= current.sum()
    assert compared >= 5
