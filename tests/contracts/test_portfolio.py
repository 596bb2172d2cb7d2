"""Rules that every registered portfolio construction keeps."""

import numpy as np
import pytest

from alphaloom.portfolio.base import Decision, constructions
from alphaloom.portfolio.build import weigh

NAMES = constructions.names()


def make(name):
    """The construction with its default settings, on a market large enough for them."""
    return constructions.parse(name)


def decision_for(construction, seed=0, N=220, started=True):
    """A random date with frictions, from cash or from 110 holdings."""
    rng = np.random.default_rng(seed)
    score = rng.normal(size=N)
    score[rng.random(N) < 0.1] = np.nan
    current = np.zeros(N)
    if started:
        names = rng.choice(N, 110, replace=False)
        current[names] = rng.random(110)
        current /= current.sum() / 0.98
    suspended = rng.random(N) < 0.05
    bench = np.zeros(N)
    bench[: N // 2] = rng.random(N // 2)
    return Decision(
        date=np.datetime64("2024-01-05"),
        score=score,
        current=current,
        can_buy=~suspended & (rng.random(N) > 0.03),
        can_sell=~suspended & (rng.random(N) > 0.03),
        benchmark=bench / bench.sum(),
        exposures=rng.normal(size=(4, N)),
        styles=("a", "b", "c", "d"),
        industry=rng.integers(0, 12, N).astype(float),
        fields={name: rng.normal(22, 1, N) for name in construction.inputs},
    )


@pytest.mark.parametrize("name", NAMES)
def test_default_settings_and_recipe_form(name):
    """A construction is made by its name alone, and its written form is read back equal."""
    construction = make(name)
    assert constructions.parse(construction.describe()) == construction
    assert (type(construction).__doc__ or "").strip()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(4))
def test_weights_are_within_the_capital(name, seed):
    """Weights are finite and sum to 1 at most, not negative unless the construction says so; from cash and holdings."""
    construction = make(name)
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
    construction = make(name)
    d = decision_for(construction, seed)
    w = weigh(construction, d).weights
    assert (w <= d.current + 1e-12)[~d.can_buy].all()
    assert (w >= d.current - 1e-12)[~d.can_sell].all()


@pytest.mark.parametrize("name", NAMES)
def test_stocks_without_a_score_are_not_bought(name):
    """NaN means no score: such a stock may be kept or sold, not bought."""
    construction = make(name)
    d = decision_for(construction, 1)
    w = weigh(construction, d).weights
    assert (w <= d.current + 1e-12)[np.isnan(d.score)].all()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_decision_gives_the_same_weights_and_is_left_unchanged(name):
    """Deterministic and pure."""
    construction = make(name)
    d, again = decision_for(construction, 2), decision_for(construction, 2)
    a, b = weigh(construction, d).weights, weigh(construction, again).weights
    np.testing.assert_array_equal(a, b)
    for field in ("score", "current", "benchmark", "exposures", "industry"):
        np.testing.assert_array_equal(getattr(d, field), getattr(decision_for(construction, 2), field))


@pytest.mark.parametrize("name", NAMES)
def test_reordering_stocks_reorders_weights(name):
    """Scores without ties make the weights independent of the order of the columns."""
    construction = make(name)
    d = decision_for(construction, 3)
    d = Decision(**{**d.__dict__, "score": np.random.default_rng(3).normal(size=d.score.size)})
    order = np.random.default_rng(0).permutation(d.score.size)
    swapped = Decision(
        d.date, d.score[order], d.current[order], d.can_buy[order], d.can_sell[order], d.benchmark[order],
        d.exposures[:, order], d.styles, d.industry[order], {k: v[order] for k, v in d.fields.items()},
    )  # fmt: skip
    np.testing.assert_allclose(weigh(construction, swapped).weights, weigh(construction, d).weights[order], atol=1e-9)
