"""Top-k, quantile, and the allocation around what cannot trade."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaloom.errors import DataError, SettingError
from alphaloom.portfolio.allocate import allocate
from alphaloom.portfolio.base import Decision, constructions
from alphaloom.portfolio.equal_weight import EqualWeight
from alphaloom.portfolio.linear_programme import LinearProgramme
from alphaloom.portfolio.long_short import LongShort
from alphaloom.portfolio.quantile import Quantile
from alphaloom.portfolio.topk import TopK


def decision(score, current=None, buy=None, sell=None, **fields):
    """A date on which everything trades unless said otherwise."""
    score = np.asarray(score, dtype=float)
    N = score.size
    return Decision(
        date=np.datetime64("2024-01-05"),
        score=score,
        current=np.zeros(N) if current is None else np.asarray(current, dtype=float),
        can_buy=np.ones(N, bool) if buy is None else np.asarray(buy, bool),
        can_sell=np.ones(N, bool) if sell is None else np.asarray(sell, bool),
        benchmark=np.zeros(N),
        exposures=np.zeros((0, N)),
        styles=(),
        industry=np.full(N, np.nan),
        fields={k: np.asarray(v, dtype=float) for k, v in fields.items()},
    )


def test_topk_holds_the_best_equally():
    """The k highest scores share the capital equally; NaN is never chosen."""
    target = TopK(k=2).weigh(decision([1, 5, np.nan, 4, 2]))
    assert target.weights.tolist() == [0, 0.5, 0, 0.5, 0]


def test_topk_skips_what_cannot_be_bought():
    """A stock that is not held and cannot be bought gives its place to the next."""
    target = TopK(k=2).weigh(decision([1, 5, 3, 4], buy=[1, 0, 1, 1]))
    assert target.weights.tolist() == [0, 0, 0.5, 0.5]


def test_topk_keeps_what_cannot_be_sold():
    """A holding that cannot be sold stays at its weight, and the rest is shared by k others."""
    target = TopK(k=2).weigh(decision([1, 5, 3, 4], current=[0.4, 0.6, 0, 0], sell=[0, 1, 1, 1]))
    assert target.weights.tolist() == pytest.approx([0.4, 0.3, 0, 0.3])
    assert target.notes["pinned_weight"] == pytest.approx(0.4)


def test_topk_spreads_what_a_stock_at_its_limit_cannot_take():
    """A chosen holding that cannot be bought keeps its weight; its share goes to the others."""
    target = TopK(k=2).weigh(decision([1, 5, 3, 4], current=[0.8, 0.2, 0, 0], buy=[1, 0, 1, 1]))
    assert target.weights.tolist() == pytest.approx([0, 0.2, 0, 0.8])


def naive_dropout(score, held, buyable, k, drop):
    """The published rule with plain sorted lists (no untradable holdings)."""
    rank = sorted(range(len(score)), key=lambda n: -score[n])
    last = [n for n in rank if n in held]
    today = [n for n in rank if n not in held and n in buyable][: drop + k - len(last)]
    together = sorted([*last, *today], key=lambda n: -score[n])
    sold = [n for n in last if n in together[-drop:]]
    bought = today[: len(sold) + k - len(last)]
    return (set(last) - set(sold)) | set(bought)


@given(seed=st.integers(0, 10_000), k=st.integers(1, 8), drop=st.integers(1, 8))
@settings(max_examples=80, deadline=None)
def test_dropout_follows_the_published_rule(seed, k, drop):
    """Held and new stocks after a decision are those of the rule written with sorted lists."""
    rng = np.random.default_rng(seed)
    score = rng.normal(size=20)
    held = set(rng.choice(20, k, replace=False).tolist())
    buyable = set(np.flatnonzero(rng.random(20) < 0.8).tolist())
    current = np.array([1 / k if n in held else 0.0 for n in range(20)])
    # Keep the comparison to sets: holdings can be bought too, so that weights are equal.
    d = decision(score, current, buy=[n in buyable or n in held for n in range(20)])
    weights = TopK(k=k, drop=drop).weigh(d).weights
    assert set(np.flatnonzero(weights > 0).tolist()) == naive_dropout(score.tolist(), held, buyable, k, drop)


def test_dropout_replaces_no_more_than_drop():
    """With all holdings out of favour only `drop` of them are replaced."""
    current = np.r_[np.full(5, 0.2), np.zeros(5)]
    weights = TopK(k=5, drop=2).weigh(decision(np.arange(10), current)).weights
    assert (weights[:5] > 0).sum() == 3
    assert np.flatnonzero(weights[5:]).tolist() == [3, 4]


def test_quantile_counts_the_scored_stocks():
    """A tenth of 25 scored stocks is three, rounded up."""
    score = np.r_[np.arange(25.0), np.full(5, np.nan)]
    weights = Quantile(groups=10).weigh(decision(score, log_cap=np.ones(30))).weights
    assert np.flatnonzero(weights).tolist() == [22, 23, 24]
    assert weights.sum() == pytest.approx(1.0)


@given(scored=st.integers(1, 60), groups=st.integers(1, 9), seed=st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_the_groups_share_the_scored_stocks(scored, groups, seed):
    """Every scored stock is in exactly one group, better groups hold better scores, sizes differ by one at most."""
    rng = np.random.default_rng(seed)
    score = np.r_[rng.permutation(scored).astype(float), [np.nan] * 3]
    held = [np.flatnonzero(Quantile(groups=groups, group=g + 1).weigh(decision(score)).weights) for g in range(groups)]
    assert sorted(np.concatenate(held).tolist()) == np.flatnonzero(~np.isnan(score)).tolist()
    sizes = [len(names) for names in held]
    assert max(sizes) - min(sizes) <= 1
    for better, worse in pairwise(held):
        assert not (len(better) and len(worse)) or score[better].min() > score[worse].max()


def test_a_group_that_does_not_exist_is_refused():
    """The sixth of five groups is a mistake in the settings."""
    with pytest.raises(SettingError, match="group is 6, and there are 5 groups"):
        constructions.parse({"name": "quantile", "groups": 5, "group": 6})


def test_long_short_buys_the_best_and_sells_the_worst():
    """A fifth of ten stocks on either side, the long side with all the capital, the short one with half of it."""
    weights = LongShort(groups=5, short=0.5).weigh(decision(np.arange(10.0))).weights
    assert weights.tolist() == pytest.approx([-0.25, -0.25, 0, 0, 0, 0, 0, 0, 0.5, 0.5])


def test_a_short_position_that_cannot_be_bought_back_stays():
    """It keeps its weight and its part of the short side; what cannot be sold is not sold short either."""
    current = [0.5, 0.5, 0, 0, 0, 0, -0.4, -0.6]
    d = decision(np.arange(8.0), current, buy=[1, 1, 1, 1, 1, 1, 0, 1], sell=[1, 0, 1, 1, 1, 1, 1, 1])
    weights = LongShort(groups=4).weigh(d).weights
    # Wanted short: 0 and 1; 1 cannot be sold and stays long. 6 cannot be bought back, and is not bought.
    assert weights.tolist() == pytest.approx([-0.6, 0.5, 0, 0, 0, 0, -0.4, 0.5])


def test_equal_weights_of_the_optimisers_picks():
    """The stocks that the optimiser fills up to its cap, each with the same weight; what binds it is in the notes."""
    score = np.arange(30.0)
    made = EqualWeight(picks=LinearProgramme(num_stock=10, style_limit=1.0, industry_limit=None)).weigh(decision(score))
    assert np.flatnonzero(made.weights).tolist() == list(range(20, 30))
    np.testing.assert_allclose(made.weights[20:], 0.1)
    assert made.notes["picks_status"] == "optimal"
    described = EqualWeight().describe()
    assert described["picks"]["style_limit"] == 1.0
    with pytest.raises(SettingError, match="long_short sells short; equal weights are long"):
        constructions.parse({"name": "equal_weight", "picks": "long_short"})


def test_equal_weights_leave_out_the_crumbs():
    """A stock with less than `least` of the largest weight is no pick: half-sold holdings of a bound on turnover."""
    current = np.zeros(12)
    current[:4] = 0.25
    picks = LinearProgramme(num_stock=4, style_limit=None, industry_limit=None, turnover_limit=0.9)
    made = picks.weigh(decision(np.arange(12.0), current)).weights
    assert ((made > 0) & (made < 0.25)).any()
    equal = EqualWeight(picks=picks, least=0.9).weigh(decision(np.arange(12.0), current)).weights
    full = made > 0.9 * made.max()
    np.testing.assert_allclose(equal[full], 1 / full.sum())
    assert equal[~full].sum() == 0


def test_quantile_weighted_by_capitalisation():
    """Cap weights are in proportion to exp(log_cap)."""
    cap = np.array([1.0, 2.0, 3.0, 5.0])
    target = Quantile(groups=2, weight="cap").weigh(decision([1, 2, 3, 4], log_cap=np.log(cap)))
    assert target.weights.tolist() == pytest.approx([0, 0, 3 / 8, 5 / 8])


def test_quantile_without_capitalisation_is_refused():
    """A chosen stock of unknown capitalisation is an error, not a guess."""
    with pytest.raises(DataError, match="1 of the 2 chosen stocks have no log_cap on 2024-01-05"):
        Quantile(groups=2, weight="cap").weigh(decision([1, 2, 3, 4], log_cap=[1, 1, np.nan, 1]))


@pytest.mark.parametrize("construction", [TopK(k=2), Quantile(groups=2)])
def test_a_date_without_scores_is_refused(construction):
    """Holding on silently is not an answer to a date without scores."""
    with pytest.raises(DataError, match="No stock has a score on 2024-01-05"):
        construction.weigh(decision([np.nan] * 3, log_cap=[1, 1, 1]))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_allocation_fills_the_capital(seed):
    """Whatever is pinned or barred, weights sum to 1 unless no wanted stock can take more; proportions hold among the
    stocks that are free.
    """
    rng = np.random.default_rng(seed)
    N = 12
    current = rng.random(N) * (rng.random(N) < 0.5)
    current /= max(current.sum(), 1e-9) * rng.uniform(1.0, 1.5)
    d = decision(np.zeros(N), current, rng.random(N) < 0.6, rng.random(N) < 0.7)
    shares = rng.random(N) * (rng.random(N) < 0.6)
    w = allocate(d, shares)
    stuck = (current > 1e-12) & ~d.can_sell
    np.testing.assert_array_equal(w[stuck], current[stuck])
    assert (w[~d.can_buy] <= current[~d.can_buy] + 1e-12).all()
    free = (shares > 0) & d.can_buy & ~stuck
    assert w.sum() <= 1 + 1e-9
    if free.any():
        assert w.sum() == pytest.approx(1.0)
        assert np.ptp(w[free] / shares[free]) < 1e-9 * max(1.0, (w[free] / shares[free]).max())
