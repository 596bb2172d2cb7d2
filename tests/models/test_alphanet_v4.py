"""AlphaNet V4 against its definition written out for one stock at a time; its filter against plain loops."""

import math

import numpy as np
import pytest
import torch
from alphanet_by_hand import ByHand, batch, column_names, random_module
from numpy.testing import assert_allclose
from scipy.stats import spearmanr

from alphaloom.errors import DataError, SettingError
from alphaloom.features.alphanet import AlphaNet
from alphaloom.models.alphanet_parts import Column, uncorrelated
from alphaloom.models.base import Shape, models

WINDOWS = (5, 10, 2)
NAMES = column_names(*WINDOWS)
SMALL = {"windows": WINDOWS, "steps": 4, "heads": 2, "ff": 5, "spearman": "none"}
KEPT = ["corr_close_volume_10", "std_close_10", "std_volume_10", "std_close_5", "corr_close_volume_5", "std_volume_2"]


def places_over(window, names):
    """Return the places of the columns over a window, out of the names that are kept."""
    found = [(k, Column.parse(name)) for k, name in enumerate(NAMES)]
    return [k for k, c in found if c is not None and c.window == window and c.name in names]


def attended(weights, layer, h, heads, seen):
    """Return multi-head attention over the steps of `h [L, D]`, head by head and step by step."""
    D, L = h.shape[1], len(h)
    size = D // heads
    inward = h @ weights[f"{layer}.self_attn.in_proj_weight"].T + weights[f"{layer}.self_attn.in_proj_bias"]
    query, key, value = np.split(inward, 3, axis=1)
    found = np.zeros_like(h)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        for t in range(L):
            score = {s: math.exp(query[t, part] @ key[s, part] / math.sqrt(size)) for s in seen}
            for s in seen:
                found[t, part] += score[s] / sum(score.values()) * value[s, part]
    return found @ weights[f"{layer}.self_attn.out_proj.weight"].T + weights[f"{layer}.self_attn.out_proj.bias"]


def encoded(hand, branch, sequence, settings, seen):
    """Return a branch's states of the steps `[L, D]`."""
    h = np.array([hand.linear(f"{branch}.inward", z) for z in sequence])
    for t in range(len(h)):
        for i in range(h.shape[1] // 2):
            angle = t / 10000 ** (2 * i / h.shape[1])
            h[t, 2 * i] += math.sin(angle)
            h[t, 2 * i + 1] += math.cos(angle)
    for k in range(settings.layers):
        layer = f"{branch}.layers.{k}"
        h = h + attended(hand.weights, layer, h, settings.heads, seen)
        h = np.array([hand.layer_norm(f"{layer}.norm1", z) for z in h])
        mapped = [hand.linear(f"{layer}.linear2", np.maximum(hand.linear(f"{layer}.linear1", z), 0)) for z in h]
        h = np.array([hand.layer_norm(f"{layer}.norm2", z) for z in h + np.array(mapped)])
    return h


def by_hand(module, x, settings, names=NAMES, steps=None):
    """Return one stock's scores, and the weights of its steps, from `x [L, F]` and the steps that are there `[L]`."""
    hand, L = ByHand(module), settings.steps
    there = np.ones(L, dtype=bool) if steps is None else np.asarray(steps)
    seen = np.flatnonzero(there) if there.any() else np.arange(L)

    def scale(name, window):
        z = [hand.normalised(f"{name}.norm", step[places_over(window, names)]) for step in x]
        bias = hand.weights[f"{name}.norm.bias"]
        return [z[t] if there[t] else bias for t in range(L)]  # outside the mask a feature stands at its mean

    main = scale("main", settings.main_window)
    forward = hand.lstm("recurrent", main)
    backward = hand.lstm("recurrent", main[::-1], "_reverse")[::-1]
    states = [np.concatenate(pair) for pair in zip(forward, backward, strict=True)]
    total = np.array(states)
    others = [window for window in settings.windows if window != settings.main_window]
    for k, window in enumerate(others if settings.transformers else []):
        branch = f"branches.{k}"
        total += encoded(hand, branch, scale(f"{branch}.scale", window), settings, seen)
    values = [hand.normalised("norm", total[t], eps=1e-5) if there[t] else hand.weights["norm.bias"] for t in range(L)]
    weights = np.zeros(L)
    weights[-1] = 1.0
    if settings.attention:
        last = hand.linear("attention.last", states[-1])
        energy = [hand.linear("attention.energy", np.tanh(hand.linear("attention.each", s) + last))[0] for s in states]
        weights[seen] = np.exp([energy[t] for t in seen])
        weights[seen] /= weights[seen].sum()
        weights[[t for t in range(L) if t not in seen]] = 0.0
    score = hand.linear("head", sum(w * v for w, v in zip(weights, values, strict=True)))
    return (np.where(score > 0, score, 0.01 * score) if settings.output == "leaky_relu" else score), weights


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"transformers": False},
        {"attention": False},
        {"hidden": 3, "attention_hidden": 5, "output": "leaky_relu", "layers": 1, "heads": 3},
        {"main_window": 2, "steps": 1},
    ],
)
@pytest.mark.parametrize("grad", [False, True])
def test_scores_follow_the_definition(shape, grad):
    """BiLSTM, branches, normalised sum, attention and every ablation; padding, an empty day, two labels."""
    settings, module = random_module("alphanet_v4", NAMES, outputs=2, **SMALL | shape)
    x, mask = batch(settings.steps, len(NAMES))
    with torch.set_grad_enabled(grad):  # torch has other kernels for the encoders when nothing needs a gradient
        scores, weights = module(x, mask).detach(), module.step_weights(x, mask).detach()
    assert torch.isfinite(scores).all()
    for b, n in mask.nonzero().tolist():
        score, weight = by_hand(module, x[b, n].numpy(), settings)
        assert_allclose(scores[b, n], score, rtol=0, atol=1e-9)
        assert_allclose(weights[b, n], weight, rtol=0, atol=1e-9)


@pytest.mark.parametrize("grad", [False, True])
def test_nothing_attends_to_a_step_outside_the_mask(grad):
    """With a step mask scores follow the definition on the steps there; what stands at the others changes nothing."""
    settings, module = random_module("alphanet_v4", NAMES, **SMALL)
    x, mask = batch(settings.steps, len(NAMES))
    steps = torch.rand((*mask.shape, settings.steps)) < 0.7
    steps[0, 0] = False
    mask[0, 0] = True
    with torch.set_grad_enabled(grad):
        scores = module(x, mask, steps).detach()
        spoilt = module(torch.where(steps[..., None], x, 1e5), mask, steps).detach()
    assert torch.equal(scores, spoilt)
    for b, n in mask.nonzero().tolist():
        score, _ = by_hand(module, x[b, n].numpy(), settings, steps=steps[b, n].numpy())
        assert_allclose(scores[b, n], score[0], rtol=0, atol=1e-9)


def test_the_kept_columns_alone_enter():
    """A module built for the columns that were kept follows the definition on them and ignores the others."""
    settings, module = random_module(
        "alphanet_v4", NAMES, settled={"kept": {"any": KEPT}}, **SMALL | {"spearman": "main"}
    )
    x, mask = batch(settings.steps, len(NAMES))
    other = x.clone()
    other[..., [k for k, name in enumerate(NAMES) if name not in KEPT]] = 7.0
    with torch.no_grad():
        scores = module(x, mask)
        assert torch.equal(scores, module(other, mask))
    for b, n in mask.nonzero().tolist():
        assert_allclose(scores[b, n], by_hand(module, x[b, n].numpy(), settings, KEPT)[0][0], rtol=0, atol=1e-9)


def greedy(rows, limit):
    """Return the kept columns by scipy's rank correlation of each pair."""
    kept = []
    for k in range(rows.shape[1]):
        if np.ptp(rows[:, k]) > 0 and all(abs(spearmanr(rows[:, k], rows[:, j])[0]) <= limit for j in kept):
            kept.append(k)
    return kept


@pytest.mark.parametrize("limit", [0.3, 0.8, 1.0])
def test_the_filter_equals_a_loop_over_spearmanr(limit):
    """Ties, heavy tails, zeros for missing values, a constant, a copy and a decreasing copy are treated as there."""
    rng = np.random.default_rng(0)
    base = rng.standard_t(2, size=(300, 6))
    rows = base @ rng.standard_normal((6, 24)) + 0.5 * rng.standard_normal((300, 24))
    rows[:, 5] = np.exp(rows[:, 0] / 5)
    rows[:, 9] = -rows[:, 2]
    rows[:, 12] = 4.0
    rows[:, 15] = np.round(rows[:, 15])
    rows[rng.random(rows.shape) < 0.1] = 0.0
    rows[:, 12] = 4.0
    kept = uncorrelated(rows.astype(np.float32), limit)
    assert kept == greedy(rows.astype(np.float32), limit)
    assert 12 not in kept
    assert len(kept) < 24


def correlated_rows(R=400, seed=0):
    """Return rows `[R, F]` in which a column has the order of another one, over 10 rows and over 5."""
    rows = np.random.default_rng(seed).standard_normal((R, len(NAMES))).astype(np.float32)
    place = {name: k for k, name in enumerate(NAMES)}
    rows[:, place["std_volume_10"]] = rows[:, place["corr_close_volume_10"]] ** 3
    rows[:, place["std_close_5"]] = -rows[:, place["corr_close_volume_5"]]
    return rows


def test_the_main_window_decides_for_all():
    """What is dropped over the main window is dropped over all; `each` compares every window's own columns."""
    rows = correlated_rows()
    main = models.parse({"name": "alphanet_v4", **SMALL, "spearman": "main"}).settle(rows, NAMES)["kept"]
    assert list(main) == ["10", "5", "2"]
    for window, names in main.items():
        all_names = [c.name for name in NAMES if (c := Column.parse(name)) is not None and c.window == int(window)]
        assert names == [name for name in all_names if name != f"std_volume_{window}"]
    each = models.parse({"name": "alphanet_v4", **SMALL, "spearman": "each"}).settle(rows, NAMES)["kept"]
    assert "std_volume_10" not in each["10"]
    assert "std_volume_5" in each["5"]
    assert "std_close_5" not in each["5"]
    assert len(each["2"]) == 5


def test_without_filter_or_branches_less_is_settled():
    """`none` settles nothing; without branches the main window alone is needed and kept."""
    rows = correlated_rows()
    assert models.parse({"name": "alphanet_v4", **SMALL}).settle(rows, NAMES) == {}
    alone = models.parse({"name": "alphanet_v4", **SMALL, "spearman": "main", "transformers": False})
    assert list(alone.settle(rows, NAMES)["kept"]) == ["10"]
    assert alone.settle(rows, ("std_close_10", *NAMES[1:]))["kept"]["10"]


def test_a_filter_that_is_not_settled_or_keeps_nothing_is_refused():
    """Building without `settle`, and settling on columns that do not vary, say what to do."""
    model = models.parse({"name": "alphanet_v4", **SMALL, "spearman": "main"})
    with pytest.raises(SettingError, match="spearman: main is built from the columns that its `settle` keeps"):
        model.build(Shape(NAMES))
    with pytest.raises(DataError, match="leaves no column over windows of 10 rows: of 30 training rows"):
        model.settle(np.zeros((30, len(NAMES)), dtype=np.float32), NAMES)


def test_the_published_widths():
    """103 kept columns of the full preset make a BiLSTM of 2 x 104; 20 consecutive steps; three branches of two."""
    model = models.parse("alphanet_v4")
    family = AlphaNet(collinear=True)
    names = family.columns()
    kept = [name for name in names if (c := Column.parse(name)) is not None and c.window == 10][:103]
    chosen = {name.removesuffix("_10") for name in kept}
    settled = {"kept": {"any": [name for name in names if name.rpartition("_")[0] in chosen]}}
    module = model.build(Shape(tuple(names), 1, settled))
    assert module.recurrent.weight_ih_l0.shape == (416, 103)
    assert [len(branch.layers) for branch in module.branches] == [2, 2, 2]
    assert module.branches[0].layers[0].linear1.weight.shape == (832, 208)
    assert (model.steps, model.stride, model.dropout, model.spearman_limit) == (20, 1, 0.2, 0.8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"windows": (5, 5, 10)}, "windows must be different lengths"),
        ({"main_window": 7}, "main_window one of them; given windows .*, main_window 7"),
        ({"heads": 3}, "heads must divide 2 \\* hidden, and 8 where hidden is not given; given heads 3, hidden None"),
        ({"heads": 8, "hidden": 6}, "given heads 8, hidden 6"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    """Windows and heads that exclude each other are named with their values."""
    with pytest.raises(SettingError, match=message):
        models.parse({"name": "alphanet_v4", **settings})
