"""The linear network against its definition."""

import numpy as np
import pytest
import torch
from learnable import planted, rank_ic
from numpy.testing import assert_allclose

from alphaloom.models.base import FitContext, Shape, models
from alphaloom.training.fit import fit_model


def test_scores_are_a_weighted_sum():
    """A score is the sum of weight times input over all steps and features plus a constant, padding or not."""
    torch.manual_seed(0)
    module = models.parse({"name": "linear", "steps": 3}).build(Shape.of(5)).double()
    x, mask = torch.randn(2, 6, 3, 5, dtype=torch.float64), torch.rand(2, 6) < 0.7
    weight, constant = module.head.weight.detach().numpy()[0], module.head.bias.item()
    scores = module(x, mask).detach().numpy()
    for b in range(2):
        for n in range(6):
            expected = constant + sum(
                weight[5 * step + f] * x[b, n, step, f].item() for step in range(3) for f in range(5)
            )
            assert scores[b, n] == pytest.approx(expected, abs=1e-9)


def test_several_labels_have_weights_of_their_own():
    """With H labels the forecast is `[B, N, H]`, each from its own row of weights."""
    module = models.parse("linear").build(Shape.of(4, 3)).double()
    x = torch.randn(2, 5, 1, 4, dtype=torch.float64)
    expected = x[:, :, 0].numpy() @ module.head.weight.detach().numpy().T + module.head.bias.detach().numpy()
    assert_allclose(module(x, torch.ones(2, 5, dtype=torch.bool)).detach(), expected, atol=1e-9)


@pytest.mark.parametrize("loss", ["mse", "ic", "weighted_pearson"])
def test_any_loss_finds_the_weights(loss):
    """Trained on squared error or a correlation, the weights point along those behind the label."""
    market = planted(F=6)
    model = models.parse({"name": "linear", "loss": loss, "optimisation": {"lr": 2e-2, "epochs": 30, "patience": 30}})
    fitted = fit_model(model, market.train, market.valid, context=FitContext(0, 1, tuple("abcdef")))
    weight = fitted.body.module.head.weight.detach().numpy()[0]
    truth = np.array([1.0, -0.7, 0.5, 0, 0, 0])
    assert weight @ truth / np.linalg.norm(weight) / np.linalg.norm(truth) > 0.98
    assert rank_ic(fitted.predict(market.test), market.test) > 0.9 * market.ceiling
