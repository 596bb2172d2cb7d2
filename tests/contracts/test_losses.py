"""What every registered loss promises, whoever wrote it."""

import pytest
import torch
from numpy.testing import assert_allclose

from alphaloom.errors import SettingError
from alphaloom.losses.base import losses

NAMES = losses.names()


@pytest.fixture(params=NAMES)
def loss(request):
    """Return each registered loss with its defaults."""
    return losses.parse(request.param)


def batch(seed=0, B=3, N=24):
    """Return scores, labels and a mask of three days."""
    generator = torch.Generator().manual_seed(seed)
    score = torch.randn(B, N, generator=generator)
    label = torch.randn(B, N, generator=generator)
    return score, label, torch.rand(B, N, generator=generator) < 0.8


def test_defaults_and_round_trip(loss):
    """A loss is made without settings, and its description makes an equal one."""
    assert losses.parse(loss.describe()) == loss


def test_misspelt_setting_is_refused(loss):
    """A setting that the loss does not have is an error, never ignored."""
    with pytest.raises(SettingError, match="unknown setting 'temperatur'"):
        losses.parse({"name": loss.name, "temperatur": 1.0})


def test_gradient_is_the_slope(loss):
    """The gradient equals central differences of the loss, on a score in float64 steps."""
    score, label, mask = batch()
    score.requires_grad_(True)
    loss(score, label, mask).backward()
    step = 1e-2
    for k in [(0, 0), (1, 5), (2, 20)]:
        change = torch.zeros_like(score)
        change[k] = step
        with torch.no_grad():
            slope = (loss(score + change, label, mask) - loss(score - change, label, mask)) / (2 * step)
        assert_allclose(score.grad[k].item(), slope.item(), atol=2e-4)


def test_no_gradient_and_no_effect_outside_the_mask(loss):
    """A stock without label gets gradient zero, and neither its score nor the filler in its label matters."""
    score, label, mask = batch()
    score.requires_grad_(True)
    value = loss(score, label, mask)
    value.backward()
    assert (score.grad[~mask] == 0).all()
    assert (score.grad[mask] != 0).any()
    other = torch.where(mask, score, torch.full_like(score, 1e6))
    wrong = torch.where(mask, label, torch.full_like(label, -1e6))
    assert loss(other, wrong, mask).item() == value.item()


def test_days_without_labels_do_not_count(loss):
    """An empty day changes nothing; a batch of empty days is 0 with gradient 0, never NaN."""
    score, label, mask = batch()
    alone = loss(score[:2], label[:2], mask[:2]).item()
    mask[2] = False
    score.requires_grad_(True)
    assert loss(score, label, mask).item() == pytest.approx(alone, abs=1e-6)
    nothing = loss(score, label, torch.zeros_like(mask))
    nothing.backward()
    assert nothing.item() == 0
    assert (score.grad == 0).all()


def test_order_of_stocks_and_days_does_not_matter(loss):
    """Stocks have no order within a day, nor days within a batch."""
    score, label, mask = batch()
    generator = torch.Generator().manual_seed(1)
    days, stocks = torch.randperm(3, generator=generator), torch.randperm(24, generator=generator)
    shuffled = [array[days][:, stocks] for array in (score, label, mask)]
    assert loss(*shuffled).item() == pytest.approx(loss(score, label, mask).item(), abs=1e-6)


def test_a_better_score_is_a_lower_loss(loss):
    """The label itself scores lower than its opposite."""
    _, label, mask = batch()
    assert loss(label, label, mask).item() < loss(-label, label, mask).item()
