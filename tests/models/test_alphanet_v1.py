"""AlphaNet V1 against its definition written out for one stock at a time."""

import numpy as np
import pytest
import torch
from alphanet_by_hand import ByHand, batch, column_names, random_module
from numpy.testing import assert_allclose

from alphaloom.errors import SettingError
from alphaloom.features.alphanet import AlphaNet
from alphaloom.models.alphanet_parts import Column
from alphaloom.models.base import Shape, models

NAMES = column_names(10, 5)


def by_hand(module, x, settings, moments=None):
    """Return one stock's scores from `x [L, F]`."""
    hand = ByHand(module)
    places = [k for k, name in enumerate(NAMES) if (c := Column.parse(name)) is not None and c.window == 10]
    z = [hand.normalised("scale.norm", step[places], moments=moments) for step in x]
    starts = range(0, settings.steps, settings.pool)
    pieces = list(z)
    for pooled in (max, lambda values: sum(values) / len(values), min):
        for a in starts:
            pieces.append(np.array([pooled([z[a + i][k] for i in range(settings.pool)]) for k in range(len(places))]))
    hidden = np.maximum(hand.linear("hidden", np.concatenate(pieces)), 0)
    return hand.linear("head", hidden)


@pytest.mark.parametrize("shape", [{}, {"steps": 6, "pool": 2, "hidden": 7}, {"steps": 1, "pool": 1}])
def test_scores_follow_the_definition(shape):
    """Normalisation, pools beside the steps and two maps, in a batch with padding and an empty day; two labels."""
    settings, module = random_module("alphanet_v1", NAMES, outputs=2, **shape)
    x, mask = batch(settings.steps, len(NAMES))
    with torch.no_grad():
        scores = module(x, mask)
    assert torch.isfinite(scores).all()
    for b, n in mask.nonzero().tolist():
        assert_allclose(scores[b, n], by_hand(module, x[b, n].numpy(), settings), rtol=0, atol=1e-9)


def test_training_normalises_by_the_steps_of_the_stocks_in_the_mask():
    """In training the moments are over all stocks of the mask and all their steps."""
    settings, module = random_module("alphanet_v1", NAMES, dropout=0.0)
    x, mask = batch(settings.steps, len(NAMES))
    read = [k for k, name in enumerate(NAMES) if (c := Column.parse(name)) is not None and c.window == 10]
    rows = x[mask].numpy()[:, :, read].reshape(-1, len(read))
    with torch.no_grad():
        scores = module.train()(x, mask)
    for b, n in mask.nonzero().tolist():
        expected = by_hand(module, x[b, n].numpy(), settings, moments=(rows.mean(axis=0), rows.var(axis=0)))
        assert_allclose(scores[b, n], expected[0], rtol=0, atol=1e-9)


def test_the_published_widths():
    """The preset v1 has 117 columns, 702 numbers enter the hidden layer of 30."""
    model = models.parse("alphanet_v1")
    module = model.build(Shape(tuple(AlphaNet(preset="v1").columns())))
    assert module.hidden.weight.shape == (30, 702)
    assert (model.steps, model.stride, model.dropout) == (3, 10, 0.5)


def test_pools_are_whole():
    """Steps that do not fill the pools are refused with both numbers."""
    with pytest.raises(SettingError, match="steps must be a multiple of pool; given steps 4, pool 3"):
        models.parse({"name": "alphanet_v1", "steps": 4})
