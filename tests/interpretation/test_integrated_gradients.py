"""Integrated gradients against a plain sum of gradients, and on a signal whose truth is known."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from subjects import framed, subject

from alphaloom.interpretation import integrated_gradients as module_
from alphaloom.interpretation.days import network_batches, with_inputs
from alphaloom.interpretation.integrated_gradients import IntegratedGradients, attribute

pytest.importorskip("captum")
GRU = {"name": "gru", "steps": 3, "hidden": 8, "optimisation": {"epochs": 8, "lr": 0.01}}
MASTER = {"name": "master", "steps": 3, "d_model": 8, "optimisation": {"epochs": 3, "lr": 0.005}}


def day(settings):
    """Return a network in float64 with one day of it."""
    given = subject(settings, D=60, N=25)
    net = given.fits[0].body
    batch = next(iter(network_batches(given)))
    return net.model, net.module.double(), with_inputs(batch, batch.x.double())


@pytest.mark.parametrize("settings", [GRU, MASTER])
def test_equal_to_a_plain_riemann_sum(settings):
    """Gradients at the middle of K equal pieces, one point at a time, times input over K: equal to 1e-7.

    The module works in float64, but Captum holds the points and their weights in float32.
    """
    model, module, batch = day(settings)
    K = 7
    found = attribute(model, module, batch, K, "riemann_middle")
    with torch.no_grad():
        score = module(batch.x, batch.score_mask)[0].numpy()
    c = (score - score.mean()) / score.std() / score.size
    weight = torch.from_numpy(c if model.mixes_stocks else np.ones(score.size))
    total = torch.zeros_like(batch.x)
    for k in range(K):
        x = (batch.x * ((k + 0.5) / K)).requires_grad_()
        (module(x, batch.score_mask)[0] @ weight).backward()
        total += x.grad
    expected = (total * batch.x / K)[0].numpy()
    assert_allclose(found.values, expected, atol=1e-7 * np.abs(expected).max())
    parts = expected.sum(axis=0) if model.mixes_stocks else np.tensordot(c, expected, axes=1)
    with torch.no_grad():
        change = score - module(torch.zeros_like(batch.x), batch.score_mask)[0].numpy()
    assert_allclose(found.share, parts / (c @ change), atol=1e-7)


@pytest.mark.parametrize("settings", [GRU, MASTER])
def test_parts_add_up_the_better_the_more_points(settings):
    """Completeness: the residual is small, and the shares sum to 1 within it."""
    model, module, batch = day(settings)
    few = attribute(model, module, batch, 3, "gausslegendre")
    many = attribute(model, module, batch, 64, "gausslegendre")
    assert many.residual < 2e-3
    assert many.residual <= few.residual
    assert many.share.sum() == pytest.approx(1, abs=5e-3)


def test_planted_features_come_first():
    """The signal of the last step is found there, in size."""
    settings = GRU | {"optimisation": {"epochs": 12, "lr": 0.01}}
    given = subject(settings, D=160)
    frames = framed(IntegratedGradients(), given)
    summary = IntegratedGradients().summary(frames)
    assert summary["feature"][:3].to_list() == ["f0", "f1", "f2"]
    steps = frames["integrated_gradients"].filter(feature="f0").sort("rows_back")
    assert steps["rows_back"].to_list() == [0, 1, 2]
    assert steps["share"][0] == steps["share"].max()
    assert summary["share"].sum() == pytest.approx(1, abs=0.02)
    assert summary["residual"].max() < 0.02


def test_without_captum_the_extra_is_named(monkeypatch):
    """What is missing and how to get it."""
    given = subject(GRU, D=40)
    assert IntegratedGradients().lacking(given.fits[0]) == ""
    monkeypatch.setattr(module_, "_library", lambda: None)
    assert "alphaloom[explain]" in IntegratedGradients().lacking(given.fits[0])
    assert "no network" in IntegratedGradients().lacking(subject({"name": "ridge"}, D=40).fits[0])
