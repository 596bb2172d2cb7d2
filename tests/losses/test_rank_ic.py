"""The differentiable rank correlation, against loops, scipy and its own limits."""

import numpy as np
import pytest
import torch
from scipy.stats import rankdata, spearmanr

from alphaloom.losses import rank_ic
from alphaloom.losses.base import losses
from alphaloom.losses.rank_ic import SoftRank


def day(N=30, seed=0):
    """Return float64 scores and labels with ties of one day, and who is labelled."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal(N), np.round(rng.standard_normal(N), 1), rng.random(N) < 0.8


def by_loops(s, y, tau):
    """Return the loss of one day by plain loops over pairs."""
    z = (s - s.mean()) / np.sqrt(s.var() + 1e-8)
    soft = np.array([1 + sum(1 / (1 + np.exp(-(a - b) / tau)) for j, b in enumerate(z) if j != i)
                     for i, a in enumerate(z)])  # fmt: skip
    hard = rankdata(y)
    soft, hard = soft - soft.mean(), hard - hard.mean()
    return -np.mean(soft * hard) / np.sqrt((soft.var() + 1e-8) * (hard.var() + 1e-8))


def tensors(*arrays):
    """Return a batch of one day."""
    return [torch.from_numpy(array)[None] for array in arrays]


@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_equals_loops_over_pairs(tau):
    """Soft ranks of the standardised scores, ordinary ranks of the labels, over the labelled stocks alone."""
    score, label, mask = day()
    loss = losses.parse({"name": "rank_ic", "temperature": tau})
    found = loss(*tensors(score, label, mask)).item()
    assert found == pytest.approx(by_loops(score[mask], label[mask], tau), rel=1e-12)


def test_is_the_rank_ic_at_low_temperature():
    """As the temperature falls the loss becomes minus Spearman's correlation."""
    score, label, mask = day()
    loss = losses.parse({"name": "rank_ic", "temperature": 1e-4})
    expected = -spearmanr(score[mask], label[mask]).statistic
    assert loss(*tensors(score, label, mask)).item() == pytest.approx(expected, abs=1e-9)


def test_level_and_scale_of_scores_do_not_matter():
    """Scores are standardised by day before they are compared with the temperature."""
    score, label, mask = day()
    loss = losses.parse("rank_ic")
    scaled = loss(*tensors(1000 * score + 5, label, mask)).item()
    assert scaled == pytest.approx(loss(*tensors(score, label, mask)).item(), rel=1e-6)


@pytest.mark.parametrize("pairs", [1, 100, 1000])
def test_pieces_change_nothing(monkeypatch, pairs):
    """Value and gradient are those of the whole matrix of pairs, however it is cut."""
    generator = torch.Generator().manual_seed(0)
    score = torch.randn(3, 25, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = (torch.rand(3, 25, generator=generator) < 0.7).double()
    direct = torch.sigmoid((score[:, :, None] - score[:, None, :]) / 0.1) @ weight[:, :, None]
    other = torch.randn(3, 25, generator=generator, dtype=torch.float64) * weight
    expected = torch.autograd.grad((direct[:, :, 0] * other).sum(), score)[0]
    monkeypatch.setattr(rank_ic, "CHUNK", pairs)
    soft = SoftRank.apply(score, weight, 0.1)
    torch.testing.assert_close(soft, direct[:, :, 0] + 0.5, rtol=1e-12, atol=1e-12)
    gradient = torch.autograd.grad((soft * other).sum(), score)[0]
    torch.testing.assert_close(gradient * weight, expected * weight, rtol=1e-10, atol=1e-12)


def test_gradient_of_soft_ranks():
    """The written-out gradient of the soft ranks equals central differences."""
    score = torch.randn(2, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    weight = torch.tensor([[1.0] * 9, [1.0] * 6 + [0.0] * 3], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: SoftRank.apply(s, weight, 0.3), score)


def test_memory_does_not_grow_with_the_pairs():
    """A day of 5,000 stocks, 25 million pairs, is worked off in pieces of `CHUNK` pairs."""
    score = torch.randn(1, 5000, requires_grad=True)
    pieces = rank_ic._pieces(score)
    assert len(pieces) > 1
    assert max(piece.stop - piece.start for piece in pieces) * 5000 <= rank_ic.CHUNK
    label, mask = torch.randn(1, 5000), torch.ones(1, 5000, dtype=torch.bool)
    loss = losses.parse("rank_ic")(score, label, mask)
    loss.backward()
    assert torch.isfinite(score.grad).all()
    assert loss.item() == pytest.approx(-spearmanr(score.detach()[0], label[0]).statistic, abs=5e-3)


def test_descent_raises_the_rank_ic():
    """Following the gradient alone brings the scores into the order of the labels."""
    _, label, mask = tensors(*day())
    score = torch.randn(1, 30, generator=torch.Generator().manual_seed(2), dtype=torch.float64, requires_grad=True)
    loss = losses.parse("rank_ic")
    for _ in range(300):
        (slope,) = torch.autograd.grad(loss(score, label, mask), score)
        score = (score - 5 * slope).detach().requires_grad_(True)
    assert loss(score, label, mask).item() < -0.98
