"""The capital test: money put into the best stocks up to a share of what they trade."""

from dataclasses import replace

import numpy as np
import pytest
from decisions import random_decision
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaloom.errors import DataError, SettingError
from alphaloom.losses.validation import HELD, PARTICIPATION, Watch
from alphaloom.portfolio.base import constructions
from alphaloom.portfolio.build import weigh
from alphaloom.portfolio.liquidity_fill import LiquidityFill


def decision(seed=0, N=40, *, capital=1e8, missing=0.1, **further):
    """A random date whose stocks trade about 100 million a day, some of them with an unknown amount."""
    d = random_decision(seed, N, measured=LiquidityFill().expressions, **further)
    amount = d.measured["ts_mean(amount, 20)"]
    amount[np.random.default_rng(seed).random(N) < missing] = np.nan
    return replace(d, capital=capital)


def naive_fill(d, n, share, cap):
    """Best first, one stock after another, until the money is gone; in currency."""
    amount = d.measured["ts_mean(amount, 20)"]
    weights = np.zeros(d.score.size)
    money = d.capital
    for k in range(d.score.size):
        if d.current[k] > 0 and not d.can_sell[k]:
            weights[k] = d.current[k]
            money -= d.current[k] * d.capital
    order = sorted((k for k in range(d.score.size) if np.isfinite(d.score[k])), key=lambda k: -d.score[k])
    places = n
    for k in order:
        if weights[k] > 0 or (not d.can_buy[k] and d.current[k] == 0):
            continue
        if places == 0:
            break
        places -= 1
        if np.isnan(amount[k]):
            continue
        most = min(share * amount[k], d.capital if cap is None else cap * d.capital)
        if not d.can_buy[k]:
            most = min(most, d.current[k] * d.capital)
        spent = min(most, max(money, 0.0))
        weights[k] = spent / d.capital
        money -= spent
    return weights


def naive_proportional(d, n, share, cap):
    """One rate of all amounts, found by bisection, at which the money is spent or every stock is at its limit."""
    amount = np.nan_to_num(d.measured["ts_mean(amount, 20)"])
    stuck = (d.current > 0) & ~d.can_sell
    places = [k for k in np.argsort(-d.score) if np.isfinite(d.score[k]) and not stuck[k]]
    chosen = [k for k in places if d.can_buy[k] or d.current[k] > 0][:n]
    most = np.minimum(share * amount / d.capital, 1.0 if cap is None else cap)
    most = np.where(d.can_buy, most, np.minimum(most, d.current))
    left = 1.0 - d.current[stuck].sum()
    low, high = 0.0, share
    for _ in range(200):
        rate = (low + high) / 2
        total = sum(min(rate * amount[k] / d.capital, most[k]) for k in chosen)
        low, high = (rate, high) if total < left else (low, rate)
    weights = np.where(stuck, d.current, 0.0)
    for k in chosen:
        weights[k] = min(high * amount[k] / d.capital, most[k])
    return weights


@pytest.mark.parametrize(("spread", "naive"), [("score", naive_fill), ("amount", naive_proportional)])
@given(
    seed=st.integers(0, 10_000),
    capital=st.sampled_from([1e6, 1e8, 2e8, 5e9]),
    n=st.integers(1, 60),
    share=st.sampled_from([0.02, 0.1, 2.0]),
    cap=st.sampled_from([None, 0.03, 0.3]),
)
@settings(max_examples=60, deadline=None)
def test_the_fill_is_that_of_a_plain_loop(spread, naive, seed, capital, n, share, cap):
    """Weights are those of the rule written stock by stock; holdings and locked stocks included."""
    d = decision(seed, capital=capital)
    item = LiquidityFill(n=n, share=share, cap=cap, spread=spread)
    np.testing.assert_allclose(weigh(item, d).weights, naive(d, n, share, cap), atol=1e-9)


@given(seed=st.integers(0, 10_000), capital=st.floats(1e5, 1e11), spread=st.sampled_from(["score", "amount"]))
@settings(max_examples=80, deadline=None)
def test_limits_hold_and_cash_is_what_is_unspent(seed, capital, spread):
    """Weights sum to 1 at most; no bought name is beyond its limit; unspent and cash are one; counts are true."""
    d = decision(seed, capital=capital)
    target = weigh(LiquidityFill(n=15, spread=spread), d)
    w, notes = target.weights, target.notes
    stuck = (d.current > 0) & ~d.can_sell
    limit = 0.1 * np.nan_to_num(d.measured["ts_mean(amount, 20)"]) / capital
    assert w.sum() <= 1 + 1e-12
    assert notes["unspent"] == pytest.approx(1 - w.sum(), abs=1e-12)
    assert (w[~stuck] <= limit[~stuck] * (1 + 1e-9)).all()
    assert notes["filled"] == (w[~stuck] > 1e-12).sum()
    assert notes["filled"] <= notes["chosen"] <= 15
    if notes["unspent"] > 1e-9:
        assert notes["at_limit"] + notes["no_amount"] >= notes["chosen"] - (~d.can_buy & (d.current > 0)).sum()
    if spread == "score" and notes["pinned"] == 0 and d.can_buy.all():
        assert notes["filled"] - notes["at_limit"] <= 1


def test_more_money_leaves_more_unspent():
    """The unspent share rises with the capital, and what is placed never exceeds the capacity."""
    d = decision(3, frictions=False, held=1)
    d = replace(d, current=np.zeros(d.score.size))
    unspent = []
    for capital in (1e6, 1e8, 1e9, 1e10):
        notes = weigh(LiquidityFill(n=10), replace(d, capital=capital)).notes
        unspent.append(notes["unspent"])
        assert capital * (1 - notes["unspent"]) <= notes["capacity"] * (1 + 1e-9)
    assert unspent[0] == pytest.approx(0, abs=1e-12)
    assert unspent == sorted(unspent)
    assert unspent[-1] > 0.9


def test_the_limit_is_one_on_the_position():
    """A holding beyond its limit is sold down to it, and is not added to."""
    d = decision(1, N=5, frictions=False, held=1, missing=0)
    d = replace(d, score=np.arange(5.0), current=np.array([0, 0, 0, 0, 0.9]), capital=1e9)
    w = weigh(LiquidityFill(n=1), d).weights
    assert w[4] == pytest.approx(0.1 * d.measured["ts_mean(amount, 20)"][4] / 1e9)
    assert w[:4].tolist() == [0, 0, 0, 0]


def test_a_stock_without_an_amount_keeps_its_place_and_gets_nothing():
    """Its money goes to the others among the n, not to the next stock."""
    d = decision(0, N=4, frictions=False, held=1, missing=0, capital=1e6)
    d = replace(d, score=np.array([4.0, 3.0, 2.0, 1.0]), current=np.zeros(4))
    d.measured["ts_mean(amount, 20)"][0] = np.nan
    target = weigh(LiquidityFill(n=2), d)
    assert target.weights.tolist() == [0, 1, 0, 0]
    assert target.notes["no_amount"] == 1


def test_the_proportional_form_earns_what_the_validation_measure_says():
    """From cash, on the day's own amounts, its return is `liquidity_return`'s, for little money and for much."""
    rng = np.random.default_rng(5)
    N = 80
    score, ret = rng.normal(size=N).astype(np.float32), rng.normal(0, 0.05, N).astype(np.float32)
    for level in (1e6, 1e9):
        amount = (np.exp(rng.normal(0, 1, N)) * level).astype(np.float32)
        watch = Watch("liquidity_return", ret, np.array([0, N]), {"return": ret, "amount": amount})
        measured = watch.record(score, 0.0)["valid_liquidity_return"]
        item = LiquidityFill(n=HELD, share=PARTICIPATION, days=1, spread="amount")
        d = random_decision(0, N, frictions=False, held=1)
        d = replace(d, score=score.astype(float), current=np.zeros(N), capital=150e6)
        d = replace(d, measured={item.expressions[0]: amount.astype(float)})
        assert weigh(item, d).weights @ ret == pytest.approx(measured, rel=1e-6)


def test_no_capital_is_refused():
    """Traded values cannot be compared with weights of an unknown sum."""
    with pytest.raises(DataError, match="liquidity_fill needs the capital on 2024-03-01"):
        weigh(LiquidityFill(), replace(decision(), capital=None))


@pytest.mark.parametrize("wrong", [{"n": 0}, {"share": 0}, {"cap": 1.5}, {"spread": "size"}, {"top": 5}])
def test_wrong_settings_are_refused(wrong):
    """Each setting has its range."""
    with pytest.raises(SettingError):
        constructions.parse({"name": "liquidity_fill", **wrong})


def test_the_two_forms_have_names_of_their_own():
    """A recipe with both tells them apart."""
    assert LiquidityFill().label == "liquidity_fill"
    assert LiquidityFill(spread="amount").label == "liquidity_fill-by-amount"
