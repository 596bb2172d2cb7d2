"""AlphaNet V2 against its definition written out for one stock at a time."""

import numpy as np
import pytest
import torch
from alphanet_by_hand import ByHand, batch, column_names, random_module
from numpy.testing import assert_allclose

from alphaloom.features.alphanet import AlphaNet
from alphaloom.models.alphanet_parts import Column
from alphaloom.models.base import Shape, models

NAMES = column_names(5, 10)
READ = [k for k, name in enumerate(NAMES) if (c := Column.parse(name)) is not None and c.window == 10]


def last_state(module, x, moments=None):
    """Return the LSTM's last state of one stock from `x [L, F]`."""
    hand = ByHand(module)
    return hand.lstm("recurrent", [hand.normalised("scale.norm", step[READ], moments=moments) for step in x])[-1]


@pytest.mark.parametrize("shape", [{}, {"steps": 5, "stride": 5, "hidden": 4}])
def test_scores_follow_the_definition(shape):
    """Normalisation, LSTM, normalisation, linear, in a batch with padding and an empty day; two labels."""
    settings, module = random_module("alphanet_v2", NAMES, outputs=2, **shape)
    x, mask = batch(settings.steps, len(NAMES))
    hand = ByHand(module)
    with torch.no_grad():
        scores = module(x, mask)
    assert torch.isfinite(scores).all()
    for b, n in mask.nonzero().tolist():
        expected = hand.linear("head", hand.normalised("norm", last_state(module, x[b, n].numpy()), eps=1e-5))
        assert_allclose(scores[b, n], expected, rtol=0, atol=1e-9)


def test_training_normalises_by_the_stocks_in_the_mask():
    """In training inputs are normalised over stocks and steps of the mask, last states over its stocks."""
    settings, module = random_module("alphanet_v2", NAMES)
    x, mask = batch(settings.steps, len(NAMES))
    rows = x[mask].numpy()[:, :, READ].reshape(-1, len(READ))
    places = mask.nonzero().tolist()
    moments = rows.mean(axis=0), rows.var(axis=0)
    states = np.array([last_state(module, x[b, n].numpy(), moments) for b, n in places])
    hand = ByHand(module)
    with torch.no_grad():
        scores = module.train()(x, mask)
    for (b, n), state in zip(places, states, strict=True):
        normal = hand.normalised("norm", state, eps=1e-5, moments=(states.mean(axis=0), states.var(axis=0)))
        assert_allclose(scores[b, n], hand.linear("head", normal)[0], rtol=0, atol=1e-9)


def test_the_published_widths():
    """The preset v2 has 270 columns, read by an LSTM of 30 over 3 steps 10 rows apart."""
    model = models.parse("alphanet_v2")
    module = model.build(Shape(tuple(AlphaNet(preset="v2").columns())))
    assert module.recurrent.weight_ih_l0.shape == (120, 270)
    assert (model.steps, model.stride) == (3, 10)
