"""FactorVAE: factor returns as latent variables, told from the labels in training and from the features in use."""

import math
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self, cast

import torch
from pydantic import Field, model_validator
from torch.autograd.function import once_differentiable
from torch.nn.functional import leaky_relu, softplus

from alphaloom.errors import UsageError
from alphaloom.losses.base import Loss, losses
from alphaloom.losses.gaussian import normal_kl
from alphaloom.models.base import Batch, Network, Shape, models

SMALLEST_DEVIATION = 1e-6
"""Floor of every standard deviation, in units of the label or of a factor."""
EVEN = 1e-5
"""Added to each stock's positive part of a cosine: where all cosines are negative, all stocks weigh alike."""
SHORTEST_KEY = 1e-6
"""Keys shorter than this count as this long, so that a key of zeros has cosine 0."""
BLOCK = 16
"""Entries of a state whose products with themselves and all later ones are made at once."""


@models.register("factorvae")
class FactorVAE(Network):
    """Dynamic factor model whose K factor returns z are latent; an encoder that sees the labels teaches a prior.

    Per day, with the windows `x_n` of its N stocks and their labels y (s stands for softplus):

    1. State: `e_n = GRU(LeakyReLU(A x_n + a))` at the last step `[H]`.
    2. Posterior, from labels: M portfolios with weights `softmax over labelled n of (P e_n + p)` return `r = w'y`;
       `z ~ N(C r + c, s(D r + d))`.
    3. Prior, without them: head k has a query `q_k`, keys `W_k e_n + b_k` and values `V_k e_n + v_k`; it weighs the
       stocks (see `attention`), and a map shared by the heads, Linear-LeakyReLU-Linear, gives mean and s() from its
       context.
    4. Decoder: `alpha_n ~ N(mean, s())` from e_n by Linear-LeakyReLU-Linear, `beta_n = B e_n + b`, and
       `y_n = alpha_n + beta_n' z`, so `mean = mean_alpha + beta' mean_z`, `variance = var_alpha + (beta^2)' var_z`.

    Trained on the loss of y under the posterior (see `likelihood`) plus `kl_weight` times the divergence of the
    posterior from the prior; scored by 1, 3 and 4 without any draw. A score depends on every stock of the day, on none
    outside the mask and not on their order.

    Source: Duan, Wang, Zhang & Li (2022), FactorVAE, AAAI 36(4); 20 steps of 20 features of Alpha158, labels of one
    day; sizes from the replication in seed 003, whose attention and loss `compat` gives.
    Differs: x is mapped to H before the GRU, and no layer normalisation precedes it (transforms do that); the paper
    leaves open what a head weighs when all its cosines are negative.
    """

    gives: ClassVar[tuple[str, ...]] = ("variance",)
    mixes_stocks: ClassVar[bool] = True
    several_outputs: ClassVar[bool] = False
    steps: Annotated[int, Field(ge=2, le=1000)] = 20
    """L, the number of look-back steps in one input; of a single one the GRU has nothing to remember."""
    loss: Annotated[Loss, losses] = Field(default_factory=lambda: losses.parse("gaussian"), validate_default=True)
    """What training minimises beside the divergence, a day at a time; `mse` by default with `likelihood: compat`."""
    hidden: Annotated[int, Field(ge=4, le=1024)] = 64
    """H, the size of a stock's state, of keys, values and contexts; at 1 every cosine would be 1 or -1."""
    layers: Annotated[int, Field(ge=1, le=8)] = 1
    """Number of stacked GRU layers."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share dropped of a stock's state, and between GRU layers; the paper has none."""
    factors: Annotated[int, Field(ge=2, le=1024)] = 96
    """K, the number of factors and of attention heads; a single one could tell the market alone."""
    portfolios: Annotated[int, Field(ge=2, le=4096)] = 128
    """M, how many portfolios the encoder reads the labels through; fewer than K tie the posterior means together."""
    attention: Literal["cosine", "compat"] = "cosine"
    """Weights of a head over the stocks: positive part of the cosine of query and key over its sum (`cosine`), or
    `softmax(ReLU(q'k / sqrt(H)))` as in seed 003 (`compat`), where stocks with negative scores still weigh exp(0)."""
    likelihood: Literal["gaussian", "compat"] = "gaussian"
    """How labels meet their distribution: its mean and variance go to a loss that reads both (`gaussian`), or one draw
    from it goes to any other loss, as in seed 003 (`compat`); a squared error of draws drives the variance to 0."""
    posterior: Literal["full", "prior_only"] = "full"
    """Whether an encoder teaches the prior, or the prior is trained on the labels itself, without encoder and
    divergence: the paper's prior-only variant."""
    kl_weight: Annotated[float, Field(ge=0, le=1e6)] = 1.0
    """Weight gamma of the divergence against the loss; nothing with `prior_only`."""
    kl_reduction: Literal["mean", "sum"] = "mean"
    """Whether the divergence is the factors' mean, as the loss is the stocks', or their sum (seed 003)."""
    score: Literal["mean", "risk_adjusted"] = "mean"
    """What a stock is ranked by: its mean, or its mean less `eta` standard deviations."""
    eta: Annotated[float, Field(ge=0, le=100)] = 1.0
    """Price of risk in a `risk_adjusted` score, in labels a standard deviation."""

    @model_validator(mode="before")
    @classmethod
    def _loss_of_draws(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("likelihood") == "compat":
            return {"loss": "mse", **data}
        return data

    @model_validator(mode="after")
    def _loss_reads_what_the_likelihood_gives(self) -> Self:
        reads = "variance" in self.loss.from_network
        if reads != (self.likelihood == "gaussian"):
            wanted = "reads the variance: gaussian" if not reads else "does not read the variance, for example mse"
            raise ValueError(
                f"likelihood: {self.likelihood} needs a loss that {wanted}; given {self.loss.name}. Leave `loss` out "
                "for the default of each."
            )
        return self

    def build(self, shape: Shape) -> torch.nn.Module:
        """Return a fresh module for F features."""
        return FactorVAEScore(shape.n_features, self)

    def objective(self, module: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the scores `[B, N']`, and loss plus weighted divergence, each a mean over the days the loss counts.

        With `likelihood: compat` training draws the labels' reconstruction; in evaluation mode it is their mean.
        """
        network = cast("FactorVAEScore", module)
        e = network.states(batch.x, batch.score_mask)
        with torch.autocast(e.device.type, enabled=False):
            exposures, prior = network.decoder(e), network.prior(e, batch.score_mask)
            forecast = stocks(exposures, prior)
            if network.encoder is None:
                labels, penalty = forecast, e.new_zeros(())
            else:
                posterior = network.encoder(e, batch.y, batch.label_mask)
                labels, penalty = stocks(exposures, posterior), self._penalty(posterior, prior, batch.label_mask)
            mean = labels.mean
            if self.likelihood == "compat" and module.training:
                mean = mean + torch.randn_like(mean) * labels.deviation
            extras = {**batch.extras, "variance": labels.deviation.square()}
            loss = self.loss(mean, batch.y, batch.label_mask, extras)
        return self.ranked(forecast), loss + self.kl_weight * penalty

    @torch.no_grad()
    def factor_divergence(self, module: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Return the divergence of each factor's posterior from its prior, a mean over the days that count `[K]`.

        In nats; near 0 for a factor whose encoder says nothing beyond the prior. All near 0 is posterior collapse.

        Raises:
            UsageError: the network was trained without an encoder.
        """
        network = cast("FactorVAEScore", module)
        if network.encoder is None:
            raise UsageError("With posterior: prior_only there is no encoder, so no factor has a divergence.")
        e = network.states(batch.x, batch.score_mask)
        with torch.autocast(e.device.type, enabled=False):
            prior = network.prior(e, batch.score_mask)
            return self._divergence(network.encoder(e, batch.y, batch.label_mask), prior, batch.label_mask)

    def ranked(self, forecast: "Normals") -> torch.Tensor:
        """Return what stocks are ranked by."""
        return forecast.mean - self.eta * forecast.deviation if self.score == "risk_adjusted" else forecast.mean

    def _penalty(self, posterior: "Normals", prior: "Normals", known: torch.Tensor) -> torch.Tensor:
        daily = self._divergence(posterior, prior, known)
        return daily.mean() if self.kl_reduction == "mean" else daily.sum()

    def _divergence(self, posterior: "Normals", prior: "Normals", known: torch.Tensor) -> torch.Tensor:
        """Return `[K]`, the mean over the days with as many labels as the loss asks for; 0 without any."""
        counts = known.sum(dim=1) >= self.loss.min_members
        daily = torch.where(counts[:, None], normal_kl(*posterior, *prior), 0.0)
        return daily.sum(dim=0) / counts.sum().clamp_min(1)


class Normals(NamedTuple):
    """Independent normal distributions, an entry each."""

    mean: torch.Tensor
    deviation: torch.Tensor


class Exposures(NamedTuple):
    """What the decoder says of each stock: its own return `[B, N]`, and its loadings on the factors `[B, N, K]`."""

    alpha: Normals
    beta: torch.Tensor


def stocks(exposures: Exposures, factors: Normals) -> Normals:
    """Return the distribution of each stock's label `[B, N]` for factor returns `[B, K]`."""
    alpha, beta = exposures
    mean = alpha.mean + (beta @ factors.mean[..., None]).squeeze(-1)
    shared = (beta.square() @ factors.deviation.square()[..., None]).squeeze(-1)
    return Normals(mean, (alpha.deviation.square() + shared).sqrt())


def normals(mean: torch.Tensor, raw: torch.Tensor) -> Normals:
    """Return distributions with `softplus(raw)` for deviations."""
    return Normals(mean, softplus(raw).clamp_min(SMALLEST_DEVIATION))


class FactorVAEScore(torch.nn.Module):
    """`[B, N, L, F]` to `[B, N]`. After the GRU everything is computed in float32 or better, under autocast as well."""

    def __init__(self, n_features: int, settings: FactorVAE) -> None:
        super().__init__()
        H, between = settings.hidden, settings.dropout if settings.layers > 1 else 0.0
        self.ranked = settings.ranked
        self.inward = torch.nn.Linear(n_features, H)
        self.gru = torch.nn.GRU(H, H, settings.layers, batch_first=True, dropout=between)
        self.dropout = torch.nn.Dropout(settings.dropout)
        self.decoder = Decoder(settings)
        self.prior = Prior(settings)
        self.encoder = Encoder(settings) if settings.posterior == "full" else None

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the scores."""
        return self.ranked(self.forecast(x, mask))

    def forecast(self, x: torch.Tensor, mask: torch.Tensor) -> Normals:
        """Return the distribution of each stock's label under the prior `[B, N]`, no label being known."""
        e = self.states(x, mask)
        with torch.autocast(e.device.type, enabled=False):
            return stocks(self.decoder(e), self.prior(e, mask))

    def states(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the state of each stock `[B, N, H]`, zeros outside the mask."""
        B, N, L, F = x.shape
        states, _ = self.gru(leaky_relu(self.inward(x.reshape(B * N, L, F))))
        e: torch.Tensor = self.dropout(states[:, -1]).view(B, N, -1)
        return e.to(torch.promote_types(e.dtype, torch.float32)).masked_fill(~mask[..., None], 0.0)


class Decoder(torch.nn.Module):
    """States `[B, N, H]` to what each stock earns by itself and by the factors."""

    def __init__(self, settings: FactorVAE) -> None:
        super().__init__()
        H = settings.hidden
        self.alpha = torch.nn.Sequential(torch.nn.Linear(H, H), torch.nn.LeakyReLU(), torch.nn.Linear(H, 2))
        self.beta = torch.nn.Linear(H, settings.factors)

    def forward(self, e: torch.Tensor) -> Exposures:
        """Return alpha and beta."""
        return Exposures(normals(*self.alpha(e).unbind(dim=-1)), self.beta(e))


class Encoder(torch.nn.Module):
    """States `[B, N, H]` and labels to the posterior of the factors `[B, K]`, by way of M portfolios."""

    def __init__(self, settings: FactorVAE) -> None:
        super().__init__()
        self.portfolios = torch.nn.Linear(settings.hidden, settings.portfolios)
        self.mean = torch.nn.Linear(settings.portfolios, settings.factors)
        self.deviation = torch.nn.Linear(settings.portfolios, settings.factors)

    def forward(self, e: torch.Tensor, y: torch.Tensor, known: torch.Tensor) -> Normals:
        """Return the posterior from the labels `known [B, N]`; without any label on a day it is that of zeros."""
        weight = softmax_over(self.portfolios(e), known)
        returns = (weight @ torch.where(known, y, 0.0).to(e.dtype)[..., None]).squeeze(-1)
        return normals(self.mean(returns), self.deviation(returns))


def softmax_over(energy: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """Return `[B, J, N]`, the softmax of `energy [B, N, J]` over the stocks that are `there [B, N]`.

    On a day without any it is over all: what comes of it means nothing, but stays finite.
    """
    held = there | ~there.any(dim=1, keepdim=True)
    return torch.softmax(energy.transpose(1, 2).masked_fill(~held[:, None, :], -torch.inf), dim=-1)


class Prior(torch.nn.Module):
    """States `[B, N, H]` to the prior of the factors `[B, K]`, an attention head a factor.

    No head's keys and values of all stocks are ever made. With `u_k = W_k' q_k` a score is `q_k'(W_k e + b_k) =
    u_k'e + q_k'b_k`; the stocks' states are summed by weight first and mapped to the value after; and the length of a
    key is `e'(W_k'W_k)e + 2 b_k'W_k e + b_k'b_k`.
    """

    def __init__(self, settings: FactorVAE) -> None:
        super().__init__()
        K, H = settings.factors, settings.hidden
        self.is_cosine = settings.attention == "cosine"
        self.query = torch.nn.Parameter(torch.randn(K, H))
        self.key, self.value = (torch.nn.Parameter((2 * torch.rand(K, H, H) - 1) / math.sqrt(H)) for _ in range(2))
        self.key_bias, self.value_bias = (torch.nn.Parameter(torch.zeros(K, H)) for _ in range(2))
        self.shared = torch.nn.Sequential(torch.nn.Linear(H, H), torch.nn.LeakyReLU(), torch.nn.Linear(H, 2))

    def forward(self, e: torch.Tensor, mask: torch.Tensor) -> Normals:
        """Return the prior; on a day without stocks that of empty contexts."""
        return normals(*self.shared(self.contexts(e, mask)).unbind(dim=-1))

    def contexts(self, e: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return what each head finds in the stocks `[B, K, H]`."""
        pooled = self.weights(e, mask) @ e
        return torch.einsum("kij,bkj->bki", self.value, pooled) + self.value_bias

    def weights(self, e: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return what each stock weighs in each head `[B, K, N]`; sums to 1 over the stocks of the mask, 0 elsewhere.

        With `cosine` it is `(ReLU(c) + EVEN)` over its sum, c the cosine.
        """
        if self.is_cosine:
            alike = torch.where(mask[..., None], self._cosines(e) + EVEN, 0.0)
            return (alike / alike.sum(dim=1, keepdim=True).clamp_min(EVEN)).transpose(1, 2)
        energy = torch.relu(self._scores(e, self.query / math.sqrt(e.shape[-1])))
        return softmax_over(energy, mask) * mask[:, None, :]

    def _scores(self, e: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
        """Return the product of each head's query with each stock's key `[B, N, K]`."""
        absorbed = torch.einsum("kij,ki->kj", self.key, query)
        return torch.nn.functional.linear(e, absorbed, (query * self.key_bias).sum(dim=1))

    def _cosines(self, e: torch.Tensor) -> torch.Tensor:
        """Return the positive part of the cosine of each head's query with each stock's key `[B, N, K]`."""
        score = self._scores(e, torch.nn.functional.normalize(self.query, dim=1))
        crossed = 2 * torch.einsum("kij,ki->kj", self.key, self.key_bias)
        affine = torch.nn.functional.linear(e, crossed, self.key_bias.square().sum(dim=1))
        squared = _SquaredLengths.apply(e.flatten(0, 1), self.key).view_as(score) + affine  # type: ignore[no-untyped-call]
        # No key is shorter than its part along the query: that bounds the cosine by 1 whatever rounding does.
        length = torch.maximum(squared, score.square()).clamp_min(SHORTEST_KEY**2).sqrt()
        return torch.relu(score) / length


class _SquaredLengths(torch.autograd.Function):
    """`|W_k e_r|^2` as `[R, K]`, for `e [R, H]` and `W [K, H, H]`.

    That is `e_r' G_k e_r` with `G_k = W_k'W_k`: one matrix product of the pairs of e's entries with the entries of G,
    each pair taken once but inside a block, little more than a quarter of the work of making keys and values. The pairs
    of a few rows exist at once, and are made again on the way back.
    """

    @staticmethod
    def forward(ctx: Any, e: torch.Tensor, W: torch.Tensor) -> torch.Tensor:
        G = W.transpose(1, 2) @ W
        ctx.save_for_backward(e, W, G)
        folded = e.new_empty(len(W), n_pairs(W.shape[1]))
        for a, b, view in blocks(folded, W.shape[1]):
            view.copy_(G[:, a:b, a:])
            view[..., b - a :] *= 2
        return torch.cat([pairs @ folded.T for pairs in pairs_by_part(e)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        e, W, G = ctx.saved_tensors
        by_pair = e.new_zeros(len(W), n_pairs(W.shape[1]))
        for part, pairs in zip(torch.split(slope, rows_at_once(e)), pairs_by_part(e), strict=True):
            by_pair.addmm_(part.T, pairs)
        moments = torch.empty_like(G)  # of the stocks, weighted by the slopes of each head: sum over r of s_r e_r e_r'
        for a, b, view in blocks(by_pair, W.shape[1]):
            moments[:, a:b, a:] = view
            moments[:, a:, a:b] = view.transpose(1, 2)
        by_state = [
            ((part @ G.flatten(1)).view(-1, *G.shape[1:]) @ state[..., None]).squeeze(-1)
            for part, state in zip(torch.split(slope, rows_at_once(e)), torch.split(e, rows_at_once(e)), strict=True)
        ]
        return 2 * torch.cat(by_state), 2 * (W @ moments)


def n_pairs(H: int) -> int:
    """Return how many products of two entries `blocks` holds."""
    return sum((min(a + BLOCK, H) - a) * (H - a) for a in range(0, H, BLOCK))


def blocks(packed: torch.Tensor, H: int) -> Iterator[tuple[int, int, torch.Tensor]]:
    """Yield a, b and the view `[R, b - a, H - a]` of `packed [R, pairs]` for pairs of entries a to b with a to H."""
    at = 0
    for a in range(0, H, BLOCK):
        b = min(a + BLOCK, H)
        size = (b - a) * (H - a)
        yield a, b, packed[:, at : at + size].view(len(packed), b - a, H - a)
        at += size


def pairs_by_part(e: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield the products of the entries of each row `[R', pairs]`, R' rows of `e [R, H]` after another."""
    buffer = e.new_empty(min(rows_at_once(e), len(e)), n_pairs(e.shape[1]))
    for part in torch.split(e, rows_at_once(e)):
        pairs = buffer[: len(part)]
        for a, b, view in blocks(pairs, e.shape[1]):
            torch.mul(part[:, a:b, None], part[:, None, a:], out=view)
        yield pairs


def rows_at_once(e: torch.Tensor) -> int:
    """Return how many rows' pairs to hold: what stays in a CPU's cache, or enough to fill an accelerator."""
    return max(1, (2**20 if e.device.type == "cpu" else 2**24) // e.shape[1] ** 2)
