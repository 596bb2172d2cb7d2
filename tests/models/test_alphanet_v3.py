"""AlphaNet V3 against its definition written out for one stock at a time."""

import numpy as np
import pytest
import torch
from alphanet_by_hand import ByHand, batch, column_names, random_module
from numpy.testing import assert_allclose

from alphaloom.errors import SettingError
from alphaloom.features.alphanet import AlphaNet
from alphaloom.models.alphanet_parts import Column
from alphaloom.models.base import Shape, models

NAMES = column_names(5, 22, 10)


def by_hand(module, x, steps_read):
    """Return one stock's scores from `x [L, F]`; the steps that the two branches read are given."""
    hand, joined = ByHand(module), []
    for branch, window in (("long", 10), ("short", 5)):
        places = [k for k, name in enumerate(NAMES) if (c := Column.parse(name)) is not None and c.window == window]
        sequence = [hand.normalised(f"{branch}.scale.norm", x[t][places]) for t in steps_read[branch]]
        state = hand.gru(f"{branch}.recurrent", sequence)[-1]
        joined.append(hand.normalised(f"{branch}.norm", state, eps=1e-5))
    return hand.linear("head", np.concatenate(joined))


@pytest.mark.parametrize(
    ("shape", "long"),
    [
        ({}, [1, 3, 5]),
        ({"steps": 5, "hidden": 4}, [0, 2, 4]),
        ({"steps": 7, "every": 3}, [0, 3, 6]),
        ({"every": 1}, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_scores_follow_the_definition(shape, long):
    """Two GRUs, the long window's on every second step back from the last; padding, an empty day, two labels."""
    settings, module = random_module("alphanet_v3", NAMES, outputs=2, **shape)
    x, mask = batch(settings.steps, len(NAMES))
    with torch.no_grad():
        scores = module(x, mask)
    assert torch.isfinite(scores).all()
    for b, n in mask.nonzero().tolist():
        expected = by_hand(module, x[b, n].numpy(), {"long": long, "short": range(settings.steps)})
        assert_allclose(scores[b, n], expected, rtol=0, atol=1e-9)


def test_the_published_scales():
    """The preset v3 has 270 columns a window; by default windows of 10 are read 10 rows apart, windows of 5 by 5."""
    model = models.parse("alphanet_v3")
    module = model.build(Shape(tuple(AlphaNet(preset="v3").columns())))
    assert module.long.recurrent.weight_ih_l0.shape == module.short.recurrent.weight_ih_l0.shape == (90, 270)
    assert (model.steps, model.stride, model.every * model.stride) == (6, 5, 10)


def test_the_long_window_comes_first():
    """Windows in the wrong order, or twice the same, are refused."""
    for windows in ([5, 10], [5, 5]):
        with pytest.raises(SettingError, match="windows are the long one, then the short one; given"):
            models.parse({"name": "alphanet_v3", "windows": windows})
