"""The formulas of the losses, against numpy, scipy and hand-computed cases."""

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr

from alphaloom.losses.base import losses


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
    assert loss.per_day(score, torch.tensor([[1.0, 3.0, 2.0]]), mask).item() == pytest.approx(-0.5, abs=1e-6)
    assert loss.per_day(score, torch.tensor([[3.0, 2.0, 1.0]]), mask).item() == pytest.approx(1.0, abs=1e-6)


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
