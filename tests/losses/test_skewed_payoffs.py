"""What the weighted losses are for: where one feature tells winners and another losers, they turn towards winners."""

from functools import lru_cache

import pytest
import torch

from alphaloom.losses.base import RETURN, losses


def market(D, seed, N=250):
    """Return features, expected and realised returns, and traded values: f0 tells winners, f1 the larger losses."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(D, N, 2, generator=generator)
    liquid = torch.rand(D, N, generator=generator)
    gain, loss = torch.relu(features[..., 0]) * (0.5 + liquid), torch.relu(features[..., 1])
    expected = 0.02 * gain - 0.024 * loss
    realised = expected + 0.04 * torch.randn(D, N, generator=generator)
    return features, expected, realised, (15 + 5 * liquid).exp()


@lru_cache
def top_quintile(name, *settings):
    """Return the expected return, out of sample, of the fifth with the highest linear scores fitted by the loss.

    The second number weighs the stocks by traded value.
    """
    features, _, realised, amount = market(60, seed=0)
    label = (realised - realised.mean(1, keepdim=True)) / realised.std(1, keepdim=True)
    loss, everyone = losses.parse({"name": name, **dict(settings)}), torch.ones_like(label, dtype=torch.bool)
    weights = torch.full((2,), 0.1, requires_grad=True)
    optimiser = [torch.zeros(2), torch.zeros(2)]
    for step in range(1, 101):
        value = loss(features @ weights, label, everyone, {RETURN: realised, "amount": amount})
        (slope,) = torch.autograd.grad(value, weights)
        optimiser = [0.9 * optimiser[0] + 0.1 * slope, 0.99 * optimiser[1] + 0.01 * slope**2]
        change = optimiser[0] / (1 - 0.9**step) / ((optimiser[1] / (1 - 0.99**step)).sqrt() + 1e-12)
        weights = (weights - 0.02 * change).detach().requires_grad_(True)
    features, expected, _, amount = market(200, seed=1)
    best = (features @ weights.detach()).topk(50, dim=1).indices
    held, traded = expected.gather(1, best), amount.gather(1, best)
    return held.mean().item(), ((held * traded).sum(1) / traded.sum(1)).mean().item()


@pytest.mark.parametrize(
    "loss",
    [
        ("weighted_pearson",),
        ("weighted_pearson", ("center", "code")),
        ("liquidity_pearson",),
        ("liquidity_pearson", ("form", "product")),
        ("sigmoid_mse", ("version", 1)),
        ("long_weighted_mse",),
        ("exponential_mse",),
    ],
)
def test_the_top_quintile_earns_more_than_with_squared_error(loss):
    """Each loss that weighs winners lifts the top quintile's return by more than a basis point over squared error.

    The IC, which weighs nobody, differs from the squared error by less.
    """
    plain, weighted, equal = top_quintile("mse"), top_quintile(*loss), top_quintile("ic")
    assert abs(equal[0] - plain[0]) < 1e-4
    assert weighted[0] > plain[0] + 1e-4
    assert weighted[1] > plain[1] + 1e-4
