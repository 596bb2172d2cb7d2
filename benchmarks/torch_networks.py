# ruff: noqa: D102
"""The networks as a short program writes them with torch's own modules: `x [n, L, F]` to `[n]`, one day at a time."""

from itertools import pairwise

import torch
from torch import nn

from alphaloom.models.base import Network

RECURRENT = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class Recurrent(nn.Module):
    """torch's recurrent module, the last state, linear."""

    def __init__(self, model: Network, F: int) -> None:
        super().__init__()
        self.layers = RECURRENT[model.name](F, model.hidden, model.layers, batch_first=True)
        self.head = nn.Linear(model.hidden, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(x)[0][:, -1]).squeeze(-1)


class Attended(nn.Module):
    """ALSTM: torch's recurrent module, attention over its states beside the last one."""

    def __init__(self, model: Network, F: int) -> None:
        super().__init__()
        H = model.hidden
        self.inward = nn.Sequential(nn.Linear(F, H), nn.Tanh())
        self.layers = RECURRENT[model.cell](H, H, model.layers, batch_first=True)
        self.attention = nn.Sequential(nn.Linear(H, H // 2), nn.Tanh(), nn.Linear(H // 2, 1, bias=False))
        self.head = nn.Linear(2 * H, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states, _ = self.layers(self.inward(x))
        weight = torch.softmax(self.attention(states), dim=1)
        return self.head(torch.cat([states[:, -1], (weight * states).sum(dim=1)], dim=1)).squeeze(-1)


class Encoder(nn.Module):
    """nn.TransformerEncoder, read out at the last step."""

    def __init__(self, model: Network, F: int) -> None:
        super().__init__()
        D, heads, layers, ff = (model.width(name) for name in ("d_model", "heads", "layers", "ff"))
        self.inward = nn.Linear(F, D)
        self.positions = nn.Parameter(torch.zeros(model.steps, D), requires_grad=False)
        layer = nn.TransformerEncoderLayer(D, heads, ff, 0.0, batch_first=True, norm_first=model.norm == "pre")
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(D, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(self.inward(x) + self.positions)[:, -1]).squeeze(-1)


class MarketBlock(nn.Module):
    """One block of MASTER on nn.MultiheadAttention."""

    def __init__(self, D: int, heads: int) -> None:
        super().__init__()
        self.norm_in, self.norm_attended = nn.LayerNorm(D), nn.LayerNorm(D)
        self.attention = nn.MultiheadAttention(D, heads, bias=False, batch_first=True)
        self.feed_forward = nn.Sequential(nn.Linear(D, D), nn.ReLU(), nn.Linear(D, D))

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        u = self.norm_in(h)
        v = self.norm_attended(u + self.attention(u, u, u, need_weights=False)[0])
        return v + self.feed_forward(v)


class MarketTransformer(nn.Module):
    """MASTER without a gate: attention over the steps of each stock, then between the stocks at each step."""

    def __init__(self, model: Network, F: int) -> None:
        super().__init__()
        D = model.d_model
        self.inward = nn.Linear(F, D)
        self.positions = nn.Parameter(torch.zeros(model.steps, D), requires_grad=False)
        self.time, self.stock = MarketBlock(D, model.time_heads), MarketBlock(D, model.stock_heads)
        self.aggregate, self.head = nn.Linear(D, D, bias=False), nn.Linear(D, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.time(self.inward(x) + self.positions)
        z = self.stock(h.transpose(0, 1)).transpose(0, 1)
        mapped = self.aggregate(z)
        weight = torch.softmax((mapped * mapped[:, -1:]).sum(dim=-1, keepdim=True), dim=1)
        return self.head((weight * z).sum(dim=1)).squeeze(-1)


class Perceptron(nn.Module):
    """Linear layers with batch normalisation and leaky ReLU between them."""

    def __init__(self, model: Network, F: int) -> None:
        super().__init__()
        widths = (model.steps * F, *model.hidden)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.LeakyReLU(0.1)]
        self.layers = nn.Sequential(nn.Flatten(), *layers, nn.Linear(widths[-1], 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x).squeeze(-1)


def peer_of(model: Network, F: int) -> nn.Module:
    """Return the peer of a network: its mathematics, without dropout."""
    forms = {"alstm": Attended, "transformer": Encoder, "master": MarketTransformer, "mlp": Perceptron}
    return forms.get(model.name, Recurrent)(model, F)
