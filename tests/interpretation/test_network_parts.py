"""Attention over steps, the gate, and what a module says of its own parameters."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from subjects import framed, quiet, subject

from alphaloom.interpretation.attention import Attention
from alphaloom.interpretation.gate import Gate
from alphaloom.interpretation.parameters import Parameters

ALSTM = {"name": "alstm", "steps": 4, "stride": 2, "hidden": 8, "optimisation": {"epochs": 2}}
MASTER = {"name": "master", "steps": 4, "d_model": 8, "optimisation": {"epochs": 2}}
GATED = MASTER | {"gate": "market", "market_features": 2}


@pytest.mark.parametrize("settings", [ALSTM, MASTER])
def test_weights_are_those_of_the_module(settings):
    """Daily means over stocks and fits of `step_weights`; they sum to 1; the last step is 0 rows back."""
    given = subject(settings, D=40, repeats=2, gaps=False)
    daily = Attention().explain(given, quiet)["attention"]
    stride = given.fits[0].model.stride
    assert daily["rows_back"][:4].to_list() == [3 * stride, 2 * stride, stride, 0]
    row, block = given.samples.rows[0], given.samples.block
    window = np.stack([block[row - back] for back in daily["rows_back"][:4]], axis=1)[None]
    x = torch.from_numpy(window)
    mask = torch.ones(x.shape[:2], dtype=torch.bool)
    with torch.no_grad():
        weights = [fit.body.module.step_weights(x, mask)[0].double().numpy() for fit in given.fits]
    assert_allclose(daily["weight"][:4], np.mean(weights, axis=0).mean(axis=0), atol=1e-6)
    assert_allclose(daily["between_stocks"][:4], np.mean(weights, axis=0).std(axis=0), atol=1e-6)
    summary = Attention().summary(framed(Attention(), given))
    assert summary["weight"].sum() == pytest.approx(1)
    assert summary["days"].to_list() == [given.dates.size] * 4


def test_the_gate_is_what_scales_the_features():
    """On each date the weights are those by which the module multiplies its inputs; their mean is 1."""
    given = subject(GATED, D=40, gaps=False)
    frame = Gate().explain(given, quiet)["gate"]
    assert frame["feature"].unique(maintain_order=True).to_list() == ["f0", "f1", "f2", "f3"]
    module = given.fits[0].body.module
    row, block = given.samples.rows[0], given.samples.block
    logits = module.gate.weight.detach().numpy() @ block[row, 0, 4:] + module.gate.bias.detach().numpy()
    share = np.exp(logits / module.beta)
    assert_allclose(frame["weight"][:4], 4 * share / share.sum(), atol=1e-6)
    assert frame["weight"].mean() == pytest.approx(1)
    summary = Gate().summary(framed(Gate(), given))
    assert summary["between_dates"].is_sorted(descending=True)


def test_parameters_are_what_the_module_says():
    """Records of every fit, and their mean over fits for each part."""
    given = subject(ALSTM, D=40, repeats=2)
    for k, fit in enumerate(given.fits):
        fit.body.module.parameter_significance = lambda k=k: [
            {"part": "mean", "weight": 1.0 + k},
            {"part": "corr", "weight": 3.0},
        ]
    assert Parameters().lacking(given.fits[0]) == ""
    frames = framed(Parameters(), given)
    assert frames["parameters"]["repeat"].to_list() == [0, 0, 1, 1]
    summary = Parameters().summary(frames)
    assert summary.to_dicts() == [
        {"model": "alstm", "part": "mean", "weight": 1.5},
        {"model": "alstm", "part": "corr", "weight": 3.0},
    ]


def test_models_without_these_parts_are_told_apart():
    """Attention, gate and parameters say why they have nothing to tell."""
    ridge = subject({"name": "ridge"}, D=40).fits[0]
    gru = subject({"name": "gru", "steps": 2, "hidden": 4, "optimisation": {"epochs": 1}}, D=40).fits[0]
    plain = subject(MASTER, D=40).fits[0]
    for fit in (ridge, gru):
        assert "attention" in Attention().lacking(fit)
    for fit in (ridge, gru, plain):
        assert "gate" in Gate().lacking(fit)
        assert "own" in Parameters().lacking(fit)
    assert Attention().lacking(plain) == ""
    assert replace(plain).model.gate == "none"
