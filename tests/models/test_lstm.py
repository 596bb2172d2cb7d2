"""The LSTM network against its gates written out step by step."""

import numpy as np
import pytest
import torch
from learnable import planted, rank_ic
from numpy.testing import assert_allclose

from alphaloom.models.base import FitContext, Shape, models
from alphaloom.training.fit import fit_model


def sigmoid(z):
    """Return 1 / (1 + exp(-z))."""
    return 1 / (1 + np.exp(-z))


def by_hand(weights, x, layers, hidden):
    """Return the score of one stock `x [L, F]` from the LSTM's equations, in numpy."""
    sequence = list(x)
    for layer in range(layers):
        U, W, b, c = (weights[f"lstm.{k}_l{layer}"] for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        h, cell, states = np.zeros(hidden), np.zeros(hidden), []
        for step in sequence:
            enter, forget, candidate, leave = np.split(U @ step + b + W @ h + c, 4)
            cell = sigmoid(forget) * cell + sigmoid(enter) * np.tanh(candidate)
            h = sigmoid(leave) * np.tanh(cell)
            states.append(h)
        sequence = states
    return (weights["head.weight"] @ sequence[-1] + weights["head.bias"])[0]


@pytest.mark.parametrize("layers", [1, 2])
def test_scores_follow_the_recurrence(layers):
    """Each score equals the equations on that stock's window alone, in a batch with padding and an empty day."""
    torch.manual_seed(0)
    model = models.parse({"name": "lstm", "layers": layers, "hidden": 4, "steps": 3})
    module = model.build(Shape.of(5)).double().eval()
    x, mask = torch.randn(3, 6, 3, 5, dtype=torch.float64), torch.rand(3, 6) < 0.7
    mask[2] = False
    with torch.no_grad():
        scores = module(x, mask).numpy()
    weights = {name: value.numpy() for name, value in module.state_dict().items()}
    expected = [[by_hand(weights, stock.numpy(), layers, 4) for stock in day] for day in x]
    assert np.isfinite(scores).all()
    assert_allclose(scores[mask.numpy()], np.array(expected)[mask.numpy()], rtol=0, atol=1e-9)


def test_learns_from_an_earlier_step():
    """A label driven by a feature two rows ago is learned: the window is read, in the right order."""
    market = planted("sequential", seed=2)
    model = models.parse({"name": "lstm", "steps": 3, "optimisation": {"lr": 5e-3, "epochs": 8}})
    fitted = fit_model(model, market.train, market.valid, context=FitContext(0, 1, tuple("abcdef")))
    assert rank_ic(fitted.predict(market.test), market.test) > 0.5 * market.ceiling
