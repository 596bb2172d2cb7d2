"""The GRU network against the recurrence written out step by step."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from alphaloom.models.base import Shape, models


def sigmoid(x):
    """Return 1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-x))


def by_hand(weights, x, layers, hidden):
    """Return the score of one stock `x [L, F]` from the GRU's equations, in numpy."""
    sequence = list(x)
    for layer in range(layers):
        wi, wh, bi, bh = (weights[f"gru.{k}_l{layer}"] for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        h, states = np.zeros(hidden), []
        for step in sequence:
            i, g = wi @ step + bi, wh @ h + bh
            r, z = sigmoid(i[:hidden] + g[:hidden]), sigmoid(i[hidden : 2 * hidden] + g[hidden : 2 * hidden])
            n = np.tanh(i[2 * hidden :] + r * g[2 * hidden :])
            h = (1 - z) * n + z * h
            states.append(h)
        sequence = states
    return float((weights["head.weight"] @ sequence[-1] + weights["head.bias"])[0])


@pytest.mark.parametrize("layers", [1, 2])
def test_scores_follow_the_recurrence(layers):
    """Each score equals the published GRU equations on that stock's window alone."""
    torch.manual_seed(0)
    model = models.parse({"name": "gru", "layers": layers, "hidden": 4, "steps": 3})
    module = model.build(Shape.of(5)).eval()
    x = torch.randn(2, 6, 3, 5)
    with torch.no_grad():
        scores = module(x, torch.ones(2, 6, dtype=torch.bool)).numpy()
    weights = {name: value.double().numpy() for name, value in module.state_dict().items()}
    expected = [[by_hand(weights, x[b, n].double().numpy(), layers, 4) for n in range(6)] for b in range(2)]
    assert_allclose(scores, expected, atol=1e-6)
