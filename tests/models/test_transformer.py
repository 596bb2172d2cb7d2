"""The Transformer encoder against its definition in loops, and against torch's own encoder."""

import math

import numpy as np
import pytest
import torch
from learnable import planted, rank_ic
from numpy.testing import assert_allclose
from torch.testing import assert_close

from alphaloom.errors import SettingError
from alphaloom.models.base import FitContext, Shape, models
from alphaloom.training.fit import fit_model

D, HEADS, LAYERS, FF, STEPS, F = 8, 2, 3, 12, 4, 5


def random_module(**settings):
    """Return a small module in float64 with every weight and bias drawn at random."""
    torch.manual_seed(0)
    shape = {"d_model": D, "heads": HEADS, "layers": LAYERS, "ff": FF, "steps": STEPS}
    module = models.parse({"name": "transformer", **shape, **settings}).build(Shape.of(F)).double().eval()
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    return module


def batch():
    """Return `x [3, 6, L, F]` and a mask with padding and an empty day."""
    torch.manual_seed(1)
    x, mask = torch.randn(3, 6, STEPS, F, dtype=torch.float64), torch.rand(3, 6) < 0.7
    mask[2] = False
    return x, mask


def positions():
    """Return the sinusoidal table `[L, D]` entry by entry."""
    table = np.empty((STEPS, D))
    for t in range(STEPS):
        for i in range(D // 2):
            angle = t * math.exp(-math.log(10000.0) * 2 * i / D)
            table[t, 2 * i], table[t, 2 * i + 1] = math.sin(angle), math.cos(angle)
    return table


def by_hand(module, x, norm):
    """Return one stock's score from `x [L, F]`, every step of every layer computed, in numpy."""
    weights = {name: value.numpy() for name, value in module.state_dict().items()}

    def linear(name, z):
        return z @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def normalised(name, z):
        centred = z - z.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def attended(layer, z):
        query = linear(f"{layer}.query", z)
        key, value = np.split(linear(f"{layer}.key_value", z), 2, axis=1)
        size, found = D // HEADS, np.zeros_like(z)
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            for t in range(STEPS):
                score = np.exp([query[t, part] @ key[s, part] / math.sqrt(size) for s in range(STEPS)])
                for s in range(STEPS):
                    found[t, part] += score[s] / score.sum() * value[s, part]
        return linear(f"{layer}.joined", found)

    def mapped(layer, z):
        return linear(f"{layer}.narrow", np.maximum(linear(f"{layer}.widen", z), 0))

    h = linear("inward", x) + positions()
    for k in range(LAYERS):
        layer = f"layers.{k}"
        if norm == "pre":
            h = h + attended(layer, normalised(f"{layer}.norm_attention", h))
            h = h + mapped(layer, normalised(f"{layer}.norm_mapped", h))
        else:
            h = normalised(f"{layer}.norm_attention", h + attended(layer, h))
            h = normalised(f"{layer}.norm_mapped", h + mapped(layer, h))
    if norm == "pre":
        h = normalised("norm", h)
    return linear("head", h)[-1, 0]


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_scores_follow_the_definition(norm):
    """Computing the last step alone in the last layer gives what all steps would, padding and an empty day included."""
    module = random_module(norm=norm)
    x, mask = batch()
    with torch.no_grad():
        scores = module(x, mask)
    expected = np.array([[by_hand(module, stock.numpy(), norm) for stock in day] for day in x])
    assert torch.isfinite(scores).all()
    assert_allclose(scores[mask], expected[mask], rtol=0, atol=1e-9)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_scores_and_gradients_equal_those_of_torchs_encoder(norm):
    """With the same weights torch's encoder, which qlib uses, gives the same scores and gradients."""
    module = random_module(norm=norm)
    layer = torch.nn.TransformerEncoderLayer(D, HEADS, FF, 0.0, batch_first=True, norm_first=norm == "pre")
    final = torch.nn.LayerNorm(D) if norm == "pre" else None
    encoder = torch.nn.TransformerEncoder(layer, LAYERS, final, enable_nested_tensor=False).double()
    state = module.state_dict()
    theirs = {f"norm.{name}": state[f"norm.{name}"] for name in ("weight", "bias") if final}
    for k in range(LAYERS):
        layer = f"layers.{k}"
        for kind in ("weight", "bias"):
            joined = torch.cat([state[f"{layer}.query.{kind}"], state[f"{layer}.key_value.{kind}"]])
            theirs[f"{layer}.self_attn.in_proj_{kind}"] = joined
            theirs[f"{layer}.self_attn.out_proj.{kind}"] = state[f"{layer}.joined.{kind}"]
            theirs[f"{layer}.linear1.{kind}"] = state[f"{layer}.widen.{kind}"]
            theirs[f"{layer}.linear2.{kind}"] = state[f"{layer}.narrow.{kind}"]
            theirs[f"{layer}.norm1.{kind}"] = state[f"{layer}.norm_attention.{kind}"]
            theirs[f"{layer}.norm2.{kind}"] = state[f"{layer}.norm_mapped.{kind}"]
    encoder.load_state_dict(theirs)
    x, mask = batch()
    ours, others = x.clone().requires_grad_(True), x.clone().requires_grad_(True)
    states = encoder((module.inward(others) + torch.from_numpy(positions())).flatten(0, 1))
    expected = module.head(states[:, -1]).view(mask.shape)
    scores = module(ours, mask)
    assert_close(scores, expected, rtol=0, atol=1e-9)
    weight = torch.randn(mask.shape, dtype=torch.float64)
    (scores * weight).sum().backward()
    (expected * weight).sum().backward()
    assert_close(ours.grad, others.grad, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("size", "shape"), [("small", (64, 2, 2, 256)), ("medium", (128, 4, 4, 512)), ("large", (256, 8, 6, 1024))]
)
def test_a_size_sets_the_widths_that_are_not_given(size, shape):
    """Each size has its widths; a width given by itself overrides that one alone."""
    model = models.parse({"name": "transformer", "size": size})
    assert tuple(model.width(name) for name in ("d_model", "heads", "layers", "ff")) == shape
    model = models.parse({"name": "transformer", "size": size, "ff": 2048})
    assert tuple(model.width(name) for name in ("d_model", "heads", "layers", "ff")) == (*shape[:3], 2048)
    assert len(model.build(Shape.of(3)).layers) == shape[2]


def test_heads_that_do_not_divide_the_width_are_refused():
    """Heads given alone are checked against the width that the size brings."""
    with pytest.raises(SettingError, match="multiple of heads; given d_model 64, heads 3"):
        models.parse({"name": "transformer", "heads": 3})


def test_dropout_acts_in_training_alone():
    """With dropout training scores are random, and scoring is the definition."""
    module = random_module(dropout=0.5)
    x, mask = batch()
    with torch.no_grad():
        assert_close(module(x, mask), random_module()(x, mask))
        assert not torch.equal(module.train()(x, mask), module(x, mask))


def test_learns_from_an_earlier_step():
    """A label driven by a feature two rows ago is learned: the window is read, in the right order."""
    market = planted("sequential", seed=2)
    model = models.parse({"name": "transformer", "steps": 3, "optimisation": {"lr": 5e-3, "epochs": 8}})
    fitted = fit_model(model, market.train, market.valid, context=FitContext(0, 1, tuple("abcdef")))
    assert rank_ic(fitted.predict(market.test), market.test) > 0.5 * market.ceiling
