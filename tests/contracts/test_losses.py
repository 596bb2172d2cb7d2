"""What every registered loss promises, whoever wrote it."""

import math

import pytest
import torch
from numpy.testing import assert_allclose

from alphaloom.errors import SettingError, UsageError
from alphaloom.losses.base import RETURN, losses

NAMES = losses.names()


@pytest.fixture(params=NAMES)
def loss(request):
    """Return each registered loss with its defaults."""
    return losses.parse(request.param)


def batch(loss, seed=0, B=3, N=24, dtype=torch.float32):
    """Return scores, labels, a mask and the loss's extras of some days; a part of the extras is unknown."""
    generator = torch.Generator().manual_seed(seed)
    score = torch.randn(B, N, generator=generator).to(dtype)
    label = torch.randn(B, N, generator=generator).to(dtype)
    mask = torch.rand(B, N, generator=generator) < 0.8
    extras = {}
    for name in (*loss.extras, *loss.from_network):
        values = torch.randn(B, N, generator=generator)
        unknown = torch.rand(B, N, generator=generator) < 0.1
        if name == RETURN:
            values = 0.05 * values
        elif name == "industry":
            values = (2 * values).round().abs()
        else:
            values = values.exp()
        extras[name] = torch.where(unknown, math.nan, values).to(dtype)
    return score, label, mask, extras


def chosen(extras, pick):
    """Return the extras with `pick` applied to each."""
    return {name: pick(values) for name, values in extras.items()}


def test_defaults_and_round_trip(loss):
    """A loss is made without settings, and its description makes an equal one."""
    assert losses.parse(loss.describe()) == loss


def test_misspelt_setting_is_refused(loss):
    """A setting that the loss does not have is an error, never ignored."""
    with pytest.raises(SettingError, match="unknown setting 'temperatur'"):
        losses.parse({"name": loss.name, "temperatur": 1.0})


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_documented_and_bounded(name):
    """Each setting says what it is, and every bound that it declares is enforced."""
    for setting, schema in losses[name].model_json_schema()["properties"].items():
        assert schema.get("description"), setting
        for bound, beyond in (("minimum", -1), ("exclusiveMinimum", 0), ("maximum", 1), ("exclusiveMaximum", 0)):
            if bound in schema:
                with pytest.raises(SettingError, match=setting):
                    losses.parse({"name": name, setting: schema[bound] + beyond})


def test_gradient_is_the_slope(loss):
    """The gradient equals central differences of the loss, in float64, on three days with gaps."""
    score, label, mask, extras = batch(loss, dtype=torch.float64, N=14)
    score.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda s: loss(s, label, mask, extras), score)


def test_no_gradient_and_no_effect_outside_the_mask(loss):
    """A stock without label gets gradient zero, and neither its score, label nor extras matter, NaN included."""
    score, label, mask, extras = batch(loss)
    score.requires_grad_(True)
    value = loss(score, label, mask, extras)
    value.backward()
    assert (score.grad[~mask] == 0).all()
    assert (score.grad[mask] != 0).any()
    for filler in (1e6, math.nan):
        spoilt = [torch.where(mask, array, filler) for array in (score, label)]
        other = chosen(extras, lambda values, filler=filler: torch.where(mask, values, filler))
        given = spoilt[0].detach().requires_grad_(True)
        again = loss(given, spoilt[1], mask, other)
        again.backward()
        assert again.item() == value.item()
        assert torch.equal(given.grad, score.grad)


def test_days_without_labels_do_not_count(loss):
    """An empty day changes nothing; a batch of empty days is 0 with gradient 0, never NaN."""
    score, label, mask, extras = batch(loss)
    alone = loss(score[:2], label[:2], mask[:2], chosen(extras, lambda values: values[:2])).item()
    mask[2] = False
    score.requires_grad_(True)
    assert loss(score, label, mask, extras).item() == pytest.approx(alone, abs=1e-6)
    nothing = loss(score, label, torch.zeros_like(mask), extras)
    nothing.backward()
    assert nothing.item() == 0
    assert (score.grad == 0).all()


def test_days_with_too_few_labels_do_not_count(loss):
    """A day one label short of `min_members` changes nothing and gets gradient zero."""
    score, label, mask, extras = batch(loss)
    alone = loss(score[:2], label[:2], mask[:2], chosen(extras, lambda values: values[:2])).item()
    mask[2] = torch.arange(24) < loss.min_members - 1
    score.requires_grad_(True)
    value = loss(score, label, mask, extras)
    value.backward()
    assert value.item() == pytest.approx(alone, abs=1e-6)
    assert (score.grad[2] == 0).all()


@pytest.mark.parametrize("size", [0, 1, 2, 10])
@pytest.mark.parametrize("equal", ["neither", "scores", "labels", "both", "extras"])
def test_odd_days_stay_finite(loss, size, equal):
    """Days of hardly any stocks, and days on which all scores, labels or extras are equal, give finite numbers."""
    score, label, _, extras = batch(loss, N=size)
    if equal in {"scores", "both"}:
        score = torch.full_like(score, 0.3)
    if equal in {"labels", "both"}:
        label = torch.full_like(label, -0.7)
    if equal == "extras":
        extras = chosen(extras, torch.ones_like)
    score.requires_grad_(True)
    value = loss(score, label, torch.ones_like(score, dtype=torch.bool), extras)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(score.grad).all()


def test_unknown_extras_stay_finite(loss):
    """A day on which nothing is known beside scores and labels still has a finite loss and gradient."""
    score, label, mask, extras = batch(loss)
    score.requires_grad_(True)
    value = loss(score, label, mask, chosen(extras, lambda values: torch.full_like(values, math.nan)))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(score.grad).all()


def test_order_of_stocks_and_days_does_not_matter(loss):
    """Stocks have no order within a day, nor days within a batch."""
    score, label, mask, extras = batch(loss)
    generator = torch.Generator().manual_seed(1)
    days, stocks = torch.randperm(3, generator=generator), torch.randperm(24, generator=generator)
    shuffled = [array[days][:, stocks] for array in (score, label, mask)]
    other = chosen(extras, lambda values: values[days][:, stocks])
    assert loss(*shuffled, other).item() == pytest.approx(loss(score, label, mask, extras).item(), rel=2e-6, abs=1e-6)


def test_a_better_score_is_a_lower_loss(loss):
    """The label itself scores lower than its opposite."""
    _, label, mask, extras = batch(loss)
    assert loss(label, label, mask, extras).item() < loss(-label, label, mask, extras).item()


def test_pooled_days_are_one_day(loss):
    """With `pooled` the batch is taken for one day with all its labelled stocks."""
    score, label, mask, extras = batch(loss)
    pooled = losses.parse({"name": loss.name, "pooled": True})
    flat = [array.reshape(1, -1) for array in (score, label, mask)]
    one = loss(*flat, chosen(extras, lambda values: values.reshape(1, -1)))
    assert pooled(score, label, mask, extras).item() == pytest.approx(one.item(), rel=1e-6)
    assert pooled(score, label, mask, extras).item() != loss(score, label, mask, extras).item()


def test_half_precision_scores_are_measured_in_float32(loss):
    """Scores in half precision give the float32 loss of the same numbers, under autocast as well."""
    score, label, mask, extras = batch(loss)
    half = score.bfloat16()
    expected = loss(half.float(), label, mask, extras)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(half, label, mask, extras)
    assert value.dtype == torch.float32
    assert_allclose(value, expected, rtol=1e-6)


def test_missing_extras_are_named(loss):
    """A loss that needs more of each stock says what was not given."""
    score, label, mask, extras = batch(loss)
    for name in extras:
        rest = {other: values for other, values in extras.items() if other != name}
        with pytest.raises(UsageError, match=f"The loss {loss.name} needs '{name}' of every stock"):
            loss(score, label, mask, rest)
