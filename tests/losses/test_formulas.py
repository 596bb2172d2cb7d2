"""The formulas of squared errors, the IC and the likelihood, against numpy, scipy and hand-computed cases."""

import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid
from scipy.stats import norm, pearsonr, rankdata

from alphaloom.losses.base import losses, ranks
from alphaloom.losses.gaussian import normal_kl


def random_batch(B=4, N=30, seed=0):
    """Return float64 scores and labels and a mask."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((B, N)), rng.standard_normal((B, N)), rng.random((B, N)) < 0.7


def as_tensors(*arrays):
    """Return float32 or boolean tensors."""
    return [torch.from_numpy(a) if a.dtype == bool else torch.from_numpy(a).float() for a in arrays]


def test_mse_of_three_stocks_by_hand():
    """MSE of scores 1, 2, 3 against labels 1, 0, 5 is (0 + 4 + 4) / 3; the unlabelled third drops out when masked."""
    score, label = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0, 0.0, 5.0]])
    every, two = torch.tensor([[True, True, True]]), torch.tensor([[True, True, False]])
    assert losses.parse("mse")(score, label, every).item() == pytest.approx(8 / 3)
    assert losses.parse("mse")(score, label, two).item() == pytest.approx(2.0)


def test_ic_of_three_stocks_by_hand():
    """Scores 1, 2, 3 against labels 1, 3, 2 correlate at 1/2, so the loss is -1/2; reversed labels give the sign."""
    score, mask = torch.tensor([[1.0, 2.0, 3.0]]), torch.ones(1, 3, dtype=torch.bool)
    loss = losses.parse("ic")
    assert loss.per_day(score, torch.tensor([[1.0, 3.0, 2.0]]), mask, {}).item() == pytest.approx(-0.5, abs=1e-6)
    assert loss.per_day(score, torch.tensor([[3.0, 2.0, 1.0]]), mask, {}).item() == pytest.approx(1.0, abs=1e-6)


def test_ic_is_the_mean_of_daily_correlations():
    """IC equals minus the mean over days of scipy's Pearson correlation of that day's labelled stocks."""
    score, label, mask = random_batch()
    expected = -np.mean([pearsonr(s[m], y[m])[0] for s, y, m in zip(score, label, mask, strict=True)])
    assert losses.parse("ic")(*as_tensors(score, label, mask)).item() == pytest.approx(expected, abs=1e-5)


def test_mse_averages_over_days_not_stocks():
    """A day of two stocks weighs as much as a day of thirty."""
    score, label, mask = random_batch()
    mask[0] = False
    mask[0, :2] = True
    expected = np.mean([np.mean((s[m] - y[m]) ** 2) for s, y, m in zip(score, label, mask, strict=True)])
    assert losses.parse("mse")(*as_tensors(score, label, mask)).item() == pytest.approx(expected, rel=1e-5)


def test_ic_skips_days_with_fewer_than_ten_labels():
    """A day of nine labelled stocks does not count, whatever its correlation."""
    score, label, mask = random_batch()
    mask[1] = False
    mask[1, :9] = True
    rest = [0, 2, 3]
    loss = losses.parse("ic")
    whole = loss(*as_tensors(score, label, mask)).item()
    assert whole == pytest.approx(loss(*as_tensors(score[rest], label[rest], mask[rest])).item(), abs=1e-6)


def test_ic_of_a_constant_score_has_a_finite_gradient():
    """A network that begins with equal scores is not thrown to NaN by the division by their deviation."""
    score = torch.full((1, 20), 0.3, requires_grad=True)
    label = torch.randn(1, 20, generator=torch.Generator().manual_seed(0))
    losses.parse("ic")(score, label, torch.ones(1, 20, dtype=torch.bool)).backward()
    assert torch.isfinite(score.grad).all()


def test_ic_ignores_level_and_scale():
    """Shifting and stretching the scores of a day leaves its IC unchanged."""
    score, label, mask = as_tensors(*random_batch())
    loss = losses.parse("ic")
    assert loss(3 * score + 5, label, mask).item() == pytest.approx(loss(score, label, mask).item(), abs=1e-5)


def doubles(*arrays):
    """Return float64 or boolean tensors."""
    return [torch.from_numpy(np.asarray(a)) for a in arrays]


def by_day(function, score, label, mask, *more):
    """Return the mean over days of a numpy function of the labelled stocks' numbers."""
    return np.mean([function(*(array[d][mask[d]] for array in (score, label, *more))) for d in range(len(mask))])


def value(name, score, label, mask, extras=None, **settings):
    """Return a loss in float64."""
    given = {key: torch.from_numpy(array) for key, array in (extras or {}).items()}
    return losses.parse({"name": name, **settings})(*doubles(score, label, mask), given).item()


def test_ranks_equal_scipy():
    """Average-tie ranks from 1 among the day's members, 0 elsewhere, whatever the fillers are."""
    rng = np.random.default_rng(3)
    label, mask = rng.integers(-3, 4, (6, 40)).astype(float), rng.random((6, 40)) < 0.6
    expected = np.zeros(label.shape)
    for d in range(6):
        expected[d, mask[d]] = rankdata(label[d, mask[d]])
    filled = torch.from_numpy(np.where(mask, label, np.nan))
    assert (ranks(filled, torch.from_numpy(mask)).numpy() == expected).all()


@pytest.mark.parametrize("clip", [1.0, 3.0])
def test_exponential_mse(clip):
    """Mean of exp(y) (s - y)^2, with the label clipped in both places."""
    score, label, mask = random_batch()
    label = 3 * label

    def daily(s, y):
        y = np.clip(y, -clip, clip)
        return np.mean(np.exp(y) * (s - y) ** 2)

    assert (np.abs(label) > clip).any()
    assert value("exponential_mse", score, label, mask, clip=clip) == pytest.approx(by_day(daily, score, label, mask))


@pytest.mark.parametrize(("version", "low", "slope", "center"), [(1, 0.1, 40, 0.8), (2, 0.5, 15, 0.5)])
def test_sigmoid_mse(version, low, slope, center):
    """Both weightings, of the label's percentile rank, ties averaged."""
    score, label, mask = random_batch()
    label = np.round(label, 1)

    def daily(s, y):
        x = rankdata(y) / y.size
        return np.mean((low + (1 - low) / (1 + np.exp(-slope * (x - center)))) * (s - y) ** 2)

    found = value("sigmoid_mse", score, label, mask, version=version)
    assert found == pytest.approx(by_day(daily, score, label, mask), rel=1e-12)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.5])
def test_long_weighted_mse(power):
    """Weights are powers of the label's rank with mean 1; power 0 is the mean squared error."""
    score, label, mask = random_batch()

    def daily(s, y):
        weight = rankdata(y) ** power
        return np.mean(weight / weight.mean() * (s - y) ** 2)

    found = value("long_weighted_mse", score, label, mask, power=power)
    assert found == pytest.approx(by_day(daily, score, label, mask), rel=1e-12)
    if power == 0:
        assert found == pytest.approx(value("mse", score, label, mask), rel=1e-12)


def test_gaussian_is_the_likelihood():
    """Minus scipy's log density of the label, averaged; variances below the floor count as the floor."""
    score, label, mask = random_batch()
    variance = np.random.default_rng(5).exponential(size=score.shape)
    variance[:, ::5] = 0.01

    def daily(s, y, v):
        return -np.mean(norm.logpdf(y, s, np.sqrt(np.maximum(v, 0.1))))

    found = value("gaussian", score, label, mask, {"variance": variance}, floor=0.1)
    assert found == pytest.approx(by_day(daily, score, label, mask, variance), rel=1e-12)


def test_gaussian_teaches_the_variance():
    """The likelihood is best at the true variance: its gradient by the variance is zero there, and points to it."""
    label = torch.tensor([[1.0, -1.0] * 10], dtype=torch.float64)
    variance = torch.tensor([[0.5, 1.0, 2.0]], dtype=torch.float64, requires_grad=True)
    slopes = []
    for k in range(3):
        given = variance[:, k : k + 1].expand(1, 20)
        loss = losses.parse("gaussian")(0 * label, label, label != 0, {"variance": given})
        slopes.append(torch.autograd.grad(loss, variance)[0][0, k].item())
    assert slopes[0] < 0 < slopes[2]
    assert slopes[1] == pytest.approx(0, abs=1e-12)


def test_normal_kl_is_the_divergence():
    """The divergence of two normal distributions, entry by entry, against the integral that defines it."""
    rng = np.random.default_rng(0)
    center, prior_center, deviation, prior_deviation = rng.random((4, 5)) + 0.2
    expected = []
    for m, p, d, q in zip(center, prior_center, deviation, prior_deviation, strict=True):
        x = np.linspace(m - 12 * d, m + 12 * d, 200_001)
        ratio = norm.logpdf(x, m, d) - norm.logpdf(x, p, q)
        expected.append(trapezoid(norm.pdf(x, m, d) * ratio, x))
    found = normal_kl(*doubles(center, deviation, prior_center, prior_deviation))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
