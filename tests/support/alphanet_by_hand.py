"""AlphaNet's parts written out in numpy, one stock and one step at a time, and small markets for its models."""

from itertools import combinations

import numpy as np
import torch
from learnable import Planted
from panels import random_panel

from alphaloom.features.alphanet import AlphaNet
from alphaloom.models.base import Network, Shape, models
from alphaloom.training.samples import Samples

INPUTS = ("close", "volume", "div_low_high")


def column_names(*windows: int) -> tuple[str, ...]:
    """Return a few of AlphaNet's columns over each window, with columns that are none of it between them."""
    names = []
    for window in windows:
        names += [f"corr_{a}_{b}_{window}" for a, b in combinations(INPUTS, 2)]
        names += ["MOMENTUM", f"std_unknown_{window}"] if window == windows[0] else []
        names += [f"std_{name}_{window}" for name in INPUTS[:2]]
    return tuple(names)


def random_module(name: str, features: tuple[str, ...], *, outputs: int = 1, settled=None, **settings):
    """Return the settings and a module in float64 for scoring, every weight and running moment drawn at random."""
    torch.manual_seed(0)
    model = models.parse({"name": name, **settings})
    assert isinstance(model, Network)
    module = model.build(Shape(features, outputs, settled or {})).double().eval()
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(torch.randn_like(weight) * 0.3)
        for buffer, values in module.named_buffers():
            if buffer.endswith("mean"):
                values.normal_()
            if buffer.endswith("variance"):
                values.uniform_(0.5, 2.0)
    return model, module


def batch(L: int, F: int):
    """Return `x [3, 6, L, F]` and a mask with padding that holds large numbers, and an empty day."""
    torch.manual_seed(1)
    x, mask = torch.randn(3, 6, L, F, dtype=torch.float64) * 2 + 0.5, torch.rand(3, 6) < 0.6
    mask[2] = False
    x[~mask] = 1e6
    return x, mask


class ByHand:
    """The weights of a module in numpy, and the maps that they make."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.weights = {name: value.detach().numpy() for name, value in module.state_dict().items()}

    def linear(self, name: str, z: np.ndarray) -> np.ndarray:
        """Return `W z + b` of one place."""
        out = self.weights[f"{name}.weight"] @ z
        return out + self.weights[f"{name}.bias"] if f"{name}.bias" in self.weights else out

    def normalised(self, name: str, z: np.ndarray, eps: float = 0.0, moments=None) -> np.ndarray:
        """Return one place's features normalised by the running moments, or by those given."""
        mean, variance = moments or (self.weights[f"{name}.mean"], self.weights[f"{name}.variance"])
        out = np.empty_like(z)
        for k in range(len(z)):
            standard = (z[k] - mean[k]) / np.sqrt(variance[k] + eps)
            out[k] = self.weights[f"{name}.weight"][k] * standard + self.weights[f"{name}.bias"][k]
        return out

    def layer_norm(self, name: str, z: np.ndarray) -> np.ndarray:
        """Return one place's features normalised over themselves."""
        standard = (z - z.mean()) / np.sqrt(((z - z.mean()) ** 2).mean() + 1e-5)
        return standard * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def lstm(self, name: str, sequence: list[np.ndarray], suffix: str = "") -> list[np.ndarray]:
        """Return the state after each step (input, forget, cell and output gate in torch's order)."""
        U, W, u, w = (
            self.weights[f"{name}.{kind}_l0{suffix}"] for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        h, c, states = np.zeros(W.shape[1]), np.zeros(W.shape[1]), []
        for z in sequence:
            i, f, g, o = np.split(U @ z + u + W @ h + w, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            states.append(h)
        return states

    def gru(self, name: str, sequence: list[np.ndarray]) -> list[np.ndarray]:
        """Return the state after each step (reset, update and new gate in torch's order)."""
        U, W, u, w = (self.weights[f"{name}.{kind}_l0"] for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        h, states = np.zeros(W.shape[1]), []
        for z in sequence:
            own, carried = np.split(U @ z + u, 3), np.split(W @ h + w, 3)
            r, update = sigmoid(own[0] + carried[0]), sigmoid(own[1] + carried[1])
            h = (1 - update) * np.tanh(own[2] + r * carried[2]) + update * h
            states.append(h)
        return states


def sigmoid(z: np.ndarray) -> np.ndarray:
    """Return the logistic function."""
    return 1 / (1 + np.exp(-z))


def operator_market(family: AlphaNet, model: Network, *, strength: float = 1.0, seed: int = 0) -> Planted:
    """Return samples of the family's features of raw bars, and a label driven by two of them over 10 rows.

    The truth ranks the correlation of two inputs and the volatility of returns within each day. Volumes are those of
    large stocks, so that covariances reach beyond 1e10.
    """
    panel = random_panel(150, 60, seed=seed)
    share = np.random.default_rng(seed).uniform(1.2, 3.0, panel.shape)
    fields = {"free_turnover": panel["turnover"] * share, "adj_volume": 1e4 * panel["adj_volume"]}
    block = family.compute(panel.with_fields({name: values.astype(np.float32) for name, values in fields.items()}))
    names = family.columns()
    parts = [block[..., names.index(name)] for name in ("corr_close_returns_10", "std_returns_10")]
    truth = sum(sign * day_ranks(part) for sign, part in zip((1.0, -1.0), parts, strict=True))
    rng = np.random.default_rng([seed, 1])
    label = strength * truth / np.nanstd(truth) + rng.standard_normal(truth.shape)
    with np.errstate(invalid="ignore"):
        label = ((label - np.nanmean(label[40:], axis=1).mean()) / np.nanstd(label[40:])).astype(np.float32)
    first = family.lookback + (model.steps - 1) * model.stride
    rows = np.arange(first, panel.shape[0])
    a, b = int(rows.size * 0.6), int(rows.size * 0.75)
    samples = Samples(block, label, np.ones(truth.shape, dtype=np.bool_), rows)
    return Planted(samples.subset(rows[:a]), samples.subset(rows[a:b]), samples.subset(rows[b:]), truth)


def day_ranks(values: np.ndarray) -> np.ndarray:
    """Return the place of each value within its day, from 0 to 1; NaN stays."""
    out = np.full(values.shape, np.nan)
    for t, day in enumerate(values):
        known = np.flatnonzero(~np.isnan(day))
        out[t, known] = np.argsort(np.argsort(day[known])) / max(known.size - 1, 1)
    return out
