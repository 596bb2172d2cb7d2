"""AlphaNet's columns by name, its normalisation inside a mask, and its initial weights."""

from itertools import combinations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from alphaloom.errors import SettingError
from alphaloom.features.alphanet import INPUTS, PRESETS, AlphaNet
from alphaloom.kernels.alphanet_layout import OPERATORS, PAIRED
from alphaloom.models.alphanet_parts import MOMENTUM, Column, FeatureNorm, columns_over, truncated_normal
from alphaloom.models.base import Shape, models


def test_every_column_of_the_family_is_read_back_from_its_name():
    """Operator, inputs and window of all columns, all pairs of all inputs among them, are those it was named by."""
    for operator in OPERATORS:
        for operands in combinations(INPUTS, 2) if operator in PAIRED else ((name,) for name in INPUTS):
            for window in (2, 22):
                name = "_".join((operator, *operands, str(window)))
                assert Column.parse(name) == Column(name, operator, operands, window)


@pytest.mark.parametrize("name", ["KMID", "std_close", "std_close_10_missing", "std_unknown_10", "corr_close_10", "10"])
def test_other_features_are_no_columns(name):
    """A feature of another family, or one derived from a column, is not taken for one."""
    assert Column.parse(name) is None


@pytest.mark.parametrize("preset", PRESETS)
def test_all_columns_of_a_preset_are_found_in_order(preset):
    """Each window of a preset has its own columns, whatever stands between them."""
    family = AlphaNet(preset=preset, collinear=True, corr_of_two=True)
    names = family.columns()
    found = columns_over([*names, "KMID"], PRESETS[preset].windows, "model", preset)
    assert [column.name for columns in found.values() for column in columns] == names


@pytest.mark.parametrize(
    ("name", "preset", "windows"),
    [("alphanet_v1", "v1", "5"), ("alphanet_v2", "v2", "5"), ("alphanet_v3", "v3", "5"), ("alphanet_v4", "v4", "5")],
)
def test_a_block_without_a_window_is_refused(name, preset, windows):
    """The error says which windows are absent and found, and which family and preset to list."""
    model = models.parse({"name": name, "spearman": "none"} if name == "alphanet_v4" else name)
    with pytest.raises(SettingError, match=rf"{name} .* 2 features .*found: 5.*name: alphanet, preset: {preset}"):
        model.build(Shape(("std_close_5", "KMID")))
    with pytest.raises(SettingError, match="windows found: none"):
        model.build(Shape.of(4))


def heavy(R: int = 400):
    """Return float32 rows on the scales of raw operators: covariances of volumes and of returns, levels, ratios."""
    rng = np.random.default_rng(0)
    tails = rng.standard_t(2.5, size=(R, 6))
    scale = np.array([1e18, 1e14, 1e-9, 1.0, 0.01, 1e-6])
    level = np.array([0.0, 1e14, 0.0, 1e5, 1.0, 1e-6])
    return (tails * scale + level).astype(np.float32)


def test_raw_covariances_and_levels_are_normalised_to_float32_precision():
    """Scales from 1e-9 to 1e18, levels far above their spread, and zeros for missing values: as in float64."""
    rows = heavy()
    rows[::17] = 0.0
    norm = FeatureNorm(6, eps=None).train()
    found = norm(torch.from_numpy(rows)[None], torch.ones(1, len(rows), dtype=torch.bool))
    exact = rows.astype(np.float64)
    expected = (exact - exact.mean(axis=0)) / exact.std(axis=0)
    assert found.dtype == torch.float32
    assert_allclose(found[0].detach(), expected, rtol=2e-7, atol=1e-9)
    found.square().sum().backward()
    assert torch.isfinite(norm.weight.grad).all()
    scored = norm.eval()(torch.from_numpy(rows)[None], torch.ones(1, len(rows), dtype=torch.bool))
    assert_allclose(scored[0].detach(), expected, rtol=2e-7, atol=1e-9)


def test_a_feature_that_does_not_vary_gives_zero():
    """A constant, whatever its level, is 0 in training, and in scoring too when it moves for the first time."""
    x = torch.tensor([0.0, 1e14, 3.14159]).expand(1, 50, 3).clone()
    inside = torch.ones(1, 50, dtype=torch.bool)
    norm = FeatureNorm(3, eps=None).train()
    assert (norm(x, inside) == 0).all()
    assert (norm.eval()(x + 1.0, inside) == 0).all()


@pytest.mark.parametrize("eps", [None, 1e-5])
def test_moments_are_those_inside_the_mask(eps):
    """In training mean and variance are over the places of the mask; outside it a feature stands at its mean."""
    torch.manual_seed(0)
    x, inside = torch.randn(2, 5, 4, 3, dtype=torch.float64), torch.rand(2, 5, 4) < 0.5
    x[~inside] = 1e30
    norm = FeatureNorm(3, eps=eps).double().train()
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()
        found = norm(x, inside).numpy()
    places = [x[b, n, t].numpy() for b, n, t in inside.nonzero().tolist()]
    mean = sum(places) / len(places)
    variance = sum((place - mean) ** 2 for place in places) / len(places)
    weight, bias = norm.weight.detach().numpy(), norm.bias.detach().numpy()
    expected = (np.array(places) - mean) / np.sqrt(variance + (eps or 0.0)) * weight + bias
    assert_allclose(found[inside.numpy()], expected, rtol=0, atol=1e-9)
    assert (found[~inside.numpy()] == bias).all()
    assert_allclose(norm.mean, mean, atol=1e-12)
    assert_allclose(norm.variance, variance, atol=1e-12)


def test_running_moments_average_all_batches_then_forget():
    """The first 1 / MOMENTUM batches count equally, later ones decay: the initial values never count."""
    rng = np.random.default_rng(0)
    batches = rng.normal(50.0, 3.0, size=(150, 8, 1))
    norm = FeatureNorm(1, eps=None).train()
    means, variances = [], []
    for rows in batches:
        norm(torch.from_numpy(rows), torch.ones(8, dtype=torch.bool))
        means.append(rows.mean())
        variances.append(rows.var())
        if len(means) == 7:
            assert_allclose([norm.mean[0], norm.variance[0]], [np.mean(means), np.mean(variances)], rtol=1e-12)
    for kept, values in ((norm.mean[0], means), (norm.variance[0], variances)):
        expected = np.mean(values[:100])
        for value in values[100:]:
            expected = (1 - MOMENTUM) * expected + MOMENTUM * value
        assert_allclose(kept, expected, rtol=1e-12)


@pytest.mark.parametrize("stocks", [0, 1])
@pytest.mark.parametrize("name", ["alphanet_v1", "alphanet_v2", "alphanet_v3", "alphanet_v4"])
def test_a_batch_without_a_variance_trains(name, stocks):
    """One stock or none gives finite scores and gradients."""
    settings = {"name": name, "spearman": "none"} if name == "alphanet_v4" else {"name": name}
    model = models.parse(settings)
    module = model.build(Shape(type(model).example_features())).train()
    x, mask = torch.randn(1, 3, model.steps, 6), torch.arange(3)[None] < stocks
    scores = module(x, mask)
    scores.sum().backward()
    assert torch.isfinite(scores).all()
    assert all(torch.isfinite(weight.grad).all() for weight in module.parameters())


def test_initial_weights_are_a_cut_normal():
    """Weights have the spread of a normal of 0.05 cut at 0.1, none lies beyond, biases are 0."""
    torch.manual_seed(0)
    layer = truncated_normal(torch.nn.Linear(700, 300))
    assert layer.weight.abs().max() <= 0.1
    assert_allclose(layer.weight.std().item(), 0.05 * 0.8796, rtol=0.01)  # sd of a unit normal cut at 2
    assert (layer.bias == 0).all()
