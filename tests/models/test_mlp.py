"""The perceptron against its layers written out, in scoring and in training."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from alphaloom.models.base import Shape, models


def random_module(**settings):
    """Return a module in float64 with 5 features and 2 steps, its normalisation set to anything but the identity."""
    torch.manual_seed(0)
    module = models.parse({"name": "mlp", "steps": 2, "hidden": (7, 4), **settings}).build(Shape.of(5)).double().eval()
    with torch.no_grad():
        for layer in norms(module):
            for tensor in (layer.weight, layer.bias, layer.running_mean):
                tensor.normal_()
            layer.running_var.uniform_(0.5, 2.0)
    return module


def norms(module):
    """Return the normalisation layers."""
    return [layer for layer in module.modules() if isinstance(layer, torch.nn.BatchNorm1d)]


def batch():
    """Return `x [3, 8, 2, 5]` and a mask with padding and an empty day."""
    torch.manual_seed(1)
    x, mask = torch.randn(3, 8, 2, 5, dtype=torch.float64), torch.rand(3, 8) < 0.6
    mask[2] = False
    return x, mask


def by_hand(module, rows, training):
    """Return the scores of rows `[R, L F]` in numpy, and each layer's batch mean and variance (with N - 1)."""
    z, moments = rows, []
    layers = list(module.layers)
    for linear, norm in zip(layers[1:-2:3], layers[2:-2:3], strict=True):
        z = z @ linear.weight.detach().numpy().T + linear.bias.detach().numpy()
        moments.append((z.mean(axis=0), z.var(axis=0, ddof=1)))
        mean, var = (z.mean(axis=0), z.var(axis=0)) if training else (norm.running_mean, norm.running_var)
        z = (z - np.asarray(mean)) / np.sqrt(np.asarray(var) + 1e-5)
        z = z * norm.weight.detach().numpy() + norm.bias.detach().numpy()
        z = np.where(z > 0, z, 0.1 * z)
    return (z @ layers[-1].weight.detach().numpy().T + layers[-1].bias.detach().numpy())[:, 0], moments


def test_scores_follow_the_layers():
    """In scoring each row is mapped alone, by the running moments; outside the mask the score is zero."""
    module = random_module()
    x, mask = batch()
    with torch.no_grad():
        scores = module(x, mask)
    expected, _ = by_hand(module, x[mask].flatten(1).numpy(), training=False)
    assert_allclose(scores[mask], expected, rtol=0, atol=1e-9)
    assert (scores[~mask] == 0).all()


def test_training_uses_the_moments_of_the_stocks_in_the_mask():
    """In training padding counts in no mean and no variance, neither the batch's nor the running ones."""
    module = random_module(dropout=0.0)
    x, mask = batch()
    x[~mask] = 1e6
    before = [(layer.running_mean.clone().numpy(), layer.running_var.clone().numpy()) for layer in norms(module)]
    expected, moments = by_hand(module, x[mask].flatten(1).numpy(), training=True)
    with torch.no_grad():
        scores = module.train()(x, mask)
    assert_allclose(scores[mask], expected, rtol=0, atol=1e-9)
    for layer, old, new in zip(norms(module), before, moments, strict=True):
        assert_allclose(layer.running_mean, 0.9 * old[0] + 0.1 * new[0], atol=1e-9)
        assert_allclose(layer.running_var, 0.9 * old[1] + 0.1 * new[1], atol=1e-9)


@pytest.mark.parametrize("stocks", [0, 1])
def test_a_batch_without_a_variance_trains(stocks):
    """One stock or none gives finite scores and gradients and leaves the running moments alone."""
    module = random_module(dropout=0.0).train()
    x, mask = torch.randn(1, 3, 2, 5, dtype=torch.float64), torch.arange(3)[None] < stocks
    before = [layer.running_mean.clone() for layer in norms(module)]
    scores = module(x, mask)
    scores.sum().backward()
    assert torch.isfinite(scores).all()
    assert all(torch.isfinite(weight.grad).all() for weight in module.parameters())
    assert all(torch.equal(layer.running_mean, old) for layer, old in zip(norms(module), before, strict=True))


def test_weights_start_as_specified():
    """Weights are normal with variance 2 / (1 + 0.1^2) / fan-in, in three linear layers by default."""
    torch.manual_seed(0)
    linear = [
        layer for layer in models.parse("mlp").build(Shape.of(200)).modules() if isinstance(layer, torch.nn.Linear)
    ]
    assert [tuple(layer.weight.shape) for layer in linear] == [(256, 200), (256, 256), (1, 256)]
    for layer, fan_in in ((linear[0], 200), (linear[1], 256)):
        assert_allclose(layer.weight.detach().std(), np.sqrt(2 / 1.01 / fan_in), rtol=0.02)
