"""MASTER against its definition on one unpadded day at a time, with plain softmax attention."""

import math

import numpy as np
import pytest
import torch
from learnable import rank_ic
from torch.testing import assert_close

from alphaloom.errors import SettingError
from alphaloom.models.base import FitContext, Shape, models
from alphaloom.training.fit import fit_model
from alphaloom.training.samples import Samples

D, STEPS, F, MARKET = 8, 3, 5, 3
GATED = {"gate": "market", "market_features": MARKET, "beta": 2.0}


def random_module(**settings):
    """Return a small module in float64 with every weight and bias drawn at random, its features first."""
    torch.manual_seed(0)
    model = models.parse({"name": "master", "d_model": D, "steps": STEPS, **settings})
    module = model.build(Shape.of(F + model.market_features)).double().eval()
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(torch.randn_like(weight) * 0.3)
    return module


def batch(columns=F + MARKET):
    """Return `x [4, 7, L, columns]` and a mask: a full day, two with padding, an empty one; market columns agree."""
    torch.manual_seed(1)
    x, mask = torch.randn(4, 7, STEPS, columns, dtype=torch.float64), torch.rand(4, 7) < 0.6
    mask[0], mask[3] = True, False
    x[..., F:] = x[:, :1, :, F:]
    x[~mask] = 50.0
    return x, mask


def attention(block, u, heads, scale):
    """Return what each row of `u [S, D]` finds in all rows, one head and one row at a time."""
    q, k, v = (u @ part.T for part in block.query_key_value.weight.split(D))
    size, found = D // heads, torch.zeros_like(u)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        for s in range(len(u)):
            weight = torch.exp(torch.stack([q[s, part] @ k[r, part] / scale for r in range(len(u))]))
            found[s, part] = (weight / weight.sum()) @ v[:, part]
    return found


def normalised(norm, z):
    """Return layer normalisation written out."""
    centred = z - z.mean(dim=-1, keepdim=True)
    return centred / torch.sqrt((centred**2).mean(dim=-1, keepdim=True) + 1e-5) * norm.weight + norm.bias


def attended(block, h, heads, scale):
    """Return the block on `h [S, D]`: the residual starts from the normalised input."""
    u = normalised(block.norm_in, h)
    v = normalised(block.norm_attended, u + attention(block, u, heads, scale))
    first, last = block.feed_forward[0], block.feed_forward[3]
    return v + torch.relu(v @ first.weight.T + first.bias) @ last.weight.T + last.bias


def by_hand(module, x, *, gated, time_heads=4, stock_heads=2, scaled=True, beta=2.0):
    """Return scores `[N]` and step weights `[N, L]` of one day `x [N, L, columns]`, all of whose stocks are there."""
    N = len(x)
    features = x[..., :F]
    if gated:
        energy = (module.gate.weight @ x[0, -1, F:] + module.gate.bias) / beta
        features = features * F * energy.exp() / energy.exp().sum()
    h = features @ module.inward.weight.T + module.inward.bias
    for t in range(STEPS):
        for i in range(D // 2):
            angle = t / 10000 ** (2 * i / D)
            h[:, t, 2 * i] += math.sin(angle)
            h[:, t, 2 * i + 1] += math.cos(angle)
    time_scale = math.sqrt(D / time_heads) if scaled else 1.0
    h = torch.stack([attended(module.time, h[n], time_heads, time_scale) for n in range(N)])
    stock_scale = math.sqrt(D / stock_heads)
    z = torch.stack([attended(module.stock, h[:, t], stock_heads, stock_scale) for t in range(STEPS)], dim=1)
    mapped = z @ module.aggregate.weight.T
    weight = torch.softmax((mapped * mapped[:, -1:]).sum(dim=-1), dim=1)
    summed = (weight[..., None] * z).sum(dim=1)
    return (summed @ module.head.weight.T + module.head.bias)[:, 0], weight


@pytest.mark.parametrize("gate", ["market", "none"])
@pytest.mark.parametrize("time_scale", ["sqrt", "none"])
def test_scores_follow_the_definition(time_scale, gate):
    """On every day scores and step weights are those of the day without its padding; an empty day stays finite."""
    module = random_module(time_scale=time_scale, **(GATED | {"gate": gate}))
    x, mask = batch()
    with torch.no_grad():
        scores, weights = module(x, mask), module.step_weights(x, mask)
        assert torch.isfinite(scores).all()
        for b in range(3):
            expected = by_hand(module, x[b, mask[b]], gated=gate == "market", scaled=time_scale == "sqrt")
            assert_close(scores[b, mask[b]], expected[0], rtol=0, atol=1e-9)
            assert_close(weights[b, mask[b]], expected[1], rtol=0, atol=1e-9)


def test_an_unpadded_batch_gives_the_same_scores():
    """Without padding no mask is handed to the attention, which changes nothing."""
    module = random_module(**GATED)
    x, mask = batch()
    with torch.no_grad():
        assert_close(module(x[:1], mask[:1]), module(x, mask)[:1], rtol=0, atol=1e-9)


def test_other_numbers_of_heads_follow_the_definition():
    """The two numbers of heads belong to the two attentions."""
    module = random_module(time_heads=2, stock_heads=8)
    x, mask = batch(F)
    with torch.no_grad():
        expected, _ = by_hand(module, x[0], gated=False, time_heads=2, stock_heads=8)
        assert_close(module(x, mask)[0], expected, rtol=0, atol=1e-9)


def test_padding_gets_no_gradient_and_every_weight_does():
    """The scores of the stocks in the mask depend on none outside it, and on every weight."""
    module = random_module(**GATED)
    x, mask = batch()
    x.requires_grad_(True)
    (module(x, mask) * torch.randn(mask.shape))[mask].sum().backward()
    assert (x.grad[~mask] == 0).all()
    assert (x.grad[mask][..., :F].abs().sum(dim=(1, 2)) > 0).all()
    assert all(torch.isfinite(weight.grad).all() for weight in module.parameters())
    assert all(weight.grad.abs().sum() > 0 for weight in module.parameters())


def test_the_order_of_stocks_reorders_the_scores():
    """A day with its stocks and mask in another order has the scores in that order."""
    module = random_module(**GATED)
    x, mask = batch()
    order = torch.randperm(7)
    with torch.no_grad():
        scores, shuffled = module(x, mask), module(x[:, order], mask[:, order])
    assert_close(shuffled[mask[:, order]], scores[:, order][mask[:, order]], rtol=0, atol=1e-9)


def test_the_market_guides_the_gate_alone():
    """Market columns matter at the last step of a gated model, and nowhere else; `gate: none` sets them aside."""
    x, mask = batch()
    earlier, last = x.clone(), x.clone()
    earlier[..., :-1, F:] += 1.0
    last[..., -1, F:] += 1.0
    with torch.no_grad():
        gated, plain = random_module(**GATED), random_module(market_features=MARKET)
        assert torch.equal(gated(earlier, mask)[mask], gated(x, mask)[mask])
        assert not torch.allclose(gated(last, mask)[mask], gated(x, mask)[mask])
        assert torch.equal(plain(last, mask), plain(x, mask))


def test_the_published_size():
    """With 158 features and 63 of the market the published network has 775,041 parameters."""
    module = models.parse({"name": "master", "gate": "market", "market_features": 63}).build(Shape.of(158 + 63))
    assert sum(weight.numel() for weight in module.parameters()) == 775_041


def test_a_gate_without_a_market_is_refused():
    """The gate needs market columns, and the stocks need features of their own."""
    with pytest.raises(SettingError, match="gate: market needs market_features"):
        models.parse({"name": "master", "gate": "market"})
    with pytest.raises(SettingError, match="63 of 63 features are set aside"):
        models.parse({"name": "master", "gate": "market", "market_features": 63}).build(Shape.of(63))
    with pytest.raises(SettingError, match="multiple of time_heads; given d_model 6, time_heads 4"):
        models.parse({"name": "master", "d_model": 6})


def test_dropout_acts_in_training_alone():
    """Both dropouts make training scores random; scoring is the definition."""
    x, mask = batch(F)
    for settings in ({"dropout": 0.5, "attention_dropout": 0.0}, {"dropout": 0.0, "attention_dropout": 0.5}):
        module = random_module(**settings)
        with torch.no_grad():
            assert_close(module(x, mask), random_module()(x, mask))
            assert not torch.equal(module.train()(x, mask), module(x, mask))


def test_half_precision_by_autocast_stays_close():
    """Under bfloat16 autocast the scores of a padded batch are finite and near those in float32."""
    module = random_module(**GATED).float()
    x, mask = batch()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        rough = module(x.float(), mask)
    with torch.no_grad():
        exact = module(x.float(), mask)
    assert torch.isfinite(rough).all()
    assert_close(rough[mask].float(), exact[mask], rtol=0.1, atol=0.1)


@pytest.mark.slow
def test_learns_what_only_all_stocks_together_tell():
    """The sign of a signal that shows in the day's mean over stocks is learned; a stock alone hardly tells it."""
    rng, T, N = np.random.default_rng(0), 120, 60
    sign = rng.choice([-1.0, 1.0], (T, 1))
    block = rng.standard_normal((T, N, 4)).astype(np.float32)
    block[..., 1] += 0.4 * sign
    truth = sign * block[..., 0]
    label = (truth + rng.standard_normal((T, N))).astype(np.float32)
    samples = Samples(block, label, np.ones((T, N), dtype=np.bool_), np.arange(T))
    train, valid, test = (samples.subset(rows) for rows in (samples.rows[:75], samples.rows[75:90], samples.rows[90:]))
    training = {"steps": 1, "d_model": 32, "optimisation": {"lr": 2e-3, "epochs": 10, "patience": 10}}
    found = {}
    for name, settings in (("master", {"dropout": 0.0, "attention_dropout": 0.0}), ("transformer", {})):
        model = models.parse({"name": name, **training, **settings})
        fitted = fit_model(model, train, valid, context=FitContext(0, 1, tuple("abcd")))
        found[name] = rank_ic(fitted.predict(test), test)
    ceiling = rank_ic(truth[test.rows], test)
    assert found["master"] > 0.8 * ceiling
    assert found["transformer"] < 0.5 * ceiling
