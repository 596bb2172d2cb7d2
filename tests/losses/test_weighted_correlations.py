"""The weighted correlations of seed 002, against numpy and against the published snippet."""

import numpy as np
import pytest
import torch
from scipy.stats import rankdata

from alphaloom.losses.base import RETURN, losses

FLOOR = 1e-8


def random_day(N=40, seed=0):
    """Return float64 scores, labels without ties, raw returns and traded values of one day."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal(N), rng.standard_normal(N), 0.1 * rng.standard_normal(N), np.exp(3 * rng.random(N) + 15)


def value(name, score, label, extras=None, mask=None, **settings):
    """Return a loss of one day in float64."""
    one = [torch.from_numpy(np.asarray(array))[None] for array in (score, label)]
    mask = torch.ones_like(one[0], dtype=torch.bool) if mask is None else torch.from_numpy(mask)[None]
    given = {key: torch.from_numpy(array)[None] for key, array in (extras or {}).items()}
    return losses.parse({"name": name, **settings})(*one, mask, given).item()


def weighted(s, y, w):
    """Return minus the weighted correlation with the floor in both variances."""
    w = w / w.sum()
    s, y = s - w @ s, y - w @ y
    return -(w @ (s * y)) / np.sqrt((w @ s**2 + FLOOR) * (w @ y**2 + FLOOR))


def published(pred, label):
    """Return seed 002's snippet for one day, written for a vector."""
    N = len(pred)
    order = np.argsort(-label)
    w = np.empty(N)
    w[order] = [0.5 ** ((j - 1) / (N - 1)) for j in range(1, N + 1)]
    total = w.sum()
    covariance = (pred * label * w).sum() / total - (pred * w).sum() / total * (label * w).sum() / total
    pred_std = np.sqrt(((pred - pred.mean()) ** 2 * w).sum() / total + 1e-8)
    label_std = np.sqrt(((label - label.mean()) ** 2 * w).sum() / total + 1e-8)
    return -(covariance / (pred_std * label_std))


def test_code_form_equals_the_published_snippet():
    """`center: code` gives the snippet's value, in float64 to 1e-12, at any level of scores and labels."""
    score, label, _, _ = random_day()
    for shift in (0.0, 3.0):
        found = value("weighted_pearson", score + shift, label - shift, center="code")
        assert found == pytest.approx(published(score + shift, label - shift), rel=1e-11)


@pytest.mark.parametrize("decay", [0.5, 0.1, 1.0])
def test_weighted_form_is_a_correlation(decay):
    """The default equals numpy, reaches -1 for any rising line of the label, and with decay 1 is the IC."""
    score, label, _, _ = random_day()
    weight = decay ** ((label.size - rankdata(label)) / (label.size - 1))
    found = value("weighted_pearson", score, label, decay=decay)
    assert found == pytest.approx(weighted(score, label, weight), rel=1e-12)
    assert value("weighted_pearson", 3 * label + 7, label, decay=decay) == pytest.approx(-1, abs=1e-7)
    if decay == 1:
        assert found == pytest.approx(value("ic", score, label), rel=1e-12)


def test_ties_share_a_weight():
    """Tied labels have the weight of their average place, so their order among each other does not matter."""
    score, label, _, _ = random_day()
    label = np.round(label)
    place = (label.size - rankdata(label)) / (label.size - 1)
    assert value("weighted_pearson", score, label) == pytest.approx(weighted(score, label, 0.5**place), rel=1e-12)


def test_stocks_without_label_get_no_weight():
    """Unlabelled stocks change nothing: N counts the labelled ones alone."""
    score, label, _, _ = random_day()
    mask = np.arange(40) < 25
    alone = value("weighted_pearson", score[:25], label[:25])
    assert value("weighted_pearson", score, np.where(mask, label, np.nan), mask=mask) == pytest.approx(alone, rel=1e-12)


def test_errors_among_winners_cost_more():
    """Mixing up the best stocks costs more than mixing up the worst ones, unlike with the IC."""
    label = np.linspace(-2, 2, 40)
    top, bottom = label.copy(), label.copy()
    top[-10:], bottom[:10] = top[-10:][::-1], bottom[:10][::-1]
    assert value("weighted_pearson", top, label) > value("weighted_pearson", bottom, label) + 0.005
    assert value("ic", top, label) == pytest.approx(value("ic", bottom, label), abs=1e-9)


@pytest.mark.parametrize("form", ["published", "product"])
@pytest.mark.parametrize("alpha", [40.0, 10.0])
def test_liquidity_pearson(form, alpha):
    """Both forms equal numpy: log, min-max, sigmoid, weighted correlation."""
    score, label, returns, amount = random_day()
    level = np.log(amount)
    level = (level - level.min()) / (level.max() - level.min())
    if form == "published":
        weight = 0.5 + 0.5 / (1 + np.exp(-alpha * level * returns))
    else:
        weight = 0.5 + 0.5 * level / (1 + np.exp(-alpha * returns))
    found = value("liquidity_pearson", score, label, {RETURN: returns, "amount": amount}, form=form, alpha=alpha)
    assert found == pytest.approx(weighted(score, label, weight), rel=1e-11)


@pytest.mark.parametrize("unknown", [np.nan, 0.0, -1.0])
def test_unknown_liquidity_is_the_lowest(unknown):
    """A stock whose traded value is unknown or not positive weighs like the least liquid one of the others."""
    score, label, returns, amount = random_day()
    lowest = amount.copy()
    lowest[3] = np.delete(amount, 3).min()
    amount[3] = unknown
    for form in ("published", "product"):
        found = value("liquidity_pearson", score, label, {RETURN: returns, "amount": amount}, form=form)
        expected = value("liquidity_pearson", score, label, {RETURN: returns, "amount": lowest}, form=form)
        assert found == pytest.approx(expected, rel=1e-12)


def test_equally_liquid_stocks_weigh_the_same():
    """Without a difference in liquidity both forms are the plain IC."""
    score, label, returns, amount = random_day()
    extras = {RETURN: returns, "amount": np.full_like(amount, 1e8)}
    for form in ("published", "product"):
        found = value("liquidity_pearson", score, label, extras, form=form)
        assert found == pytest.approx(value("ic", score, label), rel=1e-9)


def test_the_liquidity_field_is_a_setting():
    """Any panel field may measure liquidity; it is what the loss asks the data for."""
    loss = losses.parse({"name": "liquidity_pearson", "liquidity": "turnover"})
    assert loss.required == ("turnover",)
    assert loss.extras == ("turnover", RETURN)
