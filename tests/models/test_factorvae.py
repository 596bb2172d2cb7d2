"""FactorVAE against its definition, written out day by day, head by head and stock by stock in numpy."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from learnable import rank_ic
from numpy.testing import assert_allclose
from torch.distributions import Normal, kl_divergence

from alphaloom.errors import SettingError, UsageError
from alphaloom.models import factorvae
from alphaloom.models.base import Batch, FitContext, Shape, models
from alphaloom.training.fit import fit_model
from alphaloom.training.network import day_batches
from alphaloom.training.samples import Samples

H, K, M, STEPS, F = 20, 5, 6, 3, 4
SMALL = {"hidden": H, "factors": K, "portfolios": M, "steps": STEPS}
BOTH = pytest.mark.parametrize("attention", ["cosine", "compat"])


def small(**settings):
    """Return a small model and its module in float64 with every weight and bias drawn at random."""
    model = models.parse({"name": "factorvae", **SMALL, **settings})
    torch.manual_seed(0)
    module = model.build(Shape.of(F)).double().eval()
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(torch.randn_like(weight) * 0.3)
    return model, module


def days():
    """Return four days of nine places: a full one, one with padding, one with a single label, one without stocks."""
    torch.manual_seed(1)
    x, mask = torch.randn(4, 9, STEPS, F, dtype=torch.float64), torch.rand(4, 9) < 0.6
    mask[0], mask[3] = True, False
    x[~mask] = 50.0
    known = mask & (torch.rand(4, 9) < 0.8)
    known[2] = torch.arange(9) == mask[2].int().argmax()
    y = torch.where(known, torch.randn(4, 9, dtype=torch.float64), 0.0)
    stocks = np.where(mask, np.arange(9), -1)
    return Batch(x, y, mask, known, np.arange(4), stocks)


def sigmoid(v):
    """Return the logistic function."""
    return 1 / (1 + np.exp(-v))


def leaky(v):
    """Return v where it is positive, a hundredth of it elsewhere."""
    return np.where(v > 0, v, 0.01 * v)


def deviation(v):
    """Return softplus."""
    return np.log1p(np.exp(v))


class ByHand:
    """The definition for one day, on the stocks that are there alone."""

    def __init__(self, module, *, attention="cosine"):
        self.w = {name: weight.detach().numpy() for name, weight in module.state_dict().items()}
        self.attention = attention

    def linear(self, name, v):
        """Return the linear map of that name."""
        return v @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]

    def state(self, window):
        """Return `e [H]` of one stock: the last state of the GRU on its mapped window `[L, F]`."""
        h = np.zeros(H)
        for row in leaky(self.linear("inward", window)):
            given = self.w["gru.weight_ih_l0"] @ row + self.w["gru.bias_ih_l0"]
            kept = self.w["gru.weight_hh_l0"] @ h + self.w["gru.bias_hh_l0"]
            r, u = sigmoid(given[:H] + kept[:H]), sigmoid(given[H : 2 * H] + kept[H : 2 * H])
            h = (1 - u) * np.tanh(given[2 * H :] + r * kept[2 * H :]) + u * h
        return h

    def weights(self, k, e):
        """Return what head k pays each stock."""
        q, found = self.w["prior.query"][k], []
        for state in e:
            key = self.w["prior.key"][k] @ state + self.w["prior.key_bias"][k]
            if self.attention == "cosine":
                found.append(max(q @ key / np.linalg.norm(q) / np.linalg.norm(key), 0.0) + 1e-5)
            else:
                found.append(math.exp(max(q @ key / math.sqrt(H), 0.0)))
        return np.array(found) / sum(found)

    def prior(self, e):
        """Return mean and deviation of each factor, from the stocks' states `[N, H]`."""
        found = []
        for k in range(K):
            values = [self.w["prior.value"][k] @ state + self.w["prior.value_bias"][k] for state in e]
            context = sum(weight * value for weight, value in zip(self.weights(k, e), values, strict=True))
            found.append(self.linear("prior.shared.2", leaky(self.linear("prior.shared.0", context))))
        mean, raw = np.array(found).T
        return mean, deviation(raw)

    def posterior(self, e, y):
        """Return mean and deviation of each factor, from states and labels of the labelled stocks."""
        energy = np.exp(self.linear("encoder.portfolios", e))
        returns = [sum(energy[:, m] / energy[:, m].sum() * y) for m in range(M)]
        mean, raw = (self.linear(f"encoder.{name}", np.array(returns)) for name in ("mean", "deviation"))
        return mean, deviation(raw)

    def stocks(self, e, factors):
        """Return mean and variance of each stock's label, given mean and deviation of the factors."""
        means, variances = [], []
        for state in e:
            mean, raw = self.linear("decoder.alpha.2", leaky(self.linear("decoder.alpha.0", state)))
            beta = self.linear("decoder.beta", state)
            means.append(mean + sum(beta[k] * factors[0][k] for k in range(K)))
            variances.append(deviation(raw) ** 2 + sum((beta[k] * factors[1][k]) ** 2 for k in range(K)))
        return np.array(means), np.array(variances)


def each_day(batch):
    """Yield day, windows, labels, and who is labelled among the stocks that are there, for days with stocks."""
    for b in range(len(batch.x)):
        there = batch.score_mask[b]
        if there.any():
            yield b, there, batch.x[b, there].numpy(), batch.y[b, there].numpy(), batch.label_mask[b, there].numpy()


def divergence(m, d, prior_m, prior_d):
    """Return the divergence of one normal distribution from another by torch."""
    tensors = (torch.as_tensor(v) for v in (m, d, prior_m, prior_d))
    m, d, prior_m, prior_d = tensors
    return kl_divergence(Normal(m, d), Normal(prior_m, prior_d)).numpy()


@BOTH
def test_forecasts_follow_the_definition(attention):
    """Means and deviations under the prior are those of each day without its padding; a day without stocks is finite.

    The score is the mean, or with `risk_adjusted` the mean less eta deviations.
    """
    _, module = small(attention=attention)
    _, cautious = small(attention=attention, score="risk_adjusted", eta=0.7)
    batch = days()
    with torch.no_grad():
        forecast, scores = module.forecast(batch.x, batch.score_mask), module(batch.x, batch.score_mask)
        adjusted = cautious(batch.x, batch.score_mask)
    assert torch.isfinite(torch.stack([*forecast])).all()
    hand = ByHand(module, attention=attention)
    for b, there, windows, _, _ in each_day(batch):
        e = np.array([hand.state(window) for window in windows])
        mean, variance = hand.stocks(e, hand.prior(e))
        assert_allclose(forecast.mean[b, there], mean, rtol=0, atol=1e-9)
        assert_allclose(forecast.deviation[b, there], np.sqrt(variance), rtol=0, atol=1e-9)
        assert_allclose(scores[b, there], mean, rtol=0, atol=1e-9)
        assert_allclose(adjusted[b, there], mean - 0.7 * np.sqrt(variance), rtol=0, atol=1e-9)


@BOTH
def test_weights_of_a_head_follow_the_definition(attention):
    """Each head's weights are those of the definition, sum to 1 over the stocks that are there, and are 0 elsewhere."""
    _, module = small(attention=attention)
    batch, hand = days(), ByHand(module, attention=attention)
    with torch.no_grad():
        e = module.states(batch.x, batch.score_mask)
        weights = module.prior.weights(e, batch.score_mask).numpy()
    for b, there, windows, _, _ in each_day(batch):
        e = np.array([hand.state(window) for window in windows])
        for k in range(K):
            assert_allclose(weights[b, k, there], hand.weights(k, e), rtol=0, atol=1e-9)
    assert (weights.transpose(0, 2, 1)[~batch.score_mask] == 0).all()
    assert_allclose(weights.sum(axis=2)[:3], 1.0, atol=1e-12)


@BOTH
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("likelihood", ["gaussian", "compat"])
@pytest.mark.parametrize("posterior", ["full", "prior_only"])
def test_the_objective_follows_the_definition(attention, likelihood, posterior, reduction):
    """Training minimises the likelihood's loss plus gamma times the divergence, over days with two labels or more."""
    model, module = small(
        attention=attention, likelihood=likelihood, posterior=posterior, kl_reduction=reduction, kl_weight=0.6
    )
    batch, hand = days(), ByHand(module, attention=attention)
    torch.manual_seed(7)
    with torch.no_grad():
        _, value = model.objective(module.train(), batch)
    torch.manual_seed(7)
    draws = torch.randn(batch.y.shape, dtype=torch.float64).numpy()
    daily = []
    for b, there, windows, y, known in each_day(batch):
        if known.sum() < 2:
            continue
        e = np.array([hand.state(window) for window in windows])
        prior = factors = hand.prior(e)
        penalty = 0.0
        if posterior == "full":
            factors = hand.posterior(e[known], y[known])
            distances = divergence(*factors, *prior)
            penalty = 0.6 * (distances.sum() if reduction == "sum" else distances.mean())
        mean, variance = hand.stocks(e[known], factors)
        if likelihood == "gaussian":
            likely = Normal(torch.as_tensor(mean), torch.as_tensor(variance).sqrt())
            loss = -likely.log_prob(torch.as_tensor(y[known])).mean().item()
        else:
            drawn = mean + draws[b][there.numpy()][known] * np.sqrt(variance)
            loss = np.mean((drawn - y[known]) ** 2)
        daily.append(loss + penalty)
    assert len(daily) == 2
    assert value.item() == pytest.approx(np.mean(daily), abs=1e-9)


def test_divergence_of_each_factor_is_the_closed_form():
    """It is the divergence of posterior from prior, a mean over the days with two labels; zero without such a day."""
    model, module = small()
    batch, hand = days(), ByHand(module)
    daily = []
    for _, _, windows, y, known in each_day(batch):
        e = np.array([hand.state(window) for window in windows])
        daily.append(divergence(*hand.posterior(e[known], y[known]), *hand.prior(e)))
    found = model.factor_divergence(module, batch)
    assert found.shape == (K,)
    assert_allclose(found, np.mean(daily[:2], axis=0), rtol=0, atol=1e-9)
    nothing = dataclasses.replace(batch, label_mask=torch.zeros_like(batch.label_mask))
    assert_allclose(model.factor_divergence(module, nothing), np.zeros(K))


@pytest.mark.parametrize("settings", [{}, {"likelihood": "compat"}, {"posterior": "prior_only"}])
def test_a_batch_without_labels_has_objective_and_gradient_zero(settings):
    """A day without labels contributes nothing to the objective, and no gradient to any weight."""
    model, module = small(**settings)
    batch = days()
    batch = dataclasses.replace(batch, y=0 * batch.y, label_mask=torch.zeros_like(batch.label_mask))
    _, value = model.objective(module, batch)
    value.backward()
    assert value.item() == 0.0
    assert all((weight.grad == 0).all() for weight in module.parameters() if weight.grad is not None)


def test_a_head_that_all_keys_point_away_from_weighs_all_stocks_alike():
    """Where every cosine is negative the weights are even; an only stock has weight 1; a key of zeros is finite."""
    _, module = small()
    prior = module.prior
    with torch.no_grad():
        prior.key.zero_()
        prior.key_bias.copy_(-prior.query)
        e, mask = torch.randn(2, 4, H, dtype=torch.float64), torch.tensor([[True] * 3 + [False], [True] + [False] * 3])
        weights = prior.weights(e, mask)
        assert_allclose(weights[0], np.tile([1 / 3, 1 / 3, 1 / 3, 0.0], (K, 1)), atol=1e-12)
        assert_allclose(weights[1], np.tile([1.0, 0.0, 0.0, 0.0], (K, 1)), atol=1e-12)
        prior.key_bias.zero_()
    e.requires_grad_(True)
    prior.contexts(e, mask).sum().backward()
    assert_allclose(prior.weights(e, mask).detach()[0, :, :3], 1 / 3, atol=1e-12)
    assert torch.isfinite(e.grad).all()
    assert torch.isfinite(prior.key.grad).all()


def test_lengths_of_keys_are_exact_whatever_their_alignment():
    """In float32 the cosine of a key along its query is 1 and one across it is 0, though lengths come from a square."""
    _, module = small()
    prior = module.prior.float()
    with torch.no_grad():
        prior.key.copy_(100 * torch.eye(H).expand(K, H, H))
        prior.key_bias.zero_()
        prior.query.copy_(torch.eye(H)[:K])
        cosines = prior._cosines(torch.eye(H)[None])[0]
    assert_allclose(cosines, np.eye(H)[:, :K], atol=1e-6)
    assert (cosines <= 1).all()


@BOTH
@pytest.mark.parametrize("rows", [2, 1000])
def test_gradients_agree_with_differences(attention, rows, monkeypatch):
    """The gradient of states, keys and all else is that of the objective, however many rows are worked on at once."""
    monkeypatch.setattr(factorvae, "rows_at_once", lambda e: rows)
    model, module = small(attention=attention)
    batch = days()
    x = batch.x.clone().requires_grad_(True)
    batch = dataclasses.replace(batch, x=x)
    model.objective(module, batch)[1].backward()
    generator = torch.Generator().manual_seed(3)
    for tensor in (x, *module.parameters()):
        direction = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            values = []
            for step in (1e-6, -2e-6):
                tensor.add_(step * direction)
                values.append(model.objective(module, batch)[1].item())
            tensor.add_(1e-6 * direction)
        assert (tensor.grad * direction).sum().item() == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-7)


@pytest.mark.parametrize("rows", [3, 1000])
@pytest.mark.parametrize("width", [4, 16, 20, 33])
def test_squared_lengths_of_keys(width, rows, monkeypatch):
    """`|W_k e|^2` and its gradients hold for widths that are no multiple of a block, and rows worked on in parts."""
    monkeypatch.setattr(factorvae, "rows_at_once", lambda e: rows)
    torch.manual_seed(0)
    e, W = torch.randn(7, width, dtype=torch.float64), torch.randn(3, width, width, dtype=torch.float64)
    e.requires_grad_(True)
    W.requires_grad_(True)
    expected = torch.einsum("kij,rj->rki", W, e).square().sum(dim=-1)
    found = factorvae._SquaredLengths.apply(e, W)
    assert_allclose(found.detach(), expected.detach(), rtol=1e-12)
    slope = torch.randn_like(found)
    for mine, plain in zip(
        torch.autograd.grad(found, (e, W), slope), torch.autograd.grad(expected, (e, W), slope), strict=True
    ):
        assert_allclose(mine, plain, rtol=0, atol=1e-11 * float(plain.abs().max()))


@BOTH
def test_padding_gets_no_gradient_and_every_weight_does(attention):
    """The objective depends on no place outside the mask, and on every weight."""
    model, module = small(attention=attention)
    batch = days()
    x = batch.x.clone().requires_grad_(True)
    model.objective(module, dataclasses.replace(batch, x=x))[1].backward()
    assert (x.grad[~batch.score_mask] == 0).all()
    assert (x.grad[:2][batch.score_mask[:2]] != 0).all()
    for weight in module.parameters():
        assert torch.isfinite(weight.grad).all()
        assert weight.grad.abs().sum() > 0


def test_scores_never_read_labels():
    """Whatever the labels are, the scores beside the objective are those of `forward`, in training as well."""
    for settings in ({}, {"posterior": "prior_only"}, {"likelihood": "compat"}):
        model, module = small(**settings)
        batch = days()
        other = dataclasses.replace(batch, y=batch.y + 1.0)
        for mode in (True, False):
            with torch.no_grad():
                scores, value = model.objective(module.train(mode), batch)
                others, another = model.objective(module, other)
                assert torch.equal(scores, module(batch.x, batch.score_mask))
            assert torch.equal(scores, others)
            assert value != another


def test_prior_only_has_no_encoder():
    """The prior-only variant has no encoder's weights and no divergence; what is left equals the full network's."""
    model, module = small(posterior="prior_only")
    _, full = small()
    assert not [name for name, _ in module.named_parameters() if name.startswith("encoder")]
    full.load_state_dict(module.state_dict(), strict=False)
    batch = days()
    with torch.no_grad():
        assert torch.equal(module(batch.x, batch.score_mask), full(batch.x, batch.score_mask))
    with pytest.raises(UsageError, match="prior_only there is no encoder"):
        model.factor_divergence(module, batch)


def test_draws_are_made_in_training_with_compat_alone():
    """Scores are never drawn; the objective is with `likelihood: compat` in training, and in evaluation it is not."""
    batch = days()
    for likelihood in ("gaussian", "compat"):
        model, module = small(likelihood=likelihood)
        for mode in (True, False):
            with torch.no_grad():
                (first, value), (second, again) = (model.objective(module.train(mode), batch) for _ in range(2))
            assert torch.equal(first, second)
            assert (value != again) == (likelihood == "compat" and mode)


def test_the_order_of_stocks_reorders_the_scores():
    """A day with its stocks in another order has the scores in that order."""
    _, module = small()
    batch, order = days(), torch.randperm(9)
    with torch.no_grad():
        scores = module(batch.x, batch.score_mask)
        shuffled = module(batch.x[:, order], batch.score_mask[:, order])
    assert_allclose(shuffled, scores[:, order], rtol=0, atol=1e-9)


def test_dropout_acts_in_training_alone():
    """Dropout of states and between layers makes training scores random; scoring is as without it."""
    batch = days()
    _, module = small(dropout=0.5, layers=2)
    _, plain = small(layers=2)
    with torch.no_grad():
        assert torch.equal(module(batch.x, batch.score_mask), plain(batch.x, batch.score_mask))
        module.train()
        assert not torch.equal(module(batch.x, batch.score_mask), module(batch.x, batch.score_mask))


@BOTH
def test_half_precision_by_autocast_is_left_to_the_recurrence(attention):
    """Under bfloat16 autocast distributions are float32, the objective is finite and near that in float32."""
    model, module = small(attention=attention)
    module = module.float()
    batch = days()
    batch = dataclasses.replace(batch, x=batch.x.float(), y=batch.y.float())
    _, exact = model.objective(module, batch)
    with torch.autocast("cpu", torch.bfloat16):
        forecast = module.forecast(batch.x, batch.score_mask)
        score, rough = model.objective(module, batch)
    assert {forecast.mean.dtype, forecast.deviation.dtype, score.dtype, rough.dtype} == {torch.float32}
    assert rough.item() == pytest.approx(exact.item(), rel=0.05)
    rough.backward()
    assert all(torch.isfinite(weight.grad).all() for weight in module.parameters())


@pytest.mark.parametrize("setting", ["steps", "hidden", "factors", "portfolios"])
def test_sizes_that_test_nothing_are_refused(setting):
    """A single step, factor or portfolio and a state of one number are refused."""
    with pytest.raises(SettingError, match=rf"{setting}: .*greater than or equal.*given: 1"):
        models.parse({"name": "factorvae", setting: 1})


def test_likelihood_and_loss_belong_together():
    """The default loss follows the likelihood; a loss that reads no variance is refused with `gaussian`, and so on."""
    assert models.parse("factorvae").loss.name == "gaussian"
    assert models.parse({"name": "factorvae", "likelihood": "compat"}).loss.name == "mse"
    assert models.parse({"name": "factorvae", "likelihood": "compat", "loss": "ic"}).loss.name == "ic"
    with pytest.raises(SettingError, match="likelihood: gaussian needs a loss that reads the variance.*given mse"):
        models.parse({"name": "factorvae", "loss": "mse"})
    with pytest.raises(SettingError, match="likelihood: compat needs a loss that does not read.*given gaussian"):
        models.parse({"name": "factorvae", "likelihood": "compat", "loss": "gaussian"})


def market_of_one_factor(tells, seed=0):
    """Return training, validation and test days whose labels are a random sign times a feature, plus noise.

    The features' cross-section tells the sign by the mean of another feature where `tells`, else nothing does.
    """
    rng, T, N = np.random.default_rng(seed), 121, 60
    sign = rng.choice([-1.0, 1.0], (T, 1))
    block = rng.standard_normal((T, N, 4)).astype(np.float32)
    block[..., 1] += 0.4 * sign * tells
    truth = sign * block[..., 0]
    label = (truth + rng.standard_normal((T, N))).astype(np.float32)
    samples = Samples(block, label, np.ones((T, N), dtype=np.bool_), np.arange(1, T))
    parts = [samples.subset(part) for part in np.split(samples.rows, [75, 90])]
    return *parts, rank_ic(truth[parts[2].rows], parts[2])


def fitted(train, valid, *, epochs=8, **settings):
    """Return a small model fitted on the CPU's one thread, for all epochs."""
    optimisation = {"lr": 5e-3, "epochs": epochs, "patience": epochs, "weight_decay": 0.0}
    model = models.parse(
        {
            "name": "factorvae",
            "steps": 2,
            "hidden": 16,
            "factors": 8,
            "portfolios": 16,
            "optimisation": optimisation,
            **settings,
        }
    )
    return model, fit_model(model, train, valid, context=FitContext(0, 1, tuple("abcd")))


@pytest.mark.slow
@BOTH
def test_learns_a_factor_that_only_all_stocks_together_tell(attention):
    """The sign of a factor that shows in the day's mean of a feature is found by the prior, up to the ceiling."""
    train, valid, test, ceiling = market_of_one_factor(tells=True)
    _, fit = fitted(train, valid, attention=attention)
    assert rank_ic(fit.predict(test), test) > 0.9 * ceiling


@pytest.mark.slow
def test_divergences_show_a_factor_that_nothing_foretells_and_collapse():
    """A factor that labels alone tell has a large divergence, one factor's; a high price of divergence collapses all.

    The likelihood under the posterior is then better than that of a prior trained alone.
    """
    train, *_ = market_of_one_factor(tells=False)
    no_days = train.subset(train.rows[:0])  # the last weights are kept
    found, losses = {}, {}
    for name, settings in {
        "default": {},
        "dear": {"kl_weight": 1000.0},
        "prior only": {"posterior": "prior_only"},
    }.items():
        model, fit = fitted(train, no_days, epochs=16, **settings)
        losses[name] = fit.history[-1]["train_loss"]
        if model.posterior == "full":
            batches = day_batches(model, train, torch.device("cpu")).epoch()
            daily = [model.factor_divergence(fit.body.module, batch) for batch in batches]
            found[name] = torch.stack(daily).mean(dim=0).sort(descending=True).values
    assert found["default"][0] > 0.1
    assert found["default"][1:].max() < 0.3 * found["default"][0]
    assert found["dear"].max() < 0.01
    assert losses["default"] < losses["prior only"] - 0.05
